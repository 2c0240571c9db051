/* postgres.h: one server session as the parts of the PostgreSQL driver see it.
 *
 * Everything here runs on the lane the connection is attached to. Functions that report to the pool
 * do so last: the pool may answer with any other call, close included, so nothing of the session is
 * touched after a report.
 */
#ifndef WEIR_POSTGRES_H
#define WEIR_POSTGRES_H

#include <libpq-fe.h>
#include <uv.h>

#include "driver.h"
#include "postgres_error.h"
#include "postgres_options.h"
#include "postgres_statements.h"

/* ---- Watching a socket (postgres_watch.c) ---- */

typedef struct watch watch;
typedef void (*watch_fn)(void *arg, int events);

/* Calls `ready` with UV_READABLE and UV_WRITABLE bits; a socket in error counts as both. NULL when
 * the loop cannot watch it. */
watch *watch_open(uv_loop_t *loop, int fd, int events, watch_fn ready, void *arg);
/* No system call when nothing changes. */
void watch_events(watch *w, int events);
/* Out of the loop's epoll at once; its memory lives until libuv lets go of it. Takes NULL. */
void watch_close(watch *w);

/* ---- A session ---- */

/* What a session is busy with. */
typedef enum activity {
    ACTIVITY_NONE,
    ACTIVITY_DIAL,
    ACTIVITY_GREET,   /* on_connect, while it is dialled */
    ACTIVITY_MEASURE, /* how far it is behind, while it is dialled */
    ACTIVITY_OPERATION,
    ACTIVITY_DRAIN, /* of an operation given up */
    ACTIVITY_CHECK,
    ACTIVITY_RESET,
} activity;

typedef struct batch batch;

/* What has been sent and is to be answered, in this order. */
typedef enum step {
    STEP_SIMPLE,         /* a string of the simple protocol, with any number of results */
    STEP_LAG,            /* of the simple protocol, too: one value */
    STEP_CLOSE,          /* of the oldest doomed statement */
    STEP_MODE,           /* read-only or read-write by default from now on */
    STEP_GUARD,          /* read-only for this transaction, should STEP_MODE have failed */
    STEP_LIMIT,          /* statement_timeout, from now on */
    STEP_LIMIT_LOCAL,    /* the same for the open transaction */
    STEP_PREPARE_SETTER, /* the statement of STEP_SETTINGS */
    STEP_SETTINGS,       /* the operation's, for this transaction */
    STEP_PREPARE,        /* of flight.making */
    STEP_DESCRIBE,
    STEP_EXECUTE,
    STEP_SYNC,
} step;

/* All that is sent without waiting for an answer in between. */
#define FLIGHT_STEPS 32
typedef struct flight {
    uint8_t steps[FLIGHT_STEPS];
    uint8_t count, at;
    bool pipelined;
    bool plan_changed;        /* `used` does not return any more what it did when it was prepared */
    bool answered;            /* something has come back */
    bool suspect;             /* what is executed may change settings of the session */
    bool unkept;              /* no memory for a stream's rows: what is left of them goes */
    bool mode_wanted;         /* by STEP_MODE */
    uint32_t setting_count;   /* by STEP_SETTINGS */
    uint32_t settings_serial; /* and whose they are */
    prepared *making;         /* by STEP_PREPARE; NULL for the unnamed statement */
    prepared *used;           /* a known one that is executed; NULL: none */
    PGresult *result; /* of STEP_EXECUTE or STEP_DESCRIBE; of a stream the last, without rows */
    batch *batch;     /* of a stream, read and not yet given; NULL: no row is */
    size_t came;      /* bytes of answers that took more than one look, more or less */
    uint64_t lag_ns;  /* by STEP_LAG */
    weir_error error; /* the first */
    step failed;      /* with that error */
} flight;

typedef enum session_mode { MODE_UNKNOWN, MODE_READ_WRITE, MODE_READ_ONLY } session_mode;

/* The server's own limit on a query, in ms; 0: none. */
typedef struct limit {
    uint32_t own_ms;     /* of the session without us */
    uint32_t session_ms; /* in force outside the caller's transactions */
    uint32_t now_ms;     /* in force */
    uint32_t wanted_ms;  /* for the operation */
    bool asked;          /* own_ms is known */
    bool unsure;         /* a statement of the caller's may have changed it */
    bool overruled;      /* or has: it is left alone until the session is reset */
    bool refused;        /* the server takes none */
} limit;

typedef struct canceller canceller;
typedef struct resolution resolution;
typedef struct route route;

typedef struct session {
    weir_connection *c;
    server_options *options;
    PGconn *pg;
    watch *watch;
    activity activity;
    resolution *resolution; /* while names are looked up */
    route *route;           /* while it is dialled */
    bool found_full;        /* one of the servers, in this dial */
    canceller *canceller;
    flight flight;
    statements statements;
    weir_operation *operation; /* while ACTIVITY_OPERATION */
    session_mode mode;         /* for servers that do not report it */
    limit limit;
    weir_retire_reason fate; /* not WEIR_RETIRE_NOT: lost, or as good as */
    uint64_t stray_until_ns; /* a cancel given up on may still strike, until then */
    bool reads_only; /* from the start, by the server's or the user's own setting: it stays so */
    bool retried;    /* the operation, with its statement prepared anew */
    bool streamed;   /* a batch of the operation's rows has been given */
    bool paused;     /* until the next is asked for, nothing is read */
    bool dirty;      /* session state may have been changed */
    bool greeting_prepares; /* on_connect makes statements: none may be left when it runs again */
    bool asked_again;       /* how far it is behind */
    bool demoted;           /* cannot be written to any more, which is what it is for */
    bool statements_stale;  /* somebody closed or made statements beside us */
    bool settling;          /* the pool waits for the quarantine's end */
    uint32_t setters;       /* bit n: the statement that sets n settings is prepared */
    bool setter_retried;    /* for the operation, it was prepared anew */
    uint32_t settings_held; /* the serial of those set in the open transaction; 0: none */
} session;

static inline session *session_of(const weir_connection *c)
{
    return c->state;
}

/* ---- Where a dial may go (postgres_route.c) ---- */

/* One address. */
typedef struct route_stop {
    const server_host *host;
    char address[64]; /* "": the host's name says it all */
    uint64_t silent_until_ns;
    bool passed; /* it has been there, and is not to go again */
} route_stop;

/* libpq's host, hostaddr and port, an address an entry. */
typedef struct host_lists {
    char *names, *addresses, *ports;
} host_lists;

/* Room for `most` stops; NULL when out of memory. */
route *route_new(uint32_t most);
/* Takes NULL. */
void route_free(route *r);
uint32_t route_count(const route *r);
route_stop *route_add(route *r, const server_host *host);
/* As given or at random, those that did not answer lately at the end. */
void route_order(route *r, server_options *o);
/* Not to the address where libpq is now again, in this dial; false: there is no other left. */
bool route_pass_over(route *r, const PGconn *pg);
/* libpq has waited for the address where it is now until the pool lost patience. */
void route_hung(route *r, server_options *o, const PGconn *pg);
/* False when out of memory; host_lists_free is due either way. */
bool route_lists(const route *r, host_lists *lists);
void host_lists_free(host_lists *lists);

/* ---- Names (postgres_lookup.c) ---- */

/* The route becomes the callee's; NULL: none of the names could be looked up, c->error says why. */
typedef void (*lookup_fn)(session *s, route *found);

/* Finds all addresses, in the order given. */
void lookup_begin(session *s, lookup_fn done);
void lookup_abandon(session *s);

/* ---- Dialling (postgres_dial.c) ---- */

/* Then connection_up or connection_down. */
void dial_begin(session *s);
/* It is through, or is not to go on. */
void dial_abandon(session *s);
/* The flight of ACTIVITY_GREET or ACTIVITY_MEASURE is over. Reports. */
void dial_answer(session *s);
/* The connection went during one, flight.error says how. Reports. */
void dial_lost(session *s);

/* ---- How far behind (postgres_lag.c) ---- */

/* It may be a standby, and that matters. */
bool lag_matters(const session *s);
/* Sends the question. Reports a loss. */
void lag_ask(session *s, activity why);
/* True where the answer is that it is too far: then it is asked once more. May report, then. */
bool lag_ask_again(session *s, activity why);
/* Reads the answer into flight.lag_ns. */
void lag_read(flight *f, const PGresult *result);
/* It is further behind than it may be: c->error says so, with that code. */
bool lag_is_too_long(session *s, int code);

/* ---- The wire (postgres_flight.c) ---- */

/* Forgets the former flight. */
void flight_begin(session *s, bool pipelined);
/* Notes what was just handed to libpq. */
void flight_expect(session *s, step what);
/* Writes what libpq has buffered; false: the connection is lost. */
bool flight_push(session *s);
/* Frees what the flight has brought and nobody has taken. */
void flight_clear(session *s);
/* Reads on after a pause: first what libpq has already, of which the socket says nothing. Reports.
 */
void flight_go_on(session *s);
/* The same for an operation just given up, without a report: true when nothing is outstanding. */
bool flight_drain(session *s);
/* Reads and writes what the socket allows. */
void session_ready(void *arg, int events);
/* Of a write cut off before its answer nobody knows whether it was done: then `e` is not called
 * retryable. */
void session_doubt(const session *s, weir_error *e);
/* The connection is lost: whoever waits for it is told. Reports. */
void session_lost(session *s);

/* ---- Operations (postgres_query.c) ---- */

/* Reports. */
void operation_begin(session *s, weir_operation *operation);
void operation_answer(session *s);
void operation_lost(session *s);

/* ---- The server's own limit (postgres_limit.c) ---- */

/* The one in force is not for the operation: another has to go ahead of it. */
bool limit_is_due(session *s);
/* Sends it: outside a transaction of the caller's in one of its own, so that it stays. */
bool limit_send(session *s);
void limit_answer(session *s, step what, const PGresult *result);
/* By the operation's statement. */
void limit_may_have_changed(session *s);
/* A transaction of the caller's has ended, or a part of it. */
void limit_transaction_over(session *s);
/* The session is as it was when it came up. */
void limit_cleaned(session *s);

/* ---- Settings (postgres_settings.c) ---- */

/* Those of the operation have to go ahead of it. */
bool settings_are_due(session *s);
/* It cannot be run under them: c->error says so. */
bool settings_forbid(session *s);
/* Sends them, to be executed in the transaction of what follows. */
bool settings_send(session *s);
void settings_answer(session *s, step what, const PGresult *result);
/* flight.error is theirs, and the operation's statement has not run. */
bool settings_failed(const session *s);
/* And only because the statement that sets them was closed or made beside us: put right. */
bool settings_were_stale(session *s);
/* Says what of flight.error is due to them. */
void settings_explain(session *s);

/* ---- Streams (postgres_stream.c) ---- */

/* To be called when the answer to the stream's statement is the next to come. */
void stream_expect(session *s);
/* Such an answer's next rows have been read. */
bool stream_brings_rows(const PGresult *result);
/* Takes `result`. */
void stream_take(session *s, PGresult *result);
/* There are rows to be given; and so many that no more are to be read before. */
bool stream_has_rows(const session *s);
bool stream_is_full(const session *s);
/* Gives them, and pauses. Reports. */
void stream_give(session *s);
/* The rows at the stream's end as operation_finish wants them. False when out of memory. */
bool stream_end(session *s, weir_result **rows);

/* ---- Between leases (postgres_session.c) ---- */

session_mode session_current_mode(const session *s);
/* False also where the server does not tell: before 14. */
bool session_is_standby(const session *s);
bool session_in_transaction(const session *s);
/* Why it is of no more use; WEIR_RETIRE_NOT: it is. */
weir_retire_reason session_verdict(const session *s);
/* Sends a string of the simple protocol. Reports a loss. */
void session_send(session *s, activity why, step what, const char *sql);
/* All report, later or at once. */
void session_check(session *s);
void session_reset(session *s);
/* The flight of a check, reset or given-up operation is over, or a cancel request is through. */
void session_rest(session *s);
/* A command tag as the server gave it: may what it did outlive the transaction? */
bool tag_changes_session(const char *tag);
bool tag_changes_statements(const char *tag);
bool tag_ends_transaction(const char *tag);
/* Does it name a function of the server's that changes the session, which its tag would not tell?
 */
bool sql_changes_session(const char *sql);

/* ---- Cancelling (postgres_cancel.c) ---- */

/* Made once a session is up, so that cancelling cannot fail for want of memory. NULL: it did here.
 */
canceller *canceller_new(session *s);
/* Asks the server to stop what runs, and again if that went unheard, until canceller_rest. */
void canceller_start(canceller *k);
/* Results are drained: do not ask again. */
void canceller_rest(canceller *k);
/* A cancel request is under way. */
bool canceller_busy(const canceller *k);
/* Its session goes, and what runs is to stop if `stop`: a request for that ends by itself. Takes
 * NULL. */
void canceller_leave(canceller *k, bool stop);

/* ---- Results (postgres_result.c) ---- */

/* The wrapping lives inside the PGresult and goes with it. NULL when out of memory; `result` is
 * then freed. */
weir_result *result_wrap(PGresult *result);

/* Rows of several results of one statement, copied: a result of libpq's for each row has several
 * kilobytes. NULL when out of memory. */
batch *batch_new(void);
/* Takes `result`. False when out of memory. */
bool batch_add(batch *b, PGresult *result);
/* Bytes that it has, more or less. */
size_t batch_size(const batch *b);
weir_result *batch_result(batch *b);
/* Takes NULL. */
void batch_free(batch *b);

#endif
