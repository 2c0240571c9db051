/* fake.c: a server made of a script, for tests of code that uses a pool. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "fake.h"

struct session {
    struct session *prev, *next;
    weir_connection *connection;
    weir_timer timer;
    void (*due)(struct session *s);
    weir_fake_step step; /* what the timer is for; its strings belong to the script */
    bool open;
    bool broken;
    bool dirty;
    bool in_transaction, failed;
    bool listens;
    bool running;  /* a query has been sent and neither answered nor stopped */
    uint32_t told; /* rows of the step that a stream has been given */
    bool begun;    /* it has been given a batch */
    bool settling;
};

int weir_fake_open(weir_fake **opened)
{
    weir_fake *fake = calloc(1, sizeof *fake);
    if (!fake)
        return WEIR_ENOMEM;
    pthread_mutex_init(&fake->lock, NULL);
    fake->next_pid = 1000;
    *opened = fake;
    return 0;
}

void weir_fake_close(weir_fake *fake)
{
    if (!fake)
        return;
    assert(!fake->sessions);
    fake_scripts_free(fake);
    pthread_mutex_destroy(&fake->lock);
    free(fake);
}

weir_fake_counts weir_fake_counted(const weir_fake *fake)
{
    weir_fake *f = (weir_fake *)fake;
    pthread_mutex_lock(&f->lock);
    weir_fake_counts counts = f->counts;
    pthread_mutex_unlock(&f->lock);
    return counts;
}

static void count(weir_fake *fake, uint64_t *counter)
{
    pthread_mutex_lock(&fake->lock);
    (*counter)++;
    pthread_mutex_unlock(&fake->lock);
}

/* ---- The driver ---- */

static session *session_of(const weir_connection *c)
{
    return c->state;
}

static weir_fake *fake_of(const weir_connection *c)
{
    return c->driver_pool;
}

static void timer_due(weir_timer *timer)
{
    session *s = weir_container(timer, session, timer);
    s->due(s);
}

/* Lets a step take effect: at once, after its delay, or never; one that `hangs_later` does so only
 * when it has given its rows. */
static void take_effect(session *s, const weir_fake_step *step, void (*due)(session *s),
                        bool hangs_later)
{
    s->step = *step;
    s->due = due;
    if (step->outcome == WEIR_FAKE_HANG && !hangs_later)
        return;
    if (step->delay_ns)
        weir_timer_start(&s->timer, weir_after(step->delay_ns), timer_due);
    else
        due(s);
}

static void set_error(weir_connection *c, const weir_error *error, int fallback,
                      const char *message)
{
    c->error = *error;
    if (!c->error.code)
        c->error.code = fallback;
    if (!c->error.message[0])
        snprintf(c->error.message, sizeof c->error.message, "%s", message);
}

static void lose(session *s)
{
    s->broken = true;
    s->running = false;
    set_error(s->connection, &s->step.error, WEIR_ELOST, "the server closed the connection");
}

static int fake_driver_open(weir_pool *pool, const weir_pool_options *options, void **driver_pool,
                            weir_error *why)
{
    if (!options->driver_arg) {
        *why = (weir_error){.code = WEIR_EINVAL, .message = "the fake driver needs a weir_fake"};
        return WEIR_EINVAL;
    }
    *driver_pool = options->driver_arg;
    return 0;
}

static void fake_driver_shut(void *driver_pool) {}

static void dial_due(session *s)
{
    weir_connection *c = s->connection;
    weir_fake *fake = fake_of(c);
    if (s->step.outcome == WEIR_FAKE_OK) {
        pthread_mutex_lock(&fake->lock);
        c->backend_pid = fake->next_pid++;
        pthread_mutex_unlock(&fake->lock);
        s->open = true;
        connection_up(c);
    } else {
        bool full = strcmp(s->step.error.sqlstate, "53300") == 0;
        s->broken = true;
        set_error(c, &s->step.error, WEIR_ECONNECT, "connection refused");
        connection_down(c, full ? WEIR_RETIRE_SERVER_FULL : WEIR_RETIRE_CONNECT_FAILED);
    }
}

static void fake_dial(weir_connection *c)
{
    weir_fake *fake = fake_of(c);
    session *s = session_of(c);
    s->connection = c;
    pthread_mutex_lock(&fake->lock);
    DL_APPEND(fake->sessions, s);
    fake->counts.dials++;
    if (++fake->counts.open > fake->counts.open_most)
        fake->counts.open_most = fake->counts.open;
    pthread_mutex_unlock(&fake->lock);
    weir_fake_step step = fake_next_step(fake, &fake->acts[WEIR_FAKE_DIAL], NULL);
    take_effect(s, &step, dial_due, false);
}

static void fake_close(weir_connection *c)
{
    weir_fake *fake = fake_of(c);
    session *s = session_of(c);
    weir_timer_stop(&s->timer);
    pthread_mutex_lock(&fake->lock);
    DL_DELETE(fake->sessions, s);
    fake->counts.open--;
    pthread_mutex_unlock(&fake->lock);
    connection_closed(c);
}

static void fake_detach(weir_connection *c)
{
    assert(!session_of(c)->timer.armed);
}

static int fake_attach(weir_connection *c)
{
    return 0;
}

/* The rows of the step's next batch, and whether they are its last. */
static weir_result *next_batch(session *s, bool *last)
{
    uint32_t left = s->step.rows - s->told;
    weir_fake_step part = s->step;
    part.rows = s->step.batch && s->step.batch < left ? s->step.batch : left;
    if (part.values)
        part.values += (size_t)s->told * part.columns;
    s->told += part.rows;
    *last = s->told == s->step.rows;
    return fake_result_new(&part, true);
}

/* True when that was all there is to do by now. */
static bool gave_batch(session *s)
{
    weir_connection *c = s->connection;
    bool ends_well = s->step.outcome == WEIR_FAKE_OK, last = s->told == s->step.rows;
    if (last && (s->begun || !ends_well))
        return false;
    weir_result *rows = next_batch(s, &last);
    s->begun = true;
    if (!rows) {
        s->running = false;
        operation_finish(c, WEIR_ENOMEM, NULL);
    } else if (last && ends_well) {
        s->running = false;
        operation_finish(c, 0, rows);
    } else {
        operation_rows(c, rows);
    }
    return true;
}

/* As far as the script's rows go: what a server adds to them is not counted. */
static bool exceeds_limit(const session *s)
{
    const weir_operation *o = s->connection->operation;
    size_t bytes = 0;
    if (!o || o->kind != OPERATION_QUERY || !o->answer_max || s->step.outcome != WEIR_FAKE_OK)
        return false;
    size_t count = s->step.values ? (size_t)s->step.rows * s->step.columns : 0;
    for (size_t i = 0; i < count; i++)
        bytes += s->step.values[i] ? strlen(s->step.values[i]) : 0;
    return bytes > o->answer_max;
}

static void query_due(session *s)
{
    weir_connection *c = s->connection;
    bool streams = c->operation && c->operation->kind == OPERATION_STREAM;
    operation_answered(c);
    if (streams && gave_batch(s))
        return;
    if (exceeds_limit(s)) {
        operation_exceeded(c);
        return;
    }
    if (s->step.outcome == WEIR_FAKE_HANG)
        return;
    s->running = false;
    if (s->step.outcome == WEIR_FAKE_LOSE) {
        lose(s);
        operation_finish(c, WEIR_ELOST, NULL);
    } else if (s->step.outcome == WEIR_FAKE_FAIL) {
        s->failed = s->in_transaction;
        set_error(c, &s->step.error, WEIR_EQUERY, "the query failed");
        operation_finish(c, c->error.code, NULL);
    } else if (streams) {
        operation_finish(c, 0, NULL);
    } else {
        bool with_rows = !c->operation || c->operation->kind == OPERATION_QUERY;
        weir_result *result = fake_result_new(&s->step, with_rows);
        operation_finish(c, result ? 0 : WEIR_ENOMEM, result);
    }
}

/* Just enough SQL to know a transaction, a LISTEN and an ad hoc statement from others. */
static void note_session_change(session *s, const weir_statement *statement)
{
    bool listens = strncasecmp(statement->sql, "listen", 6) == 0;
    bool begins = strncasecmp(statement->sql, "begin", 5) == 0;
    bool ends = strncasecmp(statement->sql, "commit", 6) == 0 ||
                strncasecmp(statement->sql, "rollback", 8) == 0;
    if (begins || ends) {
        s->in_transaction = begins;
        s->failed = false;
    }
    if (listens || strncasecmp(statement->sql, "unlisten", 8) == 0)
        s->listens = listens;
    if (statement->adhoc || begins || listens)
        s->dirty = true;
    else if (ends)
        s->dirty = false;
}

static void note_settings(weir_fake *fake, const weir_operation *o)
{
    size_t used = 0;
    pthread_mutex_lock(&fake->lock);
    fake->settings[0] = '\0';
    for (uint32_t i = 0; i < o->setting_count && used < sizeof fake->settings; i++)
        used += (size_t)snprintf(fake->settings + used, sizeof fake->settings - used, "%s=%s\n",
                                 o->settings[i].name, o->settings[i].value);
    pthread_mutex_unlock(&fake->lock);
}

void weir_fake_settings(const weir_fake *fake, char *text, size_t size)
{
    weir_fake *f = (weir_fake *)fake;
    pthread_mutex_lock(&f->lock);
    snprintf(text, size, "%s", f->settings);
    pthread_mutex_unlock(&f->lock);
}

static void fake_run(weir_connection *c, weir_operation *operation)
{
    weir_fake *fake = fake_of(c);
    session *s = session_of(c);
    count(fake, &fake->counts.queries);
    operation_sent(c);
    if (s->broken) {
        set_error(c, &(weir_error){0}, WEIR_ELOST, "the connection is lost");
        operation_finish(c, WEIR_ELOST, NULL);
        return;
    }
    note_settings(fake, operation);
    note_session_change(s, operation->statement);
    s->running = true;
    s->begun = false;
    s->told = 0;
    weir_fake_step step = fake_next_step(fake, &fake->answers, operation->statement->sql);
    bool hangs_later = operation->kind == OPERATION_STREAM && step.rows > 0;
    take_effect(s, &step, query_due, hangs_later);
}

static void fake_more(weir_connection *c)
{
    session *s = session_of(c);
    if (s->step.batch_delay_ns)
        weir_timer_start(&s->timer, weir_after(s->step.batch_delay_ns), timer_due);
    else
        query_due(s);
}

/* Reports the end of a check, a reset or a cancel as the script has it. */
static void settled(session *s)
{
    weir_connection *c = s->connection;
    s->settling = false;
    if (s->step.outcome == WEIR_FAKE_OK) {
        s->dirty = s->in_transaction = s->failed = s->listens = false;
        connection_checked(c);
    } else {
        lose(s);
        connection_down(c, WEIR_RETIRE_BROKEN);
    }
}

static void act(weir_connection *c, weir_fake_act what, uint64_t *counter)
{
    weir_fake *fake = fake_of(c);
    count(fake, counter);
    weir_fake_step step = fake_next_step(fake, &fake->acts[what], NULL);
    take_effect(session_of(c), &step, settled, false);
}

static void fake_check(weir_connection *c)
{
    act(c, WEIR_FAKE_CHECK, &fake_of(c)->counts.checks);
}

static void fake_reset(weir_connection *c)
{
    act(c, WEIR_FAKE_RESET, &fake_of(c)->counts.resets);
}

static void stopped(session *s)
{
    s->running = false;
    if (s->step.outcome != WEIR_FAKE_OK)
        lose(s);
    if (s->settling)
        settled(s);
}

static void fake_cancel(weir_connection *c)
{
    session *s = session_of(c);
    if (!s->running || s->due == stopped)
        return;
    weir_timer_stop(&s->timer);
    weir_fake *fake = fake_of(c);
    count(fake, &fake->counts.cancels);
    weir_fake_step step = fake_next_step(fake, &fake->acts[WEIR_FAKE_CANCEL], NULL);
    take_effect(s, &step, stopped, false);
}

static void fake_settle(weir_connection *c)
{
    session *s = session_of(c);
    s->settling = true;
    if (!s->running)
        settled(s);
}

static release_condition fake_condition(const weir_connection *c, weir_retire_reason *reason)
{
    const session *s = session_of(c);
    if (s->broken) {
        *reason = WEIR_RETIRE_BROKEN;
        return RELEASE_BROKEN;
    }
    if (s->running)
        return RELEASE_RUNNING;
    return s->dirty ? RELEASE_DIRTY : RELEASE_CLEAN;
}

static const char *fake_transaction(const weir_connection *c)
{
    const session *s = session_of(c);
    if (s->running)
        return "active";
    return !s->in_transaction ? "idle" : s->failed ? "failed" : "open";
}

static void lose_all(weir_fake *fake, bool leased_too)
{
    session *s, *next;
    DL_FOREACH_SAFE (fake->sessions, s, next) {
        if (!s->open || s->broken || s->running || (s->connection->lease && !leased_too))
            continue;
        s->step = (weir_fake_step){.outcome = WEIR_FAKE_LOSE};
        lose(s);
        connection_down(s->connection, WEIR_RETIRE_SERVER_SHUTDOWN);
    }
}

void weir_fake_lose_idle(weir_fake *fake)
{
    lose_all(fake, false);
}

void weir_fake_lose_quiet(weir_fake *fake)
{
    lose_all(fake, true);
}

void weir_fake_notify(weir_fake *fake, const char *channel, const char *payload)
{
    session *s;
    DL_FOREACH (fake->sessions, s) {
        if (s->open && !s->broken && s->listens)
            connection_notified(s->connection, channel, payload, s->connection->backend_pid);
    }
}

const weir_driver *weir_fake_driver(void)
{
    static const weir_driver driver = {
        .name = "fake",
        .connection_size = sizeof(session),
        .open = fake_driver_open,
        .shut = fake_driver_shut,
        .dial = fake_dial,
        .close = fake_close,
        .detach = fake_detach,
        .attach = fake_attach,
        .run = fake_run,
        .more = fake_more,
        .cancel = fake_cancel,
        .check = fake_check,
        .reset = fake_reset,
        .settle = fake_settle,
        .condition = fake_condition,
        .transaction = fake_transaction,
    };
    return &driver;
}
