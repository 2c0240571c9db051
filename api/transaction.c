/* transaction.c: POST /tx: several queries in one transaction on one lease. */
#include <stdio.h>
#include <stdlib.h>

#include "../pool/sql_words.h"
#include "auth.h"
#include "bind_text.h"
#include "fields.h"
#include "parts.h"
#include "patience.h"
#include "reply.h"

/* The pause before a transaction is tried again is random, up to this, which doubles. */
#define PAUSE_FIRST WEIR_MS(5)
#define PAUSE_MOST  WEIR_MS(500)

/* What a transaction that failed for another passing reason, such as a plan overtaken by DDL, may
 * be tried. */
#define ATTEMPTS_MAX 3

static const weir_statement commit = {.sql = "commit"};

/* ---- What is asked for ---- */

/* Whether a statement would end the transaction, or part of it. A procedure cannot: the server does
 * not let it. */
static bool ends_transaction(const char *sql)
{
    static const char *const words[] = {"begin", "start",     "commit",  "end",     "rollback",
                                        "abort", "savepoint", "release", "prepare", NULL};
    return sql_begins_with(sql, words);
}

/* Adds to the problem just begun which step it is about; `name` NULL: none of the queries. */
static void tell_step(weir_request *req, const part *p, const char *name)
{
    buffer *out = &req->out;

    if (!req->open_object)
        return; /* nobody was left to be told */
    buffer_text(out, ",\"step\":");
    if (p) {
        buffer_uint(out, p->index);
        buffer_text(out, ",\"query\":");
        buffer_json_text(out, p->req->query->name);
    } else {
        buffer_json_text(out, name);
    }
    if (req->parts->attempts)
        buffer_printf(out, ",\"attempts\":%u", req->parts->attempts);
}

/* A parameter that is a reference is bound when its value is there. */
static int take_reference(void *arg, uint32_t parameter, const json_item *item, bind_fault *fault)
{
    part *p = arg;
    const char *name = p->req->query->params[parameter].name, *path = reference_path(item);
    reference r;

    if (!path)
        return 0;
    if (!reference_parse(path, &r))
        return bind_fail(fault, name,
                         "%s: \"%.60s\" is no reference: write 0.rows.0.column, 0.row.column or "
                         "0.count",
                         name, path);
    if (r.step >= p->index)
        return bind_fail(fault, name, "%s refers to step %u, which is not an earlier one", name,
                         r.step);
    int status = reference_check(&r, p->of->each[r.step].req->query, name, fault);
    reference *refs =
        status == 0 ? realloc(p->refs, (p->ref_count + 1) * sizeof *p->refs) : p->refs;
    if (status != 0)
        return status;
    if (!refs)
        return WEIR_ENOMEM;
    r.parameter = parameter;
    p->refs = refs;
    p->refs[p->ref_count++] = r;
    return 1;
}

static bool bind_step(part *p, const field *params)
{
    weir_request *whole = p->of->whole, *req = p->req;
    const bind_later later = {.take = take_reference, .arg = p};
    bind_fault fault = {0};
    int r =
        bind_object(req->query, params->given ? &params->item : NULL, &later, &req->bound, &fault);

    if (r == 0)
        return true;
    reply_unbound(whole, r, &fault);
    tell_step(whole, p, NULL);
    return false;
}

static bool find_step(part *p, const char *where, const char *name)
{
    weir_request *whole = p->of->whole;
    const query *q = query_set_find(whole->queries->set, name);
    const weir_request *first = p->of->each[0].req;
    char parameter[48];

    if (!q) {
        snprintf(parameter, sizeof parameter, "%s.query", where);
        weir_reply_problem(whole, (problem){.kind = PROBLEM_NO_QUERY, .parameter = parameter});
        return false;
    }
    if (ends_transaction(q->statement.sql))
        return fields_refuse(whole, where, "query", "begins or ends transactions itself.");
    part_query(p, q);
    if (!auth_let_in(whole, q->auth, whole)) {
        tell_step(whole, p, NULL);
        return false;
    }
    if (p->req->pool != first->pool)
        return fields_refuse(whole, where, "query",
                             "runs on the pool \"%s\" and the first on \"%s\": one transaction is "
                             "on one database.",
                             weir_pool_name(p->req->pool), weir_pool_name(first->pool));
    return true;
}

static bool read_step(part *p, const json_item *item)
{
    enum { QUERY, PARAMS, COUNT };
    field fields[COUNT] = {
        [QUERY] = {.name = "query", .kind = FIELD_TEXT, .required = true},
        [PARAMS] = {.name = "params", .kind = FIELD_OBJECT},
    };
    char where[32];

    part_where(p, where, sizeof where);
    return fields_read(p->of->whole, where, item, fields, COUNT) &&
           find_step(p, where, field_text(&fields[QUERY])) && bind_step(p, &fields[PARAMS]);
}

static bool read_steps(weir_request *req, const json_item *array)
{
    json_walk walk;
    json_item item;
    const char *name;

    if (!parts_make(req, "queries", array))
        return false;
    walk = json_walk_begin(array);
    for (uint32_t i = 0; json_walk_next(&walk, &name, &item); i++)
        if (!read_step(&req->parts->each[i], &item))
            return false;
    return true;
}

static bool is_isolation(const char *text)
{
    static const char *const levels[] = {"read committed", "repeatable read", "serializable"};

    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcmp(text, levels[i]) == 0)
            return true;
    return false;
}

static bool read_transaction(weir_request *req, const json_item *body)
{
    enum { QUERIES, ISOLATION, READ_ONLY, DEFERRABLE, TIMEOUT, COUNT };
    field f[COUNT] = {
        [QUERIES] = {.name = "queries", .kind = FIELD_ARRAY, .required = true},
        [ISOLATION] = {.name = "isolation", .kind = FIELD_TEXT},
        [READ_ONLY] = {.name = "read_only", .kind = FIELD_FLAG},
        [DEFERRABLE] = {.name = "deferrable", .kind = FIELD_FLAG},
        [TIMEOUT] = {.name = "timeout", .kind = FIELD_TEXT},
    };
    request_parts *all = req->parts;
    uint64_t timeout_ns = WEIR_NEVER;

    if (!fields_read(req, "", body, f, COUNT) || !field_time(req, "", &f[TIMEOUT], &timeout_ns))
        return false;
    const char *isolation = field_text(&f[ISOLATION]);
    all->read_only = field_flag(&f[READ_ONLY]);
    if (isolation && !is_isolation(isolation))
        return fields_refuse(req, "", "isolation",
                             "must be read committed, repeatable read or serializable.");
    if (field_flag(&f[DEFERRABLE]) &&
        (!all->read_only || !isolation || strcmp(isolation, "serializable") != 0))
        return fields_refuse(req, "", "deferrable",
                             "is for read_only transactions that are serializable.");
    snprintf(all->begin_sql, sizeof all->begin_sql, "begin%s%s%s%s",
             isolation ? " isolation level " : "", isolation ? isolation : "",
             all->read_only ? " read only" : "", field_flag(&f[DEFERRABLE]) ? " deferrable" : "");
    all->begin = (weir_statement){.sql = all->begin_sql};
    if (weir_after(timeout_ns) < all->deadline_ns)
        all->deadline_ns = weir_after(timeout_ns);
    return read_steps(req, &f[QUERIES].item);
}

/* ---- When it fails: the request is answered, and what was done is rolled back ---- */

typedef enum outcome { DONE, FAILED, AGAIN } outcome;

static outcome answer_lost(weir_request *req, int error)
{
    weir_reply_problem(
        req, (problem){.kind = error == WEIR_ELOST ? PROBLEM_LOST : PROBLEM_RECLAIMED,
                       .detail = "The connection was lost before the transaction was committed: "
                                 "nothing was changed.",
                       .retryable = true});
    if (req->open_object && req->status == 503)
        req->retry_after = 1;
    return FAILED;
}

static outcome answer_refused(weir_request *req, const weir_lease *lease)
{
    const weir_error *error = weir_lease_error(lease);
    bool collided = strcmp(error->sqlstate, "40001") == 0 || strcmp(error->sqlstate, "40P01") == 0;
    bool passing = error->retryable && req->parts->attempts < ATTEMPTS_MAX;

    if (req->parts->read_only && strcmp(error->sqlstate, "25006") == 0)
        weir_reply_problem(req, (problem){.kind = PROBLEM_BAD_PARAMETER,
                                          .code = error->sqlstate,
                                          .detail = error->message,
                                          .parameter = "read_only"});
    else
        weir_reply_failed(req, lease, WEIR_EQUERY);
    return collided || passing ? AGAIN : FAILED;
}

/* What a step could not do is told by the whole, in the step's own words. */
static outcome step_failed(part *p, const weir_lease *lease, int error)
{
    weir_request *req = p->of->whole;
    outcome end = FAILED;

    req->query = p->req->query;
    req->statement = p->req->statement;
    req->query_timeout_ns = p->req->query_timeout_ns;
    req->hurried = p->req->hurried;
    if (error == WEIR_ELOST || error == WEIR_ERECLAIMED)
        end = answer_lost(req, error);
    else if (error == WEIR_EQUERY)
        end = answer_refused(req, lease);
    else if (error == WEIR_ENOMEM)
        weir_reply_error(req, PROBLEM_OVERLOADED,
                         "There was no memory for the values of a step: all is undone.");
    else
        weir_reply_failed(req, lease, error);
    req->query = NULL; /* which is counted already */
    tell_step(req, p, NULL);
    return end;
}

static outcome step_refused(part *p, problem_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static outcome step_refused(part *p, problem_kind kind, const char *format, ...)
{
    weir_request *req = p->of->whole;
    char detail[256];
    va_list values;

    va_start(values, format);
    vsnprintf(detail, sizeof detail, format, values);
    va_end(values);
    weir_reply_error(req, kind, "%s", detail);
    tell_step(req, p, NULL);
    return FAILED;
}

static outcome end_failed(weir_request *req, const weir_lease *lease, const weir_statement *s,
                          const char *step, int error)
{
    outcome end = FAILED;

    req->statement = s;
    if (error == WEIR_EQUERY)
        end = answer_refused(req, lease);
    else if (s != &commit && (error == WEIR_ELOST || error == WEIR_ERECLAIMED))
        end = answer_lost(req, error);
    else if (error == WEIR_ETIMEDOUT)
        weir_reply_error(req, PROBLEM_QUERY_TIMEOUT, "The transaction's time was over%s %s",
                         patience_words(req, req->parts->deadline_ns),
                         s == &commit ? "while it was committed: whether it was is not known."
                                      : "before it began.");
    else
        weir_reply_failed(req, lease, error);
    tell_step(req, NULL, step);
    return end;
}

/* ---- How it runs ---- */

static outcome bind_reference(part *p, const reference *r, const weir_lease *lease)
{
    weir_request *req = p->req;
    const weir_request *earlier = p->of->each[r->step].req;
    const char *name = req->query->params[r->parameter].name;
    char **value = &req->bound.values[r->parameter];

    free(*value);
    *value = NULL;
    switch (reference_value(r, earlier->query, earlier->result, value)) {
    case REFERENCE_FOUND: return DONE;
    case REFERENCE_NO_ROW:
        return step_refused(p, PROBLEM_NO_ROW, "%s refers to row %u of step %u, which found %u.",
                            name, r->row, r->step, weir_result_rows(earlier->result));
    case REFERENCE_NO_COLUMN:
        return step_refused(p, PROBLEM_INTERNAL,
                            "%s refers to %.63s of step %u, which has lost that column since the "
                            "queries were read: reload them.",
                            name, r->name, r->step);
    case REFERENCE_NO_MEMORY: break;
    }
    return step_failed(p, lease, WEIR_ENOMEM);
}

static weir_async outcome run_step(part *p, weir_lease *lease)
{
    weir_request *req = p->req;
    const query *q = req->query;
    weir_scoped_result weir_result *rows = NULL;

    for (uint32_t i = 0; i < p->ref_count; i++) {
        outcome end = bind_reference(p, &p->refs[i], lease);
        if (end != DONE)
            return end;
    }
    part_query(p, q); /* with all its time, whatever an earlier attempt had left */
    uint64_t began_ns = weir_now();
    int r = query_run(req, lease, &rows);
    part_count(p, weir_now() - began_ns);
    if (r < 0)
        return step_failed(p, lease, r);
    if (q->returns == RETURNS_ROW && weir_result_rows(rows) == 0)
        return step_refused(p, PROBLEM_NO_ROW, "The query found no row.");
    if (excess_refused(p->of->whole, q, weir_result_rows(rows))) {
        tell_step(p->of->whole, p, NULL);
        return FAILED;
    }
    weir_reply_result(req, &rows);
    req->tell_pool = false; /* the whole tells it */
    return DONE;
}

static void forget_results(request_parts *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        weir_result_free(all->each[i].req->result);
        all->each[i].req->result = NULL;
    }
}

/* On a lease of its own: nobody should hold a connection while it waits to try again. What it
 * leaves open, the pool rolls back. */
static weir_async outcome attempt(weir_request *req)
{
    request_parts *all = req->parts;
    weir_scoped_lease weir_lease *lease = NULL;

    all->attempts++;
    forget_results(all);
    all->bytes_left = req->lane->api->guards.answer_max;
    req->timings = (weir_timings){0};
    req->scope.deadline_ns = weir_after(req->lane->api->acquire_timeout_ns);
    int r = weir_acquire(req->pool, &req->scope, &lease);
    if (r < 0) {
        weir_reply_refused(req, r);
        return FAILED;
    }
    r = weir_query(lease, &all->begin, NULL, NULL);
    if (r == 0)
        r = auth_settle(lease, req->identity); /* of any step: a transaction is one person's */
    if (r < 0)
        return end_failed(req, lease, &all->begin, "begin", r);
    for (uint32_t i = 0; i < all->count; i++) {
        outcome end = run_step(&all->each[i], lease);
        if (end != DONE)
            return end;
    }
    r = weir_query(lease, &commit, NULL, NULL);
    return r < 0 ? end_failed(req, lease, &commit, "commit", r) : DONE;
}

static weir_async void run_transaction(weir_request *req)
{
    uint64_t deadline_ns = req->parts->deadline_ns, pause_ns = PAUSE_FIRST;
    weir_scoped_timeout(limit, parts_time_left(req->parts));
    outcome end;

    while ((end = attempt(req)) == AGAIN) {
        uint64_t wait_ns = id_source_next(&req->lane->ids) % pause_ns;
        if (weir_after(wait_ns) >= deadline_ns || weir_sleep(wait_ns) < 0)
            break; /* the answer is what was in the way last */
        pause_ns = pause_ns < PAUSE_MOST / 2 ? pause_ns * 2 : PAUSE_MOST;
    }
    if (end == DONE)
        reply_parts(req, true);
}

void serve_transaction(weir_request *req)
{
    arguments a;
    json_item body;

    if (!parts_begin(req, "object", &a, &body) || !parts_no_arguments(req, &a) ||
        !read_transaction(req, &body))
        return;
    req->pool = req->parts->each[0].req->pool;
    req->scope =
        (weir_scope){.label = req->route, .trace_id = req->request_id, .timings = &req->timings};
    req->handler = run_transaction;
    route_start(req);
}
