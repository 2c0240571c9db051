/* postgres_query.c: one operation, from its bytes to its result.
 *
 * The ordinary case is a statement already prepared, in the mode the session is in: one message
 * group out, one answer in. Whatever else is due goes ahead of it in the same flight.
 */
#include <assert.h>
#include <string.h>

#include "postgres.h"
#include "sql_words.h"

#define PARAMS_MAX 65535u

/* Doomed statements closed in one flight: the rest can wait for the next. */
#define CLOSES_MAX 16u

/* ---- What is due ahead of the operation ---- */

typedef struct plan {
    const char *sql;
    prepared *known;
    bool mode;  /* has to change */
    bool close; /* doomed statements are waiting */
    bool limit, settings;
} plan;

static plan make_plan(session *s)
{
    const weir_operation *o = s->operation;
    plan p = {.sql = o->statement->sql};
    if (!o->statement->adhoc)
        p.known = statements_find(&s->statements, p.sql);
    if (!o->statement->adhoc && !p.known)
        statements_make_room(&s->statements);
    /* A transaction keeps the mode it began in, and must not fail because of our housekeeping. */
    if (PQtransactionStatus(s->pg) == PQTRANS_IDLE) {
        bool reads = o->statement->read_only || s->reads_only;
        session_mode wanted = reads ? MODE_READ_ONLY : MODE_READ_WRITE;
        p.mode = o->kind != OPERATION_DESCRIBE && session_current_mode(s) != wanted;
        p.close = statements_doomed(&s->statements, NULL);
    }
    p.limit = limit_is_due(s);
    p.settings = settings_are_due(s);
    return p;
}

static bool send_sql(session *s, step what, const char *sql)
{
    flight_expect(s, what);
    return PQsendQueryParams(s->pg, sql, 0, NULL, NULL, NULL, NULL, 0);
}

/* Not the last of a flight: there is more to come before the bytes need to leave. */
static bool send_sync(session *s, bool last)
{
    flight_expect(s, STEP_SYNC);
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
    if (!last)
        return PQsendPipelineSync(s->pg);
#endif
    return PQpipelineSync(s->pg);
}

static bool send_close(session *s, const char *name)
{
#ifdef LIBPQ_HAS_CLOSE_PREPARED
    flight_expect(s, STEP_CLOSE);
    return PQsendClosePrepared(s->pg, name);
#else
    char sql[sizeof "DEALLOCATE " + STATEMENT_NAME_MAX] = "DEALLOCATE ";
    return send_sql(s, STEP_CLOSE, strcat(sql, name));
#endif
}

static bool send_closes(session *s)
{
    const prepared *p = statements_doomed(&s->statements, NULL);
    for (uint32_t n = 0; p && n < CLOSES_MAX; n++, p = statements_doomed(&s->statements, p))
        if (!send_close(s, prepared_name(p)))
            return false;
    return send_sync(s, false);
}

static bool send_limit(session *s)
{
    bool stays = PQtransactionStatus(s->pg) == PQTRANS_IDLE;
    return limit_send(s) && (!stays || send_sync(s, false));
}

/* The mode is set in a transaction of its own, so that it stays whatever becomes of the query. Were
 * that to fail, the query must still not write: hence the guard. */
static bool send_mode(session *s, bool read_only)
{
    s->flight.mode_wanted = read_only;
    if (!send_sql(s, STEP_MODE,
                  read_only ? "SET default_transaction_read_only = on"
                            : "RESET default_transaction_read_only") ||
        !send_sync(s, false))
        return false;
    return !read_only || send_sql(s, STEP_GUARD, "SET transaction_read_only = on");
}

/* ---- The operation itself ---- */

static bool send_prepare(session *s, const char *name, const char *sql)
{
    flight_expect(s, STEP_PREPARE);
    return PQsendPrepare(s->pg, name, sql, 0, NULL);
}

static bool send_describe(session *s, const char *name)
{
    flight_expect(s, STEP_DESCRIBE);
    return PQsendDescribePrepared(s->pg, name);
}

static bool send_execute(session *s, const prepared *p)
{
    const weir_params *params = s->operation->params;
    flight_expect(s, STEP_EXECUTE);
    s->flight.suspect = prepared_changes_session(p);
    s->dirty |= s->flight.suspect;
    return PQsendQueryPrepared(s->pg, prepared_name(p), params ? (int)params->count : 0,
                               params ? params->values : NULL, NULL, NULL, 0);
}

static bool send_adhoc(session *s, const char *sql)
{
    const weir_params *params = s->operation->params;
    flight_expect(s, STEP_EXECUTE);
    s->dirty = s->flight.suspect = true;
    return PQsendQueryParams(s->pg, sql, params ? (int)params->count : 0, NULL,
                             params ? params->values : NULL, NULL, NULL, 0);
}

/* `p` NULL: the unnamed one. */
static bool send_last(session *s, const prepared *p)
{
    if (s->operation->kind == OPERATION_DESCRIBE)
        return send_describe(s, p ? prepared_name(p) : "");
    return send_execute(s, p);
}

static bool send_statement(session *s, const plan *p)
{
    const weir_statement *statement = s->operation->statement;
    if (p->known) {
        s->flight.used = p->known;
        return send_last(s, p->known);
    }
    if (statement->adhoc) {
        if (s->operation->kind != OPERATION_DESCRIBE)
            return send_adhoc(s, p->sql);
        return send_prepare(s, "", p->sql) && send_last(s, NULL);
    }
    prepared *made = statements_make(&s->statements, p->sql);
    s->flight.making = made;
    return made && send_prepare(s, prepared_name(made), p->sql) && send_last(s, made);
}

static bool send_flight(session *s, const plan *p)
{
    const weir_statement *statement = s->operation->statement;
    bool prepares = !p->known && (!statement->adhoc || s->operation->kind == OPERATION_DESCRIBE);
    bool pipelined = p->mode || p->close || p->limit || p->settings || prepares;
    flight_begin(s, pipelined);
    if (pipelined && !PQenterPipelineMode(s->pg))
        return false;
    if (p->close && !send_closes(s))
        return false;
    if (p->limit && !send_limit(s))
        return false;
    if (p->mode && !send_mode(s, statement->read_only))
        return false;
    if (p->settings && !settings_send(s))
        return false;
    if (!send_statement(s, p))
        return false;
    if (!pipelined)
        stream_expect(s);
    return !pipelined || send_sync(s, true);
}

static void send_operation(session *s)
{
    plan p = make_plan(s);
    if (!send_flight(s, &p) || !flight_push(s)) {
        session_lost(s);
        return;
    }
    operation_sent(s->c);
}

/* ---- Beginning and ending ---- */

static void finish(session *s, int status, weir_result *result)
{
    s->operation = NULL;
    s->activity = ACTIVITY_NONE;
    operation_finish(s->c, status, result);
}

void operation_begin(session *s, weir_operation *operation)
{
    assert(s->activity == ACTIVITY_NONE && !s->operation);
    s->operation = operation;
    s->activity = ACTIVITY_OPERATION;
    s->retried = s->setter_retried = s->streamed = s->paused = false;
    if (s->fate != WEIR_RETIRE_NOT) { /* while leased, before anything was asked of it */
        s->c->error = s->flight.error;
        s->c->error.code = WEIR_ELOST;
        operation_lost(s);
    } else if (operation->params && operation->params->count > PARAMS_MAX) {
        error_set(&s->c->error, WEIR_EQUERY, "more than %u parameters", PARAMS_MAX);
        finish(s, WEIR_EQUERY, NULL);
    } else if (settings_forbid(s)) {
        finish(s, WEIR_EQUERY, NULL);
    } else {
        send_operation(s);
    }
}

/* The statement as prepared in this session has been overtaken by DDL, or by someone who closed or
 * made statements beside us. It failed before it ran. */
static bool is_stale(const session *s)
{
    const weir_error *e = &s->flight.error;
    if (s->operation->statement->adhoc || settings_failed(s))
        return false;
    if (strcmp(e->sqlstate, "42P05") == 0)
        return !s->flight.used;
    if (!s->flight.used)
        return false;
    return strcmp(e->sqlstate, "26000") == 0 || s->flight.plan_changed;
}

static void forget_statement(session *s)
{
    flight *f = &s->flight;
    if (!f->used)
        return;
    if (f->plan_changed)
        statements_doom(&s->statements, f->used);
    else
        statements_drop(&s->statements, f->used);
    f->used = NULL;
}

/* A cancel of what ran here before, which the network has kept back. One by a timeout of the
 * server's is meant. */
static bool is_stray_cancel(const session *s)
{
    const weir_error *e = &s->flight.error;
    return strcmp(e->sqlstate, "57014") == 0 && weir_now() < s->stray_until_ns &&
           !strstr(e->message, "timeout");
}

/* Nothing of it remains once it has failed. Of what commits along the way, such as CALL, part may.
 */
static bool is_all_or_nothing(const char *sql)
{
    static const char *const words[] = {"select", "insert", "update", "delete",
                                        "merge",  "with",   "values", NULL};
    return sql_begins_with(sql, words);
}

static void refused(session *s)
{
    flight *f = &s->flight;
    if (s->streamed && f->batch) { /* rows that came ahead of the error go first */
        stream_give(s);
        return;
    }
    bool setter = settings_were_stale(s), stale = is_stale(s), stray = is_stray_cancel(s);
    if (stale)
        forget_statement(s);
    settings_explain(s);
    weir_error error = f->error;
    flight_clear(s);
    bool again = (stale && !s->retried) || (setter && !s->setter_retried) ||
                 (stray && is_all_or_nothing(s->operation->statement->sql));
    if (again && !s->streamed && PQtransactionStatus(s->pg) == PQTRANS_IDLE) {
        s->retried |= stale;
        s->setter_retried |= setter;
        send_operation(s);
        return;
    }
    error.retryable |= setter || stale || stray;
    s->c->error = error;
    finish(s, error.code, NULL);
}

/* On a server that was asked for because it could be written to, and cannot be any more: it has
 * become a standby, or all its sessions are read-only now. Not where whoever began the transaction
 * made it read-only. */
static bool is_demoted(const session *s)
{
    const server_options *o = s->options;
    if (!o->wants_primary || s->operation->statement->read_only ||
        strcmp(s->flight.error.sqlstate, "25006") != 0)
        return false;
    if (session_is_standby(s))
        return true;
    bool server_tells = PQparameterStatus(s->pg, "in_hot_standby");
    if (s->reads_only || (server_tells && !o->wants_writes))
        return false;
    return !session_in_transaction(s) || session_current_mode(s) == MODE_READ_ONLY;
}

static void no_memory(session *s)
{
    bool ran = s->operation->kind != OPERATION_DESCRIBE;
    error_set(&s->flight.error, WEIR_ENOMEM, "out of memory%s",
              ran ? ": the statement was carried out" : "");
}

/* False: there was no memory for it. */
static bool take_result(session *s, weir_result **result)
{
    flight *f = &s->flight;
    if (s->operation->kind == OPERATION_STREAM)
        return stream_end(s, result);
    *result = f->result ? result_wrap(f->result) : NULL;
    f->result = NULL;
    return *result != NULL;
}

void operation_answer(session *s)
{
    flight *f = &s->flight;
    weir_result *result = NULL;
    if (!f->error.code && take_result(s, &result)) {
        finish(s, 0, result);
        return;
    }
    if (!f->error.code)
        no_memory(s);
    if (is_demoted(s))
        s->demoted = f->error.retryable = true; /* on the server that is the primary now */
    refused(s);
}

void operation_lost(session *s)
{
    s->operation = NULL;
    s->activity = ACTIVITY_NONE;
    operation_finish(s->c, s->c->error.code, NULL);
}
