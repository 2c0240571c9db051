/* csv.c: rows of a result as CSV, after RFC 4180. */
#include "csv.h"

static bool needs_quotes(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] == ',' || text[i] == '"' || text[i] == '\n' || text[i] == '\r')
            return true;
    return length == 0;
}

/* Quotes within are doubled: everything up to one and itself, then the next stretch begins with it.
 */
static void quoted(buffer *out, const char *text, size_t length)
{
    buffer_char(out, '"');
    for (const char *quote; length && (quote = memchr(text, '"', length));) {
        size_t stretch = (size_t)(quote - text) + 1;
        buffer_append(out, text, stretch);
        buffer_char(out, '"');
        text += stretch;
        length -= stretch;
    }
    buffer_append(out, text, length);
    buffer_char(out, '"');
}

static void field(buffer *out, const char *text, size_t length)
{
    if (needs_quotes(text, length))
        quoted(out, text, length);
    else
        buffer_append(out, text, length);
}

void csv_header(buffer *out, const weir_result *result)
{
    uint32_t columns = weir_result_columns(result);
    for (uint32_t i = 0; i < columns; i++) {
        const char *name = weir_result_column_name(result, i);
        if (i > 0)
            buffer_char(out, ',');
        field(out, name, strlen(name));
    }
    buffer_append(out, "\r\n", 2);
}

void csv_rows(buffer *out, const weir_result *result)
{
    uint32_t rows = weir_result_rows(result), columns = weir_result_columns(result);
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t i = 0; i < columns; i++) {
            if (i > 0)
                buffer_char(out, ',');
            if (!weir_result_is_null(result, row, i))
                field(out, weir_result_value(result, row, i), weir_result_length(result, row, i));
        }
        buffer_append(out, "\r\n", 2);
    }
}
