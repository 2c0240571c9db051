/* core_books.c: what the core does, judged step by step from outside. */
#include "core_books.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core_books_parts.h"

/* ---- Events ---- */

static void follow_take(books *b, client *who)
{
    const core_options *o = &b->options;
    uint32_t places = o->queue_max - (who->waiter.urgent ? 0 : o->queue_reserve);

    b->arrived_full = b->waiting >= places;
    b->arrived_late = late_at_arrival(b, &who->waiter);
    if (b->arrived_full || b->arrived_late)
        b->must_refuse = 1 + (uint32_t)(who - b->clients);
    who->state = CLIENT_WAITING;
    who->asked_ns = b->now_ns;
    who->takes++;
    b->queue[b->waiting++] = who;
    b->takes++;
}

/* A lease that was cut short says only that it would have lasted at least so long. */
static void measure_lease(books *b, uint64_t lasted_ns, release_condition how)
{
    if ((how == RELEASE_RUNNING || how == RELEASE_BROKEN) && lasted_ns <= b->use_ns)
        return;
    b->use_ns = b->use_ns ? b->use_ns - b->use_ns / 16 + lasted_ns / 16 : lasted_ns;
}

static void follow_release(books *b, const event *e)
{
    session *s = &b->sessions[e->waiter->connection];
    client *who = (client *)e->waiter;
    bool reclaimed = who->state == CLIENT_RECLAIMED;

    who->state = CLIENT_AWAY;
    if (reclaimed)
        return;
    measure_lease(b, b->now_ns - s->since_ns, e->condition);
    b->spared += !s->told_leaked && b->now_ns - s->since_ns > b->options.leak_after_ns;
    enter(b, s, CONNECTION_IDLE);
    s->holder = NULL;
    s->came_back = true;
    s->used_ns = b->now_ns;
    if (e->condition == RELEASE_CLEAN)
        s->heard_ns = b->now_ns;
    s->released_dirty = e->condition == RELEASE_DIRTY;
    s->released_running = e->condition == RELEASE_RUNNING;
    s->ending = e->condition == RELEASE_BROKEN;
    s->expects = e->reason ? e->reason : WEIR_RETIRE_BROKEN;
}

static void follow_progress(books *b, const client *who, uint64_t alive_ns)
{
    if (who->state == CLIENT_HOLDING)
        b->sessions[who->waiter.connection].alive_ns = alive_ns;
}

static void follow_up(books *b, session *s)
{
    uint64_t took_ns = least(b->now_ns - s->since_ns, b->options.connect_timeout_ns);

    if (s->state != CONNECTION_DIALING)
        return;
    if (b->dial_most_ns == 0 || took_ns < b->dial_least_ns)
        b->dial_least_ns = took_ns;
    if (took_ns > b->dial_most_ns)
        b->dial_most_ns = took_ns;
    b->failures = 0;
    if (b->window < b->options.slots)
        b->window++;
    s->born_ns = s->used_ns = s->heard_ns = b->now_ns;
    s->came_back = true;
    enter(b, s, CONNECTION_IDLE);
    ceiling_reached(b);
}

static void follow_checked(books *b, session *s)
{
    if (s->state == CONNECTION_CLOSING)
        return;
    s->heard_ns = b->now_ns;
    s->came_back = true;
    enter(b, s, CONNECTION_IDLE);
}

static void follow_down(books *b, const event *e)
{
    session *s = &b->sessions[e->connection];

    if (s->state == CONNECTION_CLOSING || s->state == CONNECTION_LEASED)
        return;
    bool dialing = s->state == CONNECTION_DIALING;
    if (dialing && e->reason == WEIR_RETIRE_SERVER_FULL)
        ceiling_fell(b);
    if (dialing)
        note_failed_dial(b, s);
    s->ending = true;
    s->expects = dialing ? WEIR_RETIRE_CONNECT_FAILED : WEIR_RETIRE_BROKEN;
    if (e->reason)
        s->expects = e->reason;
}

static void follow_evict(books *b, uint64_t spread_ns)
{
    uint64_t by_ns = deadline_after(b->now_ns, spread_ns);

    for (uint32_t i = 0; i < b->options.slots; i++) {
        session *s = &b->sessions[i];
        if (s->state == CONNECTION_FREE || s->state == CONNECTION_CLOSING)
            continue;
        s->evicted_by_ns = s->evicted ? least(s->evicted_by_ns, by_ns) : by_ns;
        s->evicted_from_ns = b->now_ns;
        s->evicted = true;
    }
}

static void follow_pause(books *b)
{
    if (b->draining)
        return;
    if (!b->paused)
        b->told_paused = false;
    b->paused = true;
    shed_rests(b);
}

static void follow(books *b, const event *e)
{
    session *s = &b->sessions[e->connection];

    switch (e->kind) {
    case EVENT_TAKE: follow_take(b, (client *)e->waiter); break;
    case EVENT_RELEASE: follow_release(b, e); break;
    case EVENT_PROGRESS: follow_progress(b, (const client *)e->waiter, b->now_ns); break;
    case EVENT_REST: follow_progress(b, (const client *)e->waiter, WEIR_NEVER); break;
    case EVENT_UP: follow_up(b, s); break;
    case EVENT_CHECKED: follow_checked(b, s); break;
    case EVENT_DOWN: follow_down(b, e); break;
    case EVENT_CLOSED:
        enter(b, s, CONNECTION_FREE);
        b->closed++;
        break;
    case EVENT_DRAIN:
        b->draining = true;
        b->paused = false;
        break;
    case EVENT_RESIZE:
        b->options.max = e->max;
        b->options.min = e->min;
        break;
    case EVENT_PAUSE: follow_pause(b); break;
    case EVENT_RESUME: b->paused = false; break;
    case EVENT_EVICT: follow_evict(b, e->spread_ns); break;
    case EVENT_CANCEL:
    case EVENT_TICK: break;
    }
}

/* ---- A step ---- */

static void begin_step(books *b, uint64_t now_ns)
{
    b->now_ns = now_ns;
    b->must_refuse = 0;
    b->arrived_full = b->arrived_late = false;
    for (uint32_t i = 0; i < b->options.slots; i++)
        b->sessions[i].came_back = false;
    ceiling_passes_time(b);
}

/* Claimants are counted by the core for the callers to read. */
static void judge_claimant(books *b, const waiter *w)
{
    const kin *f = w ? (const kin *)w->claimant : NULL;

    if (f)
        want(b, f->claimant.waiting == waiting_of(b, &f->claimant) + f->elsewhere,
             "the waiters of a claimant are counted");
}

bool books_step(books *b, const event *e, uint64_t now_ns)
{
    begin_step(b, now_ns);
    if (b->trace)
        trace_event(b, e);
    follow(b, e);
    core_step(b->core, e, now_ns, &b->out);
    core_look(b->core, &b->view);
    if (b->trace)
        trace_effects(b);
    b->wake_ns = b->out.wake_ns;
    for (uint32_t i = 0; i < b->out.count; i++)
        judge_effect(b, e, &b->out.item[i]);
    if (!b->wrong)
        judge_step(b);
    judge_claimant(b, e->waiter);
    for (uint32_t i = 0; i < b->out.count; i++)
        judge_claimant(b, b->out.item[i].waiter);
    if (!b->wrong)
        core_check(b->core, now_ns);
    return !b->wrong;
}

bool books_calm(const books *b)
{
    return b->waiting == 0 && b->count[CONNECTION_IDLE] >= b->options.min &&
           b->count[CONNECTION_IDLE] <= b->options.max && b->count[CONNECTION_IDLE] == size(b);
}

void books_open(books *b, const core_options *options)
{
    memset(b, 0, sizeof *b);
    b->options = *options;
    b->window = 1;
    b->ceiling.low = b->ceiling.high = UINT32_MAX;
    b->count[CONNECTION_FREE] = options->slots;
    if (options->slots > BOOKS_SESSIONS || core_new(options, &b->core) < 0)
        abort();
}

void books_close(books *b)
{
    core_free(b->core);
    b->core = NULL;
}
