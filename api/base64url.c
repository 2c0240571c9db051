/* base64url.c: base64 as URLs and tokens carry it: with - and _, without padding. */
#include "base64url.h"

#include <stdint.h>

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool base64url_decode(const char *text, size_t length, unsigned char *bytes, size_t *count)
{
    uint32_t bits = 0, held = 0;
    size_t made = 0;

    for (size_t i = 0; i < length; i++) {
        int value = digit(text[i]);
        if (value < 0)
            return false;
        held = held << 6 | (uint32_t)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes[made++] = (unsigned char)(held >> bits);
            held &= (1u << bits) - 1;
        }
    }
    *count = made;
    return bits < 6 && held == 0;
}
