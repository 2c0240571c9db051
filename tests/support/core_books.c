/* core_books.c: what the core does, judged step by step from outside. */
#include "core_books.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Trace ---- */

static const char *const event_names[] = {
    [EVENT_TAKE] = "take",     [EVENT_CANCEL] = "cancel", [EVENT_RELEASE] = "release",
    [EVENT_UP] = "up",         [EVENT_DOWN] = "down",     [EVENT_CHECKED] = "checked",
    [EVENT_CLOSED] = "closed", [EVENT_TICK] = "tick",     [EVENT_DRAIN] = "drain",
};
static const char *const effect_names[] = {
    [EFFECT_DIAL] = "dial",   [EFFECT_GRANT] = "grant",     [EFFECT_REFUSE] = "refuse",
    [EFFECT_CHECK] = "check", [EFFECT_RESET] = "reset",     [EFFECT_CANCEL] = "cancel",
    [EFFECT_CLOSE] = "close", [EFFECT_DRAINED] = "drained",
};
static const char *const condition_names[] = {"clean", "dirty", "running", "broken"};

static uint32_t number(const books *b, const waiter *w)
{
    return (uint32_t)((const client *)w - b->clients);
}

static void trace_event(const books *b, const event *e, uint64_t now_ns)
{
    const waiter *w = e->waiter;

    printf("%14.6f ms  %s", (double)now_ns / 1e6, event_names[e->kind]);
    if (w)
        printf(" client %u (lane %u)", number(b, w), w->lane);
    if (w && e->kind == EVENT_TAKE && w->deadline_ns != WEIR_NEVER)
        printf(" until %.6f ms", (double)w->deadline_ns / 1e6);
    if (w && e->kind == EVENT_RELEASE)
        printf(" connection %u, %s", w->connection, condition_names[e->condition]);
    if (e->kind == EVENT_UP || e->kind == EVENT_DOWN || e->kind == EVENT_CHECKED ||
        e->kind == EVENT_CLOSED)
        printf(" connection %u (%s)", e->connection,
               connection_state_name(b->sessions[e->connection].state));
    putchar('\n');
}

static void trace_effects(const books *b)
{
    for (uint32_t i = 0; i < b->out.count; i++) {
        const effect *f = &b->out.item[i];
        printf("%20s→ %s", "", effect_names[f->kind]);
        if (f->kind != EFFECT_REFUSE && f->kind != EFFECT_DRAINED)
            printf(" connection %u on lane %u", f->connection, f->lane);
        if (f->waiter)
            printf(" client %u", number(b, f->waiter));
        if (f->kind == EFFECT_REFUSE)
            printf(" error %d", f->error);
        if (f->kind == EFFECT_CLOSE)
            printf(" reason %d", (int)f->reason);
        putchar('\n');
    }
    if (b->out.wake_ns != WEIR_NEVER)
        printf("%20s  wake at %.6f ms\n", "", (double)b->out.wake_ns / 1e6);
}

/* ---- Figures ---- */

static bool want(books *b, bool kept, const char *promise)
{
    if (!kept && !b->wrong)
        b->wrong = promise;
    return kept;
}

static void enter(books *b, session *s, connection_state state)
{
    b->count[s->state]--;
    b->count[state]++;
    s->state = state;
    s->since_ns = b->now_ns;
}

static uint32_t open_sessions(const books *b)
{
    return b->options.max - b->count[CONNECTION_FREE] - b->count[CONNECTION_CLOSING];
}

static uint32_t supply(const books *b)
{
    return b->count[CONNECTION_DIALING] + b->count[CONNECTION_CHECKING] +
           b->count[CONNECTION_RESETTING];
}

static bool stale(const books *b, const session *s)
{
    return b->now_ns - s->since_ns > b->options.validate_after_ns;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t limit_ns(const books *b, connection_state state)
{
    switch (state) {
    case CONNECTION_DIALING: return b->options.connect_timeout_ns;
    case CONNECTION_CHECKING:
    case CONNECTION_RESETTING: return b->options.check_timeout_ns;
    case CONNECTION_CANCELLING: return b->options.cancel_grace_ns;
    case CONNECTION_IDLE:
        return open_sessions(b) > b->options.min ? b->options.idle_timeout_ns : WEIR_NEVER;
    default: return WEIR_NEVER;
    }
}

static bool overdue(const books *b, const session *s, connection_state state)
{
    return s->state == state && b->now_ns >= deadline_after(s->since_ns, limit_ns(b, state));
}

static uint64_t due_ns(const books *b, const session *s)
{
    uint64_t due = deadline_after(s->since_ns, limit_ns(b, s->state));

    if (s->state == CONNECTION_IDLE)
        due = least(due, deadline_after(s->born_ns, b->options.max_lifetime_ns));
    return due;
}

/* ---- Events ---- */

static void dial_failed(books *b, const session *s)
{
    b->lone_failure = b->count[CONNECTION_DIALING] == 1 && s->since_ns > b->failed_ns;
    b->failures++;
    b->window = 1;
    b->failed_ns = b->now_ns;
}

static void follow_take(books *b, client *who)
{
    who->state = CLIENT_WAITING;
    who->asked_ns = b->now_ns;
    who->takes++;
    b->queue[b->waiting++] = who;
    b->takes++;
}

static void follow_release(books *b, const event *e)
{
    session *s = &b->sessions[e->waiter->connection];

    ((client *)e->waiter)->state = CLIENT_AWAY;
    enter(b, s, CONNECTION_IDLE);
    s->released_dirty = e->condition == RELEASE_DIRTY;
    s->released_running = e->condition == RELEASE_RUNNING;
    s->ending = e->condition == RELEASE_BROKEN;
    s->expects = e->reason ? e->reason : WEIR_RETIRE_BROKEN;
}

static void follow_up(books *b, session *s)
{
    if (s->state != CONNECTION_DIALING)
        return;
    b->failures = 0;
    if (b->window < b->options.max)
        b->window++;
    s->born_ns = b->now_ns;
    enter(b, s, CONNECTION_IDLE);
}

static void follow_down(books *b, const event *e)
{
    session *s = &b->sessions[e->connection];

    if (s->state == CONNECTION_CLOSING || s->state == CONNECTION_LEASED)
        return;
    bool dialing = s->state == CONNECTION_DIALING;
    if (dialing)
        dial_failed(b, s);
    s->ending = true;
    s->expects = dialing ? WEIR_RETIRE_CONNECT_FAILED : WEIR_RETIRE_BROKEN;
    if (e->reason)
        s->expects = e->reason;
}

static void follow(books *b, const event *e)
{
    session *s = &b->sessions[e->connection];

    switch (e->kind) {
    case EVENT_TAKE: follow_take(b, (client *)e->waiter); break;
    case EVENT_RELEASE: follow_release(b, e); break;
    case EVENT_UP: follow_up(b, s); break;
    case EVENT_CHECKED:
        if (s->state != CONNECTION_CLOSING)
            enter(b, s, CONNECTION_IDLE);
        break;
    case EVENT_DOWN: follow_down(b, e); break;
    case EVENT_CLOSED:
        enter(b, s, CONNECTION_FREE);
        b->closed++;
        break;
    case EVENT_DRAIN: b->draining = true; break;
    case EVENT_RESIZE:
    case EVENT_PAUSE:
    case EVENT_RESUME:
    case EVENT_EVICT:
    case EVENT_CANCEL:
    case EVENT_TICK: break;
    }
}

/* ---- Effects ---- */

static void judge_dial(books *b, session *s, const effect *f)
{
    uint32_t coming = supply(b);

    want(b, s->state == CONNECTION_FREE, "only a free slot is dialled");
    want(b, !b->draining, "nothing is dialled while draining");
    want(b, b->waiting > coming || open_sessions(b) < b->options.min, "a dial is for someone");
    want(b, b->count[CONNECTION_DIALING] < b->window, "after trouble dials are few");
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
    s->lane = f->lane;
    s->born_ns = 0;
    s->orders++;
    enter(b, s, CONNECTION_DIALING);
}

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
    for (uint32_t i = 0; i < b->options.max; i++) {
        const session *other = &b->sessions[i];
        if (other == s || other->state != CONNECTION_IDLE)
            continue;
        if (other->lane == s->lane)
            want(b, other->since_ns <= s->since_ns, "last in, first out");
        if (other->lane == w->lane && s->lane != w->lane)
            want(b, stale(b, other), "a connection of the own lane comes first");
    }
}

static void judge_grant(books *b, session *s, const effect *f)
{
    client *who = (client *)f->waiter;

    want(b, !b->draining, "nothing is granted while draining");
    want(b, s->state == CONNECTION_IDLE, "only an idle connection is granted");
    want(b, !s->ending && !s->released_dirty && !s->released_running, "only a clean one");
    want(b, !stale(b, s), "one idle for too long is checked first");
    want(b, b->now_ns < deadline_after(s->born_ns, b->options.max_lifetime_ns),
         "one past its lifetime is not granted");
    want(b, who->state == CLIENT_WAITING && who->waiter.state == WAITER_GRANTED,
         "a take is answered once");
    want(b, who->waiter.deadline_ns >= b->now_ns, "no grant after the deadline");
    want(b, f->lane == s->lane, "a grant says where the connection is");
    want(b, fair(b, who, f->lane), "first in, first out among waiters");
    want(b, who->waiter.connection == f->connection, "a waiter learns its connection");
    judge_choice(b, s, f->waiter);
    leave_queue(b, who);
    who->state = CLIENT_HOLDING;
    b->grants++;
    s->lane = f->waiter->lane;
    enter(b, s, CONNECTION_LEASED);
}

static bool refusal_is_true(const books *b, const event *e, const client *who, int error)
{
    bool expired = who->waiter.deadline_ns <= b->now_ns;
    bool any_up = open_sessions(b) > b->count[CONNECTION_DIALING];
    bool unreachable = b->failures > 0 && !any_up;

    switch (error) {
    case WEIR_ETIMEDOUT: return expired && (!unreachable || e->waiter == &who->waiter);
    case WEIR_ECONNECT: return expired && unreachable;
    case WEIR_EQUEUEFULL:
        return e->kind == EVENT_TAKE && e->waiter == &who->waiter &&
               b->waiting > b->options.queue_max;
    case WEIR_ECLOSED: return b->draining;
    case WEIR_ECANCELED: return e->kind == EVENT_CANCEL && e->waiter == &who->waiter;
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
    who->state = CLIENT_AWAY;
    b->refusals++;
}

static void judge_order(books *b, session *s, const effect *f)
{
    s->orders++;
    want(b, f->lane == s->lane, "an order goes where the connection is");
    want(b, s->state == CONNECTION_IDLE && !s->ending, "an order is for a connection at hand");
    if (f->kind == EFFECT_CHECK) {
        want(b, !s->released_dirty && !s->released_running, "a used connection is cleaned");
        want(b, stale(b, s) && b->waiting > supply(b), "a check is needed");
        enter(b, s, CONNECTION_CHECKING);
    } else if (f->kind == EFFECT_RESET) {
        want(b, s->released_dirty, "a reset is for a dirty connection");
        enter(b, s, CONNECTION_RESETTING);
    } else {
        want(b, s->released_running, "a cancel is for a running query");
        enter(b, s, CONNECTION_CANCELLING);
    }
    s->released_dirty = s->released_running = false;
}

static bool reason_is_true(const books *b, const session *s, weir_retire_reason reason)
{
    uint64_t lifetime_ns = b->options.max_lifetime_ns;

    if (s->ending)
        return reason == s->expects;
    switch (reason) {
    case WEIR_RETIRE_DRAINED: return b->draining;
    case WEIR_RETIRE_LIFETIME:
        return s->state == CONNECTION_IDLE && lifetime_ns != WEIR_NEVER &&
               b->now_ns - s->born_ns >= lifetime_ns - lifetime_ns / 10;
    case WEIR_RETIRE_IDLE: return overdue(b, s, CONNECTION_IDLE) && !s->released_dirty;
    case WEIR_RETIRE_CONNECT_TIMEOUT: return overdue(b, s, CONNECTION_DIALING);
    case WEIR_RETIRE_CHECK_FAILED: return overdue(b, s, CONNECTION_CHECKING);
    case WEIR_RETIRE_DIRTY: return overdue(b, s, CONNECTION_RESETTING);
    case WEIR_RETIRE_CANCELLED: return overdue(b, s, CONNECTION_CANCELLING);
    default: return false;
    }
}

static void judge_close(books *b, session *s, const effect *f)
{
    want(b, s->state != CONNECTION_FREE && s->state != CONNECTION_CLOSING, "one close a life");
    want(b, s->state != CONNECTION_LEASED, "no close under a lease");
    want(b, !s->released_running, "what runs is cancelled before it is closed");
    want(b, f->lane == s->lane, "a close goes where the connection is");
    want(b, reason_is_true(b, s, f->reason), "a close tells the true reason");
    if (f->reason == WEIR_RETIRE_CONNECT_TIMEOUT && !s->ending)
        dial_failed(b, s);
    s->orders++;
    s->ending = s->released_dirty = s->released_running = false;
    enter(b, s, CONNECTION_CLOSING);
}

static void judge(books *b, const event *e, const effect *f)
{
    session *s = &b->sessions[f->connection];

    if (!want(b, f->connection < b->options.max, "a connection has a slot below max"))
        return;
    switch (f->kind) {
    case EFFECT_DIAL: judge_dial(b, s, f); break;
    case EFFECT_GRANT: judge_grant(b, s, f); break;
    case EFFECT_REFUSE: judge_refusal(b, e, f); break;
    case EFFECT_CHECK:
    case EFFECT_RESET:
    case EFFECT_CANCEL: judge_order(b, s, f); break;
    case EFFECT_CLOSE: judge_close(b, s, f); break;
    case EFFECT_DRAINED:
        want(b, b->draining && !b->drained, "drained is said once, after a drain");
        want(b, b->waiting == 0 && b->count[CONNECTION_FREE] == b->options.max,
             "drained means empty");
        b->drained = true;
        break;
    case EFFECT_PAUSED:
    case EFFECT_LEAKED: break;
    }
}

/* ---- After the step ---- */

static void compare_with_core(books *b)
{
    core_view view;

    core_look(b->core, &view);
    want(b, view.waiting == b->waiting, "the core counts its waiters");
    want(b, view.failures == b->failures, "the core counts failed dials");
    want(b, view.size == b->options.max - b->count[CONNECTION_FREE], "the core counts its size");
    for (int state = 0; state < CONNECTION_STATE_COUNT; state++)
        want(b, view.count[state] == b->count[state], "the core counts its connections");
    want(b, b->waiting <= b->options.queue_max, "the queue is bounded");
}

/* A session's state once the step is over; `whole` when the step had room for everything. */
static void judge_session(books *b, const session *s, bool whole)
{
    want(b, !s->ending && !s->released_dirty && !s->released_running,
         "a connection that cannot be used as it is leaves in the same step");
    if (!whole)
        return;
    want(b, due_ns(b, s) > b->now_ns, "what is overdue is closed");
    want(b, due_ns(b, s) >= b->wake_ns, "the next tick is not too late for a connection");
    if (s->state == CONNECTION_IDLE)
        want(b, b->waiting == 0 || (stale(b, s) && supply(b) >= b->waiting),
             "no connection is idle while someone waits");
}

static void judge_waiters(books *b)
{
    for (uint32_t i = 0; i < b->waiting; i++) {
        uint64_t deadline_ns = b->queue[i]->waiter.deadline_ns;
        want(b, deadline_ns > b->now_ns, "a waiter is refused at its deadline");
        want(b, deadline_ns >= b->wake_ns, "the next tick is not too late for a waiter");
    }
}

/* A dial is needed and possible: then it is made, once the longest pause is over. */
static void judge_dialing(books *b)
{
    uint64_t paused_until_ns =
        b->failures > 0 ? deadline_after(b->failed_ns, b->options.backoff_max_ns) : 0;
    bool needed = b->waiting > supply(b) || open_sessions(b) < b->options.min;

    if (!needed || b->draining || b->count[CONNECTION_FREE] == 0 ||
        b->count[CONNECTION_DIALING] >= b->window)
        return;
    want(b, b->now_ns < paused_until_ns, "who needs a dial gets one");
    want(b, b->wake_ns <= paused_until_ns, "the next tick is not too late for a dial");
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
    want(b, b->drained == (b->count[CONNECTION_FREE] == b->options.max),
         "an empty pool is drained");
}

static void judge_step(books *b)
{
    bool whole = b->wake_ns > b->now_ns;

    compare_with_core(b);
    for (uint32_t i = 0; i < b->options.max; i++)
        judge_session(b, &b->sessions[i], whole);
    if (!whole)
        return;
    judge_waiters(b);
    judge_dialing(b);
    judge_drain(b);
}

bool books_step(books *b, const event *e, uint64_t now_ns)
{
    b->now_ns = now_ns;
    if (b->trace)
        trace_event(b, e, now_ns);
    follow(b, e);
    core_step(b->core, e, now_ns, &b->out);
    if (b->trace)
        trace_effects(b);
    b->wake_ns = b->out.wake_ns;
    for (uint32_t i = 0; i < b->out.count; i++)
        judge(b, e, &b->out.item[i]);
    if (!b->wrong)
        judge_step(b);
    if (!b->wrong)
        core_check(b->core, now_ns);
    return !b->wrong;
}

bool books_calm(const books *b)
{
    return b->waiting == 0 && b->count[CONNECTION_IDLE] >= b->options.min &&
           b->count[CONNECTION_IDLE] + b->count[CONNECTION_FREE] == b->options.max;
}

void books_open(books *b, const core_options *options)
{
    memset(b, 0, sizeof *b);
    b->options = *options;
    b->window = options->max;
    b->count[CONNECTION_FREE] = options->max;
    if (options->max > BOOKS_SESSIONS || core_new(options, &b->core) < 0)
        abort();
}

void books_close(books *b)
{
    core_free(b->core);
    b->core = NULL;
}
