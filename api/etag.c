/* etag.c: entity tags: what tells one answer from another. */
#include "etag.h"

#include <stdint.h>
#include <string.h>

/* ---- The hash ----
 *
 * The bytes are the coefficients of a polynomial over the integers modulo the prime 2^61 - 1, seven
 * bytes each and the length last, and the tag is its value at two fixed points. Two texts share a
 * value only where the difference of their polynomials has a root: at one of some length / 7 points
 * out of 2^61. It guards against chance, not against malice. */

#define PRIME ((UINT64_C(1) << 61) - 1)
#define BYTES 7

static const uint64_t points[2] = {UINT64_C(0x11c19fc39b79b7a9), UINT64_C(0x18a0b9e8ad95645e)};

/* value * point + coefficient, modulo the prime and a multiple of it. */
static inline uint64_t step(uint64_t value, uint64_t point, uint64_t coefficient)
{
    unsigned __int128 product = (unsigned __int128)value * point + coefficient;
    uint64_t folded = (uint64_t)(product & PRIME) + (uint64_t)(product >> 61);
    return (folded & PRIME) + (folded >> 61);
}

static inline uint64_t coefficient(const unsigned char *at, size_t length)
{
    uint64_t word = 0;
    memcpy(&word, at, length);
    return word;
}

/* Each answer to a GET has a tag: printf would take longer than the hash of most. */
static void hex(uint64_t value, char digits[16])
{
    for (int i = 15; i >= 0; i--, value >>= 4)
        digits[i] = "0123456789abcdef"[value & 15];
}

void etag_of(const void *bytes, size_t length, bool weak, char etag[ETAG_SIZE])
{
    const unsigned char *at = bytes;
    uint64_t a = 1, b = 1;
    size_t left = length;

    for (; left >= BYTES; left -= BYTES, at += BYTES) {
        uint64_t word = coefficient(at, BYTES);
        a = step(a, points[0], word);
        b = step(b, points[1], word);
    }
    uint64_t rest = left ? coefficient(at, left) : 0;
    a = step(step(a, points[0], rest), points[0], length);
    b = step(step(b, points[1], rest), points[1], length);
    if (weak)
        etag = (char *)memcpy(etag, "W/", 2) + 2;
    *etag++ = '"';
    hex(a % PRIME, etag);
    hex(b % PRIME, etag + 16);
    memcpy(etag + 32, "\"", 2);
}

/* ---- What a client says ---- */

static const char *without_weakness(const char *tag)
{
    return strncmp(tag, "W/", 2) == 0 ? tag + 2 : tag;
}

bool etag_listed(const char *header, const char *etag)
{
    const char *wanted = without_weakness(etag), *at = header;
    size_t length = strlen(wanted);

    for (;;) {
        at += strspn(at, " \t,");
        if (*at == '*')
            return strchr(" \t,", at[1]); /* the end included */
        at = without_weakness(at);
        if (*at != '"')
            return false; /* the end, or no list of tags */
        if (strncmp(at, wanted, length) == 0)
            return true;
        const char *end = strchr(at + 1, '"');
        if (!end)
            return false;
        at = end + 1;
    }
}
