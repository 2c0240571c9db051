/* buffer.c: bytes that grow, for building answers. */
#include "buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CAPACITY_LEAST = 256,
    ESCAPE_CHUNK = 512, /* escaped at once: what is reserved ahead stays small */
    ESCAPE_MOST = 6,    /* bytes one escaped byte may take: \u001f */
};

/* Far above any answer, and doubling it does not overflow. */
static const size_t CAPACITY_MOST = SIZE_MAX / 4;

bool buffer_grow(buffer *b, size_t more)
{
    if (b->failed)
        return false;
    if (more <= b->capacity - b->length)
        return true;
    if (b->most && (b->length > b->most || more > b->most - b->length)) {
        b->failed = b->overfull = true;
        return false;
    }
    size_t capacity = b->capacity < CAPACITY_LEAST ? CAPACITY_LEAST : b->capacity * 2;
    if (b->most && capacity > b->most)
        capacity = b->most;
    if (capacity < b->length + more)
        capacity = b->length + more;
    char *data = more <= CAPACITY_MOST - b->length ? realloc(b->data, capacity) : NULL;
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324"
                                  "25262728293031323334353637383940414243444546474849"
                                  "50515253545556575859606162636465666768697071727374"
                                  "75767778798081828384858687888990919293949596979899";

void buffer_uint(buffer *b, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    while (value >= 100) {
        at -= 2;
        memcpy(digits + at, digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(digits + at, digit_pairs + value * 2, 2);
    } else {
        digits[--at] = (char)('0' + value);
    }
    buffer_append(b, digits + at, sizeof digits - at);
}

void buffer_ms(buffer *b, uint64_t ns)
{
    uint64_t us = ns / 1000 + (ns % 1000 >= 500);
    unsigned fraction = (unsigned)(us % 1000);
    const char decimals[4] = {'.', (char)('0' + fraction / 100), (char)('0' + fraction / 10 % 10),
                              (char)('0' + fraction % 10)};
    buffer_uint(b, us / 1000);
    buffer_append(b, decimals, sizeof decimals);
}

void buffer_printf(buffer *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char small[256];
    int length = vsnprintf(small, sizeof small, format, args);
    if (length < 0)
        b->failed = true;
    else if ((size_t)length < sizeof small)
        buffer_append(b, small, (size_t)length);
    else if (buffer_reserve(b, (size_t)length + 1))
        b->length += (size_t)vsnprintf(b->data + b->length, (size_t)length + 1, format, again);
    va_end(again);
    va_end(args);
}

/* ---- JSON strings ---- */

/* What follows the backslash of each control character: 'u' for \u00XX. */
static const char control_escape[] = "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu";

static inline char *escape_byte(char *to, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    if (c >= 0x20 && c != '"' && c != '\\') {
        *to++ = (char)c;
        return to;
    }
    char escape = c < 0x20 ? control_escape[c] : (char)c;
    *to++ = '\\';
    *to++ = escape;
    if (escape == 'u') {
        *to++ = '0';
        *to++ = '0';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
    }
    return to;
}

/* Not 0 when one of the eight bytes must be escaped; may be so for others, never misses one. */
static inline uint64_t needs_escape(uint64_t eight)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t quote = eight ^ (ones * '"'), backslash = eight ^ (ones * '\\');
    uint64_t control = (eight - ones * 0x20) & ~eight;
    return (control | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & highs;
}

/* Fewer than eight bytes; four or more are looked at as two words that may overlap. */
static char *escape_tail(char *to, const char *text, size_t length)
{
    if (length >= 4) {
        uint32_t head, tail;
        memcpy(&head, text, 4);
        memcpy(&tail, text + length - 4, 4);
        if (needs_escape((uint64_t)head << 32 | tail) == 0) {
            memcpy(to, &head, 4);
            memcpy(to + length - 4, &tail, 4);
            return to + length;
        }
    }
    for (size_t i = 0; i < length; i++)
        to = escape_byte(to, (unsigned char)text[i]);
    return to;
}

/* `to` has room for ESCAPE_MOST × length bytes. */
static char *escape_chunk(char *to, const char *text, size_t length)
{
    for (; length >= 8; text += 8, length -= 8) {
        uint64_t eight;
        memcpy(&eight, text, 8);
        if (needs_escape(eight) == 0) {
            memcpy(to, &eight, 8);
            to += 8;
            continue;
        }
        for (size_t i = 0; i < 8; i++)
            to = escape_byte(to, (unsigned char)text[i]);
    }
    return escape_tail(to, text, length);
}

void buffer_json(buffer *b, const char *text, size_t length)
{
    buffer_char(b, '"');
    for (;;) {
        size_t chunk = length < ESCAPE_CHUNK ? length : ESCAPE_CHUNK;
        if (!buffer_reserve(b, chunk * ESCAPE_MOST + 1))
            return;
        char *end = escape_chunk(b->data + b->length, text, chunk);
        b->length = (size_t)(end - b->data);
        text += chunk;
        length -= chunk;
        if (length == 0)
            break;
    }
    buffer_char(b, '"');
}

void buffer_json_text(buffer *b, const char *text)
{
    if (text)
        buffer_json(b, text, strlen(text));
    else
        buffer_text(b, "null");
}

/* ---- The end ---- */

char *buffer_take(buffer *b, size_t *length)
{
    if (b->failed)
        buffer_free(b);
    char *data = b->data;
    *length = b->length;
    *b = (buffer){0};
    return data;
}

void buffer_free(buffer *b)
{
    free(b->data);
    *b = (buffer){0};
}
