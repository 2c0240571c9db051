/* openapi.c: what is served here, as an OpenAPI 3.1 document. */
#include "openapi.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "bind_text.h"
#include "buffer.h"
#include "openapi_parts.h"
#include "openapi_schema.h"
#include "problem.h"
#include "router.h"

/* The document without the queries. */
static const char base_text[] =
#include "openapi.json.inc"
    ;

/* ---- One operation: a query at one of its paths, by one method ---- */

typedef struct operation {
    const query *query;
    const char *template; /* the path as the document spells it */
    query_method method;
    bool routed; /* at its @route; else at /q/… */
} operation;

static bool in_path(const operation *op, const query_param *p)
{
    return op->routed && p->in_path;
}

/* A body of DELETE means nothing to many clients: there they are arguments. */
static bool in_body(const operation *op, const query_param *p)
{
    return !in_path(op, p) && op->method != METHOD_GET && op->method != METHOD_DELETE;
}

static bool has_body(const operation *op)
{
    for (uint32_t i = 0; i < op->query->param_count; i++)
        if (in_body(op, &op->query->params[i]))
            return true;
    return false;
}

static bool is_required(const query_param *p)
{
    return p->in_path || (!p->fallback && !p->optional);
}

static bool may_meet(const operation *op, problem_kind kind)
{
    switch (kind) {
    case PROBLEM_NO_ROW: return op->query->returns == RETURNS_ROW;
    case PROBLEM_TOO_MANY_ROWS: return op->query->returns == RETURNS_ROWS;
    case PROBLEM_TOKEN_MISSING:
    case PROBLEM_TOKEN_INVALID: return op->query->auth != AUTH_NONE;
    case PROBLEM_TOKEN_EXPIRED:
    case PROBLEM_ROLE: return op->query->auth == AUTH_JWT;
    case PROBLEM_READ_ONLY: return query_statement(op->query, op->method)->read_only;
    case PROBLEM_REQUEST_TIMEOUT:
    case PROBLEM_TOO_LARGE:
    case PROBLEM_MEDIA_TYPE: return has_body(op);
    default: return true;
    }
}

/* Schema of one parameter, with what it is when absent. */
static json_t *param_schema(builder *b, const query_param *p, schema_use use)
{
    const shape *type = bind_shape(p);
    json_t *schema = schema_of(type, use);
    json_t *fallback = p->fallback ? schema_value(type, p->fallback) : NULL;

    if (!schema)
        b->failed = true;
    else if (fallback)
        set(b, schema, "default", fallback);
    else if (p->fallback)
        set(b, schema, "description", text("When absent: %s", p->fallback));
    else if (p->optional)
        set(b, schema, "description", text("When absent: null"));
    return schema;
}

static void add_parameter(builder *b, json_t *parameters, const query_param *p, const char *in,
                          json_t *name)
{
    json_t *example = is_required(p) ? schema_example(bind_shape(p), SCHEMA_TEXT) : NULL;
    json_t *parameter = json_pack("{s:o, s:s, s:b, s:o}", "name", name, "in", in, "required",
                                  is_required(p), "schema", param_schema(b, p, SCHEMA_TEXT));

    if (parameter && example)
        set(b, parameter, "example", example);
    else
        json_decref(example);
    append(b, parameters, parameter);
}

/* A path is spelled once, so that its parameters may be called otherwise than the query's. */
static void add_path_parameters(builder *b, const operation *op, json_t *parameters)
{
    const char *own = op->query->path, *spelled = op->template;
    route_segment mine, theirs;

    while (op->routed && route_segment_next(&own, &mine) && route_segment_next(&spelled, &theirs)) {
        const query_param *p =
            mine.is_param ? query_param_find(op->query, mine.text, mine.length) : NULL;
        if (p)
            add_parameter(b, parameters, p, "path", json_stringn(theirs.text, theirs.length));
    }
}

static void add_parameters(builder *b, const operation *op, json_t *described)
{
    json_t *parameters = json_array();

    add_path_parameters(b, op, parameters);
    for (uint32_t i = 0; i < op->query->param_count; i++) {
        const query_param *p = &op->query->params[i];
        if (!in_path(op, p) && !in_body(op, p))
            add_parameter(b, parameters, p, "query", json_string(p->name));
    }
    append(b, parameters, reference("parameters", "trace"));
    append(b, parameters, reference("parameters", "prefer"));
    append(b, parameters, reference("parameters", "timeout"));
    set(b, described, "parameters", parameters);
}

static void add_body(builder *b, const operation *op, json_t *described)
{
    json_t *members = json_object(), *required = json_array(), *example = json_object();

    for (uint32_t i = 0; i < op->query->param_count; i++) {
        const query_param *p = &op->query->params[i];
        if (!in_body(op, p))
            continue;
        set(b, members, p->name, param_schema(b, p, SCHEMA_MEMBER));
        if (!is_required(p))
            continue;
        json_t *value = schema_example(bind_shape(p), SCHEMA_MEMBER);
        append(b, required, json_string(p->name));
        set(b, example, p->name, value ? value : json_null());
    }
    bool needed = json_array_size(required) > 0;
    set(b, described, "requestBody",
        json_pack("{s:b, s:{s:{s:{s:s, s:o, s:o, s:b}, s:o}}}", "required", needed, "content",
                  "application/json", "schema", "type", "object", "properties", members, "required",
                  required, "additionalProperties", false, "example", example));
}

static void add_responses(builder *b, const operation *op, json_t *described)
{
    char name[256];
    json_t *responses = json_object();

    openapi_name_answer(name, sizeof name, op->query);
    set(b, responses, "200", reference("responses", name));
    if (op->method == METHOD_GET)
        set(b, responses, "304",
            json_pack("{s:s}", "description", "The result is the one that If-None-Match names"));
    for (size_t i = 0; i < openapi_query_problem_count; i++) {
        if (!may_meet(op, openapi_query_problems[i]))
            continue;
        openapi_name_problem(name, "query", openapi_query_problems[i]);
        set(b, responses, name + strlen("query_"), reference("responses", name));
    }
    set(b, described, "responses", responses);
}

/* ---- Who may ask ---- */

/* A scheme is there where a query asks for it. */
static void add_scheme(builder *b, const char *name, const char *format, const char *description)
{
    json_t *schemes = object_in(b, json_object_get(b->document, "components"), "securitySchemes");

    if (json_object_get(schemes, name))
        return;
    set(b, schemes, name,
        json_pack("{s:s, s:s, s:s*, s:s}", "type", "http", "scheme", "bearer", "bearerFormat",
                  format, "description", description));
}

static void add_security(builder *b, const query *q, json_t *described)
{
    switch (q->auth) {
    case AUTH_NONE: return;
    case AUTH_TOKEN:
        add_scheme(b, "client", NULL, "One of the clients' tokens");
        set(b, described, "security", json_pack("[{s:[]}, {s:[]}]", "client", "token"));
        return;
    case AUTH_JWT:
        add_scheme(b, "jwt", "JWT", "A JWT of an issuer whose keys the service knows");
        set(b, described, "security", json_pack("[{s:[]}]", "jwt"));
    }
}

/* ---- All of an operation ---- */

static void name_operation(char *name, size_t size, const operation *op)
{
    snprintf(name, size, "%s%s", op->query->name,
             op->routed                 ? ""
             : op->method == METHOD_GET ? ":get"
                                        : ":post");
}

/* Sub-folders sort the queries. */
static json_t *tag_of(builder *b, const query *q)
{
    size_t length = strcspn(q->name, "/");
    json_t *tags = json_object_get(b->document, "tags");
    json_t *tag = q->name[length] ? json_stringn(q->name, length) : json_string("queries"), *known;
    size_t i;

    json_array_foreach(tags, i, known)
    {
        if (json_equal(json_object_get(known, "name"), tag))
            return tag;
    }
    append(b, tags, json_pack("{s:O, s:s}", "name", tag, "description", "A folder of queries."));
    return tag;
}

static json_t *description_of(const query *q)
{
    buffer all = {0};

    buffer_text(&all, q->description);
    if (q->pool)
        buffer_printf(&all, "%sRuns on the pool `%s`.", all.length ? "\n\n" : "", q->pool);
    if (q->timeout_ns)
        buffer_printf(&all, "%sMay take %.3g s at the database.", all.length ? "\n\n" : "",
                      (double)q->timeout_ns / 1e9);
    json_t *made = all.failed ? NULL : json_stringn(all.data ? all.data : "", all.length);
    buffer_free(&all);
    return made;
}

static void add_operation(builder *b, const operation *op)
{
    static const char *const methods[METHOD_COUNT] = {
        [METHOD_GET] = "get",     [METHOD_POST] = "post",     [METHOD_PUT] = "put",
        [METHOD_PATCH] = "patch", [METHOD_DELETE] = "delete",
    };
    const query *q = op->query;
    char name[256];
    size_t line = strcspn(q->description, "\n");
    json_t *description = description_of(q);

    name_operation(name, sizeof name, op);
    json_t *described = json_pack("{s:s, s:o, s:[o]}", "operationId", name, "summary",
                                  line ? json_stringn(q->description, line) : json_string(q->name),
                                  "tags", tag_of(b, q));
    if (json_string_length(description) > line)
        set(b, described, "description", description);
    else
        json_decref(description);
    add_parameters(b, op, described);
    if (has_body(op))
        add_body(b, op, described);
    add_responses(b, op, described);
    add_security(b, q, described);
    set(b, object_in(b, b->paths, op->template), methods[op->method], described);
}

/* The first spelling of a path: two that differ in the names of their parameters only are one to
 * OpenAPI. Valid as long as the document. */
static const char *spelled(builder *b, const char *path)
{
    buffer key = {0};
    route_segment segment;
    const char *at = path, *found = path;

    while (route_segment_next(&at, &segment)) {
        buffer_char(&key, '/');
        if (segment.is_param)
            buffer_text(&key, "{}");
        else
            buffer_append(&key, segment.text, segment.length);
    }
    buffer_char(&key, '\0');
    if (key.failed) {
        b->failed = true;
    } else {
        if (!json_object_get(b->templates, key.data))
            set(b, b->templates, key.data, json_string(path));
        found = json_string_value(json_object_get(b->templates, key.data));
    }
    buffer_free(&key);
    return found ? found : path;
}

static void add_query(builder *b, const query *q)
{
    openapi_add_answer(b, q);
    if (q->routed)
        add_operation(b, &(operation){q, spelled(b, q->path), q->method, true});
    add_operation(b, &(operation){q, q->named_path, METHOD_GET, false});
    add_operation(b, &(operation){q, q->named_path, METHOD_POST, false});
}

/* ---- The document ---- */

static bool is_for_everybody(json_t *path)
{
    json_t *get = json_object_get(path, "get");
    json_t *either = get ? get : json_object_get(path, "post");
    const char *tag = json_string_value(json_array_get(json_object_get(either, "tags"), 0));
    return tag && (strcmp(tag, "pages") == 0 || strcmp(tag, "queries") == 0);
}

static void drop_operators(builder *b)
{
    const char *name;
    json_t *path;
    void *next;

    json_object_foreach_safe(b->paths, next, name, path)
    {
        if (!is_for_everybody(path))
            json_object_del(b->paths, name);
    }
}

static void build(builder *b, const query_set *queries, bool operators)
{
    json_t *components = json_object_get(b->document, "components");

    b->paths = json_object_get(b->document, "paths");
    b->schemas = json_object_get(components, "schemas");
    b->responses = json_object_get(components, "responses");
    if (!operators)
        drop_operators(b);
    openapi_add_problems(b);
    for (uint32_t i = 0; i < query_set_count(queries); i++)
        add_query(b, query_set_at(queries, i));
}

char *openapi_text(const query_set *queries, bool operators)
{
    builder b = {.document = json_loads(base_text, 0, NULL), .templates = json_object()};
    char *made = NULL;

    if (b.document && b.templates)
        build(&b, queries, operators);
    if (b.document && !b.failed)
        made = json_dumps(b.document, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(b.document);
    json_decref(b.templates);
    return made;
}
