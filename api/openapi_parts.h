/* openapi_parts.h: an OpenAPI document that is being built, and its parts. */
#ifndef WEIR_OPENAPI_PARTS_H
#define WEIR_OPENAPI_PARTS_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>

#include "problem.h"
#include "query.h"

/* Once memory has run out for any part, `failed` stays set, and there will be no document. */
typedef struct builder {
    json_t *document, *paths, *schemas, *responses;
    json_t *templates; /* of paths with {} for each {param}: as the document spells them */
    bool failed;
} builder;

static inline void set(builder *b, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) < 0)
        b->failed = true;
}

static inline void append(builder *b, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) < 0)
        b->failed = true;
}

/* The member, an empty object if it was not there. */
static inline json_t *object_in(builder *b, json_t *object, const char *name)
{
    if (!json_object_get(object, name))
        set(b, object, name, json_object());
    return json_object_get(object, name);
}

__attribute__((format(printf, 1, 2))) static inline json_t *text(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    json_t *made = json_vsprintf(format, values);
    va_end(values);
    return made;
}

static inline json_t *reference(const char *kind, const char *name)
{
    return json_pack("{s:o}", "$ref", text("#/components/%s/%s", kind, name));
}

/* ---- Problems (openapi_problem.c) ---- */

/* Adds all responses that are problems. */
void openapi_add_problems(builder *b);

/* Those that a query may answer with. */
extern const problem_kind openapi_query_problems[];
extern const size_t openapi_query_problem_count;

/* The name of a problem's response: a status, `of` queries ("query") or endpoints ("endpoint"). */
void openapi_name_problem(char name[32], const char *of, problem_kind kind);

/* ---- Answers (openapi_answer.c) ---- */

/* Adds the response with which a query succeeds. */
void openapi_add_answer(builder *b, const query *q);

/* What it is called. */
void openapi_name_answer(char *name, size_t size, const query *q);

#endif
