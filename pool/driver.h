/* driver.h: what a driver owes the pool.
 *
 * A driver opens server sessions and runs operations on them. All its functions are called on the
 * thread of the lane the connection is attached to, on the loop's own stack, never on a task's, but
 * for `condition`, `native` and `shut`: these may be called there too, and must be content with
 * little. It answers through the connection_… functions below, on the same thread, also from inside
 * the call.
 */
#ifndef WEIR_DRIVER_H
#define WEIR_DRIVER_H

#include <stdatomic.h>

#include "core.h"
#include "lane.h"
#include "weir.h"

typedef struct weir_connection weir_connection;

/* One query or description under way. The pool's memory; the driver holds it from `run` until
 * operation_finish, or until `cancel` or `close` is called for its connection, and then never
 * touches it again. */
typedef enum operation_kind {
    OPERATION_QUERY,
    OPERATION_DESCRIBE,
    OPERATION_STREAM, /* a query whose rows are wanted in batches, each when asked for */
} operation_kind;

typedef struct weir_operation {
    operation_kind kind;
    const weir_statement *statement; /* readable until operation_finish or cancel */
    const weir_params *params;       /* may be NULL */
    /* From its start, until the pool cancels it; WEIR_NEVER: it does not, or it is a stream, which
     * takes as long as its reader. */
    uint64_t budget_ns;
    /* What it runs under, readable as long; not for OPERATION_DESCRIBE. */
    const weir_setting *settings;
    uint32_t setting_count;
    uint32_t settings_serial; /* others of the same lease have another; never 0 */
    size_t answer_max;        /* bytes of OPERATION_QUERY's result; 0: any number */
} weir_operation;

/* One server session. The pool's memory; a driver uses `state` and reads the rest. */
struct weir_connection {
    void *state;       /* driver->connection_size bytes, zeroed before each dial; NULL before the
                          first */
    void *driver_pool; /* what driver->open made */
    weir_lane *lane;   /* attached to */
    uint64_t serial;   /* from 1, never used again */
    int backend_pid;   /* set by the driver before connection_up */
    uint64_t opened_ns;
    weir_error error; /* what went wrong last: set by the driver before it reports */

    /* The pool's own: see pool.h. */
    weir_pool *pool;
    uint32_t index;
    weir_lease *lease; /* while leased */
    weir_operation *operation;
    uint64_t leases; /* granted in this life */
    uint32_t orders;
    bool ordered;
    uint32_t put_off; /* orders that came to its new lane before it did; that lane's thread only */
    weir_retire_reason retiring;
    weir_lease *moving_to;
    uint64_t dialed_ns;
    weir_job job;
};

struct weir_driver {
    const char *name;
    size_t connection_size;

    /* Checks the options and makes what is shared by all connections of a pool. WEIR_EINVAL with
     * `why` filled in. */
    int (*open)(weir_pool *pool, const weir_pool_options *options, void **driver_pool,
                weir_error *why);
    /* Frees it, after the last connection is closed. */
    void (*shut)(void *driver_pool);

    /* Opens the session, options' on_connect included: then connection_up or connection_down; with
     * WEIR_RETIRE_SERVER_FULL when the server has no room for one more. The pool owns the timeout
     * and calls `close` then. */
    void (*dial)(weir_connection *c);
    /* Frees everything of the session, whatever its condition, in a bounded time: then
     * connection_closed, once. An operation under way is stopped at the server and forgotten. */
    void (*close)(weir_connection *c);
    /* Leaves the lane's loop, so that another lane may attach it. Only without an operation under
     * way. */
    void (*detach)(weir_connection *c);
    /* Joins the loop of c->lane. 0, or an error: then the connection counts as broken. */
    int (*attach)(weir_connection *c);

    /* Starts an operation; then operation_finish, unless cancelled first. One at a time. */
    void (*run)(weir_connection *c, weir_operation *operation);
    /* For OPERATION_STREAM: after operation_rows, the next batch is wanted, or the end. Until then
     * the driver reads no further from the server. `run` asks for the first. */
    void (*more)(weir_connection *c);
    /* Gives the operation up and has the server stop it. Idempotent. `condition` is RELEASE_RUNNING
     * until both the cancel request has finished and the results are drained. */
    void (*cancel)(weir_connection *c);
    /* In which condition the connection is, looked at when its lease ends. Cheap: no round trip, no
     * suspension. */
    release_condition (*condition)(const weir_connection *c, weir_retire_reason *reason);

    /* What an open transaction is at, as in weir_lease_info; a literal. Cheap. */
    const char *(*transaction)(const weir_connection *c);
    /* weir_session.native. */
    void *(*native)(const weir_connection *c);

    /* The core's effects of the same names, each answered by connection_checked or connection_down.
     * `settle` is EFFECT_CANCEL: report once the quarantine is over, after cleaning the session as
     * `reset` does. */
    void (*check)(weir_connection *c);
    void (*reset)(weir_connection *c);
    void (*settle)(weir_connection *c);
};

/* ---- What a driver tells the pool ---- */

void connection_up(weir_connection *c);
/* c->error says what happened. While leased it only ends the wait for a notification: an operation
 * fails by itself, and `condition` tells at release. */
void connection_down(weir_connection *c, weir_retire_reason reason);
void connection_checked(weir_connection *c);
void connection_closed(weir_connection *c);

/* Ends c's operation: status is 0 with a result, or a WEIR_E… code with c->error filled in. The
 * result becomes the pool's. */
void operation_finish(weir_connection *c, int status, weir_result *result);
/* A batch of a stream's rows, at least one, which become the pool's: once for each time that they
 * were asked for, unless the operation is finished instead. Its last rows may come with
 * operation_finish; those of an answer without rows do, with none but the columns. A result of NULL
 * there: all rows have been given. */
void operation_rows(weir_connection *c, weir_result *rows);
/* The answer has more bytes than operation->answer_max: the operation is over, and cancelled, from
 * inside this call. For OPERATION_QUERY. */
void operation_exceeded(weir_connection *c);
/* The operation's bytes are on their way; its first answer has arrived. For timings only. */
void operation_sent(weir_connection *c);
void operation_answered(weir_connection *c);

/* Another session has sent something to a channel that this one listens to; at any time, in order.
 * Strings live only during the call, which is never answered by another. */
void connection_notified(weir_connection *c, const char *channel, const char *payload,
                         int backend_pid);

/* A notice of the server. Strings live only during the call. */
void connection_notice(weir_connection *c, const char *sqlstate, const char *message);

/* ---- Results ---- */

/* What a driver's result begins with; the weir_result_… functions call these. */
typedef struct result_class {
    uint32_t (*rows)(const weir_result *r);
    uint32_t (*columns)(const weir_result *r);
    const char *(*name)(const weir_result *r, uint32_t column);
    uint32_t (*type)(const weir_result *r, uint32_t column);
    bool (*is_null)(const weir_result *r, uint32_t row, uint32_t column);
    const char *(*value)(const weir_result *r, uint32_t row, uint32_t column);
    size_t (*length)(const weir_result *r, uint32_t row, uint32_t column);
    uint64_t (*affected)(const weir_result *r);
    uint32_t (*parameters)(const weir_result *r);
    uint32_t (*parameter_type)(const weir_result *r, uint32_t parameter);
    void (*free)(weir_result *r);
} result_class;

struct weir_result {
    const result_class *class;
};

#endif
