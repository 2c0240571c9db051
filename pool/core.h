/* core.h: the pool's rules as a pure state machine: events in, effects out.
 *
 * No I/O, no clock, no lock, no allocation after core_new. All rules about who gets which
 * connection when are here; the shell (pool.c) and the simulator (tests/sim) carry the effects out.
 * One thread at a time.
 *
 * The life of a connection, as the core sees it:
 *
 *   FREE → DIALING → IDLE ⇄ LEASED → RESETTING | CANCELLING → IDLE
 *                    IDLE → CHECKING → (granted or IDLE)
 *   any of these → CLOSING → FREE
 *
 * Each slot that is not FREE counts against `max`. Exactly one EFFECT_CLOSE is sent in the life of
 * a connection, and exactly one EVENT_CLOSED is expected for it.
 *
 * What is done about trouble, each in a file of its own: how fast to dial (pace.h), whom to turn
 * away under overload (shed.h), who waits for himself (core_deadlock.c).
 */
#ifndef WEIR_CORE_H
#define WEIR_CORE_H

#include "heap.h"
#include "weir.h"

/* A state is a list. Names as in logs, metrics and GET /pool. */
#define CONNECTION_STATES(X)                                                                       \
    X(CONNECTION_FREE, "free")                                                                     \
    X(CONNECTION_DIALING, "dialing")                                                               \
    X(CONNECTION_IDLE, "idle")                                                                     \
    X(CONNECTION_LEASED, "leased")                                                                 \
    X(CONNECTION_RESETTING, "resetting")                                                           \
    X(CONNECTION_CHECKING, "checking")                                                             \
    X(CONNECTION_CANCELLING, "cancelling")                                                         \
    X(CONNECTION_CLOSING, "closing")

typedef enum connection_state {
#define X(name, word) name,
    CONNECTION_STATES(X)
#undef X
        CONNECTION_STATE_COUNT
} connection_state;

const char *connection_state_name(connection_state state);

typedef enum waiter_state {
    WAITER_NEW,
    WAITER_WAITING,
    WAITER_GRANTED,
    WAITER_REFUSED,
    WAITER_RECLAIMED, /* held for too long: the connection has been taken from it */
} waiter_state;

/* Strands of control that wait for each other and so get stuck together: a task and the members of
 * the groups it has opened. Caller's memory, longer than any waiter or lease that names it. */
typedef struct claimant {
    _Atomic uint32_t strands; /* that could go on, but for those that wait for a connection; the
                                 caller's to count, on its own thread */
    _Atomic uint32_t waiting; /* in the queue of a core, any core; the cores' to count */
} claimant;

/* Who waits. Caller's memory, zeroed, from EVENT_TAKE until its grant has been released or it has
 * been refused. */
typedef struct waiter {
    struct waiter *prev, *next;           /* among all waiters, in order of arrival */
    struct waiter *lane_prev, *lane_next; /* among those of its lane */
    heap_node by_deadline;
    uint64_t since_ns;    /* asked */
    uint64_t deadline_ns; /* set by the caller before EVENT_TAKE */
    uint32_t lane;        /* set by the caller before EVENT_TAKE */
    uint32_t connection;  /* once granted */
    claimant *claimant;   /* set by the caller before EVENT_TAKE; NULL: never waits for itself */
    bool urgent; /* set by the caller before EVENT_TAKE: may use the reserve of the queue, and
                    is not shed */
    waiter_state state;
} waiter;

typedef struct core_options {
    uint32_t lanes;
    uint32_t slots; /* the most that `max` can ever be set to */
    uint32_t max, min;
    uint32_t queue_max;
    uint32_t queue_reserve; /* places of queue_max that only the urgent may take */
    uint64_t connect_timeout_ns;
    uint64_t validate_after_ns;
    uint64_t check_timeout_ns;
    uint64_t idle_timeout_ns;
    uint64_t max_lifetime_ns;
    uint64_t keepalive_ns;  /* idle and not heard from for so long: checked; WEIR_NEVER: not */
    uint64_t leak_after_ns; /* leased for so long without EVENT_PROGRESS: told, once; WEIR_NEVER:
                               not */
    bool reclaim_leaked;    /* and taken from its holder */
    uint64_t cancel_grace_ns;
    uint64_t shed_target_ns,
        shed_interval_ns;   /* see shed.h; a target of WEIR_NEVER: nobody is shed */
    uint64_t full_pause_ns; /* how long a server that had no room is not asked for more */
    uint64_t backoff_base_ns, backoff_max_ns;
    uint64_t affinity_ns; /* how long a waiter may be overtaken by one of the connection's own lane;
                             2 ms */
    uint64_t seed;        /* of the jitter, not 0 */
} core_options;

/* In which condition a lease brings its connection back. */
typedef enum release_condition {
    RELEASE_CLEAN,
    RELEASE_DIRTY,   /* open transaction or changed session: reset before reuse */
    RELEASE_RUNNING, /* a query was cut short: quarantine until its cancel is through */
    RELEASE_BROKEN,  /* lost; `reason` says how */
} release_condition;

/* What happens to the core. Fields beside those named stay 0. */
typedef enum event_kind {
    EVENT_TAKE,     /* waiter (lane and deadline set): wants a connection */
    EVENT_CANCEL,   /* waiter: no longer wants one; without effect unless it is WAITER_WAITING */
    EVENT_RELEASE,  /* waiter, condition, reason: gives its connection back */
    EVENT_PROGRESS, /* waiter, granted: what it does with its connection goes on. From now on its
                       leak_after_ns counts anew; what has been told stays so */
    EVENT_REST,     /* waiter, granted: it waits for what may rightly be long in coming. Its
                       leak_after_ns does not count before the next EVENT_PROGRESS */
    EVENT_UP,       /* connection: the dial is through */
    EVENT_CHECKED,  /* connection: the check, reset or cancel it was asked for is through, and it is
                       well */
    EVENT_DOWN, /* connection, reason: dial failed, or lost; ignored once CLOSING, and while LEASED:
                    there the release tells, and a loss may cross a grant on its way */
    EVENT_CLOSED, /* connection: nothing of it is left; its slot is free */
    EVENT_TICK,   /* time has passed, or a claimant has fewer strands that could go on */
    EVENT_DRAIN,  /* refuse waiters and new takes, close connections as they come back; ends a
                     pause */
    EVENT_RESIZE, /* max, min: from now on. What is too many is closed (SURPLUS): idle ones at once,
                     the coldest first, then dials, leased ones as they come back */
    EVENT_PAUSE,  /* grant, dial and check nothing until EVENT_RESUME; waiters wait, up to their
                     deadlines; without effect while draining, or paused */
    EVENT_RESUME,
    EVENT_EVICT, /* spread_ns: every connection there is now, dials included, is replaced (EVICTED),
                    each at a random moment within spread_ns; one that is then not idle, as it comes
                    back or up */
} event_kind;

typedef struct event {
    event_kind kind;
    waiter *waiter;
    uint32_t connection;
    release_condition condition;
    weir_retire_reason reason; /* WEIR_RETIRE_SERVER_FULL for a dial: the server has no room */
    uint32_t max, min;
    uint64_t spread_ns;
} event;

/* What the core asks for. `lane` is where: the connection's lane, or the waiter's for REFUSE. */
typedef enum effect_kind {
    EFFECT_DIAL,   /* connection: open it on `lane`; answer UP or DOWN */
    EFFECT_GRANT,  /* waiter has connection; when `lane` (where it is) is not waiter->lane, it moves
                      there first */
    EFFECT_REFUSE, /* waiter gets none: error is WEIR_ETIMEDOUT, ECONNECT, EQUEUEFULL, ECLOSED,
                      ECANCELED, ESHED or EDEADLK. ECONNECT: the deadline passed while the last dial
                      had failed and nothing was up; or it will: nothing is up or on its way, and
                      the pause after the failed dial, plus a dial, lasts until then at least */
    EFFECT_CHECK,  /* connection: is it alive? answer CHECKED or DOWN */
    EFFECT_RESET,  /* connection: roll back, clean the session; answer CHECKED or DOWN */
    EFFECT_CANCEL, /* connection: stop what runs, drain it; answer CHECKED or DOWN */
    EFFECT_CLOSE,  /* connection, reason: free everything; answer CLOSED */
    EFFECT_DRAINED, /* after DRAIN: the last connection is closed */
    EFFECT_PAUSED,  /* after PAUSE, once each: nothing is leased, being reset or cancelled */
    EFFECT_LEAKED,  /* waiter has held connection for leak_after_ns, and nothing went on. With
                       reclaim_leaked the connection is closed too (EFFECT_CLOSE with LEAKED, in the
                       same step), the waiter is WAITER_RECLAIMED, and its EVENT_RELEASE does
                       nothing but end that */
} effect_kind;

typedef struct effect {
    effect_kind kind;
    uint32_t connection;
    uint32_t lane;
    int error;
    weir_retire_reason reason;
    waiter *waiter;
} effect;

/* A step that had more to do than fits sets wake_ns to now: the next EVENT_TICK goes on. */
#define EFFECTS_MAX 32
typedef struct effects {
    uint32_t count;
    uint64_t wake_ns; /* EVENT_TICK is due then at the latest; WEIR_NEVER: not by the clock */
    effect item[EFFECTS_MAX];
} effects;

/* `duration_ns` after `now_ns`; WEIR_NEVER stays WEIR_NEVER and nothing overflows. */
static inline uint64_t deadline_after(uint64_t now_ns, uint64_t duration_ns)
{
    return duration_ns > WEIR_NEVER - now_ns ? WEIR_NEVER : now_ns + duration_ns;
}

typedef struct core core;

/* Options must be complete: every time set, slots ≥ max ≥ 1, min ≤ max, lanes ≥ 1, queue_reserve <
 * queue_max. WEIR_ENOMEM. */
int core_new(const core_options *options, core **made);
void core_free(core *c);

/* The only way in. `now_ns` never decreases from step to step. */
void core_step(core *c, const event *e, uint64_t now_ns, effects *out);

/* ---- Looking at it ---- */

typedef struct core_view {
    uint32_t count[CONNECTION_STATE_COUNT]; /* connections in each state */
    uint32_t size;                          /* all but FREE */
    uint32_t up;                            /* of these, all but DIALING and CLOSING */
    uint32_t waiting;
    uint32_t failures; /* dials failed in a row */
    uint32_t max, min;
    uint32_t ceiling;       /* what the server has room for, as far as is known; max or less */
    uint64_t not_before_ns; /* no dial before */
    uint64_t use_ns;     /* how long a lease lasts, lately; 0: not known yet. See shed.h; one that
                            was reclaimed does not count */
    uint64_t dial_ns;    /* how long a dial that succeeds takes, lately; 0: not known yet */
    uint64_t leaked;     /* leases told as leaked so far */
    uint32_t leaked_out; /* of those, still out and not reclaimed */
    uint64_t quarantine_ended,
        quarantine_failed; /* cancels after which the connection was kept, or not */
    bool draining, paused;
    bool shedding; /* overload has lasted */
} core_view;

void core_look(const core *c, core_view *view);

typedef struct core_connection_view {
    connection_state state;
    uint32_t lane;
    uint64_t since_ns; /* in this state */
    uint64_t born_ns;  /* up since; 0 before */
    waiter *holder;    /* while LEASED */
} core_connection_view;

void core_look_at(const core *c, uint32_t connection, core_connection_view *view);

/* Who has waited longest, the others after it by `next`; NULL when nobody waits. */
const waiter *core_first_waiter(const core *c);

/* Checks every invariant that the core can see by itself, and aborts with a message at the first
 * that fails. O(size). For tests and simulation. */
void core_check(const core *c, uint64_t now_ns);

#endif
