/* weir.h: libweir, a PostgreSQL connection pool on libuv whose handlers read straight.
 *
 * A runtime owns lanes. A lane is one libuv loop with its tasks and the connections attached to it.
 * A pool is up to `max` connections to one database, shared by all lanes. A task is a coroutine
 * pinned to a lane: it asks for a lease, runs queries on it, and gives it back when its scope ends.
 *
 * Functions that can fail return 0 or a negative WEIR_E… code. Outputs come last and stay untouched
 * on failure.
 *
 * Every time is a uint64_t in nanoseconds. A deadline is absolute, on the clock of weir_now(). A
 * duration exists only in options.
 *
 * `weir_async` marks functions that may suspend the calling task. They may be called only from a
 * task, and they return WEIR_ECANCELED once the task is cancelled, WEIR_ETIMEDOUT once its
 * innermost deadline has passed.
 *
 * Unless a comment says otherwise, a function is called on the thread of the lane that owns its
 * object.
 */
#ifndef WEIR_H
#define WEIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_VERSION "0.1.0"

/* Marks a declaration whose function may suspend the calling task. */
#define weir_async

#if defined(__GNUC__)
#define WEIR_PUBLIC      __attribute__((visibility("default")))
#define weir_cleanup(fn) __attribute__((cleanup(fn)))
#else
#error "libweir needs __attribute__((cleanup)): build with gcc or clang"
#endif

/* The structure that `member` at `pointer` is part of; for jobs, timers and hooks, which live in
 * their owner. */
#define weir_container(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct uv_loop_s;

typedef struct weir_runtime weir_runtime;
typedef struct weir_lane weir_lane;
typedef struct weir_task weir_task;
typedef struct weir_pool weir_pool;
typedef struct weir_lease weir_lease;
typedef struct weir_result weir_result;
typedef struct weir_stream weir_stream;
typedef struct weir_notification weir_notification;
typedef struct weir_driver weir_driver;

/* ---- Errors ---- */

/* One row an error: constant, value, stable name (used in logs and in problem `code`s), what it
 * means. */
#define WEIR_ERRORS(X)                                                                             \
    X(WEIR_EINVAL, -1, "invalid_argument", "an argument is not valid")                             \
    X(WEIR_ENOMEM, -2, "out_of_memory", "out of memory")                                           \
    X(WEIR_ETIMEDOUT, -3, "timed_out", "the deadline passed")                                      \
    X(WEIR_ECANCELED, -4, "cancelled", "the task was cancelled")                                   \
    X(WEIR_EQUEUEFULL, -5, "queue_full",                                                           \
      "as many waiters as the queue may hold are already waiting")                                 \
    X(WEIR_ECONNECT, -6, "connect_failed",                                                         \
      "no connection to the server could be made before the deadline")                             \
    X(WEIR_ECLOSED, -7, "closed", "the pool is closed or closing")                                 \
    X(WEIR_ELOST, -8, "connection_lost", "the connection was lost while a query was under way")    \
    X(WEIR_EQUERY, -9, "query_failed", "the server refused the query")                             \
    X(WEIR_ESPENT, -10, "lease_spent",                                                             \
      "an earlier query on this lease was cut short: release it and take another")                 \
    X(WEIR_EBUSY, -11, "busy", "a query is already running on this lease")                         \
    X(WEIR_EIO, -12, "io_error", "the operating system refused")                                   \
    X(WEIR_ENOTASK, -13, "not_in_a_task", "the call suspends and was made outside a task")         \
    X(WEIR_ESHED, -14, "shed",                                                                     \
      "the pool is overloaded: the turn of this take would come too late")                         \
    X(WEIR_EDEADLK, -15, "deadlock",                                                               \
      "every connection is held by tasks that wait for this pool themselves")                      \
    X(WEIR_ERECLAIMED, -16, "lease_reclaimed",                                                     \
      "the lease was held for too long, and its connection has been taken back")                   \
    X(WEIR_ETOOLARGE, -17, "too_large", "the answer is larger than it may be")

enum {
#define X(name, value, word, text) name = value,
    WEIR_ERRORS(X)
#undef X
};

/* The sentence, or the stable name, of a WEIR_E… code. Never NULL. Any thread. */
WEIR_PUBLIC const char *weir_strerror(int error);
WEIR_PUBLIC const char *weir_error_name(int error);

/* What went wrong on a connection or in a query, in the server's words where it has any. Strings
 * are "" when absent. */
typedef struct weir_error {
    int code;          /* a WEIR_E… code, 0 when nothing went wrong */
    char sqlstate[6];  /* five characters, "" when the server gave none */
    bool retryable;    /* the same work may succeed when simply tried again */
    uint32_t position; /* where in the statement's text, in characters from 1; 0: the server did not
                          say. From PG_DIAG_STATEMENT_POSITION */
    uint32_t parameter; /* which $N was not valid, from 1; 0: not known */
    bool setting;       /* one of the lease's settings was refused: the statement has not run */
    char message[256];  /* the primary message */
    char detail[256];
    char hint[256];
} weir_error;

/* ---- Time ---- */

#define WEIR_NEVER UINT64_MAX
#define WEIR_US(n) ((uint64_t)(n)*1000u)
#define WEIR_MS(n) ((uint64_t)(n)*1000000u)
#define WEIR_S(n)  ((uint64_t)(n)*1000000000u)

/* Now, monotonic, in ns. On a lane with virtual time: that lane's time. Any thread. */
WEIR_PUBLIC uint64_t weir_now(void);

/* The deadline `duration_ns` from now; WEIR_NEVER stays WEIR_NEVER and nothing overflows. */
WEIR_PUBLIC uint64_t weir_after(uint64_t duration_ns);

/* ---- Runtime and lanes ---- */

typedef struct weir_runtime_options {
    /* Loops, each on a thread of its own but lane 0, which runs on the caller's; 0: 1. */
    uint32_t lanes;
    /* Not NULL: lane 0 lives on this loop, which the caller runs. Then lanes must be 0 or 1, and
     * time cannot be virtual. */
    struct uv_loop_s *loop;
    /* Time stands still while anything can run, and jumps to the next timer. One lane. */
    bool virtual_time;
    /* Bytes of stack a task, guard page not counted; 0: 64 KiB. */
    size_t stack_size;
    /* Stacks that a lane keeps for reuse; 0: 256. */
    uint32_t stacks_cached;
} weir_runtime_options;

/* Makes a runtime. NULL options mean all defaults. WEIR_EINVAL, WEIR_ENOMEM, WEIR_EIO. */
WEIR_PUBLIC int weir_runtime_open(const weir_runtime_options *options, weir_runtime **runtime);

/* Runs the lanes until weir_runtime_stop: lane 0 on this thread, the others on theirs. Not for a
 * runtime on the caller's own loop: run that loop instead. Returns 0, or WEIR_EIO when a thread
 * could not be started. */
WEIR_PUBLIC int weir_runtime_run(weir_runtime *runtime);

/* Makes weir_runtime_run return. Tasks still suspended stay so until the runtime is run again or
 * closed. Any thread. */
WEIR_PUBLIC void weir_runtime_stop(weir_runtime *runtime);

/* Frees the runtime; takes NULL. Pools must be closed; tasks still alive are cancelled and waited
 * for. On a caller's own loop that happens, and the memory is freed, while the loop runs: run it
 * once more. Otherwise not from a task. */
WEIR_PUBLIC void weir_runtime_close(weir_runtime *runtime);

/* Runs `fn(arg)` as a task on a fresh runtime until it ends, then closes the runtime. Returns what
 * `fn` returned, or the error that kept it from starting. What asyncio.run is to Python. */
WEIR_PUBLIC int weir_run(const weir_runtime_options *options, int (*fn)(void *arg), void *arg);

WEIR_PUBLIC uint32_t weir_runtime_lanes(const weir_runtime *runtime);
WEIR_PUBLIC weir_lane *weir_runtime_lane(weir_runtime *runtime, uint32_t index);

/* The lane whose thread this is, or NULL. */
WEIR_PUBLIC weir_lane *weir_lane_self(void);
WEIR_PUBLIC uint32_t weir_lane_index(const weir_lane *lane);
WEIR_PUBLIC struct uv_loop_s *weir_lane_loop(weir_lane *lane);

/* One call to be made on a lane. Caller's memory, until `run` is called; one job is queued once at
 * a time. */
typedef struct weir_job {
    struct weir_job *next;
    void (*run)(struct weir_job *job);
} weir_job;

/* Queues a job on a lane: it runs on the lane's own stack, never inside this call. `push` is for
 * the lane's own thread, `post` for any thread. Jobs of one caller run in the order given. What is
 * pushed holds a caller's loop until it has run; what is posted does not, since only the loop's own
 * thread may say so. */
WEIR_PUBLIC void weir_lane_push(weir_lane *lane, weir_job *job);
WEIR_PUBLIC void weir_lane_post(weir_lane *lane, weir_job *job);

/* Calls `hook->run` on the lane each time its run queue has just been emptied, before the loop
 * blocks. For work best done once a tick, such as answering a batch of requests. Caller's memory
 * until weir_lane_unhook. */
typedef struct weir_hook {
    struct weir_hook *next, *prev;
    void (*run)(struct weir_hook *hook);
} weir_hook;
WEIR_PUBLIC void weir_lane_hook(weir_lane *lane, weir_hook *hook);
WEIR_PUBLIC void weir_lane_unhook(weir_lane *lane, weir_hook *hook);

/* A place in an intrusive heap; internal. */
typedef struct weir_heap_node {
    struct weir_heap_node *child, *next, *previous;
    uint64_t key;
} weir_heap_node;

/* A timer of the current lane. Caller's memory, zeroed before first use. */
typedef struct weir_timer {
    weir_heap_node node;
    void (*run)(struct weir_timer *timer);
    bool armed;
} weir_timer;

/* Calls `run(timer)` on the current lane at `at_ns` or as soon after as the loop allows; starting
 * an armed timer moves it. `stop` on a timer that is not armed does nothing. */
WEIR_PUBLIC void weir_timer_start(weir_timer *timer, uint64_t at_ns,
                                  void (*run)(weir_timer *timer));
WEIR_PUBLIC void weir_timer_stop(weir_timer *timer);

/* ---- Tasks ---- */

typedef int (*weir_task_fn)(void *arg);

/* Starts `fn(arg)` as a task on the current lane; it first runs after the caller suspends or
 * returns to the loop. With `task` not NULL the caller owns the handle and must weir_join or
 * weir_detach it; NULL detaches at once. WEIR_ENOMEM when there is no stack, WEIR_EINVAL off a
 * lane. */
WEIR_PUBLIC int weir_spawn(weir_task_fn fn, void *arg, weir_task **task);

/* Starts a detached task on any lane, from any thread. */
WEIR_PUBLIC int weir_spawn_on(weir_lane *lane, weir_task_fn fn, void *arg);

/* Waits for the end of a task of this lane and frees its handle. `*result` (may be NULL) is what
 * its function returned. On WEIR_ETIMEDOUT or WEIR_ECANCELED the handle stays the caller's. */
WEIR_PUBLIC weir_async int weir_join(weir_task *task, int *result);

/* Gives the handle up: the task frees itself when it ends. */
WEIR_PUBLIC void weir_detach(weir_task *task);

/* Cancels a task of this lane: its current wait, and every later one, returns WEIR_ECANCELED at
 * once. Idempotent. */
WEIR_PUBLIC void weir_cancel(weir_task *task);

/* The running task, or NULL on the loop's own stack. */
WEIR_PUBLIC weir_task *weir_task_self(void);
WEIR_PUBLIC bool weir_task_cancelled(void);

/* Waits for `duration_ns`. 0, WEIR_ETIMEDOUT (an enclosing deadline came first), WEIR_ECANCELED. */
WEIR_PUBLIC weir_async int weir_sleep(uint64_t duration_ns);

/* Lets every other runnable task of the lane run once. */
WEIR_PUBLIC weir_async int weir_yield(void);

/* Runs the blocking `fn(arg)` on libuv's threadpool and waits for it. 0, WEIR_ECANCELED (before it
 * began), WEIR_EIO. Once `fn` runs it is waited for, past deadline and cancellation, because `arg`
 * may be on this stack. */
WEIR_PUBLIC weir_async int weir_work(void (*fn)(void *arg), void *arg);

/* Calls `fn(arg)` when the current task ends, last deferred first. WEIR_ENOMEM, WEIR_ENOTASK. */
WEIR_PUBLIC int weir_defer(void (*fn)(void *arg), void *arg);

/* The most stack, in bytes, that any task of this lane's cached stacks has used; for choosing
 * stack_size. */
WEIR_PUBLIC size_t weir_stack_high_water(void);

/* ---- Scopes: deadlines that nest and only shrink ---- */

typedef struct weir_timings weir_timings;

/* What work is done for, and until when. */
typedef struct weir_scope {
    uint64_t deadline_ns;     /* absolute; 0 or WEIR_NEVER: none of its own */
    const char *label;        /* who: a route, a job's name; copied where it is kept; may be NULL */
    const char *trace_id;     /* copied where it is kept; may be NULL */
    bool urgent;              /* probes and administration: may use the places of the queue kept for
                                 them, and is not shed */
    weir_timings *timings;    /* filled in by a lease taken with this scope; caller's, outlives the
                                 lease; may be NULL */
    struct weir_scope *outer; /* internal */
} weir_scope;

/* Makes `scope` the current task's innermost: until weir_scope_leave, whatever the task awaits ends
 * by the earliest deadline of all scopes around it. Leave in reverse order. */
WEIR_PUBLIC void weir_scope_enter(weir_scope *scope);
WEIR_PUBLIC void weir_scope_leave(weir_scope *scope);

/* The earliest deadline around the current task, or WEIR_NEVER. */
WEIR_PUBLIC uint64_t weir_deadline(void);

/* `weir_scoped_timeout(quick, WEIR_MS(50));` holds for the rest of the block. What asyncio.timeout
 * is to Python. */
#define weir_scoped_timeout(name, duration_ns)                                                     \
    weir_cleanup(weir_scope_leave) weir_scope name = {.deadline_ns = weir_after(duration_ns)};     \
    weir_scope_enter(&name)

/* ---- Groups: several tasks, waited for together ---- */

typedef enum weir_group_policy {
    WEIR_GROUP_CANCEL_REST, /* the first failure cancels the others */
    WEIR_GROUP_COLLECT_ALL, /* all run to their end, whatever the others do */
} weir_group_policy;

/* Caller's memory, usually on the task's stack; fields are internal. */
typedef struct weir_group {
    weir_group_policy policy;
    struct weir_task *members;
    struct weir_task *waiter;
    uint32_t running;
    int first_error;
    bool cancelled; /* no member may join any more */
} weir_group;

/* `weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_CANCEL_REST);` A scoped group that ends with
 * members still running cancels them and waits until the last has ended; declare what members use
 * before it, because variables declared after it are gone by then. A failure is a negative result.
 */
#define WEIR_GROUP(how)                                                                            \
    {                                                                                              \
        .policy = (how)                                                                            \
    }
#define weir_scoped_group weir_cleanup(weir_group_leave) weir_group

/* Starts a member on the current lane. WEIR_ENOMEM, WEIR_ENOTASK; WEIR_ECANCELED when the group has
 * already failed. */
WEIR_PUBLIC int weir_group_spawn(weir_group *group, weir_task_fn fn, void *arg);

/* Waits until every member has ended, and returns the first failure among them or 0. When this wait
 * itself is cut short (deadline, cancel) the members are cancelled, waited for, and that reason is
 * returned. */
WEIR_PUBLIC weir_async int weir_group_wait(weir_group *group);

/* Cancels all members, and lets no more join; idempotent. Waits for nobody: from any task of the
 * lane, members too, or from its loop's own stack. */
WEIR_PUBLIC void weir_group_cancel(weir_group *group);

/* Cancels the members that still run, and waits until the last has ended, blind to deadline and
 * cancellation; then the group's memory may go. At the end of a weir_scoped_group this is called by
 * itself. With no member left it returns at once, anywhere; else it ends the program outside a
 * task, or when another task waits for the group. Says nothing of failures: see weir_group_wait. */
WEIR_PUBLIC weir_async void weir_group_leave(weir_group *group);

/* ---- Semaphore: at most so many at once ---- */

/* Caller's memory, for tasks of one lane; fields are internal. First come, first served. */
typedef struct weir_semaphore {
    uint32_t permits;
    struct weir_wait *first, *last;
} weir_semaphore;

#define WEIR_SEMAPHORE(count)                                                                      \
    {                                                                                              \
        .permits = (count)                                                                         \
    }

/* Takes a permit, and waits for one behind those who already do, until the task's deadline.
 * WEIR_ETIMEDOUT, WEIR_ECANCELED, WEIR_ENOTASK: then it has none. */
WEIR_PUBLIC weir_async int weir_semaphore_acquire(weir_semaphore *semaphore);

/* Gives a permit back: whoever has waited longest has it at once, and runs later. Also one that was
 * never taken, which makes room for one more. From a task of the lane or its loop's own stack;
 * never suspends nor fails. Before its memory goes, nobody may wait any more. */
WEIR_PUBLIC void weir_semaphore_release(weir_semaphore *semaphore);

/* ---- Lifecycle events ---- */

/* Why a connection was retired: constant, name in logs and metrics. */
#define WEIR_RETIRE_REASONS(X)                                                                     \
    X(WEIR_RETIRE_NOT, "none")                                                                     \
    X(WEIR_RETIRE_LIFETIME, "lifetime")                                                            \
    X(WEIR_RETIRE_IDLE, "idle")                                                                    \
    X(WEIR_RETIRE_BROKEN, "broken")                                                                \
    X(WEIR_RETIRE_DIRTY, "dirty")                                                                  \
    X(WEIR_RETIRE_EVICTED, "evicted")                                                              \
    X(WEIR_RETIRE_SERVER_SHUTDOWN, "server_shutdown")                                              \
    X(WEIR_RETIRE_SURPLUS, "surplus")                                                              \
    X(WEIR_RETIRE_CANCELLED, "cancelled")                                                          \
    X(WEIR_RETIRE_READ_ONLY, "read_only")                                                          \
    X(WEIR_RETIRE_CHECK_FAILED, "check_failed")                                                    \
    X(WEIR_RETIRE_CONNECT_FAILED, "connect_failed")                                                \
    X(WEIR_RETIRE_CONNECT_TIMEOUT, "connect_timeout")                                              \
    X(WEIR_RETIRE_DRAINED, "drained")                                                              \
    X(WEIR_RETIRE_SERVER_FULL, "server_full")                                                      \
    X(WEIR_RETIRE_LEAKED, "leaked")                                                                \
    X(WEIR_RETIRE_REJECTED, "rejected")                                                            \
    X(WEIR_RETIRE_LAGGING, "lagging")

typedef enum weir_retire_reason {
#define X(name, word) name,
    WEIR_RETIRE_REASONS(X)
#undef X
        WEIR_RETIRE_REASON_COUNT
} weir_retire_reason;

WEIR_PUBLIC const char *weir_retire_reason_name(weir_retire_reason reason);

typedef enum weir_level { WEIR_DEBUG, WEIR_INFO, WEIR_WARN, WEIR_ERROR } weir_level;

/* What happens in a pool: constant, name, level at which it is worth a line. */
#define WEIR_EVENTS(X)                                                                             \
    X(WEIR_POOL_OPENED, "pool.opened", WEIR_INFO)                                                  \
    X(WEIR_POOL_PAUSED, "pool.paused", WEIR_INFO)                                                  \
    X(WEIR_POOL_RESUMED, "pool.resumed", WEIR_INFO)                                                \
    X(WEIR_POOL_RESIZED, "pool.resized", WEIR_INFO)                                                \
    X(WEIR_POOL_EVICTED, "pool.evicted", WEIR_INFO)                                                \
    X(WEIR_POOL_DRAINING, "pool.draining", WEIR_INFO)                                              \
    X(WEIR_POOL_CLOSED, "pool.closed", WEIR_INFO)                                                  \
    X(WEIR_CONNECTION_DIALING, "connection.dialing", WEIR_DEBUG)                                   \
    X(WEIR_CONNECTION_OPENED, "connection.opened", WEIR_INFO)                                      \
    X(WEIR_CONNECTION_FAILED, "connection.failed", WEIR_WARN)                                      \
    X(WEIR_CONNECTION_RETIRED, "connection.retired", WEIR_INFO)                                    \
    X(WEIR_LEASE_GRANTED, "lease.granted", WEIR_DEBUG)                                             \
    X(WEIR_LEASE_RELEASED, "lease.released", WEIR_DEBUG)                                           \
    X(WEIR_LEASE_TIMED_OUT, "lease.timed_out", WEIR_WARN)                                          \
    X(WEIR_LEASE_REFUSED, "lease.refused", WEIR_WARN)                                              \
    X(WEIR_LEASE_CANCELLED, "lease.cancelled", WEIR_DEBUG)                                         \
    X(WEIR_LEASE_LEAKED, "lease.leaked", WEIR_WARN)                                                \
    X(WEIR_QUERY_CANCELLED, "query.cancelled", WEIR_INFO)                                          \
    X(WEIR_QUERY_FAILED, "query.failed", WEIR_DEBUG)                                               \
    X(WEIR_SERVER_NOTICE, "server.notice", WEIR_INFO)

typedef enum weir_event_kind {
#define X(name, word, level) name,
    WEIR_EVENTS(X)
#undef X
        WEIR_EVENT_COUNT
} weir_event_kind;

WEIR_PUBLIC const char *weir_event_name(weir_event_kind kind);
WEIR_PUBLIC weir_level weir_event_level(weir_event_kind kind);

/* One event. Fields that do not apply are 0 or NULL. Strings live only during the call. */
typedef struct weir_event {
    weir_event_kind kind;
    const char *pool;    /* the pool's name */
    uint64_t connection; /* the connection's serial number in its pool, from 1; 0: none */
    int backend_pid;
    uint32_t lane;
    weir_retire_reason reason;
    int error; /* a WEIR_E… code */
    const char *sqlstate;
    const char *message;
    const char *label; /* of the lease */
    const char *trace_id;
    uint64_t duration_ns; /* waited, used, took to open, or age: as the event suggests */
} weir_event;

/* ---- Pools ---- */

/* One server session, as hooks see it. */
typedef struct weir_session {
    const char *pool;
    uint64_t connection; /* serial number in its pool, from 1 */
    int backend_pid;
    uint64_t age_ns; /* since it was opened */
    uint64_t leases; /* granted so far, with the present one */
    void *native;    /* the driver's own: for weir_postgres() a PGconn *, to look at and not to run
                        anything on; NULL for the fake */
} weir_session;

/* Called on the lane the connection is attached to, on the loop's stack or a task's; must not
 * block, suspend, nor call the pool. Each may be NULL. */
typedef struct weir_hooks {
    void *arg;
    /* A session is open, and nobody has had it. False: it is closed (WEIR_RETIRE_REJECTED), which
     * counts as a failed dial. */
    bool (*on_connect)(void *arg, const weir_session *session);
    /* It is about to be handed to a taker. False: it is closed, and the taker asks anew, within its
     * deadline, behind those who already wait. */
    bool (*before_acquire)(void *arg, const weir_session *session);
    /* It has come back, and is neither broken nor running. False: it is closed. */
    bool (*after_release)(void *arg, const weir_session *session);
    /* One that on_connect has let pass is about to be closed. */
    void (*before_close)(void *arg, const weir_session *session, weir_retire_reason reason);
} weir_hooks;

#define WEIR_NO_RESERVE UINT32_MAX

/* A zero field takes the default named beside it; WEIR_NEVER switches a time off. Strings are
 * copied. */
typedef struct weir_pool_options {
    const char *name;          /* in logs and metrics; NULL: "default" */
    const char *conninfo;      /* libpq's, or a URL; NULL or "": libpq's own environment. Of several
                                  hosts one that is full is passed over. With target_session_attrs
                                  read-write or primary, a connection whose server has become
                                  read-only or a standby is closed (WEIR_RETIRE_READ_ONLY) */
    const weir_driver *driver; /* NULL: weir_postgres() */
    void *driver_arg;          /* for the fake driver: its weir_fake */
    uint32_t max;              /* connections at most, in every state; 10 */
    uint32_t min;              /* connections kept even when idle; 0 */
    uint32_t max_limit; /* the most weir_pool_resize may set max to; the larger of max and 100 */
    uint32_t queue_max; /* waiters at most; 1024 */
    uint32_t queue_reserve;  /* of these, places for urgent ones only; a sixteenth;
                                WEIR_NO_RESERVE: none */
    uint32_t statements_max; /* prepared statements kept a connection; 256 */
    uint64_t seed;           /* of the jitter; 0: taken from the system */

    uint64_t connect_timeout_ns; /* for one dial, all hosts included; 5 s */
    uint64_t validate_after_ns;  /* idle for longer: checked before it is granted; 30 s */
    uint64_t check_timeout_ns;   /* for that check, and for a reset; 1 s */
    uint64_t idle_timeout_ns;    /* idle for longer: closed, down to min; 10 min */
    uint64_t max_lifetime_ns;    /* older, but for up to a tenth (jitter): replaced; 30 min */
    uint64_t keepalive_ns;       /* idle and not heard from for longer: checked; 2 min, up to a
                                    tenth less (jitter) */
    uint64_t leak_after_ns;      /* a lease held for longer is told as leaked, once; of a stream
                                    only what stands still for longer: no batch is asked for, and
                                    none comes; of notifications, when none is waited for, nor
                                    taken, for longer; 30 s */
    bool reclaim_leaked;         /* and taken from its holder: cancelled, closed, replaced */
    uint64_t shed_target_ns;     /* under lasting overload, who has waited for so long is refused;
                                    200 ms; WEIR_NEVER: nobody is */
    uint64_t shed_interval_ns;   /* overload is lasting after so long; 1 s */
    uint64_t wait_target_ns;     /* weir_pool_advise sizes for waits of up to this; 10 ms */
    uint64_t cancel_grace_ns;    /* a cancelled query still running then: closed; 5 s */
    uint64_t backoff_base_ns;    /* first pause after a failed dial, then doubled; 20 ms */
    uint64_t backoff_max_ns;     /* longest such pause; the jitter is full; 500 ms */

    const char *on_connect; /* SQL run on each new connection before anyone gets it, and again, in
                               the same message, whenever the session is reset after a lease: any
                               number of statements, that stand being run twice and leave no
                               transaction open; not COPY; DateStyle has to stay ISO and
                               client_encoding UTF8. An error fails the dial; NULL: none */
    bool random_hosts;      /* try the addresses of conninfo's hosts in random order, not in theirs;
                               either way those that lately did not answer come last */
    uint64_t max_lag_ns;    /* a standby further behind its primary than this is not used: asked at
                               each dial, check and keepalive (WEIR_RETIRE_LAGGING). A dial goes on
                               to the other hosts of conninfo, so that prefer-standby ends at the
                               primary. Behind is the age of the last transaction replayed, by the
                               standby's clock; one that has replayed all it has received is not,
                               even if its primary is out of reach. 0 or WEIR_NEVER: not asked */
    bool no_server_timeout; /* do not tell the server until when a query may run. Otherwise a query
                               with a deadline, but not a stream, runs under a statement_timeout a
                               little beyond it, so that it ends even where this program has come
                               to its end before. Never a longer one than the session has by
                               itself, and mostly nothing is sent for it. To be set where a pooler
                               stands in between that shares its sessions among clients */
    weir_hooks hooks;

    /* Called on the lane where it happens, on the loop's stack or a task's; must not block nor call
     * the pool. */
    void (*on_event)(void *arg, const weir_event *event);
    void *on_event_arg;
} weir_pool_options;

/* Makes a pool on all lanes of a runtime (NULL: the current lane's). Nothing is dialled before the
 * lanes run, but `conninfo` is checked here: WEIR_EINVAL with the reason in `why` (may be NULL).
 * From lane 0's thread or before the runtime runs. A task suspends for that, but not for long, and
 * whatever its deadline. */
WEIR_PUBLIC weir_async int weir_pool_open(weir_runtime *runtime, const weir_pool_options *options,
                                          weir_pool **pool, weir_error *why);

/* Closes a pool: waiters and new takes are refused with WEIR_ECLOSED, idle connections closed,
 * leased ones as they come back; then frees it. Suspends until then. On WEIR_ETIMEDOUT or
 * WEIR_ECANCELED, also of a task cancelled before, the pool is still closing: call again on this
 * lane, or weir_pool_close_cb. Two who close it at once end the program. WEIR_ENOTASK. Takes NULL.
 */
WEIR_PUBLIC weir_async int weir_pool_close(weir_pool *pool);

/* The same for programs without tasks: `closed(arg)` is called on the current lane once the pool is
 * freed. */
WEIR_PUBLIC void weir_pool_close_cb(weir_pool *pool, void (*closed)(void *arg), void *arg);

WEIR_PUBLIC const char *weir_pool_name(const weir_pool *pool);

/* ---- Controlling a pool at run time: from the thread of any lane of its runtime ---- */

/* From now on at most `max` and at least `min` connections. Takes effect at once; what is too many
 * is closed (WEIR_RETIRE_SURPLUS) as it comes back. WEIR_EINVAL, and nothing has changed: max is 0
 * or above max_limit, or min is larger than max; WEIR_ECLOSED. */
WEIR_PUBLIC int weir_pool_resize(weir_pool *pool, uint32_t max, uint32_t min);

/* No lease is granted and nothing dialled until weir_pool_resume; takes wait, up to their
 * deadlines. Suspends until no lease is out and nothing is being reset or cancelled. On
 * WEIR_ETIMEDOUT and WEIR_ECANCELED the pool is paused all the same. WEIR_EBUSY: it was resumed
 * before it came to rest; WEIR_ECLOSED; WEIR_ENOTASK, and it is not paused. */
WEIR_PUBLIC weir_async int weir_pool_pause(weir_pool *pool);

/* The same for programs without tasks: `paused(arg, error)` is called once, on the current lane,
 * never from inside this call, with 0, WEIR_EBUSY or WEIR_ECLOSED. WEIR_ENOMEM: it will not be. */
WEIR_PUBLIC int weir_pool_pause_cb(weir_pool *pool, void (*paused)(void *arg, int error),
                                   void *arg);

/* Ends a pause; without effect on a pool that is not paused. */
WEIR_PUBLIC void weir_pool_resume(weir_pool *pool);

/* Every connection there is now is replaced, leased ones as they come back, idle ones each at a
 * random moment within `spread_ns` (0: at once). After a failover, a change of roles or settings.
 */
WEIR_PUBLIC void weir_pool_evict(weir_pool *pool, uint64_t spread_ns);

/* ---- Leases ---- */

/* When what happened to one lease, on the clock of weir_now(); 0: it did not. */
struct weir_timings {
    uint64_t asked_ns;
    uint64_t queued_ns; /* it had to wait */
    uint64_t opened_ns; /* a connection was opened while it waited, and granted to it */
    uint64_t granted_ns;
    uint64_t sent_ns;     /* first query handed to the server */
    uint64_t answered_ns; /* first bytes of the first answer read */
    uint64_t done_ns;     /* last query's result complete */
    uint64_t released_ns;
    uint64_t query_ns;   /* sum over queries of complete − sent */
    uint64_t connection; /* serial number of the connection, from 1 */
    int backend_pid;
};

/* A place in the source, kept with a lease so that one that leaks can be found. */
#define WEIR_LINE_OF(line) #line
#define WEIR_LINE(line)    WEIR_LINE_OF(line)
#define WEIR_HERE          __FILE__ ":" WEIR_LINE(__LINE__)

/* Takes a lease: suspends until a connection is granted or the earliest of `scope->deadline_ns` and
 * the task's own deadline. `scope` may be NULL. `where` is a literal, or lives as long as the pool.
 * WEIR_ETIMEDOUT, WEIR_ECANCELED, WEIR_EQUEUEFULL; WEIR_ECONNECT, as soon as it is certain that no
 * connection can be made before the deadline; WEIR_ESHED, see weir_pool_options; WEIR_EDEADLK:
 * every connection is held by tasks that themselves wait for one of this pool, or for members of
 * their groups that do (who took a lease holds it, until a query is run on it by another);
 * WEIR_ECLOSED, WEIR_ENOMEM, WEIR_ENOTASK. The caller owns the lease. */
#define weir_acquire(pool, scope, lease) weir_acquire_at((pool), (scope), WEIR_HERE, (lease))
WEIR_PUBLIC weir_async int weir_acquire_at(weir_pool *pool, const weir_scope *scope,
                                           const char *where, weir_lease **lease);

/* Gives a lease back; takes NULL. Never suspends, never fails: rollback, reset, or seeing to it
 * that a query cut short stops at the server are the pool's work. Not while a query on it waits for
 * its answer, nor while a stream on it is open: that ends the program. */
WEIR_PUBLIC void weir_release(weir_lease *lease);

static inline void weir_release_scoped(weir_lease **lease)
{
    weir_release(*lease);
}
#define weir_scoped_lease weir_cleanup(weir_release_scoped)

/* The callback form. `granted` is called once on the current lane, never from inside this call:
 * with a lease and 0, or NULL and an error. Returns 0 or an error that means it will not be called.
 * `*pending` (may be NULL) is for weir_acquire_cancel and is valid until `granted` is called. */
typedef void (*weir_granted_fn)(void *arg, int error, weir_lease *lease);
#define weir_acquire_cb(pool, scope, granted, arg, pending)                                        \
    weir_acquire_cb_at((pool), (scope), WEIR_HERE, (granted), (arg), (pending))
WEIR_PUBLIC int weir_acquire_cb_at(weir_pool *pool, const weir_scope *scope, const char *where,
                                   weir_granted_fn granted, void *arg, weir_lease **pending);

/* Gives up waiting: `granted` will be called with WEIR_ECANCELED. */
WEIR_PUBLIC void weir_acquire_cancel(weir_lease *pending);

/* What went wrong last on this lease. Owned by the lease; neither the end of its connection nor
 * what others do changes it, until the next query or weir_notified on it, or its release. Once the
 * lease has been reclaimed it is that, WEIR_ERECLAIMED, which is asked for anew. */
WEIR_PUBLIC const weir_error *weir_lease_error(const weir_lease *lease);
WEIR_PUBLIC int weir_lease_backend_pid(const weir_lease *lease);
WEIR_PUBLIC uint64_t weir_lease_connection(const weir_lease *lease);

/* ---- Queries ---- */

/* One statement with $1… parameters. `sql` must not change while queries use it; connections
 * remember it by its text. */
typedef struct weir_statement {
    const char *sql;
    const char
        *name;      /* what diagnosis calls it; NULL: the beginning of sql. As long-lived as sql */
    bool read_only; /* run in a read-only transaction, enforced by the server; in a transaction that
                       the caller began it is that one's mode that holds */
    bool adhoc;     /* not prepared nor remembered; the session is reset after the lease. Without it
                       that is done, too, where the statement's own text or its command tag tells
                       that it may change the session (SET, LISTEN, CALL, set_config, advisory_lock
                       and the like). What a function or view that it uses does is not seen: to be
                       set for one that leaves something behind */
} weir_statement;

/* Values in text form; NULL is SQL null. Read only until the query function returns or its callback
 * is called. */
typedef struct weir_params {
    uint32_t count;
    const char *const *values;
} weir_params;

/* Runs a statement and waits for its whole result, until the task's deadline. `params` may be NULL
 * for none. The caller owns the result. WEIR_EQUERY and WEIR_ELOST leave details in
 * weir_lease_error; WEIR_ENOMEM: the statement was carried out, and there is no memory for its
 * result; WEIR_ERECLAIMED: see reclaim_leaked, all that can be done with the lease is to release
 * it. On WEIR_ETIMEDOUT, WEIR_ECANCELED and WEIR_ETOOLARGE a query that had begun is cancelled at
 * the server and the lease is spent: later queries return WEIR_ESPENT. WEIR_EBUSY while another
 * query of the lease has its answer not yet taken. */
WEIR_PUBLIC weir_async int weir_query(weir_lease *lease, const weir_statement *statement,
                                      const weir_params *params, weir_result **result);

/* From now on a query's result on this lease may have so many bytes, more or less: beyond them it
 * is cancelled at the server, and ends with WEIR_ETOOLARGE. 0, and as a lease is granted: any
 * number. Not for streams, which have a batch at a time. */
WEIR_PUBLIC void weir_lease_limit(weir_lease *lease, size_t bytes);

/* The callback form: `done` is called once on the lease's lane, never from inside this call. The
 * lease must not be released before. `deadline_ns` is absolute, or WEIR_NEVER. */
typedef void (*weir_done_fn)(void *arg, int error, weir_result *result);
WEIR_PUBLIC int weir_query_cb(weir_lease *lease, const weir_statement *statement,
                              const weir_params *params, uint64_t deadline_ns, weir_done_fn done,
                              void *arg);

/* Asks the server what a statement takes and returns, without running it. The result has no rows;
 * see weir_result_parameter_type and the column functions. Errors as weir_query. */
WEIR_PUBLIC weir_async int weir_describe(weir_lease *lease, const weir_statement *statement,
                                         weir_result **result);

/* ---- Settings: what the queries of one lease run under ---- */

/* One of the server's settings, name and value as set_config() takes them: neither is quoted. */
typedef struct weir_setting {
    const char *name, *value;
} weir_setting;

#define WEIR_SETTINGS_MAX 16

/* From now on each query and stream of this lease runs under these settings, and under none that
 * were given before; with a count of 0, under none. They are set in the order given (a role belongs
 * last: what comes behind it is set with its rights) by `set_config(name, value, true)` ahead of
 * the query, in its message and its transaction: that takes no round trip, whatever becomes of the
 * query nothing of them remains, and the session is not changed by it. A name of the caller's own,
 * such as `request.id`, reads as '' afterwards, no longer as null. One that the server refuses is
 * the query's error, with weir_error.setting, and the query has not run.
 *
 * In a transaction that the caller begins they are set ahead of its first query, and hold until its
 * end. Those given within one are set ahead of its next query; what they leave out stays as it was.
 *
 * Outside such a transaction CALL and DO are refused (WEIR_EQUERY): they may commit on their way,
 * and what follows would no longer be under the settings. So is what cannot run in a transaction,
 * such as VACUUM, by the server. weir_describe runs nothing, and asks without them.
 *
 * `settings` and its strings are borrowed, until the lease is released or given others. WEIR_EINVAL
 * (a NULL, or more than WEIR_SETTINGS_MAX) and WEIR_EBUSY (a query or stream is under way): nothing
 * has changed. Does not suspend. */
WEIR_PUBLIC int weir_lease_settings(weir_lease *lease, const weir_setting *settings,
                                    uint32_t count);

/* ---- Streams: an answer in batches, as its reader takes them ---- */

/* Runs a statement whose rows are taken in batches, and waits for the first of them, until the
 * task's deadline. Only what is asked for is read: a reader that does not ask stops the server once
 * the buffers between them are full. So an answer of any length takes the memory of one batch,
 * which is some tens of kilobytes, and more only where a single row has more.
 *
 * The stream belongs to its lease and ends before it: until weir_stream_close no query can run on
 * the lease (WEIR_EBUSY), and to release it ends the program. `statement` and `params` are used
 * until the stream is closed. Errors as weir_query, and then there is no stream. */
WEIR_PUBLIC weir_async int weir_stream_open(weir_lease *lease, const weir_statement *statement,
                                            const weir_params *params, weir_stream **stream);

/* The next batch, in the order of the rows; NULL after the last. The first has the columns also of
 * an answer without rows, each further one has a row at least. Waits until the task's deadline. The
 * caller owns the batch, which outlives the stream; weir_result_affected says nothing of it. Errors
 * as weir_query, at any moment: what came before one is part of an answer that has no end. After an
 * error further calls return the same; all that is left to do is weir_stream_close. */
WEIR_PUBLIC weir_async int weir_stream_next(weir_stream *stream, weir_result **rows);

/* Ends a stream; takes NULL. One that has come to its end leaves the lease as a query does. One
 * that has not is cancelled at the server, and the lease is spent. Never fails, and waits for
 * nobody: it suspends only to leave the task's stack, blind to deadline and cancellation. */
WEIR_PUBLIC weir_async void weir_stream_close(weir_stream *stream);

static inline void weir_stream_close_scoped(weir_stream **stream)
{
    weir_stream_close(*stream);
}
#define weir_scoped_stream weir_cleanup(weir_stream_close_scoped)

/* ---- Notifications: what other sessions say by NOTIFY ---- */

/* One notification. The caller's, who frees it; usable from any one thread at a time, also after
 * the lease is released. */
struct weir_notification {
    const char *channel;
    const char *payload;            /* "" when it has none */
    size_t length;                  /* of the payload */
    int backend_pid;                /* of the session that sent it */
    uint64_t lost;                  /* before it so many were thrown away, since nobody took them */
    struct weir_notification *next; /* internal */
};

/* The next notification on the lease's session, in the order they came; waits for it until the
 * task's deadline. Which channels the session hears is for queries on the lease to say (LISTEN,
 * UNLISTEN); they come also while it runs others, and what is listened to ends with the lease.
 *
 * Up to WEIR_NOTIFICATIONS_MAX bytes of them wait to be taken; then the oldest are thrown away, and
 * the next one tells how many (`lost`). One the server has not sent yet is lost with the session:
 * WEIR_ELOST, once those that came before are taken. However long it waits, and however long the
 * lease has been held, it is no leak: leak_after_ns counts anew from the end of each call.
 * WEIR_ETIMEDOUT and WEIR_ECANCELED leave the lease as it was. WEIR_EBUSY while another task waits
 * on the lease, or a stream is open; WEIR_ERECLAIMED, WEIR_ESPENT, WEIR_ENOTASK. */
#define WEIR_NOTIFICATIONS_MAX ((size_t)4 << 20)
WEIR_PUBLIC weir_async int weir_notified(weir_lease *lease, weir_notification **notification);

/* Takes NULL. */
WEIR_PUBLIC void weir_notification_free(weir_notification *notification);

static inline void weir_notification_free_scoped(weir_notification **notification)
{
    weir_notification_free(*notification);
}
#define weir_scoped_notification weir_cleanup(weir_notification_free_scoped)

/* ---- Results ---- */

/* A whole answer, in PostgreSQL's text format. Owned by the caller; usable from any one thread at a
 * time, also after the lease is released. Indices must be in range: a value out of it ends the
 * program. */
WEIR_PUBLIC uint32_t weir_result_rows(const weir_result *result);
WEIR_PUBLIC uint32_t weir_result_columns(const weir_result *result);
WEIR_PUBLIC const char *weir_result_column_name(const weir_result *result, uint32_t column);
WEIR_PUBLIC uint32_t weir_result_column_type(const weir_result *result,
                                             uint32_t column); /* type OID */
WEIR_PUBLIC bool weir_result_is_null(const weir_result *result, uint32_t row, uint32_t column);
WEIR_PUBLIC const char *weir_result_value(const weir_result *result, uint32_t row, uint32_t column);
WEIR_PUBLIC size_t weir_result_length(const weir_result *result, uint32_t row, uint32_t column);
/* Rows, from the command tag. */
WEIR_PUBLIC uint64_t weir_result_affected(const weir_result *result);
WEIR_PUBLIC uint32_t weir_result_parameters(const weir_result *result);
/* A type OID. */
WEIR_PUBLIC uint32_t weir_result_parameter_type(const weir_result *result, uint32_t parameter);
/* Takes NULL. */
WEIR_PUBLIC void weir_result_free(weir_result *result);

static inline void weir_result_free_scoped(weir_result **result)
{
    weir_result_free(*result);
}
#define weir_scoped_result weir_cleanup(weir_result_free_scoped)

/* ---- What a pool can tell ---- */

/* Observations of a duration in buckets. counts[i] holds those ≤ weir_histogram_bounds_ns[i] and
 * above the bound before; the last bucket, beyond all bounds, is counts[WEIR_HISTOGRAM_BOUNDS]. Not
 * cumulative. */
#define WEIR_HISTOGRAM_BOUNDS 16
extern WEIR_PUBLIC const uint64_t weir_histogram_bounds_ns[WEIR_HISTOGRAM_BOUNDS];
typedef struct weir_histogram {
    uint64_t counts[WEIR_HISTOGRAM_BOUNDS + 1];
    uint64_t sum_ns;
} weir_histogram;

/* How many observations there are. */
WEIR_PUBLIC uint64_t weir_histogram_count(const weir_histogram *histogram);

/* The duration that a share (0 to 1) of the observations did not exceed, read off the buckets; 0
 * when there are none. Beyond the last bound nothing more can be told: that is the answer then. */
WEIR_PUBLIC uint64_t weir_histogram_quantile(const weir_histogram *histogram, double share);

typedef struct weir_pool_stats {
    uint32_t max, min, queue_max;
    uint32_t ceiling; /* what the server has room for; max, unless it has said that it is full */
    uint32_t size;    /* connections in any state */
    uint32_t idle, in_use, dialing, checking, resetting, cancelling, closing;
    uint32_t waiting;
    bool draining, paused;
    bool shedding;  /* overload has lasted, and who has waited for shed_target_ns is refused */
    bool reachable; /* the last dial succeeded, or a connection is open */
    uint64_t granted, released, timed_out, queue_full, connect_refused, cancelled, closed_refused;
    uint64_t shed, deadlocked;
    uint64_t leaked;     /* leases held past leak_after_ns; reclaimed ones are retired[…LEAKED] */
    uint32_t leaked_out; /* of those, still out */
    uint64_t cancels_drained, cancels_discarded; /* quarantined connections kept, or closed */
    uint64_t dialed, opened, dial_failures;
    uint64_t queries_cancelled;
    uint64_t retired[WEIR_RETIRE_REASON_COUNT];
    weir_histogram wait, use, create;
} weir_pool_stats;

/* A consistent copy of all figures. Any thread. */
WEIR_PUBLIC void weir_pool_stats_read(weir_pool *pool, weir_pool_stats *stats);

/* How full the pool is, cheaper to ask than all its figures. Any thread. */
typedef struct weir_pool_gauge {
    uint32_t size, in_use, idle, waiting, max;
} weir_pool_gauge;
WEIR_PUBLIC void weir_pool_gauge_read(weir_pool *pool, weir_pool_gauge *gauge);

/* The last failed dial, copied into `*error`; code 0 when none failed since the last that
 * succeeded. Any thread. */
WEIR_PUBLIC void weir_pool_connect_error(weir_pool *pool, weir_error *error);

/* How long a take that joins the queue now may expect to wait, from the measured use time, the
 * connections that are up and the queue, by Little's law over the last leases; with none up, what a
 * dial takes and the pause before it. 0 when it need not wait or nothing is known yet. How long a
 * paused pool stays so is not known, and not counted. Any thread. */
WEIR_PUBLIC uint64_t weir_pool_expected_wait(weir_pool *pool);

#define WEIR_LABEL_MAX 64
typedef struct weir_lease_info {
    char label[WEIR_LABEL_MAX];
    char trace_id[WEIR_LABEL_MAX];
    uint64_t connection;
    uint64_t age_ns;
    int backend_pid;
    uint32_t lane;
    bool running;               /* a query is under way */
    bool leaked;                /* held past leak_after_ns */
    const char *transaction;    /* idle, active, open, failed; unknown: nothing has run yet */
    uint64_t query_ns;          /* the query under way has run for so long; 0: none is */
    char query[WEIR_LABEL_MAX]; /* the statement under way or last run; "" for none */
    char where[WEIR_LABEL_MAX]; /* source line of the acquire */
} weir_lease_info;

/* Copies up to `capacity` leases, oldest first; returns how many. Any thread. */
WEIR_PUBLIC uint32_t weir_pool_leases(weir_pool *pool, weir_lease_info *leases, uint32_t capacity);

typedef struct weir_waiter_info {
    char label[WEIR_LABEL_MAX];
    char trace_id[WEIR_LABEL_MAX];
    uint64_t waited_ns;
    uint64_t left_ns; /* until its deadline; WEIR_NEVER: it has none */
    uint32_t lane;
    bool urgent;
} weir_waiter_info;

/* Copies up to `capacity` waiters, longest waiting first; returns how many. Any thread. */
WEIR_PUBLIC uint32_t weir_pool_waiters(weir_pool *pool, weir_waiter_info *waiters,
                                       uint32_t capacity);

/* Why a take has to wait or is refused, in one word. The first that holds, in this order. */
#define WEIR_VERDICTS(X)                                                                           \
    X(WEIR_VERDICT_PAUSED, "paused", "the pool is paused, or closing")                             \
    X(WEIR_VERDICT_CONNECTING, "connecting", "connections that are needed are not up yet")         \
    X(WEIR_VERDICT_OK, "ok", "connections are free, or can be made")                               \
    X(WEIR_VERDICT_LEAK, "leak", "leases past their leak limit keep a share of the connections")   \
    X(WEIR_VERDICT_SLOW_QUERIES, "slow_queries", "what runs takes far longer than is usual")       \
    X(WEIR_VERDICT_SHED, "shed", "overload has lasted, and the oldest waiters are turned away")    \
    X(WEIR_VERDICT_SATURATED, "saturated", "every connection is at work as usual: too few of them")

typedef enum weir_verdict {
#define X(name, word, text) name,
    WEIR_VERDICTS(X)
#undef X
        WEIR_VERDICT_COUNT
} weir_verdict;

WEIR_PUBLIC const char *weir_verdict_name(weir_verdict verdict);

#define WEIR_HOLDERS_MAX 3
typedef struct weir_diagnosis {
    weir_verdict verdict;
    char reason[256]; /* one sentence with the figures behind it; names no host, user or SQL */
    uint32_t holder_count;
    weir_lease_info holders[WEIR_HOLDERS_MAX]; /* the oldest leases */
} weir_diagnosis;

/* Says why the pool is as it is. With `refusal` the WEIR_E… code of a take just refused, why that
 * was: WEIR_ESHED is told as shed, WEIR_ECONNECT as connecting, whatever has changed since, and
 * nothing as ok; 0 for the pool as it stands. Looks at every connection once. Any thread. */
WEIR_PUBLIC void weir_pool_diagnose(weir_pool *pool, int refusal, weir_diagnosis *diagnosis);

/* How large the pool should be for the load it has. */
typedef struct weir_advice {
    uint32_t max;         /* connections that would have met it; 0: too little is known */
    uint64_t window_ns;   /* over the last so long, 5 min at most */
    double takes_per_s;   /* asked for, refused ones included */
    uint64_t use_mean_ns; /* a lease lasted on average */
    double busy_mean;     /* connections in use on average */
    uint64_t wait_target_ns;
    char reason[256];
} weir_advice;

/* What `max` would have kept 99 of 100 waits within wait_target_ns at the load of the last minutes,
 * each ten seconds of it by Erlang's C formula. Takes the time that leases last as given, though
 * more connections may slow down a server that is busy already; and every take as one that would
 * have been made, though some may be retries of those refused. Any thread. */
WEIR_PUBLIC void weir_pool_advise(weir_pool *pool, weir_advice *advice);

typedef struct weir_connection_info {
    uint64_t connection; /* its serial number; 0: its dial has not begun */
    const char *state;   /* dialing, idle, leased, resetting, checking, cancelling, closing */
    uint64_t state_ns;   /* for how long */
    uint64_t age_ns;     /* since it was opened; 0 while dialing */
    int backend_pid;
    uint32_t lane;
} weir_connection_info;

/* Copies up to `capacity` connections; returns how many. Any thread. */
WEIR_PUBLIC uint32_t weir_pool_connections(weir_pool *pool, weir_connection_info *connections,
                                           uint32_t capacity);

/* ---- Drivers ---- */

/* PostgreSQL through libpq. */
WEIR_PUBLIC const weir_driver *weir_postgres(void);

/* A server made of a script, for tests of code that uses a pool: no network, and with a runtime in
 * virtual time no waiting either. All calls on the lane's thread, or before the runtime runs. */
typedef struct weir_fake weir_fake;
WEIR_PUBLIC const weir_driver *weir_fake_driver(void);
WEIR_PUBLIC int weir_fake_open(weir_fake **fake);
WEIR_PUBLIC void weir_fake_close(weir_fake *fake); /* after its pool; takes NULL */

typedef enum weir_fake_outcome {
    WEIR_FAKE_OK,
    WEIR_FAKE_FAIL, /* refused, with `error` */
    WEIR_FAKE_LOSE, /* the connection breaks */
    WEIR_FAKE_HANG, /* nothing ever comes back */
} weir_fake_outcome;

/* One scripted answer: to a dial, a query, a check, a reset or a cancel. */
typedef struct weir_fake_step {
    weir_fake_outcome outcome;
    uint64_t delay_ns; /* before it takes effect */
    weir_error error;  /* for WEIR_FAKE_FAIL; a code of 0 becomes WEIR_EQUERY or WEIR_ECONNECT */
    uint32_t columns, rows;    /* of a query's result */
    const char *const *names;  /* column names; copied */
    const uint32_t *types;     /* column type OIDs; copied; NULL: text */
    const char *const *values; /* rows × columns, NULL for SQL null; copied */
    uint64_t affected;
    /* To a stream a query's rows go first, whatever the outcome, which comes behind them. */
    uint32_t batch;          /* rows in one batch; 0: all */
    uint64_t batch_delay_ns; /* before each batch that is asked for, and the end, but the first */
} weir_fake_step;

/* The next dial (or check, reset, cancel) that has no step yet goes so; further ones follow the
 * default: at once, well. A step given with `times` 0 becomes the default. Strings are copied.
 * WEIR_ENOMEM. */
typedef enum weir_fake_act {
    WEIR_FAKE_DIAL,
    WEIR_FAKE_CHECK,
    WEIR_FAKE_RESET,
    WEIR_FAKE_CANCEL
} weir_fake_act;
WEIR_PUBLIC int weir_fake_script(weir_fake *fake, weir_fake_act act, uint32_t times,
                                 const weir_fake_step *step);

/* Queries whose SQL is `sql` (NULL: any) answer so, `times` times (0: always). The earliest
 * matching script not yet used up applies; with none, an empty result at once. */
WEIR_PUBLIC int weir_fake_answer(weir_fake *fake, const char *sql, uint32_t times,
                                 const weir_fake_step *step);

/* Breaks every idle connection, as a server does that shuts down. */
WEIR_PUBLIC void weir_fake_lose_idle(weir_fake *fake);
/* The same, and leased ones on which nothing runs. */
WEIR_PUBLIC void weir_fake_lose_quiet(weir_fake *fake);

/* Says something to every session that listens: one on which a statement that begins with LISTEN
 * has run, to whatever channel, and none that begins with UNLISTEN nor a reset since. */
WEIR_PUBLIC void weir_fake_notify(weir_fake *fake, const char *channel, const char *payload);

typedef struct weir_fake_counts {
    uint32_t open;      /* server sessions open now, dialing ones included */
    uint32_t open_most; /* the most there ever were */
    uint64_t dials, queries, checks, resets, cancels;
} weir_fake_counts;
WEIR_PUBLIC weir_fake_counts weir_fake_counted(const weir_fake *fake);

/* The settings that the last query ran under, as "name=value\n" each; "" for none. */
WEIR_PUBLIC void weir_fake_settings(const weir_fake *fake, char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
