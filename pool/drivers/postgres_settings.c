/* postgres_settings.c: settings that hold for the transaction of one operation.
 *
 * They go ahead of it in its flight, by one statement that is prepared once for each number of
 * settings. All that comes before one Sync is one transaction, so the Sync is their end, whatever
 * has become of the operation.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "postgres.h"
#include "sql_words.h"

/* By its number of settings: all sessions mean the same by it. */
typedef struct setter_name {
    char text[STATEMENT_NAME_MAX];
} setter_name;

static setter_name name_of(uint32_t count)
{
    setter_name name;
    snprintf(name.text, sizeof name.text, "weir_set_%u", count);
    return name;
}

bool settings_are_due(session *s)
{
    static const char *const begins[] = {"begin", "start", NULL};
    const weir_operation *o = s->operation;
    PGTransactionStatusType transaction = PQtransactionStatus(s->pg);
    if (transaction == PQTRANS_IDLE)
        s->settings_held = 0;
    if (o->setting_count == 0 || o->kind == OPERATION_DESCRIBE)
        return false;
    /* Behind a query, which is what sets them, the kind of a transaction can no longer be said. */
    if (transaction == PQTRANS_IDLE)
        return !sql_begins_with(o->statement->sql, begins);
    return transaction == PQTRANS_INTRANS && s->settings_held != o->settings_serial;
}

/* The server lets these commit also among others of a flight. */
bool settings_forbid(session *s)
{
    const weir_operation *o = s->operation;
    if (o->setting_count == 0 || o->kind == OPERATION_DESCRIBE ||
        PQtransactionStatus(s->pg) != PQTRANS_IDLE || !sql_may_commit(o->statement->sql))
        return false;
    weir_error *e = &s->c->error;
    error_set(e, WEIR_EQUERY,
              "CALL and DO may commit, which would end the settings they run under");
    memcpy(e->sqlstate, "0A000", 6);
    text_copy(e->hint, sizeof e->hint, "Begin a transaction first.");
    return true;
}

static bool prepare(session *s, uint32_t count)
{
    char sql[sizeof "SELECT" + WEIR_SETTINGS_MAX * sizeof ",pg_catalog.set_config($00,$00,true)"];
    size_t length = (size_t)snprintf(sql, sizeof sql, "SELECT");
    for (uint32_t i = 0; i < count; i++)
        length += (size_t)snprintf(sql + length, sizeof sql - length,
                                   "%cpg_catalog.set_config($%u,$%u,true)", i == 0 ? ' ' : ',',
                                   2 * i + 1, 2 * i + 2);
    flight_expect(s, STEP_PREPARE_SETTER);
    return PQsendPrepare(s->pg, name_of(count).text, sql, 0, NULL);
}

bool settings_send(session *s)
{
    const weir_operation *o = s->operation;
    const char *values[2 * WEIR_SETTINGS_MAX];
    assert(o->setting_count <= WEIR_SETTINGS_MAX);
    for (uint32_t i = 0; i < o->setting_count; i++) {
        values[2 * i] = o->settings[i].name;
        values[2 * i + 1] = o->settings[i].value;
    }
    if (!(s->setters & 1u << o->setting_count) && !prepare(s, o->setting_count))
        return false;
    s->flight.setting_count = o->setting_count;
    s->flight.settings_serial = o->settings_serial;
    flight_expect(s, STEP_SETTINGS);
    return PQsendQueryPrepared(s->pg, name_of(o->setting_count).text, 2 * (int)o->setting_count,
                               values, NULL, NULL, 0);
}

void settings_answer(session *s, step what, const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    if (what == STEP_PREPARE_SETTER && status == PGRES_COMMAND_OK)
        s->setters |= 1u << s->flight.setting_count;
    if (what == STEP_SETTINGS && status == PGRES_TUPLES_OK)
        s->settings_held = s->flight.settings_serial;
}

bool settings_failed(const session *s)
{
    return s->flight.failed == STEP_PREPARE_SETTER || s->flight.failed == STEP_SETTINGS;
}

bool settings_were_stale(session *s)
{
    const flight *f = &s->flight;
    if (f->failed == STEP_SETTINGS && strcmp(f->error.sqlstate, "26000") == 0)
        s->setters = 0;
    else if (f->failed == STEP_PREPARE_SETTER && strcmp(f->error.sqlstate, "42P05") == 0)
        s->setters |= 1u << f->setting_count;
    else
        return false;
    return true;
}

static bool had_settings(const flight *f)
{
    return memchr(f->steps, STEP_SETTINGS, f->count);
}

void settings_explain(session *s)
{
    flight *f = &s->flight;
    weir_error *e = &f->error;
    if (settings_failed(s)) {
        e->setting = true;
        e->position = e->parameter = 0; /* of a statement that is ours */
    } else if (had_settings(f) && strcmp(e->sqlstate, "25001") == 0 && !e->hint[0]) {
        text_copy(e->hint, sizeof e->hint,
                  "The settings that it is to run under hold in a transaction, and it cannot be "
                  "run in one.");
    }
}
