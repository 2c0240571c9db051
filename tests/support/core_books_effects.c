/* core_books_effects.c: each effect, judged by what the books say at that moment. */
#include <stddef.h>
#include <string.h>

#include "core_books_parts.h"

/* ---- Dials ---- */

static void judge_dial(books *b, session *s, const effect *f)
{
    uint32_t coming = supply(b), window = window_now(b);

    want(b, s->state == CONNECTION_FREE, "only a free slot is dialled");
    want(b, !b->draining, "nothing is dialled while draining");
    want(b, !b->paused, "nothing is dialled while paused");
    want(b, b->waiting > coming || open_sessions(b) < b->options.min, "a dial is for someone");
    want(b, size(b) < b->options.max, "no dial beyond max");
    want(b, size(b) < room_at_most(b), "no dial beyond what the server has room for");
    want(b, b->count[CONNECTION_DIALING] < window, "dials are few at first, and after trouble");
    want(b, b->now_ns >= b->view.not_before_ns, "no dial before the pause is over");
    want(b, b->count[CONNECTION_IDLE] == 0 || open_sessions(b) < b->options.min,
         "no dial while a connection is idle");
    if (b->waiting > coming)
        want(b, f->lane == b->queue[coming]->waiter.lane, "a dial is on the lane of its waiter");
    uint64_t bound_ns = least(b->options.backoff_base_ns, b->options.backoff_max_ns);
    if (b->failures > 0 && b->lone_failure) {
        b->pauses++;
        b->short_pauses += b->now_ns - b->failed_ns < bound_ns / 10;
    }
    b->dials++;
    b->window = window;
    *s = (session){.state = s->state, .lane = f->lane, .orders = s->orders + 1};
    enter(b, s, CONNECTION_DIALING);
}

/* ---- Grants ---- */

/* First in, first out; but a connection may go to the first of its own lane while the first of all
 * is from another and has waited for less than affinity_ns. */
static bool fair(const books *b, const client *who, uint32_t lane)
{
    const client *head = b->queue[0], *own = NULL;

    for (uint32_t i = 0; i < b->waiting && !own; i++)
        if (b->queue[i]->waiter.lane == lane)
            own = b->queue[i];
    if (own && head->waiter.lane != lane && b->now_ns - head->asked_ns < b->options.affinity_ns)
        return who == own;
    return who == head;
}

static void leave_queue(books *b, const client *who)
{
    uint32_t i = 0;

    while (i < b->waiting && b->queue[i] != who)
        i++;
    if (!want(b, i < b->waiting, "only who waits is granted or refused"))
        return;
    b->waiting--;
    memmove(&b->queue[i], &b->queue[i + 1], (b->waiting - i) * sizeof(client *));
}

static void judge_choice(books *b, const session *s, const waiter *w)
{
    for (uint32_t i = 0; i < b->options.slots; i++) {
        const session *other = &b->sessions[i];
        if (other == s || other->state != CONNECTION_IDLE || stale(b, other))
            continue;
        if (other->lane == s->lane)
            want(b, other->used_ns <= s->used_ns, "last in, first out");
        if (other->lane == w->lane)
            want(b, s->lane == w->lane, "a connection of the own lane comes first");
    }
}

static void judge_grantable(books *b, const session *s)
{
    want(b, !b->draining, "nothing is granted while draining");
    want(b, !b->paused, "nothing is granted while paused");
    want(b, s->state == CONNECTION_IDLE, "only an idle connection is granted");
    want(b, !s->ending && !s->released_dirty && !s->released_running, "only a clean one");
    want(b, !stale(b, s), "one idle for too long is checked first");
    want(b, b->now_ns < deadline_after(s->born_ns, b->options.max_lifetime_ns),
         "one past its lifetime is not granted");
    want(b, !s->evicted || b->now_ns < s->evicted_by_ns, "one to be replaced is not granted");
    want(b, open_sessions(b) <= b->options.max, "one too many is not granted");
}

static void judge_grant(books *b, session *s, const effect *f)
{
    client *who = (client *)f->waiter;

    judge_grantable(b, s);
    want(b, who->state == CLIENT_WAITING && who->waiter.state == WAITER_GRANTED,
         "a take is answered once");
    want(b, who->waiter.deadline_ns >= b->now_ns, "no grant after the deadline");
    want(b, f->lane == s->lane, "a grant says where the connection is");
    want(b, fair(b, who, f->lane), "first in, first out among waiters");
    want(b, who->waiter.connection == f->connection, "a waiter learns its connection");
    judge_choice(b, s, f->waiter);
    leave_queue(b, who);
    shed_follows_grant(b, b->now_ns - who->asked_ns);
    if (b->waiting == 0)
        shed_rests(b);
    who->state = CLIENT_HOLDING;
    b->grants++;
    s->holder = who;
    s->told_leaked = false;
    s->lane = f->waiter->lane;
    enter(b, s, CONNECTION_LEASED);
}

/* ---- Refusals ---- */

static bool shed_rightly(books *b, const event *e, const client *who)
{
    if (e->waiter == &who->waiter && b->arrived_late) {
        b->shed_at_arrival++;
        return true;
    }
    b->shed++;
    if (b->now_ns < shed_due_ns(b, who))
        return false;
    for (uint32_t i = 0; b->queue[i] != who; i++)
        if (!b->queue[i]->waiter.urgent)
            return false;
    return true;
}

static bool refusal_is_true(books *b, const event *e, const client *who, int error)
{
    bool itself = e->waiter == &who->waiter;
    bool expired = who->waiter.deadline_ns <= b->now_ns;
    bool any_up = open_sessions(b) > b->count[CONNECTION_DIALING];
    bool unreachable = b->failures > 0 && !any_up && !b->paused;

    switch (error) {
    case WEIR_ETIMEDOUT: return expired && (!unreachable || itself);
    case WEIR_ECONNECT:
        b->hopeless += !expired;
        return (expired && unreachable) || hopeless(b, &who->waiter);
    case WEIR_EQUEUEFULL: return e->kind == EVENT_TAKE && itself && b->arrived_full;
    case WEIR_ECLOSED: return b->draining;
    case WEIR_ECANCELED: return e->kind == EVENT_CANCEL && itself;
    case WEIR_ESHED: return shed_rightly(b, e, who);
    case WEIR_EDEADLK:
        b->deadlocks++;
        return deadlocked(b, room_at_least(b)) && who == deadlock_victim(b);
    default: return false;
    }
}

static void judge_refusal(books *b, const event *e, const effect *f)
{
    client *who = (client *)f->waiter;

    want(b, who->state == CLIENT_WAITING && who->waiter.state == WAITER_REFUSED,
         "a take is answered once");
    want(b, refusal_is_true(b, e, who, f->error), "a refusal tells the true reason");
    want(b, f->lane == f->waiter->lane, "a refusal goes to the waiter's lane");
    leave_queue(b, who);
    if (b->waiting == 0)
        shed_rests(b);
    who->state = CLIENT_AWAY;
    b->refusals++;
}

/* ---- Orders ---- */

/* Up to a tenth early, as the jitter has it. */
static bool keepalive_may_come(const books *b, const session *s)
{
    uint64_t keepalive_ns = b->options.keepalive_ns;

    return keepalive_ns != WEIR_NEVER &&
           b->now_ns - s->heard_ns >= keepalive_ns - keepalive_ns / 10;
}

/* The last tenth of a time is where jitter has its end. */
static void note_span_end(const books *b, tally *t, uint64_t since_ns, uint64_t lasts_ns)
{
    uint64_t end_ns = deadline_after(since_ns, lasts_ns);

    note_moment(b, t, end_ns - lasts_ns / 10, end_ns);
}

static bool any_fresh(const books *b)
{
    for (uint32_t i = 0; i < b->options.slots; i++)
        if (b->sessions[i].state == CONNECTION_IDLE && !stale(b, &b->sessions[i]))
            return true;
    return false;
}

static void judge_check(books *b, session *s)
{
    bool for_a_waiter = stale(b, s) && b->waiting > supply(b) && !any_fresh(b);

    want(b, !b->draining && !b->paused, "nothing is checked while paused or draining");
    want(b, !s->released_dirty && !s->released_running, "a used connection is cleaned");
    want(b, for_a_waiter || keepalive_may_come(b, s), "a check is needed");
    b->keepalives += !for_a_waiter;
    if (!for_a_waiter)
        note_span_end(b, &b->kept_alive, s->heard_ns, b->options.keepalive_ns);
    enter(b, s, CONNECTION_CHECKING);
}

static bool may_stay(const books *b, const session *s)
{
    return !b->draining && open_sessions(b) <= b->options.max &&
           b->now_ns < deadline_after(s->born_ns, b->options.max_lifetime_ns) &&
           (!s->evicted || b->now_ns < s->evicted_by_ns);
}

static void judge_order(books *b, session *s, const effect *f)
{
    s->orders++;
    want(b, f->lane == s->lane, "an order goes where the connection is");
    want(b, s->state == CONNECTION_IDLE && !s->ending, "an order is for a connection at hand");
    if (f->kind == EFFECT_CHECK) {
        judge_check(b, s);
    } else if (f->kind == EFFECT_RESET) {
        want(b, s->released_dirty, "a reset is for a dirty connection");
        want(b, may_stay(b, s), "only what will be kept is reset");
        enter(b, s, CONNECTION_RESETTING);
    } else {
        want(b, s->released_running, "a cancel is for a running query");
        b->quarantined++;
        enter(b, s, CONNECTION_CANCELLING);
    }
    s->released_dirty = s->released_running = false;
}

/* ---- Closes ---- */

/* Idle ones go first, of them the coldest; then dials. One that has just come back may go itself.
 */
static bool surplus_rightly(const books *b, const session *s)
{
    if (open_sessions(b) <= b->options.max)
        return false;
    if (s->state == CONNECTION_DIALING)
        return b->count[CONNECTION_IDLE] == 0;
    if (s->state != CONNECTION_IDLE)
        return false;
    for (uint32_t i = 0; i < b->options.slots && !s->came_back; i++) {
        const session *other = &b->sessions[i];
        if (other->state == CONNECTION_IDLE && other->used_ns < s->used_ns)
            return false;
    }
    return true;
}

static bool reason_is_true(const books *b, const session *s, weir_retire_reason reason)
{
    uint64_t lifetime_ns = b->options.max_lifetime_ns;

    if (s->ending)
        return reason == s->expects;
    switch (reason) {
    case WEIR_RETIRE_DRAINED: return b->draining && s->state != CONNECTION_LEASED;
    case WEIR_RETIRE_LIFETIME:
        return s->state == CONNECTION_IDLE && lifetime_ns != WEIR_NEVER &&
               b->now_ns - s->born_ns >= lifetime_ns - lifetime_ns / 10;
    case WEIR_RETIRE_IDLE: return overdue(b, s, CONNECTION_IDLE) && !s->released_dirty;
    case WEIR_RETIRE_CONNECT_TIMEOUT: return overdue(b, s, CONNECTION_DIALING);
    case WEIR_RETIRE_CHECK_FAILED: return overdue(b, s, CONNECTION_CHECKING);
    case WEIR_RETIRE_DIRTY: return overdue(b, s, CONNECTION_RESETTING);
    case WEIR_RETIRE_CANCELLED: return overdue(b, s, CONNECTION_CANCELLING);
    case WEIR_RETIRE_SURPLUS: return surplus_rightly(b, s);
    case WEIR_RETIRE_EVICTED: return s->state == CONNECTION_IDLE && s->evicted;
    case WEIR_RETIRE_LEAKED:
        return b->options.reclaim_leaked && overdue(b, s, CONNECTION_LEASED) && s->told_leaked;
    default: return false;
    }
}

static void take_back(books *b, session *s)
{
    client *holder = s->holder;

    want(b, holder->waiter.state == WAITER_RECLAIMED, "who is taken from is told so");
    holder->state = CLIENT_RECLAIMED;
    s->holder = NULL;
    b->reclaimed++;
}

static void judge_close(books *b, session *s, const effect *f)
{
    bool taken_back = f->reason == WEIR_RETIRE_LEAKED && s->holder;

    want(b, s->state != CONNECTION_FREE && s->state != CONNECTION_CLOSING, "one close a life");
    want(b, s->state != CONNECTION_LEASED || taken_back, "no close under a lease");
    want(b, !s->released_running, "what runs is cancelled before it is closed");
    want(b, f->lane == s->lane, "a close goes where the connection is");
    want(b, reason_is_true(b, s, f->reason), "a close tells the true reason");
    if (f->reason == WEIR_RETIRE_CONNECT_TIMEOUT && !s->ending)
        note_failed_dial(b, s);
    if (f->reason == WEIR_RETIRE_LIFETIME && !s->came_back)
        note_span_end(b, &b->ends_of_life, s->born_ns, b->options.max_lifetime_ns);
    if (f->reason == WEIR_RETIRE_EVICTED && !s->came_back)
        note_moment(b, &b->evicted, s->evicted_from_ns, s->evicted_by_ns);
    b->surplus += f->reason == WEIR_RETIRE_SURPLUS;
    b->evictions += f->reason == WEIR_RETIRE_EVICTED;
    if (taken_back)
        take_back(b, s);
    s->orders++;
    s->ending = s->released_dirty = s->released_running = false;
    enter(b, s, CONNECTION_CLOSING);
}

/* ---- What is told ---- */

static void judge_leaked(books *b, session *s, const effect *f)
{
    want(b, s->state == CONNECTION_LEASED && f->waiter == &s->holder->waiter,
         "a leak tells who holds what");
    want(b, f->lane == s->lane, "a leak is told where the connection is");
    want(b, !s->told_leaked, "a leak is told once");
    want(b, overdue(b, s, CONNECTION_LEASED), "a leak is told when it is one");
    s->told_leaked = true;
    b->leaked++;
}

static void judge_drained(books *b)
{
    want(b, b->draining && !b->drained, "drained is said once, after a drain");
    want(b, b->waiting == 0 && size(b) == 0, "drained means empty");
    b->drained = true;
}

static bool out_of_hand(const books *b)
{
    return b->count[CONNECTION_LEASED] + b->count[CONNECTION_RESETTING] +
               b->count[CONNECTION_CANCELLING] >
           0;
}

static void judge_paused(books *b)
{
    want(b, b->paused && !b->told_paused, "paused is said once a pause");
    want(b, !out_of_hand(b), "paused means that nothing is leased, being reset or cancelled");
    b->told_paused = true;
}

void judge_effect(books *b, const event *e, const effect *f)
{
    session *s = &b->sessions[f->connection];

    if (!want(b, f->connection < b->options.slots, "a connection has a slot"))
        return;
    switch (f->kind) {
    case EFFECT_DIAL: judge_dial(b, s, f); break;
    case EFFECT_GRANT: judge_grant(b, s, f); break;
    case EFFECT_REFUSE: judge_refusal(b, e, f); break;
    case EFFECT_CHECK:
    case EFFECT_RESET:
    case EFFECT_CANCEL: judge_order(b, s, f); break;
    case EFFECT_CLOSE: judge_close(b, s, f); break;
    case EFFECT_LEAKED: judge_leaked(b, s, f); break;
    case EFFECT_DRAINED: judge_drained(b); break;
    case EFFECT_PAUSED: judge_paused(b); break;
    }
}
