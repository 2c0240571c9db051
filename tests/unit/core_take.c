/* core_take.c: who is granted which connection, and who is refused. */
#include "../support/core_stand.h"

/* ---- Take and release ---- */

static void a_take_of_an_empty_pool_dials(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_core(b);
    take(b, &w);
    find_sure(b, EFFECT_DIAL);
    tell(b, EVENT_UP, 0);
    assert_granted(b, &w);
}

static void an_idle_connection_is_granted_at_once(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_idle(b, 1, 0);
    take(b, &w);
    assert_granted(b, &w);
    assert_int_equal(b->out.count, 1);
}

static void the_last_one_released_is_the_first_reused(void **state)
{
    bench *b = *state;
    waiter w = {0};

    b->options.max = 3;
    open_idle(b, 3, 0);
    take(b, &w);
    assert_int_equal(w.connection, 2);
}

static void a_released_connection_goes_to_the_first_in_line(void **state)
{
    bench *b = *state;
    waiter w[3] = {0};

    open_idle(b, 1, 0);
    for (int i = 0; i < 3; i++)
        take(b, &w[i]);
    release(b, &w[0], RELEASE_CLEAN);
    assert_granted(b, &w[1]);
    release(b, &w[1], RELEASE_CLEAN);
    assert_granted(b, &w[2]);
}

static void never_more_than_max_are_open(void **state)
{
    bench *b = *state;
    waiter w[5] = {0};
    core_view view;

    b->options.max = 2;
    open_core(b);
    for (int i = 0; i < 5; i++)
        take(b, &w[i]);
    core_look(b->core, &view);
    assert_int_equal(view.size, 2);
    assert_int_equal(view.waiting, 5);
}

static void no_more_dials_than_waiters(void **state)
{
    bench *b = *state;
    waiter w[2] = {0};

    b->options.max = 5;
    open_core(b);
    take(b, &w[0]);
    tick(b);
    assert_null(find(b, EFFECT_DIAL));
    take(b, &w[1]);
    find_sure(b, EFFECT_DIAL);
}

static void a_full_queue_refuses(void **state)
{
    bench *b = *state;
    waiter w[2] = {0};

    b->options.queue_max = 1;
    open_core(b);
    take(b, &w[0]);
    take(b, &w[1]);
    assert_refused(b, &w[1], WEIR_EQUEUEFULL);
}

/* ---- Deadlines and cancels ---- */

static void a_waiter_is_refused_at_its_deadline(void **state)
{
    bench *b = *state;
    waiter w = {.deadline_ns = WEIR_S(2)};

    open_core(b);
    take(b, &w);
    assert_int_equal(b->out.wake_ns, WEIR_S(2));
    tick_after(b, WEIR_S(1));
    assert_refused(b, &w, WEIR_ETIMEDOUT);
}

static void any_step_refuses_whose_deadline_has_passed(void **state)
{
    bench *b = *state;
    waiter held = {0}, late = {.deadline_ns = WEIR_S(2)}, patient = {0};

    open_idle(b, 1, 0);
    take(b, &held);
    take(b, &late);
    take(b, &patient);
    b->now_ns = WEIR_S(2);
    release(b, &held, RELEASE_CLEAN);
    assert_refused(b, &late, WEIR_ETIMEDOUT);
    assert_granted(b, &patient);
}

static void a_take_past_its_deadline_is_refused(void **state)
{
    bench *b = *state;
    waiter w = {.deadline_ns = 1};

    open_idle(b, 1, 0);
    take(b, &w);
    assert_refused(b, &w, WEIR_ETIMEDOUT);
}

static void a_take_with_no_time_to_wait_gets_what_is_idle(void **state)
{
    bench *b = *state;
    waiter first = {0}, second = {0};

    open_idle(b, 1, 0);
    first.deadline_ns = second.deadline_ns = b->now_ns;
    take(b, &first);
    assert_granted(b, &first);
    take(b, &second);
    assert_refused(b, &second, WEIR_ETIMEDOUT);
}

static void a_waiter_of_an_unreachable_server_is_told_so(void **state)
{
    bench *b = *state;
    waiter w = {.deadline_ns = WEIR_S(2)};

    open_core(b);
    take(b, &w);
    tell(b, EVENT_DOWN, 0);
    assert_closed_for(b, WEIR_RETIRE_CONNECT_FAILED);
    tick_after(b, WEIR_S(1));
    assert_refused(b, &w, WEIR_ECONNECT);
}

static void a_cancelled_waiter_leaves_the_queue(void **state)
{
    bench *b = *state;
    waiter held = {0}, gone = {0}, next = {0};

    open_idle(b, 1, 0);
    take(b, &held);
    take(b, &gone);
    take(b, &next);
    step(b, (event){.kind = EVENT_CANCEL, .waiter = &gone});
    assert_refused(b, &gone, WEIR_ECANCELED);
    release(b, &held, RELEASE_CLEAN);
    assert_granted(b, &next);
}

static void a_cancel_after_the_grant_does_nothing(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_idle(b, 1, 0);
    take(b, &w);
    step(b, (event){.kind = EVENT_CANCEL, .waiter = &w});
    assert_int_equal(b->out.count, 0);
    release(b, &w, RELEASE_CLEAN);
}

/* ---- Lanes ---- */

static void a_connection_of_the_own_lane_comes_first(void **state)
{
    bench *b = *state;
    waiter far = {.lane = 1}, near = {.lane = 0}, w = {.lane = 0};

    b->options.lanes = 2;
    b->options.max = 2;
    open_idle(b, 2, 1);
    take(b, &near); /* 1 moves to lane 0 */
    take(b, &far);
    release(b, &near, RELEASE_CLEAN);
    b->now_ns++;
    release(b, &far, RELEASE_CLEAN);
    take(b, &w);
    assert_int_equal(find_sure(b, EFFECT_GRANT)->lane, 0);
    assert_int_equal(w.connection, 1);
}

static void a_connection_of_another_lane_moves_over(void **state)
{
    bench *b = *state;
    waiter w = {.lane = 1};
    core_connection_view view;

    b->options.lanes = 2;
    open_idle(b, 1, 0);
    take(b, &w);
    assert_int_equal(find_sure(b, EFFECT_GRANT)->lane, 0);
    core_look_at(b->core, 0, &view);
    assert_int_equal(view.lane, 1);
    assert_ptr_equal(view.holder, &w);
}

static void a_lane_keeps_its_connection_for_a_moment(void **state)
{
    bench *b = *state;
    waiter held = {0}, head = {.lane = 1}, own = {0};

    b->options.lanes = 2;
    open_idle(b, 1, 0);
    take(b, &held);
    take(b, &head);
    take(b, &own);
    b->now_ns += WEIR_MS(2) - 1;
    release(b, &held, RELEASE_CLEAN);
    assert_granted(b, &own);
}

static void a_lane_does_not_keep_its_connection_for_longer(void **state)
{
    bench *b = *state;
    waiter held = {0}, head = {.lane = 1}, own = {0};

    b->options.lanes = 2;
    open_idle(b, 1, 0);
    take(b, &held);
    take(b, &head);
    take(b, &own);
    b->now_ns += WEIR_MS(2);
    release(b, &held, RELEASE_CLEAN);
    assert_granted(b, &head);
}

static void a_dial_is_on_the_lane_of_its_waiter(void **state)
{
    bench *b = *state;
    waiter first = {.lane = 0}, second = {.lane = 2};

    b->options.lanes = 3;
    b->options.max = 2;
    open_core(b);
    take(b, &first);
    take(b, &second);
    assert_int_equal(find_sure(b, EFFECT_DIAL)->lane, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        behaviour(a_take_of_an_empty_pool_dials),
        behaviour(an_idle_connection_is_granted_at_once),
        behaviour(the_last_one_released_is_the_first_reused),
        behaviour(a_released_connection_goes_to_the_first_in_line),
        behaviour(never_more_than_max_are_open),
        behaviour(no_more_dials_than_waiters),
        behaviour(a_full_queue_refuses),
        behaviour(a_waiter_is_refused_at_its_deadline),
        behaviour(any_step_refuses_whose_deadline_has_passed),
        behaviour(a_take_past_its_deadline_is_refused),
        behaviour(a_take_with_no_time_to_wait_gets_what_is_idle),
        behaviour(a_waiter_of_an_unreachable_server_is_told_so),
        behaviour(a_cancelled_waiter_leaves_the_queue),
        behaviour(a_cancel_after_the_grant_does_nothing),
        behaviour(a_connection_of_the_own_lane_comes_first),
        behaviour(a_connection_of_another_lane_moves_over),
        behaviour(a_lane_keeps_its_connection_for_a_moment),
        behaviour(a_lane_does_not_keep_its_connection_for_longer),
        behaviour(a_dial_is_on_the_lane_of_its_waiter),
    };

    return cmocka_run_group_tests_name("core_take", tests, NULL, NULL);
}
