/* bind_text.c: one value as the text of its parameter. */
#include "bind_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array_text.h"
#include "bind_value.h"
#include "utf8.h"

int bind_fail(bind_fault *fault, const char *parameter, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault->message, sizeof fault->message, format, arguments);
    va_end(arguments);
    utf8_mend(fault->message);
    snprintf(fault->parameter, sizeof fault->parameter, "%s", parameter);
    utf8_mend(fault->parameter);
    return WEIR_EINVAL;
}

const shape *bind_shape(const query_param *p)
{
    return p->shape ? p->shape : shape_of(NULL, p->type);
}

int bind_check(const query_param *p, const shape *type, const char *value, bind_fault *fault)
{
    const char *words = value_problem(type->oid, value);
    if (!words)
        return 0;
    if (!*value)
        return bind_fail(fault, p->name, "%s must be %s, and is empty", p->name, words);
    return bind_fail(fault, p->name, "%s must be %s, not \"%.40s\"%s", p->name, words, value,
                     strlen(value) > 40 ? "…" : "");
}

static int check_characters(const query_param *p, const char *value, bind_fault *fault)
{
    size_t length = strlen(value);
    if (utf8_valid(value, length) == length)
        return 0;
    return bind_fail(fault, p->name, "%s is not valid UTF-8", p->name);
}

static int finish(buffer *out, char **text)
{
    size_t length;
    buffer_char(out, '\0');
    *text = buffer_take(out, &length);
    return *text ? 0 : WEIR_ENOMEM;
}

int bind_texts(const query_param *p, const bind_pair *pairs, uint32_t count, char **text,
               bind_fault *fault)
{
    const shape *array = bind_shape(p);
    buffer out = {0};
    int status = 0;
    buffer_char(&out, '{');
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        if (i > 0)
            buffer_char(&out, array->delimiter);
        array_element(&out, pairs[i].value, strlen(pairs[i].value));
        status = check_characters(p, pairs[i].value, fault);
        if (status == 0)
            status = bind_check(p, array->element, pairs[i].value, fault);
    }
    buffer_char(&out, '}');
    if (status == 0)
        status = finish(&out, text);
    buffer_free(&out);
    return status;
}

int bind_text(const query_param *p, const char *value, char **text, bind_fault *fault)
{
    const shape *type = bind_shape(p);
    if (type->kind == SHAPE_ARRAY && value[0] != '{') {
        bind_pair only = {.name = p->name, .value = value};
        return bind_texts(p, &only, 1, text, fault);
    }
    int status = check_characters(p, value, fault);
    if (status == 0)
        status = bind_check(p, type, value, fault);
    if (status != 0)
        return status;
    char *copied = strdup(value);
    if (!copied)
        return WEIR_ENOMEM;
    *text = copied;
    return 0;
}
