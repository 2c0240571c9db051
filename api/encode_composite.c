/* encode_composite.c: composites in their text form, such as (1,,"a ""b""",""): an absent field is
 * null. */
#include "encode_nested.h"

/* One field at `*at`, which moves to the comma or parenthesis behind it. */
static bool read_field(const char **at, const char *end, part *read)
{
    if (**at == '"')
        return part_quoted(at, end, true, read);
    const char *stop = *at;
    while (stop < end && *stop != ',' && *stop != ')' && *stop != '(' && *stop != '"')
        stop++;
    *read = (part){.text = *at, .length = (size_t)(stop - *at)};
    *at = stop;
    return true;
}

static bool encode_field(buffer *out, const char **at, const char *end, const shape_field *field,
                         int depth)
{
    part p;
    if (*at == end || !read_field(at, end, &p))
        return false;
    buffer_json(out, field->name, strlen(field->name));
    buffer_char(out, ':');
    if (p.length == 0 && !p.quoted)
        buffer_append(out, "null", 4);
    else
        encode_part(out, &p, field->shape, depth);
    return true;
}

bool encode_composite(buffer *out, const char *text, size_t length, const shape *as, int depth)
{
    const char *at = text, *end = text + length;
    if (at == end || *at++ != '(')
        return false;
    buffer_char(out, '{');
    for (uint32_t i = 0; i < as->field_count; i++) {
        if (i > 0) {
            if (at == end || *at++ != ',')
                return false;
            buffer_char(out, ',');
        }
        if (!encode_field(out, &at, end, &as->fields[i], depth))
            return false;
    }
    buffer_char(out, '}');
    return at + 1 == end && *at == ')';
}
