/* postgres.c: PostgreSQL through libpq, as the pool sees it. */
#include "postgres.h"

static int open_pool(weir_pool *pool, const weir_pool_options *options, void **driver_pool,
                     weir_error *why)
{
    (void)pool;
    weir_error unwanted;
    server_options *made;
    int r = server_options_read(options, &made, why ? why : &unwanted);
    if (r == 0)
        *driver_pool = made;
    return r;
}

static void shut_pool(void *driver_pool)
{
    server_options_free(driver_pool);
}

static void dial(weir_connection *c)
{
    session *s = session_of(c);
    s->c = c;
    s->options = c->driver_pool;
    s->statements.max = s->options->statements_max;
    dial_begin(s);
}

/* The server would not notice that nobody waits any more. */
static bool runs_for_nobody(const session *s)
{
    switch (s->activity) {
    case ACTIVITY_GREET:
    case ACTIVITY_OPERATION:
    case ACTIVITY_DRAIN:
    case ACTIVITY_RESET: return true;
    default: return false;
    }
}

static void close_connection(weir_connection *c)
{
    session *s = session_of(c);
    dial_abandon(s);
    watch_close(s->watch);
    canceller_leave(s->canceller, runs_for_nobody(s));
    flight_clear(s);
    statements_clear(&s->statements);
    PQfinish(s->pg);
    s->pg = NULL;
    connection_closed(c);
}

static void detach(weir_connection *c)
{
    session *s = session_of(c);
    watch_close(s->watch);
    s->watch = NULL;
}

static int attach(weir_connection *c)
{
    session *s = session_of(c);
    if (s->fate != WEIR_RETIRE_NOT)
        return WEIR_ELOST;
    s->watch = watch_open(c->lane->loop, PQsocket(s->pg), UV_READABLE, session_ready, s);
    return s->watch ? 0 : WEIR_EIO;
}

static void run(weir_connection *c, weir_operation *operation)
{
    operation_begin(session_of(c), operation);
}

static void cancel(weir_connection *c)
{
    session *s = session_of(c);
    if (s->activity != ACTIVITY_OPERATION)
        return;
    s->operation = NULL;
    s->activity = ACTIVITY_DRAIN;
    if (flight_drain(s)) { /* its end is here already */
        flight_clear(s);
        s->activity = ACTIVITY_NONE;
        return;
    }
    canceller_start(s->canceller);
}

static void more(weir_connection *c)
{
    session *s = session_of(c);
    if (s->paused)
        flight_go_on(s);
}

static release_condition condition(const weir_connection *c, weir_retire_reason *reason)
{
    const session *s = session_of(c);
    weir_retire_reason verdict = session_verdict(s);
    if (verdict != WEIR_RETIRE_NOT) {
        *reason = verdict;
        return RELEASE_BROKEN;
    }
    if (PQstatus(s->pg) != CONNECTION_OK) {
        *reason = WEIR_RETIRE_BROKEN;
        return RELEASE_BROKEN;
    }
    if (s->activity != ACTIVITY_NONE || canceller_busy(s->canceller))
        return RELEASE_RUNNING;
    if (PQtransactionStatus(s->pg) != PQTRANS_IDLE || s->dirty)
        return RELEASE_DIRTY;
    return RELEASE_CLEAN;
}

static const char *transaction(const weir_connection *c)
{
    switch (PQtransactionStatus(session_of(c)->pg)) {
    case PQTRANS_IDLE: return "idle";
    case PQTRANS_ACTIVE: return "active";
    case PQTRANS_INTRANS: return "open";
    case PQTRANS_INERROR: return "failed";
    default: return "unknown";
    }
}

static void *native(const weir_connection *c)
{
    return session_of(c)->pg;
}

static void check(weir_connection *c)
{
    session_check(session_of(c));
}

static void reset(weir_connection *c)
{
    session_reset(session_of(c));
}

static void settle(weir_connection *c)
{
    session *s = session_of(c);
    s->settling = true;
    if (s->activity == ACTIVITY_NONE)
        session_rest(s);
}

const weir_driver *weir_postgres(void)
{
    static const weir_driver postgres = {
        .name = "postgres",
        .connection_size = sizeof(session),
        .open = open_pool,
        .shut = shut_pool,
        .dial = dial,
        .close = close_connection,
        .detach = detach,
        .attach = attach,
        .run = run,
        .more = more,
        .cancel = cancel,
        .condition = condition,
        .transaction = transaction,
        .native = native,
        .check = check,
        .reset = reset,
        .settle = settle,
    };
    return &postgres;
}
