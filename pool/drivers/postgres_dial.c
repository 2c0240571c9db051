/* postgres_dial.c: how a session comes up, in libpq's steps. */
#include "postgres.h"

/* For how long an address that did not answer in time is tried last. */
#define SKIP_NS WEIR_S(60)

static void give_up(session *s, const char *why)
{
    error_set(&s->c->error, WEIR_ECONNECT, "%s", why);
    connection_down(s->c, WEIR_RETIRE_CONNECT_FAILED);
}

static void fail(session *s)
{
    error_of_dial(&s->c->error, s->pg ? PQerrorMessage(s->pg) : "out of memory");
    connection_down(s->c, WEIR_RETIRE_CONNECT_FAILED);
}

static void on_notice(void *arg, const PGresult *result)
{
    session *s = arg;
    weir_error e;
    error_of_result(&e, result);
    /* On an idle session libpq gives the server's last words as a notice. */
    weir_retire_reason fate = error_fate(e.sqlstate);
    if (fate != WEIR_RETIRE_NOT) {
        s->fate = fate;
        s->flight.error = e;
    }
    connection_notice(s->c, e.sqlstate, e.message);
}

static void come_up(session *s)
{
    weir_connection *c = s->c;
    PQsetErrorVerbosity(s->pg, PQERRORS_DEFAULT);
    s->canceller = canceller_new(s);
    if (s->canceller && PQsetnonblocking(s->pg, 1) == 0)
        s->watch = watch_open(c->lane->loop, PQsocket(s->pg), UV_READABLE, session_ready, s);
    if (!s->watch) {
        give_up(s, "out of memory or descriptors");
        return;
    }
    s->activity = ACTIVITY_NONE;
    s->reads_only = session_current_mode(s) == MODE_READ_ONLY;
    c->backend_pid = PQbackendPID(s->pg);
    connection_up(c);
}

static void go_on(void *arg, int events);

/* libpq may have closed its socket and opened another, even of the same number, in each step: so
 * each step is watched by a watch of its own. */
static void await(session *s, int events)
{
    s->watch = watch_open(s->c->lane->loop, PQsocket(s->pg), events, go_on, s);
    if (!s->watch)
        give_up(s, "out of memory or descriptors");
}

static void go_on(void *arg, int events)
{
    session *s = arg;
    (void)events;
    watch_close(s->watch);
    s->watch = NULL;
    switch (PQconnectPoll(s->pg)) {
    case PGRES_POLLING_READING: await(s, UV_READABLE); return;
    case PGRES_POLLING_WRITING: await(s, UV_WRITABLE); return;
    case PGRES_POLLING_OK: come_up(s); return;
    default: fail(s); return;
    }
}

/* `lists` NULL: hosts as given. */
static void start(session *s, const host_lists *lists)
{
    const server_options *o = s->options;
    const char *keywords[] = {
        "fallback_application_name", /* before the string, which may say otherwise */
        "dbname",
        "client_encoding",
        "connect_timeout",
        "options",
        "host",
        "hostaddr",
        "port",
        NULL,
    };
    const char *values[] = {
        "weir",
        o->conninfo,
        "UTF8",
        "0",
        o->settings,
        lists ? lists->names : NULL,
        lists ? lists->addresses : NULL,
        lists ? lists->ports : NULL,
        NULL,
    };
    s->pg = PQconnectStartParams(keywords, values, 1);
    if (!s->pg || PQstatus(s->pg) == CONNECTION_BAD) {
        fail(s);
        return;
    }
    PQsetErrorVerbosity(s->pg, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(s->pg, on_notice, s);
    await(s, UV_WRITABLE);
}

/* ---- Where to begin ---- */

/* Which address to begin with, after the last ones that did not answer. */
static uint32_t addresses_to_skip(server_options *o)
{
    if (weir_now() >= atomic_load(&o->skip_until_ns))
        atomic_store(&o->skip, 0);
    return atomic_load(&o->skip);
}

/* Of all the dials that hang on the same address only one moves on from it. */
static void skip_address(session *s)
{
    unsigned skipped = s->skipped;
    if (atomic_compare_exchange_strong(&s->options->skip, &skipped, skipped + 1))
        atomic_store(&s->options->skip_until_ns, weir_after(SKIP_NS));
}

static void looked_up(session *s, const host_lists *lists)
{
    if (lists)
        start(s, lists);
    else
        connection_down(s->c, WEIR_RETIRE_CONNECT_FAILED);
}

void dial_begin(session *s)
{
    s->activity = ACTIVITY_DIAL;
    s->skipped = addresses_to_skip(s->options);
    if (s->skipped > 0 || lookup_needed(s->options))
        lookup_begin(s, looked_up);
    else
        start(s, NULL);
}

void dial_abandon(session *s)
{
    if (s->activity == ACTIVITY_DIAL && s->watch)
        skip_address(s);
    lookup_abandon(s);
}
