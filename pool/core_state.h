/* core_state.h: what the core remembers. Only the core_….c files look inside. */
#ifndef WEIR_CORE_STATE_H
#define WEIR_CORE_STATE_H

#include "core.h"
#include "pace.h"
#include "random.h"
#include "shed.h"
#include "waitq.h"

typedef struct connection {
    struct connection *prev, *next; /* in the list that is its state, latest first; among the idle,
                                       latest used first */
    connection_state state;
    uint32_t lane;
    bool leaked;         /* its present lease has been told as leaked */
    uint64_t since_ns;   /* in this state */
    uint64_t alive_ns;   /* the same, or the last sign of life since; WEIR_NEVER: none is due */
    uint64_t born_ns;    /* up since; 0 before */
    uint64_t used_ns;    /* end of its last lease, or up since */
    uint64_t heard_ns;   /* last known to be well */
    uint64_t early_ns;   /* by so much its keepalive comes earlier */
    uint64_t expires_ns; /* end of its lifetime, jitter included */
    uint64_t evict_ns;   /* to be replaced from then on */
    waiter *holder;      /* while LEASED */
} connection;

struct core {
    core_options options;
    uint64_t now_ns;
    uint64_t wake_ns; /* nothing is due by the clock before */
    effects *out;     /* of the step under way */
    uint32_t max, min;
    bool draining, drained;
    bool paused, pause_told;
    bool overflowed; /* the last step had more to do than fits */
    bool suspicious; /* this step may have closed a circle of those who wait for each other */

    uint32_t count[CONNECTION_STATE_COUNT];
    uint64_t limit_ns[CONNECTION_STATE_COUNT]; /* how long a connection may stay in a state */
    connection *list[CONNECTION_STATE_COUNT];  /* but for IDLE, which has a list a lane */
    connection **idle;
    connection *connections;

    waitq waiters;
    pace pace;
    shed shed;
    uint64_t use_ns, dial_ns; /* how long a lease, a dial lasts, lately; 0: not known yet */
    uint64_t leaked;
    uint32_t leaked_out;
    uint64_t quarantine_ended, quarantine_failed;
    uint64_t random;
    uint32_t next_lane; /* where a dial for nobody in particular goes */
};

static inline connection **list_of(core *c, const connection *x)
{
    return x->state == CONNECTION_IDLE ? &c->idle[x->lane] : &c->list[x->state];
}

/* Connections that are or will be up. */
static inline uint32_t open_count(const core *c)
{
    return c->options.slots - c->count[CONNECTION_FREE] - c->count[CONNECTION_CLOSING];
}

/* Those that can be had, or before long: neither being made nor being closed. */
static inline uint32_t up_count(const core *c)
{
    return open_count(c) - c->count[CONNECTION_DIALING];
}

/* As many connections as there may be, in whatever state. */
static inline uint32_t size_limit(const core *c)
{
    return c->max < c->pace.ceiling ? c->max : c->pace.ceiling;
}

/* Connections on their way to a waiter without anything more being asked for. A quarantined one may
 * take as long as its grace, so it is not counted. */
static inline uint32_t supply_count(const core *c)
{
    return c->count[CONNECTION_DIALING] + c->count[CONNECTION_CHECKING] +
           c->count[CONNECTION_RESETTING];
}

/* There is need of a dial, and room for it; the pause after a failure apart. */
static inline bool dial_wanted(const core *c)
{
    return (c->waiters.count > supply_count(c) || open_count(c) < c->min) &&
           c->options.slots - c->count[CONNECTION_FREE] < size_limit(c) &&
           c->count[CONNECTION_DIALING] < c->pace.window && !c->draining && !c->paused;
}

/* Not heard from for so long that it is checked before anyone gets it. */
static inline bool is_stale(const core *c, const connection *x)
{
    return c->now_ns - x->heard_ns > c->options.validate_after_ns;
}

static inline uint64_t keepalive_due(const core *c, const connection *x)
{
    uint64_t after_ns = c->options.keepalive_ns;
    return after_ns == WEIR_NEVER || c->paused
               ? WEIR_NEVER
               : deadline_after(x->heard_ns, after_ns - x->early_ns);
}

/* When time next asks something of an idle connection; one that is needed for min may stay idle. */
static inline uint64_t idle_due(const core *c, const connection *x, bool needed)
{
    uint64_t due_ns =
        needed ? WEIR_NEVER : deadline_after(x->used_ns, c->limit_ns[CONNECTION_IDLE]);
    uint64_t alive_ns = keepalive_due(c, x);

    due_ns = alive_ns < due_ns ? alive_ns : due_ns;
    due_ns = x->evict_ns < due_ns ? x->evict_ns : due_ns;
    return x->expires_ns < due_ns ? x->expires_ns : due_ns;
}

/* ---- core.c ---- */

/* Asked before each effect but the first of a step; once it says no, the step is overflowed. */
bool has_room(core *c);
bool has_room_for(core *c, uint32_t more);
effect *emit(core *c, effect_kind kind);
effect *emit_for(core *c, effect_kind kind, const connection *x);
void connection_begin(core *c, connection *x, connection_state work, effect_kind kind);
void connection_retire(core *c, connection *x, weir_retire_reason reason);
void dial_failed(core *c, const connection *x);
void refuse_waiting(core *c, waiter *w, int error);
/* Why a connection that is well is not kept, if so. */
weir_retire_reason keep_verdict(const core *c, const connection *x);

/* Until when nobody can be given a connection, because the server cannot be reached; now when that
 * is not known. */
uint64_t hopeless_until(const core *c);

/* ---- core_control.c ---- */

void on_resize(core *c, uint32_t max, uint32_t min);
void on_pause(core *c);
void on_evict(core *c, uint64_t spread_ns);
void on_drain(core *c);
/* What follows from them, in every step. */
void trim(core *c);
void tell_pause(core *c);
void drain(core *c);

/* ---- core_deadlock.c ---- */

/* Refuses one waiter where all connections are held by those who wait for each other. */
void break_deadlock(core *c);

/* ---- core_due.c ---- */

/* Ends whatever is past its time, as far as there is room. */
void expire_due(core *c);
/* When the next thing falls due. O(size). */
uint64_t next_due(const core *c);

#endif
