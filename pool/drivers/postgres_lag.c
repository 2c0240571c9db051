/* postgres_lag.c: how far a standby is behind its primary. */
#include <stdlib.h>
#include <string.h>

#include "postgres.h"

/* In microseconds. All that was received is replayed: not behind, however long ago that was, for
 * the primary may have had nothing to do. A standby that has replayed no transaction since it was
 * started is as far behind as that is ago. */
#define HOW_FAR                                                                                    \
    "SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN 0"                                   \
    " WHEN pg_catalog.pg_last_wal_receive_lsn() <= pg_catalog.pg_last_wal_replay_lsn() THEN 0"     \
    " ELSE (extract(epoch FROM pg_catalog.clock_timestamp() - coalesce("                           \
    "pg_catalog.pg_last_xact_replay_timestamp(), pg_catalog.pg_postmaster_start_time()))"          \
    " * 1000000)::pg_catalog.int8 END"

/* Asked in the moment between receiving and replaying the first transaction after a quiet hour, a
 * standby seems an hour behind. So it is given a moment, and only its second word counts. */
#define A_MOMENT_LATER "SELECT pg_catalog.pg_sleep(0.05); " HOW_FAR

bool lag_matters(const session *s)
{
    if (s->options->max_lag_ns == WEIR_NEVER)
        return false;
    /* A server that does not tell is asked. */
    return session_is_standby(s) || !PQparameterStatus(s->pg, "in_hot_standby");
}

void lag_ask(session *s, activity why)
{
    s->asked_again = false;
    session_send(s, why, STEP_LAG, HOW_FAR);
}

bool lag_ask_again(session *s, activity why)
{
    if (s->asked_again || s->flight.lag_ns <= s->options->max_lag_ns)
        return false;
    s->asked_again = true;
    session_send(s, why, STEP_LAG, A_MOMENT_LATER);
    return true;
}

void lag_read(flight *f, const PGresult *result)
{
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
        return;
    long long us = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    f->lag_ns = us > 0 ? WEIR_US(us) : 0; /* clocks differ */
}

bool lag_is_too_long(session *s, int code)
{
    uint64_t lag_ns = s->flight.lag_ns, most_ns = s->options->max_lag_ns;
    if (lag_ns <= most_ns)
        return false;
    error_set(&s->c->error, code, "the standby is %.3f s behind its primary, %.3f s is allowed",
              (double)lag_ns / 1e9, (double)most_ns / 1e9);
    s->c->error.retryable = true;
    return true;
}
