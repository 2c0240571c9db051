/* array_text.c: an array in PostgreSQL's text form. */
#include "array_text.h"

/* Digits and a few signs mean the same without quotes, whatever the type. */
static bool is_plain(const char *text, size_t length)
{
    if (length == 0 || length > 40)
        return false;
    for (size_t i = 0; i < length; i++) {
        if ((text[i] < '0' || text[i] > '9') && text[i] != '-' && text[i] != '.')
            return false;
    }
    return true;
}

void array_element(buffer *out, const char *text, size_t length)
{
    if (!text || is_plain(text, length)) {
        buffer_append(out, text ? text : "NULL", text ? length : 4);
        return;
    }
    buffer_char(out, '"');
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"' || text[i] == '\\')
            buffer_char(out, '\\');
        buffer_char(out, text[i]);
    }
    buffer_char(out, '"');
}
