/* reply_problem.c: the answers that say why there is no other. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "patience.h"
#include "reply.h"

#define PROBLEM_JSON "application/problem+json"

void weir_reply_problem(weir_request *req, problem p)
{
    const char *code = p.code && *p.code ? p.code : problem_word(p.kind);

    if (!req->connection)
        return; /* nobody is left to be told, and the path is gone with the connection */
    p.instance = req->path;
    p.request_id = req->request_id;
    snprintf(req->code, sizeof req->code, "%s", code);
    free(req->message);
    req->message = p.detail ? strdup(p.detail) : NULL; /* for the log only */
    req->out.length = 0;
    problem_open(&req->out, &p);
    req->open_object = true;
    req->tell_pool = req->trace;
    req->cache_control = req->method == METHOD_GET ? "no-store" : NULL;
    weir_reply_body(req, problem_status(p.kind), PROBLEM_JSON);
}

void weir_reply_error(weir_request *req, problem_kind kind, const char *format, ...)
{
    char detail[512];
    va_list values;

    va_start(values, format);
    vsnprintf(detail, sizeof detail, format, values);
    va_end(values);
    weir_reply_problem(req, (problem){.kind = kind, .detail = detail});
}

void reply_unbound(weir_request *req, int error, const bind_fault *fault)
{
    if (error == WEIR_EINVAL)
        weir_reply_problem(req, (problem){.kind = PROBLEM_BAD_PARAMETER,
                                          .detail = fault->message,
                                          .parameter = fault->parameter});
    else
        weir_reply_error(req, PROBLEM_OVERLOADED, "There was no memory for the parameters.");
}

/* Whole seconds until it is worth trying again: what the pool expects, at least one, and up to
 * twice that, so that those who were refused together do not come back together. */
static uint32_t retry_after(weir_request *req)
{
    uint64_t base = weir_pool_expected_wait(req->pool) / WEIR_S(1) + 1;
    if (base > 60)
        base = 60;
    return (uint32_t)(base + id_source_next(&req->lane->ids) % (base + 1));
}

void reply_lease(buffer *out, const weir_lease_info *lease)
{
    buffer_text(out, "{\"label\":");
    buffer_json_text(out, lease->label);
    buffer_text(out, ",\"age_ms\":");
    buffer_ms(out, lease->age_ns);
    buffer_printf(out, ",\"backend_pid\":%d,\"query\":", lease->backend_pid);
    buffer_json_text(out, *lease->query ? lease->query : NULL);
    buffer_text(out, ",\"transaction\":");
    buffer_json_text(out, lease->transaction);
    buffer_text(out, lease->running ? ",\"running\":true" : ",\"running\":false");
}

static void tell_holders(buffer *out, const weir_diagnosis *d)
{
    buffer_text(out, ",\"holders\":[");
    for (uint32_t i = 0; i < d->holder_count; i++) {
        if (i > 0)
            buffer_char(out, ',');
        reply_lease(out, &d->holders[i]);
        buffer_char(out, '}');
    }
    buffer_char(out, ']');
}

static void explain(weir_request *req, const weir_diagnosis *d)
{
    free(req->reason);
    req->reason = strdup(d->reason); /* NULL: the answer does without */
    req->verdict = d->verdict;
    req->tell_pool = true;
    tell_holders(&req->out, d);
}

void reply_holders(weir_request *req, int refusal)
{
    weir_diagnosis d;

    if (!req->open_object)
        return; /* nobody was left to be told */
    weir_pool_diagnose(req->pool, refusal, &d);
    explain(req, &d);
}

void reply_connect_error(buffer *out, const weir_error *error, bool message)
{
    if (!error->code) {
        buffer_text(out, "null");
        return;
    }
    buffer_text(out, "{\"code\":");
    buffer_json_text(out, *error->sqlstate ? error->sqlstate : weir_error_name(error->code));
    if (message) {
        buffer_text(out, ",\"message\":");
        buffer_json_text(out, error->message);
    }
    buffer_char(out, '}');
}

bool reply_pool_named(weir_request *req, const char *name)
{
    const weir_api *api = req->lane->api;
    weir_pool *pool = server_pool(api, name);
    char there_are[512] = "";
    size_t length = 0;

    if (pool) {
        req->pool = pool;
        return true;
    }
    for (uint32_t i = 0; i < api->pool_count && length < sizeof there_are; i++)
        length += (size_t)snprintf(there_are + length, sizeof there_are - length, "%s\"%s\"",
                                   i == 0                     ? ""
                                   : i + 1 == api->pool_count ? " and "
                                                              : ", ",
                                   weir_pool_name(api->pools[i]));
    weir_reply_error(req, PROBLEM_NOT_FOUND, "There is no pool \"%.60s\", only %s.", name,
                     there_are);
    return false;
}

bool reply_any_pool_named(weir_request *req, const char *name)
{
    const weir_api *api = req->lane->api;

    for (uint32_t i = 0; i < api->feed_count; i++)
        if (strcmp(weir_pool_name(feed_pool(api->feeds[i])), name) == 0) {
            req->pool = feed_pool(api->feeds[i]);
            return true;
        }
    return reply_pool_named(req, name);
}

static uint64_t wait_limit_ns(const weir_request *req)
{
    return req->timings.asked_ns + req->lane->api->acquire_timeout_ns;
}

/* A wait that ran to its limit is told as the limit, not as the moment at which that was seen. */
static double waited_ms(const weir_request *req)
{
    uint64_t waited = reply_waited_ns(req), asked_ns = req->timings.asked_ns;
    uint64_t until_ns = patience_until(req, wait_limit_ns(req));
    uint64_t limit = until_ns > asked_ns ? until_ns - asked_ns : 0;
    return (double)(waited < limit ? waited : limit) / 1e6;
}

static problem_kind refusal(int error)
{
    switch (error) {
    case WEIR_ETIMEDOUT: return PROBLEM_POOL_TIMEOUT;
    case WEIR_EQUEUEFULL: return PROBLEM_QUEUE_FULL;
    case WEIR_ESHED: return PROBLEM_SHED;
    case WEIR_EDEADLK: return PROBLEM_DEADLOCK;
    case WEIR_ECONNECT: return PROBLEM_DATABASE_DOWN;
    case WEIR_ECLOSED:
    case WEIR_ECANCELED: return PROBLEM_DRAINING;
    case WEIR_ENOMEM: return PROBLEM_OVERLOADED;
    default: return PROBLEM_INTERNAL;
    }
}

/* What a client may know of a database that cannot be reached: its words name hosts and users. */
static void describe_refusal(const weir_request *req, int error, const weir_diagnosis *d,
                             const weir_error *last, char *text, size_t size)
{
    bool exposed = req->lane->api->expose_sql && last->code;
    const char *hurry = patience_words(req, wait_limit_ns(req));

    switch (error) {
    case WEIR_ETIMEDOUT:
        snprintf(text, size, "No connection became free within %.0f ms%s: %s.", waited_ms(req),
                 hurry, d->reason);
        return;
    case WEIR_EQUEUEFULL:
        snprintf(text, size, "As many requests as may wait for a connection already do: %s.",
                 d->reason);
        return;
    case WEIR_ESHED:
    case WEIR_EDEADLK: snprintf(text, size, "No connection was granted: %s.", d->reason); return;
    case WEIR_ECLOSED:
    case WEIR_ECANCELED:
        snprintf(text, size, "No connection was granted: the service is stopping.");
        return;
    case WEIR_ECONNECT:
        snprintf(text, size, "No connection to the database could be made within %.0f ms%s%s%s",
                 waited_ms(req), hurry, exposed ? ": " : ".", exposed ? last->message : "");
        return;
    default: snprintf(text, size, "No connection was granted: %s.", weir_strerror(error));
    }
}

void weir_reply_refused(weir_request *req, int error)
{
    char detail[768];
    weir_diagnosis d;
    weir_error last;
    problem p = {.kind = refusal(error), .detail = detail, .retryable = true};

    weir_pool_diagnose(req->pool, error, &d);
    weir_pool_connect_error(req->pool, &last);
    describe_refusal(req, error, &d, &last, detail, sizeof detail);
    weir_reply_problem(req, p);
    if (!req->open_object)
        return;
    req->retry_after = retry_after(req);
    explain(req, &d);
    if (error == WEIR_ECONNECT) {
        buffer_text(&req->out, ",\"connect_error\":");
        reply_connect_error(&req->out, &last, req->lane->api->expose_sql);
    }
}

static bool reads_only(const weir_request *req)
{
    return req->statement->read_only;
}

/* Errors whose detail quotes the row that was refused, and with it columns that the client may
 * never be shown. Those of a key say only what the client sent. */
static bool quotes_row(const char *sqlstate)
{
    static const char *const states[] = {"23502", "23514", "44000"};

    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(sqlstate, states[i]) == 0)
            return true;
    return false;
}

/* The name of the parameter that the server could not read, or NULL. */
static const char *parameter_at_fault(const weir_request *req, const weir_error *error)
{
    if (error->parameter == 0 || error->parameter > req->query->param_count)
        return NULL;
    return req->query->params[error->parameter - 1].name;
}

/* Of what a query runs under only the role can be refused: there is none of that name, or it is not
 * granted. */
static bool role_refused(const weir_error *error)
{
    return error->setting &&
           (strcmp(error->sqlstate, "22023") == 0 || strcmp(error->sqlstate, "42501") == 0);
}

/* SQL that came with the request is its sender's fault, but not what the server itself broke. */
static problem_kind kind_of(const weir_request *req, const weir_error *error)
{
    problem_kind kind = problem_of_sqlstate(error->sqlstate, reads_only(req));
    bool own = strncmp(error->sqlstate, "XX", 2) == 0 || strncmp(error->sqlstate, "58", 2) == 0;

    if (role_refused(error))
        return PROBLEM_ROLE;
    if (req->statement->adhoc && !own && (kind == PROBLEM_INTERNAL || kind == PROBLEM_READ_ONLY))
        return PROBLEM_BAD_SQL;
    return kind;
}

static bool never_writes(const query *q)
{
    return query_statement(q, METHOD_POST)->read_only;
}

static const char *how_to_write(const query *q)
{
    return never_writes(q) ? "The query's @route is a GET, which runs read-only: give its file "
                             "another, such as a POST."
                           : "A GET runs read-only: ask by POST.";
}

/* What the path takes, but for what would run the query read-only again. */
static uint32_t allowed_to_write(const weir_request *req)
{
    const query *q = req->query;
    bool posted = req->route == q->named_path && never_writes(q);

    return req->allowed & ~(1u << METHOD_GET | (posted ? 1u << METHOD_POST : 0));
}

/* The server's own words. Its SQLSTATE decides. */
static void reply_server_error(weir_request *req, const weir_error *error)
{
    char detail[sizeof error->message + sizeof error->detail + 4];
    problem_kind kind = kind_of(req, error);
    bool refused = kind == PROBLEM_READ_ONLY;
    bool again = kind == PROBLEM_CONTENDED || kind == PROBLEM_DATABASE_DOWN || error->retryable;

    bool row_hidden = quotes_row(error->sqlstate) && !req->lane->api->expose_sql;
    const char *more = row_hidden ? "" : error->detail;
    snprintf(detail, sizeof detail, "%s%s%s", error->message, *more ? ": " : "", more);
    weir_reply_problem(req,
                       (problem){.kind = kind,
                                 .code = error->sqlstate,
                                 .detail = detail,
                                 .hint = refused ? how_to_write(req->query) : error->hint,
                                 .parameter = parameter_at_fault(req, error),
                                 .sql = req->lane->api->expose_sql ? req->statement->sql : NULL,
                                 .retryable = again});
    if (refused)
        reply_allow(req, allowed_to_write(req));
    if (problem_status(kind) == 503)
        req->retry_after = retry_after(req);
}

void weir_reply_failed(weir_request *req, const weir_lease *lease, int error)
{
    reply_failure(req, weir_lease_error(lease), error);
}

void reply_failure(weir_request *req, const weir_error *why, int error)
{
    problem p = {.sql = req->lane->api->expose_sql ? req->statement->sql : NULL};
    char detail[128];

    switch (error) {
    case WEIR_EQUERY: reply_server_error(req, why); return;
    case WEIR_ETOOLARGE: excess_cut_short(req); return;
    case WEIR_ETIMEDOUT:
        p.kind = PROBLEM_QUERY_TIMEOUT;
        snprintf(detail, sizeof detail, "The query was cancelled after %.0f ms%s.",
                 (double)req->query_timeout_ns / 1e6, req->hurried ? req->hurried : "");
        break;
    case WEIR_ELOST:
        p.kind = PROBLEM_LOST;
        p.code = why->sqlstate;
        p.retryable = reads_only(req);
        snprintf(
            detail, sizeof detail, "%s",
            reads_only(req)
                ? "The connection broke while the query ran."
                : "The connection broke while the query ran: whether it was carried out is not "
                  "known.");
        break;
    case WEIR_ERECLAIMED:
        p.kind = PROBLEM_RECLAIMED;
        p.retryable = reads_only(req);
        snprintf(detail, sizeof detail,
                 "The pool took the connection back after it had been held "
                 "for longer than a lease may be.");
        break;
    case WEIR_ECANCELED:
        p.kind = PROBLEM_DRAINING;
        p.retryable = reads_only(req);
        snprintf(detail, sizeof detail, "The query was cancelled because the service is stopping.");
        break;
    case WEIR_ENOMEM:
        p.kind = PROBLEM_OVERLOADED;
        p.retryable = reads_only(req);
        snprintf(detail, sizeof detail, "The answer could not be kept: %.90s.", why->message);
        break;
    default:
        p.kind = PROBLEM_INTERNAL;
        snprintf(detail, sizeof detail, "The query could not be run: %s.", weir_strerror(error));
    }
    p.detail = detail;
    weir_reply_problem(req, p);
    if (req->status == 503)
        req->retry_after = retry_after(req);
}
