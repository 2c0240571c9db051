/* encode.c: rows of a result as JSON, straight from the driver's memory into the answer. */
#include "encode.h"

#include <stdlib.h>

#include "encode_nested.h"

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- Single values ---- */

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

/* The grammar of RFC 8259: no leading zeros or plus, digits on both sides of a point. */
static bool is_number(const char *text, size_t length)
{
    const char *at = text, *end = text + length;
    at += at < end && *at == '-';
    const char *digits = at;
    at = skip_digits(at, end);
    if (at == digits || (*digits == '0' && at - digits > 1))
        return false;
    if (at < end && *at == '.') {
        digits = ++at;
        at = skip_digits(at, end);
        if (at == digits)
            return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        digits = at;
        at = skip_digits(at, end);
        if (at == digits)
            return false;
    }
    return at == end;
}

/* Where the offset's sign is in the text form of a timestamptz, or NULL. The date before `time` has
 * dashes too. */
static const char *offset_sign(const char *time, const char *end)
{
    for (const char *at = time; at < end; at++)
        if (*at == '+' || *at == '-')
            return at;
    return NULL;
}

enum { TIMESTAMP_LONGEST = 64 };

static inline bool in_timestamp(char c)
{
    switch (c) {
    case '-':
    case ':':
    case '.':
    case ' ':
    case '+':
    case 'B':
    case 'C': return true;
    default: return is_digit(c);
    }
}

static bool is_timestamp(const char *text, size_t length)
{
    if (length == 0 || length > TIMESTAMP_LONGEST || !is_digit(text[0]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!in_timestamp(text[i]))
            return false;
    return true;
}

/* 2024-05-06 07:08:09+00 BC becomes 2024-05-06T07:08:09+00:00 BC. What looks different, such as
 * infinity, is printed as it is. */
static void encode_timestamp(buffer *out, const char *text, size_t length, bool zoned)
{
    const char *end = text + length;
    const char *space = is_timestamp(text, length) ? memchr(text, ' ', length) : NULL;
    if (!space || !buffer_reserve(out, TIMESTAMP_LONGEST + 5)) {
        buffer_json(out, text, length);
        return;
    }
    const char *sign = zoned ? offset_sign(space, end) : NULL;
    bool whole_hours = sign && end - sign >= 3 && (end - sign == 3 || sign[3] == ' ');
    const char *head_end = whole_hours ? sign + 3 : end;
    size_t head = (size_t)(head_end - text), tail = (size_t)(end - head_end);
    char *to = out->data + out->length;
    *to++ = '"';
    memcpy(to, text, head);
    to[space - text] = 'T';
    to += head;
    if (whole_hours) {
        memcpy(to, ":00", 3);
        memcpy(to + 3, head_end, tail);
        to += 3 + tail;
    }
    *to++ = '"';
    out->length = (size_t)(to - out->data);
}

static void encode_boolean(buffer *out, const char *text, size_t length)
{
    if (length == 1 && *text == 't')
        buffer_append(out, "true", 4);
    else if (length == 1 && *text == 'f')
        buffer_append(out, "false", 5);
    else
        buffer_json(out, text, length);
}

static void blank_out(char *text, size_t length, char c)
{
    char *end = text + length;

    while ((text = memchr(text, c, (size_t)(end - text))))
        *text++ = ' ';
}

/* A json is kept as it was written. Its line breaks are between its tokens, as a string of JSON has
 * none: as blanks they leave a row on one line. */
static void encode_json(buffer *out, const char *text, size_t length)
{
    if (length == 0 || !buffer_reserve(out, length))
        return;
    buffer_append(out, text, length);
    blank_out(out->data + out->length - length, length, '\n');
    blank_out(out->data + out->length - length, length, '\r');
}

static void encode_nested(buffer *out, const char *text, size_t length, const shape *as, int depth)
{
    bool (*encode)(buffer *, const char *, size_t, const shape *, int) =
        as->kind == SHAPE_ARRAY    ? encode_array
        : as->kind == SHAPE_VECTOR ? encode_vector
                                   : encode_composite;
    size_t start = out->length;
    if (depth < ENCODE_DEPTH_MAX && encode(out, text, length, as, depth + 1))
        return;
    out->length = start;
    buffer_json(out, text, length);
}

void encode_value_at(buffer *out, const char *text, size_t length, const shape *as, int depth)
{
    switch (as->kind) {
    case SHAPE_NUMBER:
        if (is_number(text, length))
            buffer_append(out, text, length);
        else
            buffer_json(out, text, length);
        break;
    case SHAPE_BOOLEAN: encode_boolean(out, text, length); break;
    case SHAPE_JSON: encode_json(out, text, length); break;
    case SHAPE_TIMESTAMP: encode_timestamp(out, text, length, false); break;
    case SHAPE_TIMESTAMPTZ: encode_timestamp(out, text, length, true); break;
    case SHAPE_ARRAY:
    case SHAPE_VECTOR:
    case SHAPE_COMPOSITE: encode_nested(out, text, length, as, depth); break;
    case SHAPE_TEXT:
    default: buffer_json(out, text, length); break;
    }
}

void encode_value(buffer *out, const char *text, size_t length, const shape *as)
{
    encode_value_at(out, text, length, as, 0);
}

/* ---- Parts of nested values ---- */

bool part_quoted(const char **at, const char *end, bool doubled, part *read)
{
    const char *start = *at + 1;
    bool escaped = false;
    for (const char *c = start; c < end; c++) {
        bool pair = *c == '\\' || (doubled && *c == '"' && c + 1 < end && c[1] == '"');
        if (pair) {
            escaped = true;
            c++;
        } else if (*c == '"') {
            *read = (part){start, (size_t)(c - start), true, escaped};
            *at = c + 1;
            return true;
        }
    }
    return false;
}

/* Drops the first byte of each pair, of which there is at least one; `to` has room for the part's
 * length. */
static size_t part_unescape(char *to, const part *p)
{
    size_t length = 0, i = 0;
    do {
        if ((p->text[i] == '\\' || p->text[i] == '"') && i + 1 < p->length)
            i++;
        to[length++] = p->text[i++];
    } while (i < p->length);
    return length;
}

void encode_part(buffer *out, const part *p, const shape *as, int depth)
{
    char small[256];
    if (!p->escaped) {
        encode_value_at(out, p->text, p->length, as, depth);
        return;
    }
    char *text = p->length <= sizeof small ? small : malloc(p->length);
    if (!text) {
        out->failed = true;
        return;
    }
    size_t length = part_unescape(text, p);
    encode_value_at(out, text, length, as, depth);
    if (text != small)
        free(text);
}

/* ---- Rows ---- */

static inline void encode_cell(buffer *out, const weir_result *result, uint32_t row,
                               uint32_t column, const shape *as)
{
    size_t length = weir_result_length(result, row, column);
    if (length == 0 && weir_result_is_null(result, row, column))
        buffer_append(out, "null", 4);
    else
        encode_value_at(out, weir_result_value(result, row, column), length, as, 0);
}

void encode_row(buffer *out, const weir_result *result, uint32_t row, const shape_set *shapes)
{
    uint32_t columns = weir_result_columns(result);
    buffer_char(out, '{');
    for (uint32_t i = 0; i < columns; i++) {
        const char *name = weir_result_column_name(result, i);
        if (i > 0)
            buffer_char(out, ',');
        buffer_json(out, name, strlen(name));
        buffer_char(out, ':');
        encode_cell(out, result, row, i, shape_of(shapes, weir_result_column_type(result, i)));
    }
    buffer_char(out, '}');
}

/* What is the same in every row: a column's shape, and all that stands before its value: `,"name":`
 * at keys[start…end). */
typedef struct column_plan {
    const shape *shape;
    size_t start, end;
} column_plan;

static void plan_columns(const weir_result *result, const shape_set *shapes, column_plan *plan,
                         buffer *keys)
{
    uint32_t columns = weir_result_columns(result);
    for (uint32_t i = 0; i < columns; i++) {
        const char *name = weir_result_column_name(result, i);
        plan[i].shape = shape_of(shapes, weir_result_column_type(result, i));
        plan[i].start = keys->length;
        buffer_char(keys, i > 0 ? ',' : '{');
        buffer_json(keys, name, strlen(name));
        buffer_char(keys, ':');
        plan[i].end = keys->length;
    }
}

static void encode_planned(buffer *out, const weir_result *result, const column_plan *plan,
                           const buffer *keys, const char *between)
{
    uint32_t rows = weir_result_rows(result), columns = weir_result_columns(result);
    for (uint32_t row = 0; row < rows; row++) {
        if (row > 0)
            buffer_text(out, between);
        for (uint32_t i = 0; i < columns; i++) {
            buffer_append(out, keys->data + plan[i].start, plan[i].end - plan[i].start);
            encode_cell(out, result, row, i, plan[i].shape);
        }
        buffer_char(out, '}');
    }
}

void encode_objects(buffer *out, const weir_result *result, const shape_set *shapes,
                    const char *between)
{
    uint32_t rows = weir_result_rows(result), columns = weir_result_columns(result);
    if (rows > 1 && columns > 0) {
        buffer keys = {0};
        column_plan *plan = malloc(columns * sizeof *plan);
        if (plan)
            plan_columns(result, shapes, plan, &keys);
        if (plan && !keys.failed)
            encode_planned(out, result, plan, &keys, between);
        else
            out->failed = true;
        free(plan);
        buffer_free(&keys);
        return;
    }
    for (uint32_t row = 0; row < rows; row++) {
        if (row > 0)
            buffer_text(out, between);
        encode_row(out, result, row, shapes);
    }
}

void encode_rows(buffer *out, const weir_result *result, const shape_set *shapes)
{
    buffer_char(out, '[');
    encode_objects(out, result, shapes, ",");
    buffer_char(out, ']');
}
