/* core_due.c: what falls due by the clock. */
#include <utlist.h>

#include "core_state.h"

/* A deadline that passed while the server could not be reached is the server's fault. */
static int expiry_error(const core *c)
{
    bool any_up = open_count(c) > c->count[CONNECTION_DIALING];

    return c->pace.failures > 0 && !any_up ? WEIR_ECONNECT : WEIR_ETIMEDOUT;
}

static void expire_waiters(core *c)
{
    waiter *w;

    while ((w = waitq_expired(&c->waiters, c->now_ns)) && has_room(c))
        refuse_waiting(c, w, expiry_error(c));
}

/* The last in a list is the longest in its state, and all in a state have the same limit. */
static void expire_work(core *c, connection_state state, weir_retire_reason reason)
{
    while (c->list[state]) {
        connection *oldest = c->list[state]->prev;
        if (c->now_ns < deadline_after(oldest->since_ns, c->limit_ns[state]) || !has_room(c))
            return;
        if (state == CONNECTION_DIALING)
            pace_failed(&c->pace, oldest->since_ns, c->now_ns, &c->random);
        connection_retire(c, oldest, reason);
    }
}

/* Why an idle connection is not kept any longer, if so. */
static weir_retire_reason idle_verdict(const core *c, const connection *x)
{
    weir_retire_reason verdict = keep_verdict(c, x);

    if (verdict != WEIR_RETIRE_NOT)
        return verdict;
    if (open_count(c) > c->options.min &&
        c->now_ns >= deadline_after(x->since_ns, c->limit_ns[CONNECTION_IDLE]))
        return WEIR_RETIRE_IDLE;
    return WEIR_RETIRE_NOT;
}

static void expire_idle(core *c)
{
    for (uint32_t lane = 0; lane < c->options.lanes; lane++) {
        uint32_t left = 0;
        connection *x, *before;

        DL_COUNT(c->idle[lane], x, left);
        for (x = left ? c->idle[lane]->prev : NULL; left > 0; left--, x = before) {
            before = x->prev;
            weir_retire_reason verdict = idle_verdict(c, x);
            if (verdict == WEIR_RETIRE_NOT)
                continue;
            if (!has_room(c))
                return;
            connection_retire(c, x, verdict);
        }
    }
}

void expire_due(core *c)
{
    expire_waiters(c);
    expire_work(c, CONNECTION_DIALING, WEIR_RETIRE_CONNECT_TIMEOUT);
    expire_work(c, CONNECTION_CHECKING, WEIR_RETIRE_CHECK_FAILED);
    expire_work(c, CONNECTION_RESETTING, WEIR_RETIRE_DIRTY);
    expire_work(c, CONNECTION_CANCELLING, WEIR_RETIRE_CANCELLED);
    expire_idle(c);
}

uint64_t next_due(const core *c)
{
    uint64_t due_ns = waitq_deadline(&c->waiters);

    for (uint32_t i = 0; i < c->options.max; i++) {
        const connection *x = &c->connections[i];
        bool surplus = open_count(c) > c->options.min;
        uint64_t at_ns = deadline_after(x->since_ns, c->limit_ns[x->state]);

        if (x->state == CONNECTION_IDLE && !surplus)
            at_ns = WEIR_NEVER;
        if (x->state == CONNECTION_IDLE && x->expires_ns < at_ns)
            at_ns = x->expires_ns;
        if (at_ns < due_ns)
            due_ns = at_ns;
    }
    if (dial_wanted(c) && c->pace.not_before_ns < due_ns)
        due_ns = c->pace.not_before_ns;
    return due_ns;
}
