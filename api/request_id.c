/* request_id.c: X-Request-Id and traceparent: taken over when sound, made when not. */
#include "request_id.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

void id_source_open(id_source *source)
{
    if (getrandom(source->state, sizeof source->state, GRND_NONBLOCK) != sizeof source->state) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        source->state[0] = (uint64_t)now.tv_nsec ^ (uint64_t)(uintptr_t)source;
        source->state[1] = (uint64_t)now.tv_sec;
    }
    source->state[0] |= 1; /* the generator must not start from zero */
}

/* xoroshiro128+: a few instructions, and names need no more. */
uint64_t id_source_next(id_source *source)
{
    uint64_t a = source->state[0], b = source->state[1], sum = a + b;

    b ^= a;
    source->state[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
    source->state[1] = (b << 37) | (b >> 27);
    return sum;
}

static char *put_hex(char *at, uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[(value >> shift) & 15];
    return at;
}

static bool id_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-_.:+/=@~", c));
}

static bool id_valid(const char *text)
{
    size_t length = 0;

    while (id_char(text[length]))
        if (++length > REQUEST_ID_MAX)
            return false;
    return length > 0 && !text[length];
}

void request_id_choose(const char *given, id_source *source, char id[REQUEST_ID_MAX + 1])
{
    if (given && id_valid(given)) {
        strcpy(id, given);
        return;
    }
    *put_hex(put_hex(id, id_source_next(source)), id_source_next(source)) = '\0';
}

/* That many lowercase hexadecimal digits, not all of them zero unless they may be. */
static bool hex(const char *text, size_t count, bool may_be_zero)
{
    bool zero = true;

    for (size_t i = 0; i < count; i++) {
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
        zero = zero && text[i] == '0';
    }
    return may_be_zero || !zero;
}

bool traceparent_valid(const char *text)
{
    /* 00-<32 hex>-<16 hex>-<2 hex>; a later version may be longer and cannot be kept whole here. */
    return strlen(text) == TRACEPARENT_SIZE && hex(text, 2, true) && strncmp(text, "ff", 2) != 0 &&
           text[2] == '-' && hex(text + 3, 32, false) && text[35] == '-' &&
           hex(text + 36, 16, false) && text[52] == '-' && hex(text + 53, 2, true);
}

void traceparent_choose(const char *given, id_source *source, char out[TRACEPARENT_SIZE + 1])
{
    if (given && traceparent_valid(given)) {
        memcpy(out, given, TRACEPARENT_SIZE + 1);
        return;
    }
    char *at = out;
    memcpy(at, "00-", 3);
    at = put_hex(at + 3, id_source_next(source));
    at = put_hex(at, id_source_next(source) | 1); /* an id of zeros is none */
    *at++ = '-';
    at = put_hex(at, id_source_next(source) | 1);
    memcpy(at, "-00", 4);
}
