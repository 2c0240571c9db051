/* bind_json.c: a request's JSON body as texts of parameters. */
#include "bind_json.h"

#include <stdlib.h>
#include <string.h>

#include "array_text.h"
#include "buffer.h"

#define DIMENSIONS_MAX 6 /* as many as PostgreSQL's arrays have */

/* ---- The body ---- */

int json_body_read(const char *body, size_t length, json_body *read, bind_fault *fault)
{
    json_item item;
    json_t *root;
    *read = (json_body){0};
    if (!body || length == 0)
        return 0;
    int status = json_text_read(body, length, "object", &root, &item, fault);
    if (status != 0)
        return status;
    if (!json_is_object(root)) {
        json_decref(root);
        return bind_fail(fault, "", "the body must be a JSON object of parameters: {\"name\": …}");
    }
    *read = (json_body){.object = root, .walk = json_walk_begin(&item)};
    return 0;
}

void json_body_free(json_body *body)
{
    json_decref(body->object);
}

bool json_body_next(json_body *body, const char **name, json_item *item)
{
    return body->object && json_walk_next(&body->walk, name, item);
}

/* ---- Values ---- */

static int finish(buffer *out, char **text)
{
    size_t length;
    buffer_char(out, '\0');
    *text = buffer_take(out, &length);
    return *text ? 0 : WEIR_ENOMEM;
}

/* A string's characters; for all others the text as written is the text form, too. */
static void append_plain(buffer *out, const json_item *item)
{
    if (json_is_string(item->value))
        buffer_append(out, json_string_value(item->value), json_string_length(item->value));
    else
        json_text_compact(out, item);
}

/* A value of a type that is no array. */
static int append_single(buffer *out, const query_param *p, const shape *type,
                         const json_item *item, bind_fault *fault)
{
    if (type->kind == SHAPE_JSON) {
        json_text_compact(out, item);
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
    json_walk walk = json_walk_begin(item);
    json_item element;
    const char *name;
    int status = 0;
    if (depth == DIMENSIONS_MAX)
        return bind_fail(fault, p->name, "%s has more than %d dimensions", p->name, DIMENSIONS_MAX);
    buffer_char(out, '{');
    for (size_t i = 0; status == 0 && json_walk_next(&walk, &name, &element); i++) {
        if (i > 0)
            buffer_char(out, array->delimiter);
        if (json_is_array(element.value) && array->element->kind != SHAPE_JSON)
            status = append_array(out, p, array, &element, depth + 1, fault);
        else
            status = append_element(out, p, array->element, &element, fault);
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
