/* fields.c: the members that an object in a request's body may have. */
#include "fields.h"

#include <stdarg.h>
#include <stdio.h>

#include "duration.h"
#include "nearest.h"
#include "reply.h"
#include "utf8.h"

/* A name that a client made up is shown up to here. */
#define SHOWN_MAX 63

static const char *form_of(field_kind kind)
{
    switch (kind) {
    case FIELD_TEXT: return "a string";
    case FIELD_FLAG: return "true or false";
    case FIELD_OBJECT: return "an object";
    case FIELD_ARRAY: return "an array";
    }
    return "";
}

static bool has_form(field_kind kind, const json_t *value)
{
    switch (kind) {
    case FIELD_TEXT: return json_is_string(value);
    case FIELD_FLAG: return json_is_boolean(value);
    case FIELD_OBJECT: return json_is_object(value);
    case FIELD_ARRAY: return json_is_array(value);
    }
    return false;
}

bool fields_refuse(weir_request *req, const char *where, const char *name, const char *format, ...)
{
    char parameter[160], detail[384];
    va_list values;

    snprintf(parameter, sizeof parameter, "%s%s%.*s", where, *where && *name ? "." : "", SHOWN_MAX,
             name);
    int length = snprintf(detail, sizeof detail, "%s ", *parameter ? parameter : "The body");
    va_start(values, format);
    vsnprintf(detail + length, sizeof detail - (size_t)length, format, values);
    va_end(values);
    utf8_mend(parameter);
    utf8_mend(detail);
    weir_reply_problem(
        req, (problem){.kind = PROBLEM_BAD_PARAMETER, .detail = detail, .parameter = parameter});
    return false;
}

static bool refuse_unknown(weir_request *req, const char *where, const char *name,
                           const field *fields, uint32_t count)
{
    nearest near = {.word = name};
    for (uint32_t i = 0; i < count; i++)
        nearest_offer(&near, fields[i].name);
    if (near.best)
        return fields_refuse(req, where, name, "means nothing here: did you mean %s?", near.best);
    return fields_refuse(req, where, name, "means nothing here.");
}

static field *find(field *fields, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

bool fields_read(weir_request *req, const char *where, const json_item *object, field *fields,
                 uint32_t count)
{
    if (!json_is_object(object->value))
        return fields_refuse(req, where, "", "must be an object.");
    json_walk walk = json_walk_begin(object);
    json_item item;
    const char *name;
    while (json_walk_next(&walk, &name, &item)) {
        field *f = find(fields, count, name);
        if (!f)
            return refuse_unknown(req, where, name, fields, count);
        if (json_item_null(&item))
            continue;
        if (!has_form(f->kind, item.value))
            return fields_refuse(req, where, name, "must be %s.", form_of(f->kind));
        f->item = item;
        f->given = true;
    }
    for (uint32_t i = 0; i < count; i++)
        if (fields[i].required && !fields[i].given)
            return fields_refuse(req, where, fields[i].name, "is missing.");
    return true;
}

const char *field_text(const field *f)
{
    return f->given ? json_string_value(f->item.value) : NULL;
}

bool field_flag(const field *f)
{
    return f->given && json_is_true(f->item.value);
}

bool field_time(weir_request *req, const char *where, const field *f, uint64_t *ns)
{
    uint64_t read;

    if (!f->given)
        return true;
    if (duration_parse(field_text(f), &read) < 0 || read == 0)
        return fields_refuse(req, where, f->name,
                             "must be a time more than none, such as 250ms or 2s.");
    *ns = read;
    return true;
}
