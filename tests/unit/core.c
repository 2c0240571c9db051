/* core.c: the pool's rules, one by one. */
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

/* ---- Dialing ---- */

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

/* Ends all dials under way in the given way. */
static void end_dials(bench *b, event_kind kind)
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

static void after_trouble_one_probes_then_more_and_more(void **state)
{
    bench *b = *state;
    waiter w[16] = {0};

    b->options.max = 16;
    open_core(b);
    for (int i = 0; i < 16; i++)
        take(b, &w[i]);
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

    b->options.max = 16;
    open_core(b);
    for (int i = 0; i < 16; i++)
        take(b, &w[i]);
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

    b->options.max = 16;
    open_core(b);
    for (int i = 0; i < 16; i++)
        take(b, &w[i]);
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
        behaviour(surplus_idle_ones_are_closed_down_to_min),
        behaviour(an_old_idle_connection_is_closed),
        behaviour(an_old_connection_in_use_is_closed_at_release),
        behaviour(lifetimes_end_at_different_times),
        behaviour(a_time_that_is_never_never_comes),
        behaviour(a_drain_refuses_and_closes),
        behaviour(an_empty_pool_is_drained_at_once),
        behaviour(more_than_fits_is_done_in_the_next_ticks),
    };

    return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
