/* postgres_dial.c: how a session comes up, in libpq's steps and then in ours. */
#include <string.h>

#include "postgres.h"

static void give_up(session *s, const char *why)
{
    error_set(&s->c->error, WEIR_ECONNECT, "%s", why);
    connection_down(s->c, WEIR_RETIRE_CONNECT_FAILED);
}

static void start_over(session *s);

/* The server of one address had no room. libpq stops there, though those of others may have. */
static void note_full(session *s)
{
    if (!s->found_full)
        error_of_dial(&s->c->error, PQerrorMessage(s->pg));
    s->found_full = true;
}

static void fail(session *s)
{
    weir_error *e = &s->c->error, before = *e;
    const char *text = s->pg ? PQerrorMessage(s->pg) : "out of memory";
    if (error_says_full(text)) {
        note_full(s);
        if (route_pass_over(s->route, s->pg)) {
            start_over(s);
            return;
        }
    } else if (!s->found_full) {
        error_of_dial(e, text);
        if (before.code) /* why an address that did answer was passed over */
            text_copy(e->detail, sizeof e->detail, before.message);
    }
    connection_down(s->c, s->found_full ? WEIR_RETIRE_SERVER_FULL : WEIR_RETIRE_CONNECT_FAILED);
}

static void on_notice(void *arg, const PGresult *result)
{
    session *s = arg;
    weir_error e;
    error_of_result(&e, result);
    /* On an idle session libpq gives the server's last words as a notice. On another they are a
     * warning, ahead of what would tell how the statement ended. */
    weir_retire_reason fate = error_fate(e.sqlstate);
    if (fate != WEIR_RETIRE_NOT) {
        s->fate = fate;
        s->flight.error = e;
        session_doubt(s, &s->flight.error);
    }
    connection_notice(s->c, e.sqlstate, e.message);
}

static void come_up(session *s)
{
    weir_connection *c = s->c;
    s->activity = ACTIVITY_NONE;
    s->reads_only = session_current_mode(s) == MODE_READ_ONLY;
    route_free(s->route);
    s->route = NULL;
    c->backend_pid = PQbackendPID(s->pg);
    connection_up(c);
}

static void measure(session *s)
{
    if (lag_matters(s))
        lag_ask(s, ACTIVITY_MEASURE);
    else
        come_up(s);
}

static void greet(session *s)
{
    if (!s->options->on_connect) {
        measure(s);
        return;
    }
    /* What is to be said should the pool lose patience. */
    error_set(&s->c->error, WEIR_ECONNECT, "on_connect has not come to its end");
    session_send(s, ACTIVITY_GREET, STEP_SIMPLE, s->options->on_connect);
}

static void let_in(session *s)
{
    PQsetErrorVerbosity(s->pg, PQERRORS_DEFAULT);
    s->canceller = canceller_new(s);
    if (s->canceller && PQsetnonblocking(s->pg, 1) == 0)
        s->watch = watch_open(s->c->lane->loop, PQsocket(s->pg), UV_READABLE, session_ready, s);
    if (s->watch)
        greet(s);
    else
        give_up(s, "out of memory or descriptors");
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
    case PGRES_POLLING_OK: let_in(s); return;
    default: fail(s); return;
    }
}

static void start_at(session *s, const host_lists *lists)
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
        "weir",       o->conninfo,      "UTF8",       "0",  o->settings,
        lists->names, lists->addresses, lists->ports, NULL,
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

static void start(session *s)
{
    host_lists lists;
    s->activity = ACTIVITY_DIAL;
    if (route_lists(s->route, &lists))
        start_at(s, &lists);
    else
        give_up(s, "out of memory");
    host_lists_free(&lists);
}

/* Back to where it was before libpq began, but for the route. */
static void start_over(session *s)
{
    watch_close(s->watch);
    s->watch = NULL;
    canceller_leave(s->canceller, false);
    s->canceller = NULL;
    PQfinish(s->pg);
    s->pg = NULL;
    s->greeting_prepares = false;
    s->mode = MODE_UNKNOWN;
    start(s);
}

static void looked_up(session *s, route *found)
{
    s->route = found;
    if (!found) {
        connection_down(s->c, WEIR_RETIRE_CONNECT_FAILED);
        return;
    }
    route_order(found, s->options);
    start(s);
}

void dial_begin(session *s)
{
    s->activity = ACTIVITY_DIAL;
    lookup_begin(s, looked_up);
}

void dial_abandon(session *s)
{
    bool timed_out = s->c->retiring == WEIR_RETIRE_CONNECT_TIMEOUT;
    if (timed_out && s->activity == ACTIVITY_DIAL && s->watch)
        route_hung(s->route, s->options, s->pg);
    lookup_abandon(s);
    route_free(s->route);
    s->route = NULL;
}

/* ---- What a new session is asked before anyone gets it ---- */

/* The encoder of answers reads timestamps in their ISO form, and all text as UTF-8. */
static bool breaks_answers(session *s)
{
    const char *style = PQparameterStatus(s->pg, "DateStyle");
    const char *encoding = PQparameterStatus(s->pg, "client_encoding");
    weir_error *e = &s->flight.error;
    if (style && strncmp(style, "ISO", 3) != 0)
        error_set(e, WEIR_ECONNECT, "on_connect sets DateStyle to %s: it has to stay ISO", style);
    else if (encoding && strcmp(encoding, "UTF8") != 0)
        error_set(e, WEIR_ECONNECT, "on_connect sets client_encoding to %s: it has to stay UTF8",
                  encoding);
    return e->code;
}

static void greeted(session *s)
{
    weir_error *e = &s->flight.error;
    if (!e->code && session_in_transaction(s))
        error_set(e, WEIR_ECONNECT, "on_connect leaves a transaction open");
    if (e->code || breaks_answers(s)) {
        s->c->error = *e;
        s->c->error.code = WEIR_ECONNECT;
        connection_down(s->c, WEIR_RETIRE_CONNECT_FAILED);
        return;
    }
    memset(&s->c->error, 0, sizeof s->c->error);
    measure(s);
}

static void measured(session *s)
{
    weir_connection *c = s->c;
    if (s->flight.error.code) {
        c->error = s->flight.error;
        c->error.code = WEIR_ECONNECT;
        connection_down(c, WEIR_RETIRE_CONNECT_FAILED);
    } else if (lag_ask_again(s, ACTIVITY_MEASURE)) {
        return;
    } else if (!lag_is_too_long(s, WEIR_ECONNECT)) {
        come_up(s);
    } else if (route_pass_over(s->route, s->pg)) {
        start_over(s);
    } else {
        connection_down(c, WEIR_RETIRE_LAGGING);
    }
}

void dial_answer(session *s)
{
    activity was = s->activity;
    s->activity = ACTIVITY_NONE;
    if (was == ACTIVITY_GREET)
        greeted(s);
    else
        measured(s);
}

void dial_lost(session *s)
{
    s->c->error = s->flight.error;
    s->c->error.code = WEIR_ECONNECT;
    s->c->error.retryable = s->fate != WEIR_RETIRE_DIRTY;
    connection_down(s->c, WEIR_RETIRE_CONNECT_FAILED);
}
