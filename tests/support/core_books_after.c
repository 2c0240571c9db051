/* core_books_after.c: where things stand once a step is over. */
#include <stddef.h>

#include "core_books_parts.h"

static void compare_dials(books *b)
{
    const core_view *v = &b->view;

    want(b, v->failures == b->failures, "the core counts failed dials");
    want(b, v->ceiling >= room_at_least(b) && v->ceiling <= room_at_most(b),
         "the core knows how many the server has room for");
    ceiling_seen(b);
    want(b, v->dial_ns >= b->dial_least_ns && v->dial_ns <= b->dial_most_ns,
         "the core measures dials");
    if (b->failures > 0)
        want(b, v->not_before_ns <= deadline_after(b->failed_ns, b->options.backoff_max_ns),
             "a pause has a bound");
    else
        want(b, v->not_before_ns <= b->now_ns, "no pause without a failure");
}

static void compare_leases(books *b)
{
    const core_view *v = &b->view;
    uint32_t leaked_out = 0;

    for (uint32_t i = 0; i < b->options.slots; i++)
        leaked_out += b->sessions[i].holder && b->sessions[i].told_leaked;
    want(b, v->leaked == b->leaked, "the core counts leaks");
    want(b, v->leaked_out == leaked_out, "the core counts leaks that are still out");
    want(b, v->use_ns == b->use_ns, "the core measures leases");
    want(b, v->quarantine_ended + v->quarantine_failed == b->unquarantined,
         "the core counts quarantines");
}

static void compare_with_core(books *b)
{
    const core_view *v = &b->view;

    want(b, v->waiting == b->waiting, "the core counts its waiters");
    want(b, v->size == size(b), "the core counts its size");
    for (int state = 0; state < CONNECTION_STATE_COUNT; state++)
        want(b, v->count[state] == b->count[state], "the core counts its connections");
    want(b, b->waiting <= b->options.queue_max, "the queue is bounded");
    want(b, v->max == b->options.max && v->min == b->options.min, "the core knows its bounds");
    want(b, v->draining == b->draining && v->paused == b->paused, "the core knows its mode");
    want(b, v->shedding == b->shedding, "overload is as lasting as it is");
    compare_dials(b);
    compare_leases(b);
}

/* A session's state once the step is over; `whole` when the step had room for everything. */
static void judge_session(books *b, const session *s, bool whole)
{
    want(b, !s->ending && !s->released_dirty && !s->released_running,
         "a connection that cannot be used as it is leaves in the same step");
    want(b, !s->holder || !s->told_leaked || !b->options.reclaim_leaked,
         "what has leaked is taken back in the same step");
    if (!whole)
        return;
    want(b, due_ns(b, s) > b->now_ns, "what is overdue is done");
    want(b, due_ns(b, s) >= b->wake_ns, "the next tick is not too late for a connection");
    if (s->state == CONNECTION_IDLE && !b->paused)
        want(b, b->waiting == 0 || (stale(b, s) && supply(b) >= b->waiting),
             "no connection is idle while someone waits");
    if (open_sessions(b) > b->options.max)
        want(b, s->state != CONNECTION_IDLE && s->state != CONNECTION_DIALING,
             "what is too many is closed");
}

static void judge_waiters(books *b)
{
    for (uint32_t i = 0; i < b->waiting; i++) {
        const client *who = b->queue[i];
        uint64_t deadline_ns = who->waiter.deadline_ns;
        want(b, deadline_ns > b->now_ns, "a waiter is refused at its deadline");
        want(b, deadline_ns >= b->wake_ns, "the next tick is not too late for a waiter");
        want(b, shed_due_ns(b, who) > b->now_ns, "who has waited for too long is shed");
        want(b, shed_due_ns(b, who) >= b->wake_ns, "the next tick is not too late to shed");
        want(b, !hopeless(b, &who->waiter), "nobody waits without hope");
    }
    want(b, !deadlocked(b, room_at_most(b)), "a deadlock is broken");
}

/* A dial is needed and possible: then it is made, once the longest pause is over. */
static void judge_dialing(books *b)
{
    bool needed = b->waiting > supply(b) || open_sessions(b) < b->options.min;

    if (!needed || b->draining || b->paused || size(b) >= b->options.max ||
        b->count[CONNECTION_DIALING] >= window_now(b))
        return;
    if (size(b) >= room_at_least(b)) {
        if (b->ceiling.rising && size(b) <= b->ceiling.low)
            want(b, b->wake_ns <= deadline_after(b->ceiling.full_ns, b->options.full_pause_ns),
                 "the next tick is not too late to see whether the server has room");
        return;
    }
    want(b, b->now_ns < b->view.not_before_ns, "who needs a dial gets one");
    want(b, b->wake_ns <= b->view.not_before_ns, "the next tick is not too late for a dial");
}

static void judge_drain(books *b)
{
    if (!b->draining)
        return;
    want(b, b->waiting == 0, "a drain refuses the waiters");
    want(b,
         b->count[CONNECTION_IDLE] + b->count[CONNECTION_DIALING] + b->count[CONNECTION_CHECKING] ==
             0,
         "a drain closes what nobody uses");
    want(b, b->drained == (size(b) == 0), "an empty pool is drained");
}

static void judge_pause(books *b)
{
    uint32_t out = b->count[CONNECTION_LEASED] + b->count[CONNECTION_RESETTING] +
                   b->count[CONNECTION_CANCELLING];

    if (b->paused && !b->told_paused)
        want(b, out > 0, "paused is said as soon as it is so");
}

void judge_step(books *b)
{
    bool whole = b->wake_ns > b->now_ns;

    compare_with_core(b);
    want(b, b->must_refuse == 0 || b->clients[b->must_refuse - 1].state == CLIENT_AWAY,
         "who should not come in does not");
    for (uint32_t i = 0; i < b->options.slots; i++)
        judge_session(b, &b->sessions[i], whole);
    if (!whole)
        return;
    judge_waiters(b);
    judge_dialing(b);
    judge_drain(b);
    judge_pause(b);
}
