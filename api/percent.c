/* percent.c: percent-decoding that keeps an encoded slash apart from one that parts segments. */
#include "percent.h"

#include "utf8.h"

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool percent_decode(const char *text, size_t length, char slash, char *out, size_t *decoded)
{
    size_t to = 0;

    for (size_t from = 0; from < length; from++) {
        char c = text[from];
        if (c == '%') {
            if (length - from < 3)
                return false;
            int high = digit(text[from + 1]), low = digit(text[from + 2]);
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            from += 2;
        }
        if (!c)
            return false;
        out[to++] = c;
    }
    out[to] = '\0';
    if (utf8_valid(out, to) != to)
        return false;
    *decoded = to;
    if (slash == '/')
        return true;

    /* Only now, because the stand-in is itself not UTF-8. */
    to = 0;
    for (size_t from = 0; from < length; from++, to++)
        if (text[from] == '%') {
            if (out[to] == '/')
                out[to] = slash;
            from += 2;
        }
    return true;
}

void percent_slashes(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] == PERCENT_SLASH)
            text[i] = '/';
}
