/* bind_json.c: a request's JSON body as texts of parameters. */
#include "bind_json.h"

#include <stdlib.h>
#include <string.h>

#include "array_text.h"
#include "buffer.h"

#define DIMENSIONS_MAX 6 /* as many as PostgreSQL's arrays have */

/* ---- The text of values, in what jansson has found to be valid ---- */

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *past_blanks(const char *at, const char *end)
{
    while (at < end && blank(*at))
        at++;
    return at;
}

/* Past the closing quote of the string that begins here. */
static const char *past_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\';
    return at < end ? at + 1 : end;
}

static const char *past_value(const char *at, const char *end)
{
    uint32_t depth = 0;
    while (at < end) {
        if (depth == 0 && (*at == ',' || *at == ']' || *at == '}' || blank(*at)))
            break;
        if (*at == '"') {
            at = past_string(at, end);
        } else {
            depth += *at == '[' || *at == '{';
            depth -= *at == ']' || *at == '}';
            at++;
        }
    }
    return at;
}

/* From after a value, past the comma if there is one. */
static const char *past_comma(const char *at, const char *end)
{
    at = past_blanks(at, end);
    return at < end && *at == ',' ? past_blanks(at + 1, end) : at;
}

/* ---- The body ---- */

static int refuse(const json_error_t *error, bind_fault *fault)
{
    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        return bind_fail(fault, "", "the body names something twice: line %d, column %d",
                         error->line, error->column);
    case json_error_numeric_overflow:
        return bind_fail(fault, "",
                         "the body holds a number too large to be read: write it as a string "
                         "(line %d, column %d)",
                         error->line, error->column);
    case json_error_null_character:
        return bind_fail(fault, "", "the body holds a NUL character: line %d, column %d",
                         error->line, error->column);
    default:
        return bind_fail(fault, "", "the body is not a JSON object: line %d, column %d: %s",
                         error->line, error->column, error->text);
    }
}

int json_body_read(const char *body, size_t length, json_body *read, bind_fault *fault)
{
    *read = (json_body){0};
    if (!body || length == 0)
        return 0;
    json_error_t error;
    json_t *object =
        json_loadb(body, length, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    if (!object)
        return json_error_code(&error) == json_error_out_of_memory ? WEIR_ENOMEM
                                                                   : refuse(&error, fault);
    if (!json_is_object(object)) {
        json_decref(object);
        return bind_fail(fault, "", "the body must be a JSON object of parameters: {\"name\": …}");
    }
    read->object = object;
    read->member = json_object_iter(object);
    read->end = body + length;
    read->at = past_blanks(past_blanks(body, read->end) + 1, read->end);
    return 0;
}

void json_body_free(json_body *body)
{
    json_decref(body->object);
}

bool json_body_next(json_body *body, const char **name, json_item *item)
{
    if (!body->member)
        return false;
    /* jansson keeps members in the order of the text. */
    const char *colon = past_blanks(past_string(body->at, body->end), body->end);
    item->text = past_blanks(colon + 1, body->end);
    const char *after = past_value(item->text, body->end);
    item->length = (size_t)(after - item->text);
    item->value = json_object_iter_value(body->member);
    *name = json_object_iter_key(body->member);
    body->at = past_comma(after, body->end);
    body->member = json_object_iter_next(body->object, body->member);
    return true;
}

bool json_item_null(const json_item *item)
{
    return json_is_null(item->value);
}

/* ---- Values ---- */

static int finish(buffer *out, char **text)
{
    size_t length;
    buffer_char(out, '\0');
    *text = buffer_take(out, &length);
    return *text ? 0 : WEIR_ENOMEM;
}

/* The JSON as it was written, without the blanks between its tokens. */
static void append_compact(buffer *out, const json_item *item)
{
    const char *at = item->text, *end = at + item->length;
    while (at < end) {
        const char *next = *at == '"' ? past_string(at, end) : at + 1;
        if (!blank(*at))
            buffer_append(out, at, (size_t)(next - at));
        at = next;
    }
}

/* A string's characters; for all others the text as written is the text form, too. */
static void append_plain(buffer *out, const json_item *item)
{
    if (json_is_string(item->value))
        buffer_append(out, json_string_value(item->value), json_string_length(item->value));
    else
        append_compact(out, item);
}

/* A value of a type that is no array. */
static int append_single(buffer *out, const query_param *p, const shape *type,
                         const json_item *item, bind_fault *fault)
{
    if (type->kind == SHAPE_JSON) {
        append_compact(out, item);
        return 0;
    }
    bool whole = json_is_object(item->value) || json_is_array(item->value);
    if (whole && type->oid != 0)
        return bind_fail(fault, p->name, "%s must be a single value, not %s", p->name,
                         json_is_object(item->value) ? "an object" : "an array");
    size_t begun = out->length;
    append_plain(out, item);
    buffer_char(out, '\0');
    if (out->failed)
        return WEIR_ENOMEM;
    out->length--;
    return bind_check(p, type, out->data + begun, fault);
}

static int append_element(buffer *out, const query_param *p, const shape *type,
                          const json_item *item, bind_fault *fault)
{
    buffer plain = {0};
    if (json_is_null(item->value)) {
        array_element(out, NULL, 0);
        return 0;
    }
    int status = append_single(&plain, p, type, item, fault);
    if (status == 0)
        array_element(out, plain.data ? plain.data : "", plain.length);
    buffer_free(&plain);
    return status;
}

/* Recursive, as deep as DIMENSIONS_MAX. */
static int append_array(buffer *out, const query_param *p, const shape *array,
                        const json_item *item, uint32_t depth, bind_fault *fault)
{
    const char *at = item->text + 1, *end = item->text + item->length;
    int status = 0;
    if (depth == DIMENSIONS_MAX)
        return bind_fail(fault, p->name, "%s has more than %d dimensions", p->name, DIMENSIONS_MAX);
    at = past_blanks(at, end);
    buffer_char(out, '{');
    for (size_t i = 0; status == 0 && i < json_array_size(item->value); i++) {
        const char *after = past_value(at, end);
        json_item element = {
            .value = json_array_get(item->value, i), .text = at, .length = (size_t)(after - at)};
        if (i > 0)
            buffer_char(out, array->delimiter);
        if (json_is_array(element.value) && array->element->kind != SHAPE_JSON)
            status = append_array(out, p, array, &element, depth + 1, fault);
        else
            status = append_element(out, p, array->element, &element, fault);
        at = past_comma(after, end);
    }
    buffer_char(out, '}');
    return status;
}

static int append_value(buffer *out, const query_param *p, const json_item *item, bind_fault *fault)
{
    const shape *type = bind_shape(p);
    if (type->kind != SHAPE_ARRAY)
        return append_single(out, p, type, item, fault);
    if (json_is_array(item->value))
        return append_array(out, p, type, item, 0, fault);
    if (json_is_string(item->value) && json_string_value(item->value)[0] == '{') {
        append_plain(out, item);
        return 0;
    }
    return bind_fail(fault, p->name, "%s must be an array: [%.*s…]", p->name,
                     (int)(item->length < 40 ? item->length : 40), item->text);
}

int bind_json(const query_param *p, const json_item *item, char **text, bind_fault *fault)
{
    buffer out = {0};
    int status = append_value(&out, p, item, fault);
    if (status == 0)
        status = finish(&out, text);
    buffer_free(&out);
    return status;
}
