/* core_look.c: what can be seen of the core, and what must always be seen. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "core_state.h"

const char *connection_state_name(connection_state state)
{
    static const char *const names[] = {
#define X(name, word) [name] = word,
        CONNECTION_STATES(X)
#undef X
    };

    assert(state < CONNECTION_STATE_COUNT);
    return names[state];
}

void core_look(const core *c, core_view *view)
{
    *view = (core_view){
        .size = c->options.slots - c->count[CONNECTION_FREE],
        .up = up_count(c),
        .waiting = c->waiters.count,
        .failures = c->pace.failures,
        .max = c->max,
        .min = c->min,
        .ceiling = size_limit(c),
        .not_before_ns = c->pace.not_before_ns,
        .use_ns = c->use_ns,
        .dial_ns = c->dial_ns,
        .leaked = c->leaked,
        .leaked_out = c->leaked_out,
        .quarantine_ended = c->quarantine_ended,
        .quarantine_failed = c->quarantine_failed,
        .draining = c->draining,
        .paused = c->paused,
        .shedding = c->shed.active,
    };
    for (int state = 0; state < CONNECTION_STATE_COUNT; state++)
        view->count[state] = c->count[state];
}

void core_look_at(const core *c, uint32_t index, core_connection_view *view)
{
    assert(index < c->options.slots);
    const connection *x = &c->connections[index];

    *view = (core_connection_view){
        .state = x->state,
        .lane = x->lane,
        .since_ns = x->since_ns,
        .born_ns = x->born_ns,
        .holder = x->holder,
    };
}

const waiter *core_first_waiter(const core *c)
{
    return c->waiters.first;
}

/* ---- Invariants ---- */

static void fail(const char *what, int line)
{
    fprintf(stderr, "core_check: %s (line %d)\n", what, line);
    abort();
}
#define must(what) ((what) ? (void)0 : fail(#what, __LINE__))

static void check_connection(const core *c, const connection *x, uint64_t now_ns)
{
    must(x->lane < c->options.lanes);
    must(x->since_ns <= x->alive_ns);
    must(x->alive_ns <= now_ns || (x->alive_ns == WEIR_NEVER && x->holder));
    must((x->holder != NULL) == (x->state == CONNECTION_LEASED));
    must(!x->leaked || x->holder);
    if (!x->holder)
        return;
    must(x->holder->state == WAITER_GRANTED);
    must(x->holder->connection == (uint32_t)(x - c->connections));
    must(x->holder->lane == x->lane);
}

static uint32_t check_list(const core *c, const connection *list, connection_state state,
                           uint64_t now_ns)
{
    uint32_t length = 0;
    uint64_t latest_ns = WEIR_NEVER;

    for (const connection *x = list; x; x = x->next) {
        uint64_t order_ns = state == CONNECTION_IDLE ? x->used_ns : x->since_ns;
        must(x->state == state);
        must(order_ns <= latest_ns);
        must(length++ < c->options.slots);
        must(!x->next || x->next->prev == x);
        latest_ns = order_ns;
        check_connection(c, x, now_ns);
    }
    return length;
}

static void check_lists(const core *c, uint64_t now_ns)
{
    uint32_t total = 0;

    for (int state = 0; state < CONNECTION_STATE_COUNT; state++) {
        uint32_t length = check_list(c, c->list[state], (connection_state)state, now_ns);
        if (state == CONNECTION_IDLE)
            for (uint32_t lane = 0; lane < c->options.lanes; lane++) {
                length += check_list(c, c->idle[lane], CONNECTION_IDLE, now_ns);
                must(!c->idle[lane] || c->idle[lane]->lane == lane);
            }
        must(length == c->count[state]);
        total += length;
    }
    must(total == c->options.slots);
}

static void check_waiters(const core *c)
{
    uint32_t length = 0, in_lanes = 0;
    uint64_t since_ns = 0, deadline_ns = WEIR_NEVER;

    for (const waiter *w = c->waiters.first; w; w = w->next) {
        must(w->state == WAITER_WAITING);
        must(w->since_ns >= since_ns && w->since_ns <= c->now_ns);
        must(length++ < c->options.queue_max);
        must(w->deadline_ns > c->now_ns || c->overflowed);
        since_ns = w->since_ns;
        if (w->deadline_ns < deadline_ns)
            deadline_ns = w->deadline_ns;
    }
    must(length == c->waiters.count);
    must(waitq_deadline(&c->waiters) == deadline_ns);
    for (uint32_t lane = 0; lane < c->options.lanes; lane++)
        for (const waiter *w = c->waiters.of_lane[lane]; w; w = w->lane_next) {
            must(w->lane == lane);
            must(in_lanes++ < length);
        }
    must(in_lanes == length);
}

/* What a step may leave undone only when its effects did not fit. */
static void check_nothing_left(const core *c)
{
    const connection *x;
    bool served = c->waiters.count == 0 || c->paused;

    for (uint32_t lane = 0; lane < c->options.lanes; lane++)
        DL_FOREACH (c->idle[lane], x)
            must(served || (is_stale(c, x) && supply_count(c) >= c->waiters.count));
    must(!dial_wanted(c) || c->now_ns < c->pace.not_before_ns);
    must(open_count(c) <= c->max || c->count[CONNECTION_IDLE] + c->count[CONNECTION_DIALING] == 0);
    if (!c->draining)
        return;
    must(c->waiters.count == 0 && c->count[CONNECTION_IDLE] == 0);
    must(c->count[CONNECTION_DIALING] == 0 && c->count[CONNECTION_CHECKING] == 0);
    must(c->drained == (c->count[CONNECTION_FREE] == c->options.slots));
}

void core_check(const core *c, uint64_t now_ns)
{
    must(now_ns >= c->now_ns);
    must(c->pace.window >= 1 && c->pace.window <= c->options.slots);
    check_lists(c, now_ns);
    check_waiters(c);
    if (c->overflowed) {
        must(c->wake_ns <= c->now_ns);
    } else {
        must(c->wake_ns <= next_due(c));
        check_nothing_left(c);
    }
}
