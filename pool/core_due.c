/* core_due.c: what falls due by the clock. */
#include <utlist.h>

#include "core_state.h"

/* A deadline that passed while the server could not be reached is the server's fault; while paused
 * nobody tries to reach it. */
static int expiry_error(const core *c)
{
    return c->pace.failures > 0 && up_count(c) == 0 && !c->paused ? WEIR_ECONNECT : WEIR_ETIMEDOUT;
}

static void expire_waiters(core *c)
{
    uint64_t until_ns = hopeless_until(c);
    waiter *w;

    while ((w = waitq_expired(&c->waiters, until_ns)) && has_room(c))
        refuse_waiting(c, w, expiry_error(c));
}

static void tell_leak(core *c, connection *x)
{
    emit_for(c, EFFECT_LEAKED, x)->waiter = x->holder;
    c->leaked++;
    if (!c->options.reclaim_leaked) {
        x->leaked = true;
        c->leaked_out++;
        return;
    }
    x->holder->state = WAITER_RECLAIMED;
    x->holder = NULL;
    connection_retire(c, x, WEIR_RETIRE_LEAKED);
}

static uint64_t leak_due(const core *c, const connection *x)
{
    return x->leaked ? WEIR_NEVER : deadline_after(x->alive_ns, c->limit_ns[CONNECTION_LEASED]);
}

/* The longest leased first; each is told once. */
static void expire_leases(core *c)
{
    connection *x = c->list[CONNECTION_LEASED] ? c->list[CONNECTION_LEASED]->prev : NULL, *younger;

    for (uint32_t left = c->count[CONNECTION_LEASED]; left > 0; left--, x = younger) {
        younger = x->prev;
        if (c->now_ns < leak_due(c, x))
            continue;
        if (!has_room_for(c, 2))
            return;
        tell_leak(c, x);
    }
}

/* The last in a list is the longest in its state, and all in a state have the same limit. */
static void expire_work(core *c, connection_state state, weir_retire_reason reason)
{
    while (c->list[state]) {
        connection *oldest = c->list[state]->prev;
        if (c->now_ns < deadline_after(oldest->since_ns, c->limit_ns[state]) || !has_room(c))
            return;
        if (state == CONNECTION_DIALING)
            dial_failed(c, oldest);
        connection_retire(c, oldest, reason);
    }
}

/* Why an idle connection is not kept any longer, if so. */
static weir_retire_reason idle_verdict(const core *c, const connection *x)
{
    weir_retire_reason verdict = keep_verdict(c, x);

    if (verdict != WEIR_RETIRE_NOT)
        return verdict;
    if (open_count(c) > c->min &&
        c->now_ns >= deadline_after(x->used_ns, c->limit_ns[CONNECTION_IDLE]))
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
            if (verdict == WEIR_RETIRE_NOT && c->now_ns < keepalive_due(c, x))
                continue;
            if (!has_room(c))
                return;
            if (verdict == WEIR_RETIRE_NOT)
                connection_begin(c, x, CONNECTION_CHECKING, EFFECT_CHECK);
            else
                connection_retire(c, x, verdict);
        }
    }
}

void expire_due(core *c)
{
    pace_lift(&c->pace, c->now_ns);
    expire_leases(c);
    expire_work(c, CONNECTION_DIALING, WEIR_RETIRE_CONNECT_TIMEOUT);
    expire_work(c, CONNECTION_CHECKING, WEIR_RETIRE_CHECK_FAILED);
    expire_work(c, CONNECTION_RESETTING, WEIR_RETIRE_DIRTY);
    expire_work(c, CONNECTION_CANCELLING, WEIR_RETIRE_CANCELLED);
    expire_idle(c);
    expire_waiters(c); /* last: they may just have lost their last hope */
}

static uint64_t connection_due(const core *c, const connection *x)
{
    if (x->state == CONNECTION_IDLE)
        return idle_due(c, x, open_count(c) <= c->min);
    if (x->state == CONNECTION_LEASED)
        return leak_due(c, x);
    return deadline_after(x->since_ns, c->limit_ns[x->state]);
}

uint64_t next_due(const core *c)
{
    uint64_t due_ns = waitq_deadline(&c->waiters);
    const waiter *patient = waitq_first_patient(&c->waiters);

    for (uint32_t i = 0; i < c->options.slots; i++) {
        uint64_t at_ns = connection_due(c, &c->connections[i]);
        if (at_ns < due_ns)
            due_ns = at_ns;
    }
    if (patient && shed_at(&c->shed, patient->since_ns) < due_ns)
        due_ns = shed_at(&c->shed, patient->since_ns);
    if (c->pace.lift_ns < due_ns)
        due_ns = c->pace.lift_ns;
    if (dial_wanted(c) && c->pace.not_before_ns < due_ns)
        due_ns = c->pace.not_before_ns;
    return due_ns;
}
