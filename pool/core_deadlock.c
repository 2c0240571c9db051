/* core_deadlock.c: who waits for himself: all connections held by those who wait for each other. */
#include <stdatomic.h>
#include <utlist.h>

#include "core_state.h"

/* Nobody who could give a connection back, or receive one, is outside the circle. */
static bool exhausted(const core *c)
{
    uint32_t size = c->options.slots - c->count[CONNECTION_FREE];

    return c->waiters.count > 0 && size > 0 && size == c->count[CONNECTION_LEASED] &&
           size >= size_limit(c);
}

/* Seems to wait with all it has; what it waits for may be of another pool. */
static bool seems_stuck(const claimant *who)
{
    uint32_t strands = who ? atomic_load_explicit(&who->strands, memory_order_relaxed) : 0;

    return strands > 0 && atomic_load_explicit(&who->waiting, memory_order_relaxed) >= strands;
}

/* Its counts may change at any moment, the queue may not. So that it waits here is seen there
 * alone, and one look at its strands tells that none of them is anywhere else. */
static bool is_stuck(const core *c, const claimant *who)
{
    uint32_t here = 0;
    const waiter *w;

    DL_FOREACH (c->waiters.first, w)
        here += w->claimant == who;
    return here > 0 && here >= atomic_load_explicit(&who->strands, memory_order_relaxed);
}

static bool holds(const core *c, const claimant *who)
{
    const connection *x;

    DL_FOREACH (c->list[CONNECTION_LEASED], x)
        if (x->holder->claimant == who)
            return true;
    return false;
}

/* The latest to join the circle; its work is the least far gone. All who hold wait here, so that
 * there is one. */
static waiter *victim(const core *c)
{
    waiter *w = c->waiters.first->prev;

    while (!w->claimant || !holds(c, w->claimant))
        w = w->prev;
    return w;
}

/* In an ordinary full pool the first holder looked at is at work, and that is all it costs. */
void break_deadlock(core *c)
{
    const connection *x;

    if (!exhausted(c))
        return;
    DL_FOREACH (c->list[CONNECTION_LEASED], x)
        if (!seems_stuck(x->holder->claimant))
            return;
    DL_FOREACH (c->list[CONNECTION_LEASED], x)
        if (!is_stuck(c, x->holder->claimant))
            return;
    if (has_room(c))
        refuse_waiting(c, victim(c), WEIR_EDEADLK);
}
