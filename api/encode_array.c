/* encode_array.c: arrays in their text form, such as {1,2} or [0:1]={{a,NULL},{"b c","\"d\""}}. */
#include "encode_nested.h"

enum { DIMENSIONS_MAX = 6 };

/* Past the bounds that an array has which does not begin at 1. */
static const char *skip_bounds(const char *at, const char *end)
{
    if (at == end || *at != '[')
        return at;
    const char *equals = memchr(at, '=', (size_t)(end - at));
    return equals ? equals + 1 : end;
}

/* One element, not a sub-array, at `*at`, which moves past it. */
static bool encode_element(buffer *out, const char **at, const char *end, const shape *as,
                           int depth)
{
    part p;
    if (**at == '"') {
        if (!part_quoted(at, end, false, &p))
            return false;
        encode_part(out, &p, as->element, depth);
        return true;
    }
    const char *start = *at, *stop = start;
    while (stop < end && *stop != as->delimiter && *stop != '}' && *stop != '{' && *stop != '"')
        stop++;
    size_t length = (size_t)(stop - start);
    if (length == 0)
        return false;
    if (length == 4 && memcmp(start, "NULL", 4) == 0)
        buffer_append(out, "null", 4);
    else
        encode_value_at(out, start, length, as->element, depth);
    *at = stop;
    return true;
}

/* Walks the braces with a count instead of recursion. After an element or a closing brace only a
 * delimiter or a closing brace may follow. */
bool encode_array(buffer *out, const char *text, size_t length, const shape *as, int depth)
{
    const char *end = text + length, *at = skip_bounds(text, end);
    int open = 0;
    if (at == end || *at != '{')
        return false;
    while (at < end) {
        if (*at == '{') {
            if (++open > DIMENSIONS_MAX)
                return false;
            buffer_char(out, '[');
            if (++at == end || *at != '}')
                continue;
        } else if (!encode_element(out, &at, end, as, depth)) {
            return false;
        }
        for (; at < end && *at == '}' && open > 0; at++, open--)
            buffer_char(out, ']');
        if (open == 0)
            return at == end;
        if (at == end || *at++ != as->delimiter)
            return false;
        buffer_char(out, ',');
    }
    return false;
}

bool encode_vector(buffer *out, const char *text, size_t length, const shape *as, int depth)
{
    const char *at = text, *end = text + length;
    buffer_char(out, '[');
    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        const char *stop = space ? space : end;
        if (stop == at || stop + 1 == end)
            return false;
        encode_value_at(out, at, (size_t)(stop - at), as->element, depth);
        if (stop == end)
            break;
        buffer_char(out, ',');
        at = stop + 1;
    }
    buffer_char(out, ']');
    return true;
}
