/* postgres_limit.c: how long the server itself lets a query run, should nobody be left to stop it.
 *
 * The pool cancels at the deadline. The server is told a time somewhat beyond it, as the session's
 * statement_timeout, in steps so coarse that a session hardly ever needs another: mostly nothing is
 * sent. What was set for the session without us is never made longer.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres.h"
#include "sql_words.h"

/* So much beyond the deadline, so that the pool's own cancel comes first. */
#define GRACE_MS 1000u

/* A limit in force stays where it is at most so many times what is needed: queries of different
 * deadlines in turn do not each set another. */
#define SLACK 8u

/* Who may need more, for a day or so, has no limit. */
#define NEED_MAX_MS UINT32_C(100000000)

/* What the operation may need; 0: for ever. */
static uint32_t need_of(const weir_operation *o)
{
    if (o->budget_ns / WEIR_MS(1) >= NEED_MAX_MS)
        return 0;
    return (uint32_t)(o->budget_ns / WEIR_MS(1)) + GRACE_MS;
}

static uint32_t shorter(uint32_t a_ms, uint32_t b_ms)
{
    return a_ms && (!b_ms || a_ms < b_ms) ? a_ms : b_ms;
}

/* The step that `need_ms` fits in. */
static uint32_t step_of(uint32_t need_ms)
{
    uint32_t step_ms = 2 * GRACE_MS;
    while (step_ms < need_ms)
        step_ms *= 2;
    return need_ms ? step_ms : 0;
}

static bool is_long_enough(const limit *l, uint32_t need_ms)
{
    return l->now_ms == l->own_ms || (need_ms && l->now_ms >= need_ms);
}

static bool is_short_enough(const limit *l, uint32_t need_ms)
{
    return !need_ms || (l->now_ms && l->now_ms <= SLACK * need_ms);
}

bool limit_is_due(session *s)
{
    limit *l = &s->limit;
    const weir_operation *o = s->operation;
    uint32_t need_ms = need_of(o);
    PGTransactionStatusType transaction = PQtransactionStatus(s->pg);

    if (transaction == PQTRANS_IDLE)
        l->now_ms = l->session_ms;
    if (!s->options->limits || l->refused || l->overruled || o->kind == OPERATION_DESCRIBE)
        return false;
    /* What was set without us can be asked for only while nobody has set anything else. */
    if (!l->asked && (need_ms == 0 || s->dirty || transaction != PQTRANS_IDLE))
        return false;
    l->wanted_ms = shorter(l->own_ms, step_of(need_ms));
    if (l->unsure)
        return transaction == PQTRANS_IDLE || transaction == PQTRANS_INTRANS;
    if (transaction == PQTRANS_INTRANS)
        return !is_long_enough(l, need_ms);
    return transaction == PQTRANS_IDLE && l->wanted_ms != l->now_ms &&
           !(is_long_enough(l, need_ms) && is_short_enough(l, need_ms));
}

/* Asks what was set without us, and makes it no longer. */
static void say_first(char *sql, size_t size, uint32_t ms)
{
    snprintf(sql, size,
             "SELECT own, pg_catalog.set_config('statement_timeout',"
             " CASE WHEN own BETWEEN 1 AND %" PRIu32 " THEN own ELSE %" PRIu32 " END::text, false)"
             " FROM (SELECT (extract(epoch FROM pg_catalog.current_setting('statement_timeout')"
             "::interval) * 1000)::int8 AS own) AS was",
             ms, ms);
}

bool limit_send(session *s)
{
    char sql[512];
    limit *l = &s->limit;
    bool local = PQtransactionStatus(s->pg) != PQTRANS_IDLE;
    if (l->asked)
        snprintf(sql, sizeof sql, "SET %s statement_timeout = %" PRIu32,
                 local ? "LOCAL" : "SESSION", l->wanted_ms);
    else
        say_first(sql, sizeof sql, l->wanted_ms);
    flight_expect(s, local ? STEP_LIMIT_LOCAL : STEP_LIMIT);
    return PQsendQueryParams(s->pg, sql, 0, NULL, NULL, NULL, NULL, 0);
}

static void take_first(limit *l, const PGresult *result)
{
    l->own_ms = (uint32_t)strtoul(PQgetvalue(result, 0, 0), NULL, 10);
    l->wanted_ms = shorter(l->own_ms, l->wanted_ms);
    l->asked = true;
}

void limit_answer(session *s, step what, const PGresult *result)
{
    limit *l = &s->limit;
    ExecStatusType status = PQresultStatus(result);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (status == PGRES_FATAL_ERROR && what == STEP_LIMIT) {
        l->refused = !state || strcmp(state, "57014") != 0; /* but for a stray cancel */
        return;
    }
    /* As the first of a flight it may still come in libpq's mode for a stream before: its row by
     * itself, then its end. */
    if (PQntuples(result) == 1)
        take_first(l, result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        return;
    l->now_ms = l->wanted_ms;
    if (what == STEP_LIMIT) {
        l->session_ms = l->now_ms;
        l->unsure = false;
    }
}

static bool sets_limit(const char *sql)
{
    static const char *const words[] = {"set", "reset", NULL};
    return strcasestr(sql, "statement_timeout") &&
           (sql_begins_with(sql, words) || strcasestr(sql, "set_config"));
}

void limit_may_have_changed(session *s)
{
    s->limit.unsure = true;
    if (s->operation && sets_limit(s->operation->statement->sql))
        s->limit.overruled = true;
}

void limit_transaction_over(session *s)
{
    s->limit.now_ms = s->limit.session_ms;
}

void limit_cleaned(session *s)
{
    limit *l = &s->limit;
    l->session_ms = l->now_ms = l->own_ms;
    l->unsure = l->overruled = false;
}
