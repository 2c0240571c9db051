/* postgres_session.c: what happens to a session between leases: checked, cleaned, quarantined. */
#include <string.h>

#include "postgres.h"
#include "sql_words.h"

/* Servers since 14 say in which mode a session is, whoever has changed it. */
session_mode session_current_mode(const session *s)
{
    const char *said = PQparameterStatus(s->pg, "default_transaction_read_only");
    if (!said)
        return s->mode;
    return strcmp(said, "on") == 0 ? MODE_READ_ONLY : MODE_READ_WRITE;
}

bool session_is_standby(const session *s)
{
    const char *said = PQparameterStatus(s->pg, "in_hot_standby");
    return said && strcmp(said, "on") == 0;
}

bool session_in_transaction(const session *s)
{
    return PQtransactionStatus(s->pg) != PQTRANS_IDLE;
}

weir_retire_reason session_verdict(const session *s)
{
    if (s->fate != WEIR_RETIRE_NOT)
        return s->fate;
    if (s->demoted || (s->options->wants_primary && session_is_standby(s)))
        return WEIR_RETIRE_READ_ONLY;
    return WEIR_RETIRE_NOT;
}

/* ---- What a command leaves behind ---- */

static bool begins_with_any(const char *tag, const char *const *words)
{
    for (; *words; words++)
        if (strncmp(tag, *words, strlen(*words)) == 0)
            return true;
    return false;
}

/* Tags of commands without rows that never leave anything in the session. All others may: SET,
 * LISTEN, PREPARE, LOAD, DO, and CREATE TABLE or SELECT INTO, which may be temporary. */
bool tag_changes_session(const char *tag)
{
    static const char *const harmless[] = {
        "INSERT", "UPDATE",    "DELETE",  "MERGE",      "BEGIN",  "COMMIT",       "ROLLBACK",
        "START",  "SAVEPOINT", "RELEASE", "TRUNCATE",   "NOTIFY", "LOCK",         "ANALYZE",
        "VACUUM", "REFRESH",   "REINDEX", "CLOSE",      "MOVE",   "CREATE INDEX", "DROP",
        "GRANT",  "REVOKE",    "COMMENT", "CHECKPOINT", NULL,
    };
    return tag[0] && !begins_with_any(tag, harmless);
}

bool tag_changes_statements(const char *tag)
{
    static const char *const words[] = {"PREPARE", "DEALLOCATE", "DISCARD ALL", NULL};
    return begins_with_any(tag, words);
}

/* Or a part of it, from a savepoint on: it is the same tag. */
bool tag_ends_transaction(const char *tag)
{
    static const char *const words[] = {"COMMIT", "ROLLBACK", NULL};
    return begins_with_any(tag, words);
}

/* A word in passing, in a comment say, costs no more than a reset. What a function of the user's
 * own does is out of sight: such a statement should be run ad hoc. A procedure is there to do
 * something, and the tag of one that answers with a row is not looked at. */
bool sql_changes_session(const char *sql)
{
    static const char *const call[] = {"call", NULL};
    static const char *const functions[] = {"set_config", "advisory_lock", "setseed",
                                            "lo_open",    "dblink",        NULL};
    for (const char *const *name = functions; *name; name++)
        if (strcasestr(sql, *name))
            return true;
    return sql_begins_with(sql, call);
}

/* ---- Cleaning and checking ---- */

void session_send(session *s, activity why, step what, const char *sql)
{
    s->activity = why;
    flight_begin(s, false);
    flight_expect(s, what);
    if (!PQsendQuery(s->pg, sql) || !flight_push(s))
        session_lost(s);
}

static const char *cleaning(const session *s)
{
    if (!s->dirty)
        return "ROLLBACK";
    bool all = s->statements_stale || s->greeting_prepares;
    const char *sql = all ? s->options->clean_all : s->options->clean;
    return session_in_transaction(s) ? sql : sql + strlen(ROLLBACK);
}

static void clean(session *s)
{
    s->settling = false;
    if (s->fate != WEIR_RETIRE_NOT)
        connection_down(s->c, s->fate);
    else if (session_in_transaction(s) || s->dirty)
        session_send(s, ACTIVITY_RESET, STEP_SIMPLE, cleaning(s));
    else
        connection_checked(s->c);
}

void session_check(session *s)
{
    if (s->fate != WEIR_RETIRE_NOT)
        connection_down(s->c, s->fate);
    else if (lag_matters(s))
        lag_ask(s, ACTIVITY_CHECK);
    else
        session_send(s, ACTIVITY_CHECK, STEP_SIMPLE, "");
}

void session_reset(session *s)
{
    clean(s);
}

/* ---- Ends ---- */

static void checked(session *s)
{
    weir_retire_reason verdict = session_verdict(s);
    if (s->flight.error.code) {
        s->c->error = s->flight.error;
        connection_down(s->c, WEIR_RETIRE_CHECK_FAILED);
    } else if (verdict != WEIR_RETIRE_NOT) {
        connection_down(s->c, verdict);
    } else if (lag_ask_again(s, ACTIVITY_CHECK)) {
        return;
    } else if (lag_is_too_long(s, WEIR_ELOST)) {
        connection_down(s->c, WEIR_RETIRE_LAGGING);
    } else {
        connection_checked(s->c);
    }
}

static void cleaned(session *s)
{
    if (s->flight.error.code || session_in_transaction(s)) {
        s->c->error = s->flight.error;
        connection_down(s->c, WEIR_RETIRE_DIRTY);
        return;
    }
    if (s->dirty) {
        s->mode = MODE_UNKNOWN;
        limit_cleaned(s);
    }
    if (s->dirty && (s->statements_stale || s->greeting_prepares)) {
        statements_clear(&s->statements);
        s->setters = 0;
    }
    s->dirty = s->statements_stale = false;
    connection_checked(s->c);
}

void session_rest(session *s)
{
    activity was = s->activity;
    if (was == ACTIVITY_GREET || was == ACTIVITY_MEASURE) {
        dial_answer(s);
        return;
    }
    if (was == ACTIVITY_DRAIN)
        canceller_rest(s->canceller);
    flight_clear(s);
    s->activity = ACTIVITY_NONE;
    if (was == ACTIVITY_CHECK)
        checked(s);
    else if (was == ACTIVITY_RESET)
        cleaned(s);
    else if (s->settling && !canceller_busy(s->canceller))
        clean(s);
}
