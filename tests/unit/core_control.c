/* core_control.c: the pool's rules while it is resized, paused and its connections are replaced. */
#include "../support/core_stand.h"

static void resize(bench *b, uint32_t max, uint32_t min)
{
    step(b, (event){.kind = EVENT_RESIZE, .max = max, .min = min});
}

static void open_of(bench *b, uint32_t max, uint32_t idle)
{
    b->options.max = max;
    open_idle(b, idle, 0);
}

static uint32_t closed_for(const bench *b, weir_retire_reason reason)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < b->out.count; i++)
        n += b->out.item[i].kind == EFFECT_CLOSE && b->out.item[i].reason == reason;
    return n;
}

/* ---- Resize ---- */

static void a_larger_max_lets_waiters_dial(void **state)
{
    bench *b = *state;
    waiter w[2] = {0};

    open_idle(b, 1, 0);
    take(b, &w[0]);
    take(b, &w[1]);
    assert_null(find(b, EFFECT_DIAL));
    resize(b, 2, 0);
    find_sure(b, EFFECT_DIAL);
}

static void a_smaller_max_closes_the_coldest_idle(void **state)
{
    bench *b = *state;

    open_of(b, 4, 4);
    resize(b, 2, 0);
    assert_int_equal(closed_for(b, WEIR_RETIRE_SURPLUS), 2);
    assert_int_equal(b->out.item[0].connection, 0);
    assert_int_equal(b->out.item[1].connection, 1);
}

static void a_leased_one_too_many_goes_as_it_comes_back(void **state)
{
    bench *b = *state;
    waiter w[2] = {0};

    open_of(b, 2, 2);
    take(b, &w[0]);
    take(b, &w[1]);
    resize(b, 1, 0);
    assert_int_equal(b->out.count, 0);
    release(b, &w[0], RELEASE_CLEAN);
    assert_closed_for(b, WEIR_RETIRE_SURPLUS);
    release(b, &w[1], RELEASE_CLEAN);
    assert_null(find(b, EFFECT_CLOSE));
}

static void a_dial_too_many_is_given_up(void **state)
{
    bench *b = *state;
    waiter w[2] = {0};

    b->options.max = 2;
    open_core(b);
    take(b, &w[0]);
    take(b, &w[1]);
    resize(b, 1, 0);
    assert_int_equal(closed_for(b, WEIR_RETIRE_SURPLUS), 1);
}

static void a_larger_min_is_filled(void **state)
{
    bench *b = *state;

    open_of(b, 4, 1);
    resize(b, 4, 2);
    find_sure(b, EFFECT_DIAL);
}

/* ---- Pause ---- */

static void a_paused_pool_grants_nothing_until_it_goes_on(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_idle(b, 1, 0);
    step(b, (event){.kind = EVENT_PAUSE});
    find_sure(b, EFFECT_PAUSED);
    take(b, &w);
    assert_int_equal(b->out.count, 0);
    step(b, (event){.kind = EVENT_RESUME});
    assert_granted(b, &w);
}

static void a_pause_is_told_once_nothing_is_out(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_idle(b, 1, 0);
    take(b, &w);
    step(b, (event){.kind = EVENT_PAUSE});
    assert_null(find(b, EFFECT_PAUSED));
    release(b, &w, RELEASE_DIRTY);
    assert_null(find(b, EFFECT_PAUSED));
    tell(b, EVENT_CHECKED, 0);
    find_sure(b, EFFECT_PAUSED);
    step(b, (event){.kind = EVENT_PAUSE});
    assert_null(find(b, EFFECT_PAUSED));
}

static void who_waits_through_a_pause_is_refused_at_its_deadline(void **state)
{
    bench *b = *state;
    waiter w = {.deadline_ns = WEIR_S(3)};

    open_idle(b, 1, 0);
    step(b, (event){.kind = EVENT_PAUSE});
    take(b, &w);
    assert_int_equal(b->out.wake_ns, WEIR_S(3));
    tick_after(b, WEIR_S(3));
    assert_refused(b, &w, WEIR_ETIMEDOUT);
}

static void a_paused_pool_dials_nothing(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_core(b);
    step(b, (event){.kind = EVENT_PAUSE});
    take(b, &w);
    assert_null(find(b, EFFECT_DIAL));
    step(b, (event){.kind = EVENT_RESUME});
    find_sure(b, EFFECT_DIAL);
}

static void a_drain_ends_a_pause(void **state)
{
    bench *b = *state;
    waiter w = {0};
    core_view view;

    open_idle(b, 1, 0);
    step(b, (event){.kind = EVENT_PAUSE});
    take(b, &w);
    step(b, (event){.kind = EVENT_DRAIN});
    assert_refused(b, &w, WEIR_ECLOSED);
    core_look(b->core, &view);
    assert_false(view.paused);
}

/* ---- Evict ---- */

static void an_eviction_closes_the_idle_and_spares_what_comes_later(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_of(b, 3, 2);
    step(b, (event){.kind = EVENT_EVICT});
    assert_int_equal(closed_for(b, WEIR_RETIRE_EVICTED), 2);
    take(b, &w);
    uint32_t fresh = find_sure(b, EFFECT_DIAL)->connection;
    tell(b, EVENT_UP, fresh);
    assert_granted(b, &w);
    release(b, &w, RELEASE_CLEAN);
    assert_null(find(b, EFFECT_CLOSE));
}

static void an_evicted_lease_goes_as_it_comes_back(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_idle(b, 1, 0);
    take(b, &w);
    step(b, (event){.kind = EVENT_EVICT});
    assert_null(find(b, EFFECT_CLOSE));
    release(b, &w, RELEASE_DIRTY);
    assert_closed_for(b, WEIR_RETIRE_EVICTED);
}

static void a_dial_under_way_is_evicted_when_it_is_up(void **state)
{
    bench *b = *state;
    waiter w = {0};

    open_core(b);
    take(b, &w);
    step(b, (event){.kind = EVENT_EVICT});
    tell(b, EVENT_UP, 0);
    assert_closed_for(b, WEIR_RETIRE_EVICTED);
    assert_null(find(b, EFFECT_GRANT));
}

static void an_eviction_is_spread(void **state)
{
    bench *b = *state;
    uint32_t gone = 0, most = 0;

    open_of(b, 10, 10);
    uint64_t until_ns = b->now_ns + WEIR_S(10);
    step(b, (event){.kind = EVENT_EVICT, .spread_ns = WEIR_S(10)});
    while (b->out.wake_ns <= until_ns) {
        b->now_ns = b->out.wake_ns;
        tick(b);
        uint32_t now = closed_for(b, WEIR_RETIRE_EVICTED);
        gone += now;
        most = now > most ? now : most;
    }
    assert_int_equal(gone, 10);
    assert_in_range(most, 1, 2);
}

/* ---- Keepalive ---- */

static void who_has_not_been_heard_from_is_checked(void **state)
{
    bench *b = *state;

    b->options.keepalive_ns = WEIR_S(120);
    open_idle(b, 1, 0);
    uint64_t heard_ns = b->now_ns;
    do {
        b->now_ns = b->out.wake_ns;
        tick(b);
    } while (!find(b, EFFECT_CHECK));
    assert_in_range(b->now_ns, heard_ns + WEIR_S(108), heard_ns + WEIR_S(120));
    tell(b, EVENT_CHECKED, 0);
    assert_null(find(b, EFFECT_CHECK));
    tick_after(b, WEIR_S(1));
    assert_int_equal(b->out.count, 0);
}

static void a_check_keeps_no_connection_from_its_idle_timeout(void **state)
{
    bench *b = *state;

    b->options.keepalive_ns = WEIR_S(400);
    open_idle(b, 1, 0);
    tick_after(b, WEIR_S(400));
    tell(b, EVENT_CHECKED, 0);
    tick_after(b, WEIR_S(200));
    assert_closed_for(b, WEIR_RETIRE_IDLE);
}

static void a_checked_one_goes_back_to_its_place(void **state)
{
    bench *b = *state;
    waiter hot = {0}, next = {0};

    b->options.keepalive_ns = WEIR_S(20);
    open_of(b, 2, 2);
    take(b, &hot); /* the second; the first stays cold */
    tick_after(b, WEIR_S(20));
    assert_int_equal(find_sure(b, EFFECT_CHECK)->connection, 0);
    release(b, &hot, RELEASE_CLEAN);
    tell(b, EVENT_CHECKED, 0);
    take(b, &next);
    assert_int_equal(next.connection, 1);
}

static void a_broken_one_is_found_by_its_keepalive(void **state)
{
    bench *b = *state;

    b->options.keepalive_ns = WEIR_S(120);
    b->options.min = 1;
    open_idle(b, 1, 0);
    tick_after(b, WEIR_S(120));
    tick_after(b, WEIR_S(1));
    assert_closed_for(b, WEIR_RETIRE_CHECK_FAILED);
    tell(b, EVENT_CLOSED, 0);
    find_sure(b, EFFECT_DIAL);
}

/* ---- Leaks ---- */

static void a_lease_held_too_long_is_told_once(void **state)
{
    bench *b = *state;
    waiter w = {0};
    core_view view;

    b->options.leak_after_ns = WEIR_S(30);
    open_idle(b, 1, 0);
    take(b, &w);
    tick_after(b, WEIR_S(30));
    assert_ptr_equal(find_sure(b, EFFECT_LEAKED)->waiter, &w);
    tick_after(b, WEIR_S(30));
    assert_int_equal(b->out.count, 0);
    core_look(b->core, &view);
    assert_int_equal(view.leaked_out, 1);
    release(b, &w, RELEASE_CLEAN);
    core_look(b->core, &view);
    assert_int_equal(view.leaked_out, 0);
    assert_int_equal(view.leaked, 1);
}

static void what_goes_on_does_not_leak(void **state)
{
    bench *b = *state;
    waiter old = {0}, young = {0};
    event progress = {.kind = EVENT_PROGRESS, .waiter = &old};

    b->options.leak_after_ns = WEIR_S(30);
    b->options.max = 2;
    open_idle(b, 2, 0);
    take(b, &old);
    take(b, &young);
    b->now_ns += WEIR_S(20);
    step(b, progress);
    tick_after(b, WEIR_S(10));
    assert_int_equal(b->out.count, 1); /* the younger, though the older is older still */
    assert_ptr_equal(find_sure(b, EFFECT_LEAKED)->waiter, &young);
    tick_after(b, WEIR_S(19));
    assert_int_equal(b->out.count, 0);
    tick_after(b, WEIR_S(1));
    assert_ptr_equal(find_sure(b, EFFECT_LEAKED)->waiter, &old);
    step(b, progress); /* too late: it has been told, and is not told again */
    tick_after(b, WEIR_S(60));
    assert_int_equal(b->out.count, 0);
}

static void what_rests_does_not_leak_before_it_goes_on(void **state)
{
    bench *b = *state;
    waiter w = {0};

    b->options.leak_after_ns = WEIR_S(30);
    open_idle(b, 1, 0);
    take(b, &w);
    step(b, (event){.kind = EVENT_REST, .waiter = &w});
    tick_after(b, WEIR_S(1000));
    assert_int_equal(b->out.count, 0);
    step(b, (event){.kind = EVENT_PROGRESS, .waiter = &w});
    assert_int_equal(b->out.wake_ns, b->now_ns + WEIR_S(30));
    tick_after(b, WEIR_S(30));
    assert_ptr_equal(find_sure(b, EFFECT_LEAKED)->waiter, &w);
}

static void a_leaked_lease_can_be_taken_back(void **state)
{
    bench *b = *state;
    waiter w = {0}, next = {0};

    b->options.leak_after_ns = WEIR_S(30);
    b->options.reclaim_leaked = true;
    open_idle(b, 1, 0);
    take(b, &w);
    take(b, &next);
    tick_after(b, WEIR_S(30));
    find_sure(b, EFFECT_LEAKED);
    assert_closed_for(b, WEIR_RETIRE_LEAKED);
    assert_int_equal(w.state, WAITER_RECLAIMED);
    tell(b, EVENT_CLOSED, 0);
    find_sure(b, EFFECT_DIAL);
    tell(b, EVENT_UP, 0);
    assert_granted(b, &next);
    release(b, &w, RELEASE_CLEAN);
    assert_int_equal(b->out.count, 0);
    assert_int_equal(next.state, WAITER_GRANTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        behaviour(a_larger_max_lets_waiters_dial),
        behaviour(a_smaller_max_closes_the_coldest_idle),
        behaviour(a_leased_one_too_many_goes_as_it_comes_back),
        behaviour(a_dial_too_many_is_given_up),
        behaviour(a_larger_min_is_filled),
        behaviour(a_paused_pool_grants_nothing_until_it_goes_on),
        behaviour(a_pause_is_told_once_nothing_is_out),
        behaviour(who_waits_through_a_pause_is_refused_at_its_deadline),
        behaviour(a_paused_pool_dials_nothing),
        behaviour(a_drain_ends_a_pause),
        behaviour(an_eviction_closes_the_idle_and_spares_what_comes_later),
        behaviour(an_evicted_lease_goes_as_it_comes_back),
        behaviour(a_dial_under_way_is_evicted_when_it_is_up),
        behaviour(an_eviction_is_spread),
        behaviour(who_has_not_been_heard_from_is_checked),
        behaviour(a_check_keeps_no_connection_from_its_idle_timeout),
        behaviour(a_checked_one_goes_back_to_its_place),
        behaviour(a_broken_one_is_found_by_its_keepalive),
        behaviour(a_lease_held_too_long_is_told_once),
        behaviour(what_goes_on_does_not_leak),
        behaviour(what_rests_does_not_leak_before_it_goes_on),
        behaviour(a_leaked_lease_can_be_taken_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
