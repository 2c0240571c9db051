/* bind.c: the values of one request as the parameters of its query. */
#include "bind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind_json.h"
#include "bind_text.h"
#include "nearest.h"
#include "utf8.h"

typedef enum source { FROM_NOWHERE, FROM_PATH, FROM_BODY, FROM_QUERY_STRING } source;

typedef struct binder {
    const query *query;
    char **values;           /* one a parameter */
    unsigned char *from;     /* the source of each, behind the values in one piece of memory */
    const bind_later *later; /* NULL: none */
    bind_fault *fault;
} binder;

static const char *source_name(source from)
{
    static const char *const names[] = {"nowhere", "the path", "the body", "the query string"};
    return names[from];
}

static int unknown(const binder *b, const char *name)
{
    nearest near = {.word = name};
    for (uint32_t i = 0; i < b->query->param_count; i++)
        nearest_offer(&near, b->query->params[i].name);
    if (near.best)
        return bind_fail(b->fault, name, "unknown parameter %.63s: did you mean %s?", name,
                         near.best);
    return bind_fail(b->fault, name, "unknown parameter %.63s", name);
}

/* Claims a parameter for the source that gives it. */
static int claim(binder *b, const char *name, source from, uint32_t *index)
{
    const query_param *p = query_param_find(b->query, name, strlen(name));
    if (!p)
        return unknown(b, name);
    uint32_t i = (uint32_t)(p - b->query->params);
    if (b->from[i] != FROM_NOWHERE)
        return bind_fail(b->fault, name, "%s is given twice: in %s and in %s", name,
                         source_name(b->from[i]), source_name(from));
    b->from[i] = from;
    *index = i;
    return 0;
}

static int bind_path(binder *b, const route_match *match)
{
    int status = 0;
    for (uint32_t i = 0; match && status == 0 && i < match->value_count; i++) {
        uint32_t index = 0;
        status = claim(b, match->values[i].name, FROM_PATH, &index);
        if (status != 0)
            return status;
        const query_param *p = &b->query->params[index];
        if (memchr(match->values[i].value, '\0', match->values[i].length))
            return bind_fail(b->fault, p->name, "%s holds a NUL character", p->name);
        char *value = strndup(match->values[i].value, match->values[i].length);
        status = value ? bind_text(p, value, &b->values[index], b->fault) : WEIR_ENOMEM;
        free(value);
    }
    return status;
}

static int bind_member(binder *b, const char *name, const json_item *item)
{
    uint32_t index = 0;
    int status = claim(b, name, FROM_BODY, &index);
    if (status == 0 && b->later)
        status = b->later->take(b->later->arg, index, item, b->fault);
    if (status != 0 || json_item_null(item))
        return status < 0 ? status : 0;
    return bind_json(&b->query->params[index], item, &b->values[index], b->fault);
}

static int bind_body(binder *b, const char *text, size_t length)
{
    json_body body;
    json_item item;
    const char *name;
    int status = json_body_read(text, length, &body, b->fault);
    if (status != 0)
        return status;
    while (status == 0 && json_body_next(&body, &name, &item))
        status = bind_member(b, name, &item);
    json_body_free(&body);
    return status;
}

/* All pairs of one name. `same` has room for `count`. */
static int bind_same(binder *b, uint32_t index, const bind_pair *same, uint32_t count)
{
    const query_param *p = &b->query->params[index];
    bool is_bool = p->type == 16;
    for (uint32_t i = 0; i < count; i++) {
        if (!same[i].value && !(is_bool && count == 1))
            return bind_fail(b->fault, p->name, "%s has no value: write %s=…", p->name, p->name);
    }
    if (count == 1)
        return bind_text(p, same->value ? same->value : "true", &b->values[index], b->fault);
    if (bind_shape(p)->kind == SHAPE_ARRAY)
        return bind_texts(p, same, count, &b->values[index], b->fault);
    return bind_fail(b->fault, p->name, "%s is given %u times and takes one value", p->name, count);
}

/* The value or values of the name of pairs[at]. */
static int bind_name(binder *b, const bind_pair *pairs, uint32_t count, uint32_t at)
{
    uint32_t index = 0, found = 0;
    int status = claim(b, pairs[at].name, FROM_QUERY_STRING, &index);
    if (status != 0)
        return status;
    for (uint32_t i = at; i < count; i++)
        found += strcmp(pairs[i].name, pairs[at].name) == 0;
    if (found == 1)
        return bind_same(b, index, &pairs[at], 1);
    bind_pair *same = calloc(found, sizeof *same);
    if (!same)
        return WEIR_ENOMEM;
    found = 0;
    for (uint32_t i = at; i < count; i++)
        if (strcmp(pairs[i].name, pairs[at].name) == 0)
            same[found++] = pairs[i];
    status = bind_same(b, index, same, found);
    free(same);
    return status;
}

static int bind_pairs(binder *b, const bind_pair *pairs, uint32_t count)
{
    int status = 0;
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        const query_param *p = query_param_find(b->query, pairs[i].name, strlen(pairs[i].name));
        bool ours = !p && pairs[i].name[0] == '_';
        bool seen = p && b->from[p - b->query->params] == FROM_QUERY_STRING;
        if (!ours && !seen)
            status = bind_name(b, pairs, count, i);
    }
    return status;
}

static int bind_absent(binder *b)
{
    int status = 0;
    for (uint32_t i = 0; status == 0 && i < b->query->param_count; i++) {
        const query_param *p = &b->query->params[i];
        if (b->from[i] != FROM_NOWHERE)
            continue;
        if (p->fallback)
            status = bind_text(p, p->fallback, &b->values[i], b->fault);
        else if (!p->optional)
            status = bind_fail(b->fault, p->name, "missing parameter %s", p->name);
    }
    return status;
}

static int binder_open(binder *b)
{
    size_t count = b->query->param_count + 1;
    b->values = calloc(count, sizeof *b->values + sizeof *b->from);
    if (!b->values)
        return WEIR_ENOMEM;
    b->from = (unsigned char *)(b->values + count);
    return 0;
}

/* What is absent, and then the outcome. */
static int binder_close(binder *b, int status, bound *out)
{
    if (status == 0)
        status = bind_absent(b);
    bound bound_values = {
        .params = {.count = b->query->param_count, .values = (const char *const *)b->values},
        .values = b->values};
    if (status != 0)
        bound_free(&bound_values);
    else
        *out = bound_values;
    return status;
}

int bind_request(const query *q, const route_match *match, const bind_pair *pairs,
                 uint32_t pair_count, const char *body, size_t body_length, bound *out,
                 bind_fault *fault)
{
    binder b = {.query = q, .fault = fault};
    int status = binder_open(&b);
    if (status == 0)
        status = bind_path(&b, match);
    if (status == 0)
        status = bind_body(&b, body, body_length);
    if (status == 0)
        status = bind_pairs(&b, pairs, pair_count);
    return binder_close(&b, status, out);
}

int bind_object(const query *q, const json_item *object, const bind_later *later, bound *out,
                bind_fault *fault)
{
    binder b = {.query = q, .later = later, .fault = fault};
    int status = binder_open(&b);
    if (status == 0 && object) {
        json_walk walk = json_walk_begin(object);
        json_item item;
        const char *name;
        while (status == 0 && json_walk_next(&walk, &name, &item))
            status = bind_member(&b, name, &item);
    }
    return binder_close(&b, status, out);
}

void bound_free(bound *b)
{
    for (uint32_t i = 0; b->values && i < b->params.count; i++)
        free(b->values[i]);
    free(b->values);
    *b = (bound){0};
}
