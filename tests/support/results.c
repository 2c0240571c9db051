/* results.c: what an answer tells of several queries, and tables of what is not taken. */
#include "results.h"

#include <string.h>

long number(const http_reply *r, const char *name)
{
    return (long)json_integer_value(json_object_get(r->json, name));
}

json_t *result(const http_reply *r, size_t index)
{
    return json_array_get(json_object_get(r->json, "results"), index);
}

int status_at(const http_reply *r, size_t index)
{
    return (int)json_integer_value(json_object_get(result(r, index), "status"));
}

int count_at(const http_reply *r, size_t index)
{
    return (int)json_integer_value(json_object_get(result(r, index), "count"));
}

json_t *first_row(const http_reply *r, size_t index)
{
    return json_array_get(json_object_get(result(r, index), "rows"), 0);
}

const char *problem_at(const http_reply *r, size_t index, const char *name)
{
    const char *value =
        json_string_value(json_object_get(json_object_get(result(r, index), "problem"), name));
    return value ? value : "";
}

void assert_malformed(const malformed *cases, size_t count, http_reply (*send)(const char *body))
{
    for (size_t i = 0; i < count; i++) {
        http_reply r = send(cases[i].body);
        assert_problem(&r, 400, cases[i].code);
        if (strcmp(text(&r, "parameter"), cases[i].parameter) != 0 ||
            !strstr(text(&r, "detail"), cases[i].says))
            fail_msg("%s: %s", cases[i].body, r.body);
        http_reply_free(&r);
    }
}

void assert_bulky(const bulky *cases, size_t count, http_reply (*send)(const char *body))
{
    for (size_t i = 0; i < count; i++) {
        const bulky *c = &cases[i];
        char *body = repeated(c->head, c->piece, c->times, c->tail);
        http_reply r = send(body);
        if (r.status != c->status || strcmp(text(&r, "code"), c->code) != 0 ||
            !strstr(text(&r, "detail"), c->says))
            fail_msg("%zu: %d %.300s", i, r.status, r.body);
        http_reply_free(&r);
        free(body);
    }
}
