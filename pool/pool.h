/* pool.h: the shell around the core, as its parts see it: the pool, its leases, its connections. */
#ifndef WEIR_POOL_H
#define WEIR_POOL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core.h"
#include "driver.h"
#include "family.h"
#include "lane.h"
#include "load.h"
#include "task.h"
#include "weir.h"

/* Of a lease, whose memory it is part of. */
struct weir_stream {
    weir_lease *lease;
    weir_result *rows; /* have come, and nobody has taken them yet */
    int status;        /* of its end */
    bool open;
    bool over; /* nothing more will come */
};

/* Notifications that have come and nobody has taken, oldest first. */
typedef struct note_queue {
    weir_notification *first, *last;
    size_t bytes;
    uint64_t lost; /* there was no memory for them; told with the next that comes */
} note_queue;

/* From the asking to the giving back. The core's waiter is part of it, so that a grant needs no
 * memory of its own. Belongs to its taker, and to the pool while a grant is on its way to a taker
 * that has gone. */
struct weir_lease {
    waiter waiter;
    weir_pool *pool;
    weir_lane *lane;
    weir_connection *connection; /* once granted, until reclaimed */
    uint64_t serial;             /* of the connection, for when it has been reclaimed */
    int backend_pid;
    uint64_t granted_ns;
    const char *where; /* source line of the acquire; never NULL */
    family *family;    /* of the taker, held; NULL: none, or not known */
    char *cycle;       /* who waits for whom, when it was refused for that; owned; may be NULL */
    int refusal;       /* why it was refused, once it was */
    bool answered;     /* by its own lane's step, so that it needs no job; own thread only */
    bool posted;       /* `job` is on its way to the taker; set under the pool's lock */
    bool abandoned;    /* its taker has gone: a grant is given back on arrival */
    bool severed;      /* the connection could not join the lane's loop */
    bool spent;        /* a query was cut short */
    bool leaked;       /* held for too long; set under the pool's lock */
    bool leak_told;    /* an event has said so; own thread only */
    bool leak_due;     /* set where the connection was, for where it goes */
    bool reclaimed;    /* and its connection is gone; set under the pool's lock */
    size_t answer_max; /* of its queries; 0: any number */
    weir_job job;      /* brings grant or refusal to its lane */

    /* Read by others for diagnosis. */
    atomic_bool running;               /* a query is under way */
    _Atomic(const char *) transaction; /* as in weir_lease_info, a literal; NULL: nothing has run */
    uint64_t query_started_ns;         /* the one under way or last run; under the pool's lock */

    weir_wait *wait;         /* the task form: who waits for grant or answer, until it runs */
    bool listening;          /* `wait` is for a notification, and nothing has ended it */
    weir_granted_fn granted; /* the callback form */
    weir_done_fn done;
    void *arg;

    const weir_setting *settings; /* the caller's */
    uint32_t setting_count;
    uint32_t settings_serial; /* how often they were given */

    weir_timer deadline; /* the callback form's */
    weir_stream stream;
    note_queue notes;
    weir_timings *timings;
    struct weir_lease *next; /* among spare ones */

    /* From here on nothing is cleared for a new lease: it is set before it is read. */
    weir_timings own_timings;
    weir_error error;         /* what went wrong last; kept here, as the connection may go on to
                                 another while its holder still reads it */
    weir_operation operation; /* the query under way or last run */
    uint64_t started_ns;
    int status;
    weir_result *result;
    uint64_t until_ns; /* `deadline` */
    char label[WEIR_LABEL_MAX];
    char trace_id[WEIR_LABEL_MAX];
    /* What diagnosis calls the statement under way or last run, "" for none; under the pool's lock.
     */
    char query[WEIR_LABEL_MAX];
};

/* What a pool keeps on each lane. Own thread only. */
typedef struct pool_lane {
    weir_pool *pool;
    weir_timer timer; /* the core's next tick, as far as this lane knows */
    uint64_t armed_ns;
    weir_lease *spare; /* leases to use again */
    uint32_t spare_count;
    uint32_t guests;    /* leases, from the asking to the end, and pausers: while there are any, the
                           lane stays */
    bool leaving, left; /* while the pool goes */
    weir_job start, leave;
} pool_lane;

/* Who waits for a pause to come to rest. Belongs to its asker; in the pool's list under its lock,
 * until `job` is on its way to tell. */
typedef struct pauser {
    struct pauser *prev, *next;
    weir_lane *lane;
    weir_job job;
    int error;
    bool told; /* `job` is on its way; under the pool's lock */
} pauser;

typedef enum pool_life { POOL_OPEN, POOL_DRAINING, POOL_GONE } pool_life;

struct weir_pool {
    weir_runtime *runtime;
    const weir_driver *driver;
    void *driver_pool;
    char name[WEIR_LABEL_MAX];
    uint32_t slots; /* connections there can ever be: the length of `connections` */
    weir_hooks hooks;
    uint64_t wait_target_ns;
    void (*on_event)(void *arg, const weir_event *event);
    void *on_event_arg;
    uint32_t lane_count;
    pool_lane *lanes;

    pthread_mutex_t
        lock; /* guards all below; held for one step of the core, never across a call out */
    core *core;
    weir_connection *connections;
    uint64_t serials;
    weir_pool_stats stats; /* counters and histograms; the gauges are read from the core */
    weir_error connect_error;
    load load;
    pauser *pausers;
    bool at_rest; /* paused, and nothing is leased, being reset or cancelled */

    pool_life life;
    uint32_t lanes_left; /* lanes that still know the pool, while it goes */
    weir_lane *closer_lane;
    weir_wait *closer;
    void (*closed)(void *arg);
    void *closed_arg;
    weir_job closed_job;
};

/* One step of the core on the current lane, and everything that follows from it. A grant or refusal
 * of `mine` (may be NULL) is written to it but not delivered: the caller does that. Returns the
 * time of the step. */
uint64_t pool_step(weir_pool *pool, const event *e, weir_lease *mine);

/* EVENT_PROGRESS or EVENT_REST, for a lease that its taker knows to be granted. */
static inline void lease_goes_on(weir_lease *lease, event_kind how)
{
    pool_step(lease->pool, &(event){.kind = how, .waiter = &lease->waiter}, NULL);
}

/* A step with EVENT_PAUSE: `p` joins the pausers in that step and is told by its job, at once
 * where the pool is at rest or closing. */
void pool_step_to_pause(weir_pool *pool, pauser *p);

/* The lane's own part of a pool. */
pool_lane *pool_here(weir_pool *pool);

/* Queues a job on a lane, this one or another. */
void pool_hand(weir_lane *lane, weir_job *job);

void pool_free(weir_pool *pool);

/* Says to whoever listens what happened; not under the lock. */
void pool_emit(weir_pool *pool, weir_event *what);

/* A guest of this lane: until it goes, the pool stays. The pool may be gone when `pool_go` returns.
 */
pool_lane *pool_come(weir_pool *pool);
void pool_go(pool_lane *here);

/* What the connection is told to do by the core, carried out by connection.c on its lane. */
enum {
    ORDER_DIAL = 1 << 0,
    ORDER_CHECK = 1 << 1,
    ORDER_RESET = 1 << 2,
    ORDER_SETTLE = 1 << 3,
    ORDER_MOVE = 1 << 4, /* to the lane of c->moving_to, which is granted it there */
    ORDER_CLOSE = 1 << 5,
    ORDER_TELL_LEAK = 1 << 6,
};

/* The job behind weir_connection.job. */
void connection_carry_out(weir_job *job);

/* The connection has arrived on its new lane: carries out what came there before it did. */
void connection_catch_up(weir_connection *c);

/* What the pool's hooks say, where there are any. */
bool connection_may_be_taken(const weir_connection *c);
bool connection_may_be_kept(const weir_connection *c);

/* The job behind weir_lease.job: brings grant or refusal to the taker, on its lane. */
void lease_deliver(weir_job *job);

/* Says that a lease has leaked, once. On its lane. */
void lease_tell_leak(weir_lease *lease);

/* The lease has lost connection `c`, which is about to be closed: ends the query under way on it.
 */
void query_reclaim(weir_lease *lease, weir_connection *c);

/* ---- query.c, for stream.c and notification.c ---- */

/* Not only while an operation is under way: also before it begins, and until its answer is taken.
 */
static inline bool lease_is_busy(const weir_lease *lease)
{
    return lease->wait || lease->done || lease->stream.open;
}

/* What its connection says went wrong is the lease's error from now on, with this code. */
static inline void lease_failed(weir_lease *lease, int error)
{
    lease->error = lease->connection->error;
    lease->error.code = error;
}

/* Whether an operation may begin on the lease, which is then made ready for it. */
int query_prepare(weir_lease *lease, operation_kind kind, const weir_statement *statement,
                  const weir_params *params);
/* On the loop's own stack. */
void query_start(weir_lease *lease);
/* Gives up the operation under way: at the server it is cancelled, the lease is spent. On the
 * loop's own stack. */
void query_cut_short(weir_lease *lease);

/* ---- stream.c ---- */

/* A batch of the lease's stream, which was asked for. */
void stream_bring(weir_lease *lease, weir_result *rows);
/* The stream is over; `rows` are its last, or NULL. */
void stream_finish(weir_lease *lease, int status, weir_result *rows);

/* ---- notification.c ---- */

/* Ends the wait for a notification, where there is one. */
void notification_cut(weir_lease *lease, int error);
/* Nobody will take those that are left. */
void notification_drop(note_queue *notes);

/* ---- connection.c ---- */

/* Who has the connection, if on this lane; one of another lane may have been given it just now, and
 * wait for it to come. NULL: nobody. */
weir_lease *connection_holder(weir_connection *c);

/* Cheaper than filling all of it with zeros. */
static inline void error_clear(weir_error *error)
{
    error->code = 0;
    error->retryable = error->setting = false;
    error->position = error->parameter = 0;
    error->sqlstate[0] = error->message[0] = error->detail[0] = error->hint[0] = '\0';
}

/* ---- pool_close.c ---- */

/* No connection is left: each lane lets go of its part, and the last one ends the pool. */
void pool_drained(weir_pool *pool);

/* No lease is out any more on a lane that is leaving. The pool may be gone when this returns. */
void pool_leave(pool_lane *here);

/* ---- listing.c ---- */

/* weir_pool_leases, for who has the lock already. */
uint32_t oldest_leases(weir_pool *pool, uint64_t now_ns, weir_lease_info *leases,
                       uint32_t capacity);

/* ---- pool_deadlock.c ---- */

/* Who holds what and waits for what, now that `victim` is refused for it. Under the lock. The
 * caller's to free; NULL without memory. */
char *describe_deadlock(const weir_pool *pool, const weir_lease *victim, uint64_t now_ns);

/* ---- histogram.c ---- */

void histogram_add(weir_histogram *histogram, uint64_t duration_ns);

#endif
