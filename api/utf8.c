/* utf8.c: whether bytes are UTF-8. */
#include "utf8.h"

#include <string.h>

static bool between(unsigned char c, unsigned char low, unsigned char high)
{
    return c >= low && c <= high;
}

/* The length of the character at `p`, or 0 when it is not valid. */
static size_t character(const unsigned char *p, size_t left)
{
    if (between(p[0], 0x01, 0x7f))
        return 1;
    if (left >= 2 && between(p[0], 0xc2, 0xdf) && between(p[1], 0x80, 0xbf))
        return 2;
    if (left >= 3 && between(p[0], 0xe0, 0xef) && between(p[2], 0x80, 0xbf) &&
        between(p[1], p[0] == 0xe0 ? 0xa0 : 0x80, p[0] == 0xed ? 0x9f : 0xbf))
        return 3;
    if (left >= 4 && between(p[0], 0xf0, 0xf4) && between(p[2], 0x80, 0xbf) &&
        between(p[3], 0x80, 0xbf) &&
        between(p[1], p[0] == 0xf0 ? 0x90 : 0x80, p[0] == 0xf4 ? 0x8f : 0xbf))
        return 4;
    return 0;
}

size_t utf8_valid(const char *bytes, size_t length)
{
    const unsigned char *p = (const unsigned char *)bytes;
    size_t at = 0;
    while (at < length) {
        size_t step = character(p + at, length - at);
        if (step == 0)
            break;
        at += step;
    }
    return at;
}

void utf8_mend(char *text)
{
    size_t length = strlen(text), at = 0;
    while ((at += utf8_valid(text + at, length - at)) < length)
        text[at++] = '?';
}
