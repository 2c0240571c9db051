/* core_stand.h: a core under test, with a clock and words for what happens to it. */
#ifndef WEIR_CORE_STAND_H
#define WEIR_CORE_STAND_H

#include "core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A core with a clock, and the effects of its last step. */
typedef struct bench {
    core_options options;
    core *core;
    uint64_t now_ns;
    effects out;
} bench;

static inline core_options plain_options(void)
{
    return (core_options){
        .lanes = 1,
        .slots = 20,
        .max = 1,
        .queue_max = 100,
        .keepalive_ns = WEIR_NEVER,
        .leak_after_ns = WEIR_NEVER,
        .shed_target_ns = WEIR_NEVER,
        .shed_interval_ns = WEIR_S(1),
        .full_pause_ns = WEIR_S(2),
        .connect_timeout_ns = WEIR_S(5),
        .validate_after_ns = WEIR_S(30),
        .check_timeout_ns = WEIR_S(1),
        .idle_timeout_ns = WEIR_S(600),
        .max_lifetime_ns = WEIR_S(1800),
        .cancel_grace_ns = WEIR_S(4),
        .backoff_base_ns = WEIR_MS(20),
        .backoff_max_ns = WEIR_MS(500),
        .affinity_ns = WEIR_MS(2),
        .seed = 7,
    };
}

static inline void open_core(bench *b)
{
    assert_int_equal(core_new(&b->options, &b->core), 0);
    b->now_ns = WEIR_S(1);
}

static inline int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);

    if (!b)
        return -1;
    b->options = plain_options();
    *state = b;
    return 0;
}

static inline int tear_down(void **state)
{
    bench *b = *state;

    core_free(b->core);
    free(b);
    return 0;
}

static inline void step(bench *b, event e)
{
    core_step(b->core, &e, b->now_ns, &b->out);
    core_check(b->core, b->now_ns);
}

static inline void take(bench *b, waiter *w)
{
    if (w->deadline_ns == 0)
        w->deadline_ns = WEIR_NEVER;
    step(b, (event){.kind = EVENT_TAKE, .waiter = w});
}

static inline void release(bench *b, waiter *w, release_condition condition)
{
    step(b, (event){.kind = EVENT_RELEASE, .waiter = w, .condition = condition});
}

static inline void tell(bench *b, event_kind kind, uint32_t connection)
{
    step(b, (event){.kind = kind, .connection = connection});
}

/* Ends all dials under way in the given way. */
static inline void end_dials(bench *b, event_kind kind)
{
    core_connection_view view;
    bool dials[16] = {false};

    for (uint32_t i = 0; i < b->options.max; i++) {
        core_look_at(b->core, i, &view);
        dials[i] = view.state == CONNECTION_DIALING;
    }
    for (uint32_t i = 0; i < b->options.max; i++) {
        if (dials[i])
            tell(b, kind, i);
        if (dials[i] && kind == EVENT_DOWN)
            tell(b, EVENT_CLOSED, i);
    }
}

static inline void tick(bench *b)
{
    step(b, (event){.kind = EVENT_TICK});
}

static inline void tick_after(bench *b, uint64_t later_ns)
{
    b->now_ns += later_ns;
    tick(b);
}

/* The first effect of a kind in the last step, or NULL. */
static inline const effect *find(const bench *b, effect_kind kind)
{
    for (uint32_t i = 0; i < b->out.count; i++)
        if (b->out.item[i].kind == kind)
            return &b->out.item[i];
    return NULL;
}

static inline const effect *find_sure(const bench *b, effect_kind kind)
{
    const effect *f = find(b, kind);

    assert_non_null(f);
    return f;
}

static inline void assert_granted(const bench *b, const waiter *w)
{
    assert_ptr_equal(find_sure(b, EFFECT_GRANT)->waiter, w);
}

static inline void assert_refused(const bench *b, const waiter *w, int error)
{
    assert_ptr_equal(find_sure(b, EFFECT_REFUSE)->waiter, w);
    assert_int_equal(find(b, EFFECT_REFUSE)->error, error);
}

static inline void assert_closed_for(const bench *b, weir_retire_reason reason)
{
    assert_int_equal(find_sure(b, EFFECT_CLOSE)->reason, reason);
}

/* Opens a core with `n` connections of lane `lane` up and idle, opened in the order of their
 * numbers. */
static inline void open_idle(bench *b, uint32_t n, uint32_t lane)
{
    waiter w[16] = {0};

    open_core(b);
    for (uint32_t i = 0; i < n; i++) {
        w[i].lane = lane;
        take(b, &w[i]);
        tell(b, EVENT_UP, i);
        assert_int_equal(w[i].connection, i);
    }
    for (uint32_t i = 0; i < n; i++) {
        b->now_ns++;
        release(b, &w[i], RELEASE_CLEAN);
    }
}

#define behaviour(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
