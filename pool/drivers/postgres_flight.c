/* postgres_flight.c: what is sent to the server in one go, and its answers in their order. */
#include <assert.h>
#include <string.h>
#include <sys/ioctl.h>

#include "postgres.h"

/* A result libpq has made out of nothing would make this go on for ever. */
#define LAST_WORDS_MAX 8

void flight_begin(session *s, bool pipelined)
{
    flight *f = &s->flight;
    assert(!f->result && !f->making && !f->batch);
    f->count = f->at = 0;
    f->pipelined = pipelined;
    f->answered = f->plan_changed = f->suspect = f->unkept = false;
    f->used = NULL;
    f->lag_ns = 0;
    f->came = 0;
    f->error.code = 0;
    f->failed = STEP_SYNC;
}

void flight_expect(session *s, step what)
{
    assert(s->flight.count < FLIGHT_STEPS);
    s->flight.steps[s->flight.count++] = (uint8_t)what;
}

bool flight_push(session *s)
{
    int left = PQflush(s->pg);
    if (left < 0)
        return false;
    watch_events(s->watch, (s->paused ? 0 : UV_READABLE) | (left ? UV_WRITABLE : 0));
    return true;
}

/* ---- Answers ---- */

static bool failed(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
}

/* By the function in the server that raises it: its words may be in any language. */
static bool says_plan_changed(const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    return state && strcmp(state, "0A000") == 0 && function &&
           strcmp(function, "RevalidateCachedQuery") == 0;
}

static void note_error(flight *f, step what, const PGresult *result)
{
    if (f->error.code)
        return;
    error_of_result(&f->error, result);
    f->failed = what;
    f->plan_changed = says_plan_changed(result);
}

/* Someone else closed the statement first: for us that is as good as done. */
static bool is_gone(const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return state && strcmp(state, "26000") == 0;
}

static void answer_close(session *s, const PGresult *result)
{
    if (PQresultStatus(result) == PGRES_COMMAND_OK || is_gone(result))
        statements_closed(&s->statements);
}

static void answer_prepare(session *s, const PGresult *result)
{
    flight *f = &s->flight;
    if (f->making && PQresultStatus(result) == PGRES_COMMAND_OK) {
        statements_add(&s->statements, f->making);
        f->used = f->making;
        f->making = NULL;
    }
}

/* Those that cannot be used through this interface leave libpq in a state only a new session gets
 * it out of. */
static void refuse_copy(session *s)
{
    error_set(&s->flight.error, WEIR_EQUERY, "COPY is not supported");
    memcpy(s->flight.error.sqlstate, "0A000", 6);
    s->fate = WEIR_RETIRE_DIRTY;
}

static bool is_copy(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

static void answer_execute(session *s, PGresult *result)
{
    flight *f = &s->flight;
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
        if (tag_ends_transaction(PQcmdStatus(result))) {
            s->settings_held = 0; /* another may have begun in its stead */
            limit_transaction_over(s);
        }
        if (tag_changes_session(PQcmdStatus(result))) {
            s->dirty = f->suspect = true;
            s->mode = MODE_UNKNOWN;
            s->statements_stale |= tag_changes_statements(PQcmdStatus(result));
        }
        break;
    case PGRES_EMPTY_QUERY: error_set(&f->error, WEIR_EQUERY, "the query is empty"); break;
    default:
        if (is_copy(result))
            refuse_copy(s);
        break;
    }
    if (stream_brings_rows(result))
        stream_take(s, result);
    else if (!f->error.code && !f->result)
        f->result = result;
    else
        PQclear(result);
    if (f->suspect)
        limit_may_have_changed(s);
}

static void answer_simple(session *s, const PGresult *result)
{
    if (is_copy(result))
        refuse_copy(s);
    else if (s->activity == ACTIVITY_GREET)
        s->greeting_prepares |= tag_changes_statements(PQcmdStatus((PGresult *)result));
}

/* Takes `result`. */
static void answer(session *s, step what, PGresult *result)
{
    flight *f = &s->flight;
    bool bad = failed(result);
    switch (what) {
    case STEP_SIMPLE: answer_simple(s, result); break;
    case STEP_LAG: lag_read(f, result); break;
    case STEP_CLOSE: answer_close(s, result); break;
    case STEP_MODE:
        if (!bad)
            s->mode = f->mode_wanted ? MODE_READ_ONLY : MODE_READ_WRITE;
        break;
    case STEP_LIMIT:
    case STEP_LIMIT_LOCAL: limit_answer(s, what, result); break;
    case STEP_PREPARE_SETTER:
    case STEP_SETTINGS: settings_answer(s, what, result); break;
    case STEP_PREPARE: answer_prepare(s, result); break;
    default: break;
    }
    /* A statement left unclosed, or a mode not set, shows soon enough by itself. */
    if (bad && what != STEP_CLOSE && what != STEP_MODE && what != STEP_LIMIT)
        note_error(f, what, result);
    if ((what == STEP_EXECUTE || what == STEP_DESCRIBE) && !bad &&
        PQresultStatus(result) != PGRES_PIPELINE_ABORTED)
        answer_execute(s, result);
    else
        PQclear(result);
}

static void out_of_step(session *s)
{
    error_set(&s->flight.error, WEIR_ELOST, "the server's answers are out of step");
    s->fate = WEIR_RETIRE_BROKEN;
}

/* The answer to this step is through. */
static void next_step(session *s)
{
    flight *f = &s->flight;
    f->at++;
    if (f->pipelined && f->at < f->count && f->steps[f->at] == STEP_EXECUTE)
        stream_expect(s);
}

/* True once the flight's last answer is in. */
static bool collect(session *s)
{
    flight *f = &s->flight;
    while (f->at < f->count && s->fate == WEIR_RETIRE_NOT && !stream_is_full(s) &&
           !PQisBusy(s->pg)) {
        step what = f->steps[f->at];
        PGresult *result = PQgetResult(s->pg);
        if ((what == STEP_SYNC) != (PQresultStatus(result) == PGRES_PIPELINE_SYNC))
            out_of_step(s);
        if (!result || what == STEP_SYNC)
            next_step(s);
        if (result)
            answer(s, what, result);
    }
    if (f->at < f->count || s->fate != WEIR_RETIRE_NOT)
        return false;
    if (f->pipelined && !PQexitPipelineMode(s->pg)) {
        out_of_step(s);
        return false;
    }
    return true;
}

/* What has come in before the connection went, which usually says why it did. */
static void collect_last_words(session *s)
{
    flight *f = &s->flight;
    for (int i = 0; i < LAST_WORDS_MAX && !PQisBusy(s->pg); i++) {
        PGresult *result = PQgetResult(s->pg);
        if (!result)
            break;
        if (failed(result))
            note_error(f, STEP_SYNC, result);
        PQclear(result);
    }
}

void flight_clear(session *s)
{
    flight *f = &s->flight;
    PQclear(f->result);
    f->result = NULL;
    batch_free(f->batch);
    f->batch = NULL;
    prepared_free(f->making);
    f->making = NULL;
}

/* ---- The ends ---- */

void session_doubt(const session *s, weir_error *e)
{
    if (s->operation)
        e->retryable = s->operation->statement->read_only;
}

/* Into flight.error, where it stays for whoever asks later. */
static void explain_loss(session *s)
{
    weir_error *e = &s->flight.error;
    if (!e->code) {
        error_of_loss(e, s->pg);
        session_doubt(s, e);
    }
    if (s->fate == WEIR_RETIRE_NOT)
        s->fate = error_fate(e->sqlstate);
    if (s->fate == WEIR_RETIRE_NOT)
        s->fate = WEIR_RETIRE_BROKEN;
    if (s->fate != WEIR_RETIRE_DIRTY)
        e->code = WEIR_ELOST;
}

void session_lost(session *s)
{
    watch_close(s->watch);
    s->watch = NULL;
    if (s->activity != ACTIVITY_NONE)
        collect_last_words(s);
    explain_loss(s);
    s->c->error = s->flight.error;
    canceller_rest(s->canceller);
    flight_clear(s);
    activity was = s->activity;
    s->activity = ACTIVITY_NONE;
    if (was == ACTIVITY_OPERATION)
        operation_lost(s);
    else if (was == ACTIVITY_GREET || was == ACTIVITY_MEASURE)
        dial_lost(s);
    else
        connection_down(s->c, s->fate);
}

/* They come only between statements, so that all there are have come when an answer is in. */
static void take_notifications(session *s)
{
    PGnotify *note;
    while ((note = PQnotifies(s->pg))) {
        connection_notified(s->c, note->relname, note->extra, note->be_pid);
        PQfreemem(note);
    }
}

static void flight_over(session *s)
{
    take_notifications(s);
    if (s->activity == ACTIVITY_OPERATION)
        operation_answer(s);
    else
        session_rest(s);
}

/* The server speaks unasked: notifications, notices, parameters, or its last words. */
static void listen_idly(session *s)
{
    (void)PQisBusy(s->pg);
    take_notifications(s);
    if (s->fate != WEIR_RETIRE_NOT || PQstatus(s->pg) == CONNECTION_BAD)
        session_lost(s);
    else if (session_verdict(s) != WEIR_RETIRE_NOT)
        connection_down(s->c, session_verdict(s));
}

static void read_on(session *s)
{
    if (collect(s))
        flight_over(s);
    else if (s->fate != WEIR_RETIRE_NOT)
        session_lost(s);
    else if (stream_has_rows(s))
        stream_give(s);
}

void flight_go_on(session *s)
{
    s->paused = false;
    if (flight_push(s))
        read_on(s);
    else
        session_lost(s);
}

bool flight_drain(session *s)
{
    s->paused = false;
    batch_free(s->flight.batch);
    s->flight.batch = NULL;
    return flight_push(s) && collect(s);
}

static size_t waiting_bytes(const session *s)
{
    int waiting = 0;
    return ioctl(PQsocket(s->pg), FIONREAD, &waiting) == 0 ? (size_t)waiting : 0;
}

/* libpq keeps a whole result and does not tell how much it has of it, so what it reads is counted;
 * what the first look finds is not, and that is all there is of most. What comes in meanwhile is
 * missed. */
static bool is_counted(const session *s)
{
    return s->activity == ACTIVITY_OPERATION && s->flight.answered && s->operation->answer_max &&
           s->operation->kind == OPERATION_QUERY;
}

static bool take_input(session *s)
{
    size_t before = is_counted(s) ? waiting_bytes(s) : 0;
    if (!PQconsumeInput(s->pg))
        return false;
    size_t after = before ? waiting_bytes(s) : 0;
    s->flight.came += before > after ? before - after : 0;
    return true;
}

void session_ready(void *arg, int events)
{
    session *s = arg;
    if (s->paused) { /* only now is it worth the system calls to look away */
        if (!flight_push(s))
            watch_events(s->watch, 0); /* the loss is found when it is read on */
        return;
    }
    if ((events & UV_READABLE) && !take_input(s)) {
        session_lost(s);
        return;
    }
    if (is_counted(s) && s->flight.came > s->operation->answer_max) {
        operation_exceeded(s->c);
        return;
    }
    if ((events & UV_WRITABLE) && !flight_push(s)) {
        session_lost(s);
        return;
    }
    if (s->activity == ACTIVITY_NONE) {
        listen_idly(s);
        return;
    }
    if (s->activity == ACTIVITY_OPERATION && (events & UV_READABLE) && !s->flight.answered) {
        s->flight.answered = true;
        operation_answered(s->c);
    }
    read_on(s);
}
