/* core_release.c: what is asked of a connection before it is granted and when it comes back. */
#include "../support/core_stand.h"

/* ---- Checks ---- */

static void one_idle_for_too_long_is_checked_first(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_idle(b, 1, 0);
    b->now_ns += WEIR_S(30) + 1;
    take(b, &w);
    assert_int_equal(b->out.count, 1);
    find_sure(b, EFFECT_CHECK);
    tell(b, EVENT_CHECKED, 0);
    assert_granted(b, &w);
}

static void a_fresh_one_of_another_lane_beats_a_check(void **state)
{
    bench *b = *state;
    waiter w[2] = {{.lane = 0}, {.lane = 1}}, late = {.lane = 0};

    b->options.lanes = b->options.max = 2;
    open_core(b);
    take(b, &w[0]);
    tell(b, EVENT_UP, 0);
    take(b, &w[1]);
    tell(b, EVENT_UP, 1);
    release(b, &w[0], RELEASE_CLEAN);
    b->now_ns += WEIR_S(31);
    release(b, &w[1], RELEASE_CLEAN);
    take(b, &late);
    assert_granted(b, &late);
    assert_int_equal(late.connection, 1);
}

static void a_failed_check_seeks_another_connection_at_once(void **state)
{
    bench *b = *state;
    waiter w = {0};

    b->options.max = 2;
    open_idle(b, 1, 0);
    b->now_ns += WEIR_S(31);
    take(b, &w);
    step(b, (event){.kind = EVENT_DOWN, .reason = WEIR_RETIRE_CHECK_FAILED});
    assert_closed_for(b, WEIR_RETIRE_CHECK_FAILED);
    find_sure(b, EFFECT_DIAL);
}

static void a_check_that_takes_too_long_has_failed(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_idle(b, 1, 0);
    b->now_ns += WEIR_S(31);
    take(b, &w);
    tick_after(b, WEIR_S(1));
    assert_closed_for(b, WEIR_RETIRE_CHECK_FAILED);
}

/* ---- Release ---- */

static void a_dirty_connection_is_reset_before_reuse(void **state)
{
    bench *b = *state;
    waiter held = {0}, w = {0};

    open_idle(b, 1, 0);
    take(b, &held);
    take(b, &w);
    release(b, &held, RELEASE_DIRTY);
    find_sure(b, EFFECT_RESET);
    assert_null(find(b, EFFECT_GRANT));
    tell(b, EVENT_CHECKED, 0);
    assert_granted(b, &w);
}

static void a_reset_that_takes_too_long_closes(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_idle(b, 1, 0);
    take(b, &w);
    release(b, &w, RELEASE_DIRTY);
    tick_after(b, WEIR_S(1));
    assert_closed_for(b, WEIR_RETIRE_DIRTY);
}

static void a_running_query_is_cancelled_before_reuse(void **state)
{
    bench *b = *state;
    waiter w = {0};
    core_view view;

    open_idle(b, 1, 0);
    take(b, &w);
    release(b, &w, RELEASE_RUNNING);
    find_sure(b, EFFECT_CANCEL);
    tell(b, EVENT_CHECKED, 0);
    core_look(b->core, &view);
    assert_int_equal(view.count[CONNECTION_IDLE], 1);
}

static void a_cancel_past_its_grace_closes(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_idle(b, 1, 0);
    take(b, &w);
    release(b, &w, RELEASE_RUNNING);
    tick_after(b, WEIR_S(4));
    assert_closed_for(b, WEIR_RETIRE_CANCELLED);
}

static void a_quarantined_connection_holds_up_no_one_else(void **state)
{
    bench *b = *state;
    waiter held = {0}, w = {0};

    b->options.max = 2;
    open_idle(b, 1, 0);
    take(b, &held);
    release(b, &held, RELEASE_RUNNING);
    take(b, &w);
    find_sure(b, EFFECT_DIAL);
}

static void a_broken_connection_tells_how_it_broke(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_idle(b, 1, 0);
    take(b, &w);
    step(b, (event){.kind = EVENT_RELEASE,
                    .waiter = &w,
                    .condition = RELEASE_BROKEN,
                    .reason = WEIR_RETIRE_SERVER_SHUTDOWN});
    assert_closed_for(b, WEIR_RETIRE_SERVER_SHUTDOWN);
}

static void answers_that_cross_a_close_are_ignored(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_core(b);
    take(b, &w);
    tick_after(b, WEIR_S(5));
    tell(b, EVENT_UP, 0);
    tell(b, EVENT_DOWN, 0);
    tell(b, EVENT_CHECKED, 0);
    assert_int_equal(b->out.count, 0);
}

static void a_loss_that_crosses_a_grant_is_told_at_release(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_idle(b, 1, 0);
    take(b, &w);
    tell(b, EVENT_DOWN, 0);
    assert_int_equal(b->out.count, 0);
    release(b, &w, RELEASE_BROKEN);
    assert_closed_for(b, WEIR_RETIRE_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        behaviour(one_idle_for_too_long_is_checked_first),
        behaviour(a_fresh_one_of_another_lane_beats_a_check),
        behaviour(a_failed_check_seeks_another_connection_at_once),
        behaviour(a_check_that_takes_too_long_has_failed),
        behaviour(a_dirty_connection_is_reset_before_reuse),
        behaviour(a_reset_that_takes_too_long_closes),
        behaviour(a_running_query_is_cancelled_before_reuse),
        behaviour(a_cancel_past_its_grace_closes),
        behaviour(a_quarantined_connection_holds_up_no_one_else),
        behaviour(a_broken_connection_tells_how_it_broke),
        behaviour(answers_that_cross_a_close_are_ignored),
        behaviour(a_loss_that_crosses_a_grant_is_told_at_release),
    };

    return cmocka_run_group_tests_name("core_release", tests, NULL, NULL);
}
