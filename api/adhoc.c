/* adhoc.c: POST /sql: an operator's own SQL, on a lease that is left clean. */
#include <stdio.h>

#include "fields.h"
#include "parts.h"
#include "query_describe.h"
#include "reply.h"

/* ---- What is asked for ---- */

typedef struct settings {
    const char *pool; /* NULL: the default one */
    bool read_only;
    uint64_t timeout_ns; /* of each statement; WEIR_NEVER: what is usual */
} settings;

static bool refuse_sql(weir_request *told, const char *where, const query_fault *fault)
{
    if (fault->line)
        return fields_refuse(told, where, "sql", "cannot be run: line %u: %s", fault->line,
                             fault->message);
    return fields_refuse(told, where, "sql", "cannot be run: %s", fault->message);
}

/* The SQL is what a file could say, annotations included. */
static bool parse_sql(part *p, const char *where, const char *sql, const settings *s)
{
    weir_request *whole = p->of->whole;
    const weir_api *api = whole->lane->api;
    query_fault fault = {0};
    int r = query_parse_named("sql", "sql", sql, strlen(sql), &p->own, &fault);

    if (r == WEIR_EINVAL)
        return refuse_sql(whole, where, &fault);
    if (r < 0) {
        weir_reply_error(whole, PROBLEM_OVERLOADED, "There was no memory for the SQL.");
        return false;
    }
    if (p->own->pool && strcmp(p->own->pool, weir_pool_name(whole->pool)) != 0)
        return fields_refuse(whole, where, "sql", "names the pool \"%.60s\": say so in pool, too.",
                             p->own->pool);
    p->own->statement.adhoc = true;
    p->own->statement.read_only = s->read_only;
    while (api->pools[p->own->pool_index] != whole->pool)
        p->own->pool_index++;
    part_query(p, p->own);
    if (s->timeout_ns != WEIR_NEVER)
        p->req->query_timeout_ns = s->timeout_ns;
    return true;
}

/* Also before the types are known, so that a wrong name takes no connection. False when the part's
 * request has been answered. */
static bool bind_sql(part *p, weir_request *told)
{
    bind_fault fault = {0};
    int r;

    bound_free(&p->req->bound);
    r = bind_object(p->own, p->params, NULL, &p->req->bound, &fault);
    if (r < 0)
        reply_unbound(told, r, &fault);
    return r == 0;
}

static bool take_sql(part *p, const field *sql, const field *params, const settings *s)
{
    char where[32];

    part_where(p, where, sizeof where);
    if (params->given) {
        p->params_item = params->item;
        p->params = &p->params_item;
    }
    return parse_sql(p, where, field_text(sql), s) && bind_sql(p, p->of->whole);
}

static bool read_each(weir_request *req, const json_item *array, const settings *s)
{
    enum { SQL, PARAMS, COUNT };
    json_walk walk;
    json_item item;
    const char *name;
    char where[32];

    if (!parts_make(req, "queries", array))
        return false;
    walk = json_walk_begin(array);
    for (uint32_t i = 0; json_walk_next(&walk, &name, &item); i++) {
        part *p = &req->parts->each[i];
        field f[COUNT] = {
            [SQL] = {.name = "sql", .kind = FIELD_TEXT, .required = true},
            [PARAMS] = {.name = "params", .kind = FIELD_OBJECT},
        };
        part_where(p, where, sizeof where);
        if (!fields_read(req, where, &item, f, COUNT) || !take_sql(p, &f[SQL], &f[PARAMS], s))
            return false;
    }
    return true;
}

static bool read_sql(weir_request *req, const json_item *body)
{
    enum { SQL, PARAMS, QUERIES, POOL, READ_ONLY, TIMEOUT, COUNT };
    field f[COUNT] = {
        [SQL] = {.name = "sql", .kind = FIELD_TEXT},
        [PARAMS] = {.name = "params", .kind = FIELD_OBJECT},
        [QUERIES] = {.name = "queries", .kind = FIELD_ARRAY},
        [POOL] = {.name = "pool", .kind = FIELD_TEXT},
        [READ_ONLY] = {.name = "read_only", .kind = FIELD_FLAG},
        [TIMEOUT] = {.name = "timeout", .kind = FIELD_TEXT},
    };
    settings s = {.timeout_ns = WEIR_NEVER};

    if (!fields_read(req, "", body, f, COUNT) || !field_time(req, "", &f[TIMEOUT], &s.timeout_ns))
        return false;
    if (f[POOL].given && !reply_pool_named(req, field_text(&f[POOL]))) {
        buffer_text(&req->out, ",\"parameter\":\"pool\"");
        return false;
    }
    s.read_only = field_flag(&f[READ_ONLY]);
    if (!f[SQL].given && !f[QUERIES].given)
        return fields_refuse(req, "", "sql", "is missing, or queries.");
    if (!f[QUERIES].given)
        return parts_alone(req) && take_sql(&req->parts->each[0], &f[SQL], &f[PARAMS], &s);
    if (f[SQL].given || f[PARAMS].given)
        return fields_refuse(req, "", f[SQL].given ? "sql" : "params",
                             "cannot be there beside queries.");
    return read_each(req, &f[QUERIES].item, &s);
}

/* ---- How it runs ---- */

/* Asks the server for the columns' names, and the parameters' types to bind them by. */
static weir_async bool describe(part *p, weir_lease *lease)
{
    query *q = p->own;
    query_fault fault = {0};
    char where[32];
    const shape_set *shapes = query_set_shapes(p->req->queries->set, q->pool_index);
    weir_scoped_result weir_result *described = NULL;
    query_hurry(p->req);
    weir_scoped_timeout(limit, p->req->query_timeout_ns);
    int r = weir_describe(lease, &q->statement, &described);

    if (r < 0) {
        weir_reply_failed(p->req, lease, r);
        return false;
    }
    part_where(p, where, sizeof where);
    if (query_check_columns(q, described, &fault) < 0)
        return refuse_sql(p->req, where, &fault);
    for (uint32_t i = 0; i < q->param_count && i < weir_result_parameters(described); i++) {
        q->params[i].type = weir_result_parameter_type(described, i);
        q->params[i].shape = shape_of(shapes, q->params[i].type);
    }
    return bind_sql(p, p->req);
}

static weir_async bool run_one(part *p, weir_lease *lease)
{
    weir_request *req = p->req;
    weir_scoped_result weir_result *rows = NULL;

    if (!describe(p, lease))
        return false;
    uint64_t began_ns = weir_now();
    int r = query_run(req, lease, &rows);
    if (!p->of->alone) /* else it is counted as any request's */
        part_count(p, weir_now() - began_ns);
    if (r < 0) {
        weir_reply_failed(req, lease, r);
        return false;
    }
    if (p->own->returns == RETURNS_ROWS && weir_result_columns(rows) == 0)
        p->own->returns = RETURNS_COUNT;
    weir_reply_result(req, &rows);
    return req->status == 200;
}

/* One after the other on one lease, until one fails. */
static weir_async void run_sql(weir_request *req)
{
    request_parts *all = req->parts;
    weir_scoped_lease weir_lease *lease = NULL;
    weir_scoped_timeout(limit, parts_time_left(all));
    int r = weir_acquire(req->pool, &req->scope, &lease);
    bool good = true;

    if (r < 0) {
        weir_reply_refused(req, r);
        return;
    }
    for (uint32_t i = 0; i < all->count; i++) {
        part *p = &all->each[i];
        if (good)
            good = run_one(p, lease);
        else
            weir_reply_error(p->req, PROBLEM_NOT_RUN, "An earlier statement failed.");
        p->req->tell_pool &= all->alone; /* else the whole tells it */
    }
    if (!all->alone)
        reply_parts(req, true);
}

void serve_sql(weir_request *req)
{
    arguments a;
    json_item body;

    if (!control_let_in(req) || !parts_begin(req, "object", &a, &body) ||
        !parts_no_arguments(req, &a) || !read_sql(req, &body))
        return;
    req->scope = (weir_scope){
        .deadline_ns = weir_after(req->lane->api->acquire_timeout_ns),
        .label = req->route,
        .trace_id = req->request_id,
        .timings = &req->timings,
    };
    req->handler = run_sql;
    route_start(req);
}
