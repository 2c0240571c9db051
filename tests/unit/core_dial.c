/* core_dial.c: when connections are dialled, and what follows when they are not. */
#include "../support/core_stand.h"

static void a_pause_follows_a_failed_dial(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_core(b);
    take(b, &w);
    tell(b, EVENT_DOWN, 0);
    tell(b, EVENT_CLOSED, 0);
    assert_null(find(b, EFFECT_DIAL));
    assert_in_range(b->out.wake_ns, b->now_ns + 1, b->now_ns + WEIR_MS(20));
    b->now_ns = b->out.wake_ns;
    tick(b);
    find_sure(b, EFFECT_DIAL);
    tell(b, EVENT_UP, 0);
    assert_granted(b, &w);
}

/* Fails dials one after another; returns the longest pause among them. */
static uint64_t fail_dials(bench *b, int times)
{
    uint64_t longest_ns = 0;

    for (int i = 0; i < times; i++) {
        tell(b, EVENT_DOWN, 0);
        tell(b, EVENT_CLOSED, 0);
        uint64_t pause_ns = b->out.wake_ns - b->now_ns;
        if (!find(b, EFFECT_DIAL))
            tick_after(b, pause_ns);
        longest_ns = pause_ns > longest_ns ? pause_ns : longest_ns;
        find_sure(b, EFFECT_DIAL);
    }
    return longest_ns;
}

static void pauses_grow_to_their_bound(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_core(b);
    take(b, &w);
    assert_in_range(fail_dials(b, 100), WEIR_MS(250), WEIR_MS(500));
}

static void a_success_ends_the_trouble(void **state)
{
    bench *b = *state;
    waiter w = {0};
    core_view view;

    open_core(b);
    take(b, &w);
    fail_dials(b, 10);
    core_look(b->core, &view);
    assert_int_equal(view.failures, 10);
    tell(b, EVENT_UP, 0);
    core_look(b->core, &view);
    assert_int_equal(view.failures, 0);
}

static uint32_t dialing(const bench *b)
{
    core_view view;

    core_look(b->core, &view);
    return view.count[CONNECTION_DIALING];
}

/* As many takers as there may be connections. */
static void open_for_16(bench *b, waiter w[16])
{
    b->options.max = 16;
    open_core(b);
    for (int i = 0; i < 16; i++)
        take(b, &w[i]);
}

static void after_trouble_one_probes_then_more_and_more(void **state)
{
    bench *b = *state;
    waiter w[16] = {0};

    open_for_16(b, w);
    assert_int_equal(dialing(b), 2);
    end_dials(b, EVENT_DOWN);
    assert_int_equal(dialing(b), 0);
    b->now_ns = b->out.wake_ns;
    tick(b);
    assert_int_equal(dialing(b), 1);
    end_dials(b, EVENT_UP);
    assert_int_equal(dialing(b), 2);
    end_dials(b, EVENT_UP);
    assert_int_equal(dialing(b), 4);
    end_dials(b, EVENT_UP);
    assert_int_equal(dialing(b), 8);
}

static void a_cold_pool_begins_with_two_dials_at_once(void **state)
{
    bench *b = *state;
    waiter w[16] = {0};

    open_for_16(b, w);
    assert_int_equal(dialing(b), 2);
    end_dials(b, EVENT_UP);
    assert_int_equal(dialing(b), 4);
    end_dials(b, EVENT_UP);
    assert_int_equal(dialing(b), 8);
}

static void many_dials_failing_at_once_are_one_trouble(void **state)
{
    bench *b = *state;
    waiter w[16] = {0};

    open_for_16(b, w);
    end_dials(b, EVENT_DOWN);
    assert_in_range(b->out.wake_ns, b->now_ns + 1, b->now_ns + WEIR_MS(20));
}

static void a_dial_that_takes_too_long_is_given_up(void **state)
{
    bench *b = *state;
    waiter w = {0};
    core_view view;

    open_core(b);
    take(b, &w);
    assert_int_equal(b->out.wake_ns, b->now_ns + WEIR_S(5));
    tick_after(b, WEIR_S(5));
    assert_closed_for(b, WEIR_RETIRE_CONNECT_TIMEOUT);
    core_look(b->core, &view);
    assert_int_equal(view.failures, 1);
    assert_int_equal(view.waiting, 1);
}

static void a_freed_slot_is_dialled_for_who_waits(void **state)
{
    bench *b = *state;
    waiter held = {0}, w = {0};

    open_idle(b, 1, 0);
    take(b, &held);
    take(b, &w);
    release(b, &held, RELEASE_BROKEN);
    assert_closed_for(b, WEIR_RETIRE_BROKEN);
    assert_null(find(b, EFFECT_DIAL));
    tell(b, EVENT_CLOSED, 0);
    find_sure(b, EFFECT_DIAL);
}

static void min_is_kept_warm(void **state)
{
    bench *b = *state;

    b->options.max = 5;
    b->options.min = 2;
    open_core(b);
    tick(b);
    assert_int_equal(dialing(b), 2);
    end_dials(b, EVENT_UP);
    tell(b, EVENT_DOWN, 0);
    assert_int_equal(dialing(b), 1);
}

static void dials_for_min_are_spread_over_lanes(void **state)
{
    bench *b = *state;

    b->options.lanes = b->options.max = b->options.min = 3;
    open_core(b);
    tick(b);
    assert_int_equal(b->out.item[0].lane, 0);
    assert_int_equal(b->out.item[1].lane, 1);
    tell(b, EVENT_UP, 0);
    assert_int_equal(find_sure(b, EFFECT_DIAL)->lane, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        behaviour(a_pause_follows_a_failed_dial),
        behaviour(pauses_grow_to_their_bound),
        behaviour(a_success_ends_the_trouble),
        behaviour(after_trouble_one_probes_then_more_and_more),
        behaviour(a_cold_pool_begins_with_two_dials_at_once),
        behaviour(many_dials_failing_at_once_are_one_trouble),
        behaviour(a_dial_that_takes_too_long_is_given_up),
        behaviour(a_freed_slot_is_dialled_for_who_waits),
        behaviour(min_is_kept_warm),
        behaviour(dials_for_min_are_spread_over_lanes),
    };

    return cmocka_run_group_tests_name("core_dial", tests, NULL, NULL);
}
