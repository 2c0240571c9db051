/* router.c: which of many patterns like /customers/{id} a path matches. */
#include "router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "sql_scan.h"

#define SEGMENTS_MAX 32

typedef struct node {
    char *segment; /* literal; NULL for the root and for params */
    struct node *literals, *param;
    const query *query[METHOD_COUNT];
    UT_hash_handle hh;
} node;

struct router {
    node root;
};

bool route_segment_next(const char **at, route_segment *segment)
{
    if (**at != '/')
        return false;
    const char *text = *at + 1;
    size_t length = strcspn(text, "/");
    *at = text + length;
    segment->is_param = length >= 2 && text[0] == '{' && text[length - 1] == '}';
    segment->text = text + segment->is_param;
    segment->length = length - 2 * segment->is_param;
    return true;
}

/* ---- What a pattern may be ---- */

static bool same(const route_segment *a, const route_segment *b)
{
    return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

static bool is_name(const route_segment *s)
{
    for (size_t i = 0; i < s->length; i++) {
        char c = s->text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s->length > 0 && s->length <= SQL_PARAM_NAME_MAX;
}

static const char *segment_problem(const route_segment *s)
{
    if (s->is_param)
        return is_name(s) ? NULL : "between { and } stands the name of a parameter";
    if (s->length == 0)
        return "no // and no slash at the end";
    if ((s->length == 1 && s->text[0] == '.') || (s->length == 2 && memcmp(s->text, "..", 2) == 0))
        return "no segment . or ..";
    for (size_t i = 0; i < s->length; i++) {
        if (strchr("{}", s->text[i]))
            return "a {param} is a whole segment: /orders/{id}";
        if (strchr("?#%\\\"<>`", s->text[i]) || (unsigned char)s->text[i] <= ' ' ||
            s->text[i] == 0x7f)
            return "a path is written plainly, without spaces, escapes, ? or #";
    }
    return NULL;
}

static bool is_repeated(const route_segment *earlier, uint32_t count, const route_segment *s)
{
    for (uint32_t i = 0; i < count; i++) {
        if (same(&earlier[i], s))
            return true;
    }
    return false;
}

static const char *pattern_problem(const char *pattern)
{
    route_segment segment, params[ROUTE_VALUES_MAX];
    uint32_t count = 0, segments = 0;
    if (pattern[0] != '/')
        return "a path begins with /";
    if (strlen(pattern) > 1024)
        return "a path has at most 1024 bytes";
    while (route_segment_next(&pattern, &segment)) {
        const char *problem = segment_problem(&segment);
        if (++segments > SEGMENTS_MAX)
            return "a path has at most 32 segments";
        if (problem)
            return problem;
        if (!segment.is_param)
            continue;
        if (count == ROUTE_VALUES_MAX)
            return "a path has at most 16 {params}";
        if (is_repeated(params, count, &segment))
            return "each {param} has a name of its own";
        params[count++] = segment;
    }
    return NULL;
}

int route_check(const char *pattern, char *why, size_t why_size)
{
    const char *problem = pattern_problem(pattern);
    if (!problem)
        return 0;
    snprintf(why, why_size, "%s", problem);
    return WEIR_EINVAL;
}

/* ---- The tree ---- */

int router_new(router **made)
{
    router *r = calloc(1, sizeof *r);
    if (!r)
        return WEIR_ENOMEM;
    *made = r;
    return 0;
}

static void node_clear(node *n);

static void node_free(node *n)
{
    node_clear(n);
    free(n->segment);
    free(n);
}

/* As deep as patterns have segments. */
static void node_clear(node *n)
{
    node *child = n->literals;
    HASH_CLEAR(hh, n->literals);
    while (child) {
        node *next = child->hh.next;
        node_free(child);
        child = next;
    }
    if (n->param)
        node_free(n->param);
}

void router_free(router *r)
{
    if (!r)
        return;
    node_clear(&r->root);
    free(r);
}

static node *literal_of(const node *n, const char *text, size_t length)
{
    node *child;
    HASH_FIND(hh, n->literals, text, length, child);
    return child;
}

static node *node_new(node *parent, const route_segment *s)
{
    node *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    if (s->is_param)
        return parent->param = n;
    n->segment = strndup(s->text, s->length);
    if (!n->segment) {
        free(n);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, parent->literals, n->segment, s->length, n);
    if (n->hh.tbl)
        return n;
    node_free(n); /* out of memory */
    return NULL;
}

int router_add(router *r, const query *q, const query **clash)
{
    const char *at = q->path;
    route_segment segment;
    node *n = &r->root;
    while (route_segment_next(&at, &segment)) {
        node *child = segment.is_param ? n->param : literal_of(n, segment.text, segment.length);
        n = child ? child : node_new(n, &segment);
        if (!n)
            return WEIR_ENOMEM;
    }
    if (n->query[q->method]) {
        *clash = n->query[q->method];
        return WEIR_EINVAL;
    }
    n->query[q->method] = q;
    return 0;
}

/* ---- Matching ---- */

typedef struct search {
    query_method method;
    const query *found;
    uint32_t allowed;
} search;

/* Tries every pattern the path has the shape of, best first, until one has the method. No node is
 * visited twice, so that no path costs more than the tree is large. */
static bool visit(const node *n, const char *at, search *s)
{
    if (*at == '\0') {
        for (uint32_t i = 0; i < METHOD_COUNT; i++)
            s->allowed |= n->query[i] ? 1u << i : 0;
        s->found = n->query[s->method];
        return s->found != NULL;
    }
    const char *text = at + 1;
    size_t length = strcspn(text, "/");
    const node *literal = literal_of(n, text, length);
    if (literal && visit(literal, text + length, s))
        return true;
    return n->param && length > 0 && visit(n->param, text + length, s);
}

/* Pattern and path have the same shape here. */
static void take_values(const char *pattern, const char *path, route_match *match)
{
    route_segment segment;
    while (route_segment_next(&pattern, &segment)) {
        size_t length = strcspn(path + 1, "/");
        if (segment.is_param) {
            /* The query's own parameter, because the pattern's name is not NUL-terminated. */
            const query_param *p = query_param_find(match->query, segment.text, segment.length);
            match->values[match->value_count].name = p ? p->name : "";
            match->values[match->value_count].value = path + 1;
            match->values[match->value_count++].length = length;
        }
        path += 1 + length;
    }
}

int router_match(const router *r, query_method method, const char *path, route_match *match)
{
    search s = {.method = method};
    match->allowed = 0;
    if (path[0] != '/')
        return WEIR_EINVAL;
    visit(&r->root, path, &s);
    match->allowed = s.allowed;
    if (!s.found)
        return WEIR_EINVAL;
    match->query = s.found;
    match->route = s.found->path;
    match->value_count = 0;
    take_values(s.found->path, path, match);
    return 0;
}
