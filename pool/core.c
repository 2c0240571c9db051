/* core.c: the pool's rules: who gets which connection, when. */
#include "core.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "core_state.h"

/* ---- Effects ---- */

bool has_room_for(core *c, uint32_t more)
{
    if (c->out->count + more <= EFFECTS_MAX)
        return true;
    c->overflowed = true;
    return false;
}

bool has_room(core *c)
{
    return has_room_for(c, 1);
}

/* An event emits at most one effect before settle(), which asks has_room() before each. */
effect *emit(core *c, effect_kind kind)
{
    assert(c->out->count < EFFECTS_MAX);
    effect *e = &c->out->item[c->out->count++];
    *e = (effect){.kind = kind};
    return e;
}

effect *emit_for(core *c, effect_kind kind, const connection *x)
{
    effect *e = emit(c, kind);

    e->connection = (uint32_t)(x - c->connections);
    e->lane = x->lane;
    return e;
}

static void wake_at(core *c, uint64_t at_ns)
{
    if (at_ns < c->wake_ns)
        c->wake_ns = at_ns;
}

/* ---- Connections ---- */

/* Latest used first: one that was merely checked goes back to its place. */
static void insert_by_use(connection **list, connection *x)
{
    connection *hotter = NULL;

    for (connection *at = *list; at && at->used_ns > x->used_ns; at = at->next)
        hotter = at;
    if (hotter)
        DL_APPEND_ELEM(*list, hotter, x);
    else
        DL_PREPEND(*list, x);
}

/* The only function that touches lists and counts. */
static void connection_move(core *c, connection *x, connection_state to)
{
    connection **from_list = list_of(c, x);
    DL_DELETE(*from_list, x);
    c->count[x->state]--;

    x->state = to;
    x->since_ns = x->alive_ns = c->now_ns;
    connection **to_list = list_of(c, x);
    if (to == CONNECTION_IDLE)
        insert_by_use(to_list, x);
    else
        DL_PREPEND(*to_list, x);
    c->count[to]++;

    wake_at(c, to == CONNECTION_IDLE ? idle_due(c, x, false)
                                     : deadline_after(c->now_ns, c->limit_ns[to]));
}

void connection_retire(core *c, connection *x, weir_retire_reason reason)
{
    if (x->state == CONNECTION_CANCELLING)
        c->quarantine_failed++;
    connection_move(c, x, CONNECTION_CLOSING);
    emit_for(c, EFFECT_CLOSE, x)->reason = reason;
    if (c->pace.failures > 0) /* waiters may have lost their last hope */
        wake_at(c, c->now_ns);
}

void connection_begin(core *c, connection *x, connection_state work, effect_kind kind)
{
    connection_move(c, x, work);
    emit_for(c, kind, x);
}

weir_retire_reason keep_verdict(const core *c, const connection *x)
{
    if (c->draining)
        return WEIR_RETIRE_DRAINED;
    if (c->now_ns >= x->evict_ns)
        return WEIR_RETIRE_EVICTED;
    if (c->now_ns >= x->expires_ns)
        return WEIR_RETIRE_LIFETIME;
    if (open_count(c) > c->max)
        return WEIR_RETIRE_SURPLUS;
    return WEIR_RETIRE_NOT;
}

static void connection_keep(core *c, connection *x)
{
    weir_retire_reason verdict = keep_verdict(c, x);

    if (verdict == WEIR_RETIRE_NOT)
        connection_move(c, x, CONNECTION_IDLE);
    else
        connection_retire(c, x, verdict);
}

static connection *connection_at(core *c, uint32_t index)
{
    assert(index < c->options.slots);
    return &c->connections[index];
}

/* ---- Waiters ---- */

static void grant(core *c, connection *x, waiter *w)
{
    connection_move(c, x, CONNECTION_LEASED);
    effect *e = emit_for(c, EFFECT_GRANT, x);
    e->waiter = w;
    w->state = WAITER_GRANTED;
    w->connection = e->connection;
    x->holder = w;
    x->lane = w->lane;
}

static void refuse(core *c, waiter *w, int error)
{
    effect *e = emit(c, EFFECT_REFUSE);

    e->waiter = w;
    e->lane = w->lane;
    e->error = error;
    w->state = WAITER_REFUSED;
}

void refuse_waiting(core *c, waiter *w, int error)
{
    waitq_remove(&c->waiters, w);
    refuse(c, w, error);
}

/* One that was merely kept alive may be fresh behind others that are stale. */
static connection *hottest_fresh(const core *c, uint32_t lane)
{
    connection *x = c->idle[lane];

    while (x && is_stale(c, x))
        x = x->next;
    return x;
}

/* The idle connection a waiter of `lane` would get: the hottest of its own lane, else of any. A
 * stale one only when there is none that can be had at once. */
static connection *idle_for(const core *c, uint32_t lane)
{
    connection *fresh = hottest_fresh(c, lane), *stale = c->idle[lane];

    if (c->count[CONNECTION_IDLE] == 0 || fresh)
        return fresh;
    for (uint32_t i = 0; i < c->options.lanes; i++) {
        connection *x = hottest_fresh(c, i);
        if (x && (!fresh || x->used_ns > fresh->used_ns))
            fresh = x;
        if (!stale || (!c->idle[lane] && c->idle[i] && c->idle[i]->used_ns > stale->used_ns))
            stale = c->idle[i];
    }
    return fresh ? fresh : stale;
}

/* First in, first out; only that a connection stays on its lane while the first in line is from
 * another and has not waited long. */
static waiter *waiter_for(const core *c, const connection *x)
{
    waiter *head = c->waiters.first, *own = c->waiters.of_lane[x->lane];

    if (own && head->lane != x->lane && c->now_ns - head->since_ns < c->options.affinity_ns)
        return own;
    return head;
}

/* Refuses those who have waited for too long under lasting overload. */
static void shed_waiters(core *c)
{
    while (c->shed.active) {
        waiter *w = waitq_first_patient(&c->waiters);
        if (!w)
            return;
        uint64_t at_ns = shed_at(&c->shed, w->since_ns);
        wake_at(c, at_ns);
        if (c->now_ns < at_ns || !has_room(c))
            return;
        refuse_waiting(c, w, WEIR_ESHED);
    }
}

static void grant_waiting(core *c, connection *x)
{
    waiter *w = waiter_for(c, x);

    waitq_remove(&c->waiters, w);
    shed_granted(&c->shed, c->now_ns - w->since_ns, c->now_ns);
    grant(c, x, w);
}

/* Hands idle connections to waiters, until one or the other is used up. */
static void serve(core *c)
{
    for (;;) {
        shed_waiters(c);
        if (c->waiters.count == 0 || c->count[CONNECTION_IDLE] == 0 || c->paused || !has_room(c))
            return;
        connection *x = idle_for(c, c->waiters.first->lane);
        weir_retire_reason verdict = keep_verdict(c, x);

        if (verdict != WEIR_RETIRE_NOT) {
            connection_retire(c, x, verdict);
        } else if (!is_stale(c, x)) {
            grant_waiting(c, x);
        } else if (supply_count(c) < c->waiters.count) {
            connection_begin(c, x, CONNECTION_CHECKING, EFFECT_CHECK);
        } else {
            return;
        }
    }
}

/* ---- Dialing ---- */

/* The lane of the waiter that the next dial is for: the first that has no connection on its way. */
static uint32_t dial_lane(core *c)
{
    uint32_t supply = supply_count(c);

    if (c->waiters.count > supply)
        return waitq_at(&c->waiters, supply)->lane;
    c->next_lane = (c->next_lane + 1) % c->options.lanes;
    return c->next_lane;
}

static void dial(core *c)
{
    while (dial_wanted(c)) {
        if (c->now_ns < c->pace.not_before_ns) {
            wake_at(c, c->pace.not_before_ns);
            return;
        }
        if (!has_room(c))
            return;
        if (c->count[CONNECTION_DIALING] == 0)
            pace_round(&c->pace);
        connection *x = c->list[CONNECTION_FREE];
        x->lane = dial_lane(c);
        x->evict_ns = WEIR_NEVER;
        connection_begin(c, x, CONNECTION_DIALING, EFFECT_DIAL);
    }
}

void dial_failed(core *c, const connection *x)
{
    pace_failed(&c->pace, x->since_ns, c->now_ns, &c->random);
    wake_at(c, c->now_ns); /* waiters may have lost their last hope */
}

/* Once the pause is over a dial may start, and with it there is hope: without that, those whose
 * deadlines are shorter than a dial would never again have one made. */
uint64_t hopeless_until(const core *c)
{
    bool unreachable = open_count(c) == 0 && c->pace.failures > 0 && !c->paused;

    if (!unreachable || c->now_ns >= c->pace.not_before_ns)
        return c->now_ns;
    return deadline_after(c->pace.not_before_ns, c->dial_ns);
}

/* ---- Events ---- */

/* Would so many connections be done with it too late, were they to begin in `begin_ns`? */
static bool is_late_with(const core *c, const waiter *w, uint32_t connections, uint64_t begin_ns)
{
    uint64_t sum_ns;

    if (__builtin_mul_overflow(c->use_ns, (uint64_t)c->waiters.count + 1, &sum_ns))
        return true;
    return begin_ns + sum_ns / connections + c->use_ns > w->deadline_ns - c->now_ns;
}

/* Will it be granted a connection, but too late to be of use? See shed.h. */
static bool comes_too_late(const core *c, const waiter *w)
{
    uint32_t open = open_count(c) ? open_count(c) : 1, limit = size_limit(c);

    if (w->urgent || c->paused || c->shed.target_ns == WEIR_NEVER || c->waiters.count < open)
        return false;
    if (!is_late_with(c, w, open, 0))
        return false;
    bool grows = open < limit && c->pace.failures == 0;
    return !grows || is_late_with(c, w, limit, c->dial_ns);
}

/* Why a take is not even let into the queue, if so. */
static int take_verdict(const core *c, const waiter *w)
{
    uint32_t places = c->options.queue_max - (w->urgent ? 0 : c->options.queue_reserve);

    if (w->deadline_ns <= c->now_ns)
        return WEIR_ETIMEDOUT;
    if (w->deadline_ns <= hopeless_until(c))
        return WEIR_ECONNECT;
    if (c->waiters.count >= places)
        return WEIR_EQUEUEFULL;
    if (comes_too_late(c, w))
        return WEIR_ESHED;
    return 0;
}

static bool take_at_once(core *c, waiter *w)
{
    if (c->waiters.count > 0 || w->deadline_ns < c->now_ns || c->paused)
        return false;
    connection *x = idle_for(c, w->lane);
    if (!x || is_stale(c, x) || keep_verdict(c, x) != WEIR_RETIRE_NOT)
        return false;
    grant(c, x, w);
    return true;
}

static void on_take(core *c, waiter *w)
{
    assert(w->state == WAITER_NEW && w->lane < c->options.lanes);
    w->since_ns = c->now_ns;
    if (c->draining) {
        refuse(c, w, WEIR_ECLOSED);
        return;
    }
    if (take_at_once(c, w))
        return;
    int error = take_verdict(c, w);
    if (error) {
        refuse(c, w, error);
        return;
    }
    waitq_push(&c->waiters, w);
    wake_at(c, w->deadline_ns);
    c->suspicious = w->claimant != NULL;
}

static void on_cancel(core *c, waiter *w)
{
    if (w->state == WAITER_WAITING)
        refuse_waiting(c, w, WEIR_ECANCELED);
}

/* An exponentially weighted mean over about the last `of` samples. */
static uint64_t mean_of(uint64_t mean, uint64_t sample, uint64_t of)
{
    return mean ? mean - mean / of + sample / of : sample;
}

/* A lease that was cut short would have lasted at least so long. */
static void measure_use(core *c, uint64_t used_ns, bool whole)
{
    if (whole || used_ns > c->use_ns)
        c->use_ns = mean_of(c->use_ns, used_ns, 16);
}

static void on_release(core *c, const event *e)
{
    waiter *w = e->waiter;
    bool reclaimed = w->state == WAITER_RECLAIMED;
    assert(w->state == WAITER_GRANTED || reclaimed);
    w->state = WAITER_NEW;
    if (reclaimed)
        return;
    connection *x = connection_at(c, w->connection);
    assert(x->state == CONNECTION_LEASED && x->holder == w);
    x->holder = NULL;
    c->leaked_out -= x->leaked;
    x->leaked = false;
    x->used_ns = x->heard_ns = c->now_ns;
    measure_use(c, c->now_ns - x->since_ns,
                e->condition == RELEASE_CLEAN || e->condition == RELEASE_DIRTY);

    switch (e->condition) {
    case RELEASE_CLEAN: connection_keep(c, x); break;
    case RELEASE_DIRTY:
        if (keep_verdict(c, x) != WEIR_RETIRE_NOT)
            connection_keep(c, x);
        else
            connection_begin(c, x, CONNECTION_RESETTING, EFFECT_RESET);
        break;
    /* Also when it will not be kept: the server should stop what it is doing. */
    case RELEASE_RUNNING: connection_begin(c, x, CONNECTION_CANCELLING, EFFECT_CANCEL); break;
    case RELEASE_BROKEN: connection_retire(c, x, e->reason ? e->reason : WEIR_RETIRE_BROKEN); break;
    }
}

/* A sign of life at `alive_ns`; WEIR_NEVER: there need be none for now. */
static void on_progress(core *c, const waiter *w, uint64_t alive_ns)
{
    assert(w->state == WAITER_GRANTED || w->state == WAITER_RECLAIMED);
    if (w->state == WAITER_RECLAIMED)
        return;
    connection_at(c, w->connection)->alive_ns = alive_ns;
    wake_at(c, deadline_after(alive_ns, c->limit_ns[CONNECTION_LEASED]));
}

static void on_up(core *c, connection *x)
{
    if (x->state == CONNECTION_CLOSING)
        return;
    assert(x->state == CONNECTION_DIALING);
    uint64_t lifetime_ns = c->options.max_lifetime_ns;
    uint64_t early_ns = random_up_to(&c->random, lifetime_ns / 10);

    if (lifetime_ns != WEIR_NEVER)
        lifetime_ns -= early_ns;
    x->born_ns = x->used_ns = x->heard_ns = c->now_ns;
    x->expires_ns = deadline_after(c->now_ns, lifetime_ns);
    if (c->options.keepalive_ns != WEIR_NEVER)
        x->early_ns = random_up_to(&c->random, c->options.keepalive_ns / 10);
    /* Longer than its limit only when the clock has leapt, as after a suspend. */
    uint64_t took_ns = c->now_ns - x->since_ns, limit_ns = c->options.connect_timeout_ns;
    c->dial_ns = mean_of(c->dial_ns, took_ns < limit_ns ? took_ns : limit_ns, 8);
    pace_succeeded(&c->pace, open_count(c));
    connection_keep(c, x);
}

static void on_checked(core *c, connection *x)
{
    if (x->state == CONNECTION_CLOSING)
        return;
    assert(x->state == CONNECTION_CHECKING || x->state == CONNECTION_RESETTING ||
           x->state == CONNECTION_CANCELLING);
    bool quarantined = x->state == CONNECTION_CANCELLING;

    x->heard_ns = c->now_ns;
    connection_keep(c, x);
    if (quarantined && x->state == CONNECTION_IDLE)
        c->quarantine_ended++;
}

static void on_down(core *c, connection *x, weir_retire_reason reason)
{
    if (x->state == CONNECTION_CLOSING || x->state == CONNECTION_LEASED)
        return;
    assert(x->state != CONNECTION_FREE);
    weir_retire_reason unsaid = WEIR_RETIRE_BROKEN;
    if (x->state == CONNECTION_DIALING) {
        if (reason == WEIR_RETIRE_SERVER_FULL)
            pace_full(&c->pace, up_count(c), c->now_ns, &c->random);
        dial_failed(c, x);
        unsaid = WEIR_RETIRE_CONNECT_FAILED;
    }
    connection_retire(c, x, reason ? reason : unsaid);
}

static void on_closed(core *c, connection *x)
{
    assert(x->state == CONNECTION_CLOSING);
    x->born_ns = 0;
    connection_move(c, x, CONNECTION_FREE);
}

static void apply(core *c, const event *e)
{
    switch (e->kind) {
    case EVENT_TAKE: on_take(c, e->waiter); break;
    case EVENT_CANCEL: on_cancel(c, e->waiter); break;
    case EVENT_RELEASE: on_release(c, e); break;
    case EVENT_PROGRESS: on_progress(c, e->waiter, c->now_ns); break;
    case EVENT_REST: on_progress(c, e->waiter, WEIR_NEVER); break;
    case EVENT_UP: on_up(c, connection_at(c, e->connection)); break;
    case EVENT_CHECKED: on_checked(c, connection_at(c, e->connection)); break;
    case EVENT_DOWN: on_down(c, connection_at(c, e->connection), e->reason); break;
    case EVENT_CLOSED: on_closed(c, connection_at(c, e->connection)); break;
    case EVENT_TICK: break;
    case EVENT_DRAIN: on_drain(c); break;
    case EVENT_RESIZE: on_resize(c, e->max, e->min); break;
    case EVENT_PAUSE: on_pause(c); break;
    case EVENT_RESUME: c->paused = false; break;
    case EVENT_EVICT: on_evict(c, e->spread_ns); break;
    }
    /* Who is left when the last slot that could still have been dialled is gone? */
    if (e->kind == EVENT_CLOSED || e->kind == EVENT_RESIZE || e->kind == EVENT_TICK)
        c->suspicious = true;
    if (e->kind >= EVENT_TICK) /* then all that the clock may ask for is looked at anew */
        c->wake_ns = 0;
}

/* What follows from where things now stand, whichever event brought them there. */
static void settle(core *c)
{
    trim(c); /* first: else those too many would go in the order of their lanes */
    bool due = c->now_ns >= c->wake_ns;
    if (due)
        expire_due(c);
    if (c->draining)
        drain(c);
    /* A waiter whose refusal did not fit must not be granted anything after its deadline. */
    if (!c->overflowed)
        serve(c);
    if (!c->overflowed)
        dial(c);
    tell_pause(c);
    if (c->suspicious)
        break_deadlock(c);
    if (c->waiters.count == 0)
        shed_rest(&c->shed);
    if (due)
        c->wake_ns = next_due(c);
    if (c->overflowed)
        c->wake_ns = c->now_ns;
}

void core_step(core *c, const event *e, uint64_t now_ns, effects *out)
{
    assert(now_ns >= c->now_ns);
    c->now_ns = now_ns;
    c->out = out;
    c->overflowed = c->suspicious = false;
    out->count = 0;
    apply(c, e);
    settle(c);
    out->wake_ns = c->wake_ns;
}

/* ---- Making ---- */

int core_new(const core_options *options, core **made)
{
    assert(options->lanes >= 1 && options->max >= 1 && options->min <= options->max);
    assert(options->slots >= options->max && options->queue_reserve < options->queue_max);
    assert(options->seed != 0);
    core *c = calloc(1, sizeof *c);

    if (!c)
        return WEIR_ENOMEM;
    c->options = *options;
    c->max = options->max;
    c->min = options->min;
    c->random = options->seed;
    c->idle = calloc(options->lanes, sizeof(connection *));
    c->connections = calloc(options->slots, sizeof *c->connections);
    if (!c->idle || !c->connections || waitq_new(&c->waiters, options->lanes) < 0) {
        core_free(c);
        return WEIR_ENOMEM;
    }
    for (int state = 0; state < CONNECTION_STATE_COUNT; state++)
        c->limit_ns[state] = WEIR_NEVER;
    c->limit_ns[CONNECTION_DIALING] = options->connect_timeout_ns;
    c->limit_ns[CONNECTION_IDLE] = options->idle_timeout_ns;
    c->limit_ns[CONNECTION_LEASED] = options->leak_after_ns;
    c->limit_ns[CONNECTION_CHECKING] = options->check_timeout_ns;
    c->limit_ns[CONNECTION_RESETTING] = options->check_timeout_ns;
    c->limit_ns[CONNECTION_CANCELLING] = options->cancel_grace_ns;
    pace_init(&c->pace, options);
    shed_init(&c->shed, options);
    c->next_lane = options->lanes - 1;
    for (uint32_t i = options->slots; i-- > 0;)
        DL_PREPEND(c->list[CONNECTION_FREE], &c->connections[i]);
    c->count[CONNECTION_FREE] = options->slots;
    *made = c;
    return 0;
}

void core_free(core *c)
{
    if (!c)
        return;
    waitq_free(&c->waiters);
    free(c->connections);
    free(c->idle);
    free(c);
}
