/* core_close.c: connections that grow old, and pools that are drained. */
#include "../support/core_stand.h"

/* ---- Age ---- */

static void surplus_idle_ones_are_closed_down_to_min(void **state)
{
    bench *b = *state;
    core_view view;

    b->options.max = 3;
    b->options.min = 1;
    open_idle(b, 3, 0);
    assert_true(b->out.wake_ns <= b->now_ns + WEIR_S(600));
    tick_after(b, WEIR_S(600));
    assert_closed_for(b, WEIR_RETIRE_IDLE);
    core_look(b->core, &view);
    assert_int_equal(view.count[CONNECTION_CLOSING], 2);
    assert_int_equal(view.count[CONNECTION_IDLE], 1);
}

static void an_old_idle_connection_is_closed(void **state)
{
    bench *b = *state;

    b->options.idle_timeout_ns = WEIR_NEVER;
    open_idle(b, 1, 0);
    tick(b);
    assert_in_range(b->out.wake_ns, WEIR_S(1620), WEIR_S(1801));
    b->now_ns = b->out.wake_ns;
    tick(b);
    assert_closed_for(b, WEIR_RETIRE_LIFETIME);
}

static void an_old_connection_in_use_is_closed_at_release(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_idle(b, 1, 0);
    take(b, &w);
    tick_after(b, WEIR_S(1800));
    assert_null(find(b, EFFECT_CLOSE));
    release(b, &w, RELEASE_CLEAN);
    assert_closed_for(b, WEIR_RETIRE_LIFETIME);
}

static void lifetimes_end_at_different_times(void **state)
{
    bench *b = *state;
    uint32_t closed;

    b->options.max = b->options.min = 10;
    b->options.idle_timeout_ns = WEIR_NEVER;
    open_core(b);
    tick(b);
    for (int rounds = 0; rounds < 4; rounds++)
        end_dials(b, EVENT_UP);
    tick(b);
    b->now_ns = b->out.wake_ns;
    tick(b);
    closed = 0;
    for (uint32_t i = 0; i < b->out.count; i++)
        closed += b->out.item[i].kind == EFFECT_CLOSE;
    assert_int_equal(closed, 1);
}

static void a_time_that_is_never_never_comes(void **state)
{
    bench *b = *state;

    b->options.idle_timeout_ns = b->options.max_lifetime_ns = WEIR_NEVER;
    open_idle(b, 1, 0);
    tick_after(b, WEIR_S(1000000));
    assert_int_equal(b->out.count, 0);
    assert_true(b->out.wake_ns == WEIR_NEVER);
}

/* ---- Drain ---- */

static void a_drain_refuses_and_closes(void **state)
{
    bench *b = *state;
    waiter held = {0}, waiting = {0}, late = {0};

    open_idle(b, 1, 0);
    take(b, &held);
    take(b, &waiting);
    step(b, (event){.kind = EVENT_DRAIN});
    assert_refused(b, &waiting, WEIR_ECLOSED);
    take(b, &late);
    assert_refused(b, &late, WEIR_ECLOSED);
    release(b, &held, RELEASE_CLEAN);
    assert_closed_for(b, WEIR_RETIRE_DRAINED);
    assert_null(find(b, EFFECT_DRAINED));
    tell(b, EVENT_CLOSED, 0);
    find_sure(b, EFFECT_DRAINED);
    tick(b);
    assert_null(find(b, EFFECT_DRAINED));
}

static void an_empty_pool_is_drained_at_once(void **state)
{
    bench *b = *state;

    open_core(b);
    step(b, (event){.kind = EVENT_DRAIN});
    find_sure(b, EFFECT_DRAINED);
}

static void more_than_fits_is_done_in_the_next_ticks(void **state)
{
    bench *b = *state;
    waiter w[80] = {0};
    uint32_t refused = 0, ticks = 0;

    open_core(b);
    for (int i = 0; i < 80; i++)
        take(b, &w[i]);
    step(b, (event){.kind = EVENT_DRAIN});
    for (;; tick(b), ticks++) {
        for (uint32_t i = 0; i < b->out.count; i++)
            refused += b->out.item[i].kind == EFFECT_REFUSE;
        if (b->out.wake_ns > b->now_ns)
            break;
    }
    assert_int_equal(refused, 80);
    assert_int_equal(ticks, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        behaviour(surplus_idle_ones_are_closed_down_to_min),
        behaviour(an_old_idle_connection_is_closed),
        behaviour(an_old_connection_in_use_is_closed_at_release),
        behaviour(lifetimes_end_at_different_times),
        behaviour(a_time_that_is_never_never_comes),
        behaviour(a_drain_refuses_and_closes),
        behaviour(an_empty_pool_is_drained_at_once),
        behaviour(more_than_fits_is_done_in_the_next_ticks),
    };

    return cmocka_run_group_tests_name("core_close", tests, NULL, NULL);
}
