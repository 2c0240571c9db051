/* core_state.h: what the core remembers. Only the core_….c files look inside. */
#ifndef WEIR_CORE_STATE_H
#define WEIR_CORE_STATE_H

#include "core.h"
#include "pace.h"
#include "waitq.h"

typedef struct connection {
    struct connection *prev, *next; /* in the list that is its state, latest first */
    connection_state state;
    uint32_t lane;
    uint64_t since_ns;   /* in this state */
    uint64_t born_ns;    /* up since; 0 before */
    uint64_t expires_ns; /* end of its lifetime, jitter included */
    waiter *holder;      /* while LEASED */
} connection;

struct core {
    core_options options;
    uint64_t now_ns;
    uint64_t wake_ns; /* nothing is due by the clock before */
    effects *out;     /* of the step under way */
    bool draining, drained;
    bool overflowed; /* the last step had more to do than fits */

    uint32_t count[CONNECTION_STATE_COUNT];
    uint64_t limit_ns[CONNECTION_STATE_COUNT]; /* how long a connection may stay in a state */
    connection *list[CONNECTION_STATE_COUNT];  /* but for IDLE, which has a list a lane */
    connection **idle;
    connection *connections;

    waitq waiters;
    pace pace;
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
    return c->options.max - c->count[CONNECTION_FREE] - c->count[CONNECTION_CLOSING];
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
    return (c->waiters.count > supply_count(c) || open_count(c) < c->options.min) &&
           c->count[CONNECTION_FREE] > 0 && c->count[CONNECTION_DIALING] < c->pace.window &&
           !c->draining;
}

/* Idle for so long that it is checked before anyone gets it. */
static inline bool is_stale(const core *c, const connection *x)
{
    return c->now_ns - x->since_ns > c->options.validate_after_ns;
}

/* ---- core.c ---- */

/* Asked before each effect but the first of a step; once it says no, the step is overflowed. */
bool has_room(core *c);
void connection_retire(core *c, connection *x, weir_retire_reason reason);
void refuse_waiting(core *c, waiter *w, int error);
/* Why a connection that is well is not kept, if so. */
weir_retire_reason keep_verdict(const core *c, const connection *x);

/* ---- core_due.c ---- */

/* Ends whatever is past its time, as far as there is room. */
void expire_due(core *c);
/* When the next thing falls due. O(size). */
uint64_t next_due(const core *c);

#endif
