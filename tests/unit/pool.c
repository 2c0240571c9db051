/* pool.c: a pool as a task sees it, on a server made of a script and in virtual time. */
#include <stdio.h>

#include "../support/pool_world.h"

/* ---- Taking and giving back ---- */

static int take_twice(world *w)
{
    for (int i = 0; i < 2; i++) {
        weir_scoped_lease weir_lease *lease = NULL;
        w->r[i] = weir_acquire(w->pool, NULL, &lease);
        if (w->r[i] == 0)
            w->order[i] = (uint32_t)weir_lease_connection(lease);
    }
    return 0;
}

static void a_released_connection_is_used_again(void **state)
{
    world w = {0};
    play(&w, take_twice);
    assert_int_equal(w.r[0], 0);
    assert_int_equal(w.r[1], 0);
    assert_int_equal(w.order[0], 1);
    assert_int_equal(w.order[1], 1);
    assert_int_equal(w.counts.dials, 1);
    assert_int_equal(w.stats.granted, 2);
    assert_int_equal(w.stats.released, 2);
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
    assert_int_equal(w.events[WEIR_LEASE_RELEASED], 2);
    assert_int_equal(w.events[WEIR_POOL_CLOSED], 1);
}

static int hold_forever(void *arg)
{
    world *w = arg;
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(w->pool, NULL, &lease);
    return r < 0 ? r : weir_sleep(WEIR_S(3600));
}

static int wait_too_long(world *w)
{
    weir_task *holder = NULL;
    int r = weir_spawn(hold_forever, w, &holder);
    if (r < 0 || (r = weir_yield()) < 0)
        return r;
    weir_sleep(WEIR_MS(1));
    uint64_t asked_ns = weir_now();
    weir_lease *lease = NULL;
    weir_scope scope = {.deadline_ns = weir_after(WEIR_MS(100)), .label = "late"};
    w->r[0] = weir_acquire(w->pool, &scope, &lease);
    w->at_ns[0] = weir_now() - asked_ns;
    weir_scoped_timeout(outer, WEIR_MS(30));
    asked_ns = weir_now();
    scope.deadline_ns = weir_after(WEIR_S(5));
    w->r[1] = weir_acquire(w->pool, &scope, &lease);
    w->at_ns[1] = weir_now() - asked_ns;
    weir_cancel(holder);
    weir_scope_leave(&outer);
    r = weir_join(holder, &w->r[2]);
    weir_scope_enter(&outer);
    return r;
}

static void a_waiter_is_refused_at_the_earliest_deadline_around_it(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, wait_too_long);
    assert_int_equal(w.r[0], WEIR_ETIMEDOUT);
    assert_int_equal(w.at_ns[0], WEIR_MS(100));
    assert_int_equal(w.r[1], WEIR_ETIMEDOUT);
    assert_int_equal(w.at_ns[1], WEIR_MS(30));
    assert_int_equal(w.r[2], WEIR_ECANCELED);
    assert_int_equal(w.stats.timed_out, 2);
    assert_int_equal(w.events[WEIR_LEASE_TIMED_OUT], 2);
}

typedef struct numbered {
    world *w;
    uint32_t number;
} numbered;

static int take_in_turn(void *arg)
{
    numbered *n = arg;
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(n->w->pool, NULL, &lease);
    if (r < 0)
        return r;
    n->w->order[n->w->ordered++] = n->number;
    return weir_sleep(WEIR_MS(10));
}

static int queue_up(world *w)
{
    numbered n[5];
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_CANCEL_REST);
    for (uint32_t i = 0; i < 5; i++) {
        n[i] = (numbered){w, i};
        w->r[i] = weir_group_spawn(&group, take_in_turn, &n[i]);
    }
    w->r[5] = weir_group_wait(&group);
    w->at_ns[0] = weir_now();
    return 0;
}

static void waiters_are_served_first_in_first_out(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, queue_up);
    assert_int_equal(w.r[5], 0);
    assert_int_equal(w.ordered, 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(w.order[i], i);
    assert_int_equal(w.counts.open_most, 1);
}

static void a_full_queue_refuses_at_once(void **state)
{
    world w = {.options = {.max = 1, .queue_max = 2}};
    play(&w, queue_up);
    assert_int_equal(w.r[5], WEIR_EQUEUEFULL);
    assert_true(w.stats.queue_full > 0);
    assert_int_equal(w.events[WEIR_LEASE_REFUSED], w.stats.queue_full);
}

static int give_up_waiting(world *w)
{
    weir_task *holder, *waiter;
    int r = weir_spawn(hold_forever, w, &holder);
    if (r < 0)
        return r;
    weir_sleep(WEIR_MS(1));
    r = weir_spawn(hold_forever, w, &waiter);
    if (r < 0)
        return r;
    weir_sleep(WEIR_MS(1));
    weir_cancel(waiter);
    weir_join(waiter, &w->r[0]);
    weir_pool_gauge gauge;
    weir_pool_gauge_read(w->pool, &gauge);
    w->order[0] = gauge.waiting;
    weir_cancel(holder);
    weir_join(holder, &w->r[1]);
    return 0;
}

static void a_cancelled_waiter_leaves_the_queue_at_once(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, give_up_waiting);
    assert_int_equal(w.r[0], WEIR_ECANCELED);
    assert_int_equal(w.order[0], 0);
    assert_int_equal(w.stats.cancelled, 1);
}

/* ---- Dials that fail ---- */

static void while_dials_fail_a_waiter_learns_why_once_its_deadline_cannot_be_met(void **state)
{
    world w = {0};
    assert_int_equal(weir_fake_open(&w.fake), 0);
    weir_fake_step refused = {.outcome = WEIR_FAKE_FAIL, .error = {.message = "nobody home"}};
    assert_int_equal(weir_fake_script(w.fake, WEIR_FAKE_DIAL, 0, &refused), 0);
    play(&w, take_one);
    assert_int_equal(w.r[0], WEIR_ECONNECT);
    assert_true(w.at_ns[0] > 0 && w.at_ns[0] < WEIR_S(1));
    assert_string_equal(w.error.message, "nobody home");
    assert_true(w.counts.dials > 1);
}

static void a_dial_that_fails_twice_is_tried_again(void **state)
{
    world w = {0};
    assert_int_equal(weir_fake_open(&w.fake), 0);
    weir_fake_step refused = {.outcome = WEIR_FAKE_FAIL};
    assert_int_equal(weir_fake_script(w.fake, WEIR_FAKE_DIAL, 2, &refused), 0);
    play(&w, take_one);
    assert_int_equal(w.r[0], 0);
    assert_int_equal(w.counts.dials, 3);
    assert_int_equal(w.error.code, 0);
    assert_true(w.timings.opened_ns >= w.timings.queued_ns);
    assert_true(w.timings.granted_ns >= w.timings.opened_ns);
    assert_true(w.timings.released_ns >= w.timings.granted_ns);
}

static void a_dial_that_hangs_ends_at_the_connect_timeout(void **state)
{
    world w = {.options = {.connect_timeout_ns = WEIR_MS(300)}};
    assert_int_equal(weir_fake_open(&w.fake), 0);
    weir_fake_step hang = {.outcome = WEIR_FAKE_HANG};
    assert_int_equal(weir_fake_script(w.fake, WEIR_FAKE_DIAL, 1, &hang), 0);
    play(&w, take_one);
    assert_int_equal(w.r[0], 0);
    assert_in_range(w.at_ns[0], WEIR_MS(300), WEIR_MS(320));
    assert_int_equal(w.stats.retired[WEIR_RETIRE_CONNECT_TIMEOUT], 1);
}

/* ---- Idle connections ---- */

static int lose_while_idle(world *w)
{
    take_one(w);
    weir_fake_lose_idle(w->fake);
    weir_sleep(WEIR_MS(1));
    weir_pool_gauge gauge;
    weir_pool_gauge_read(w->pool, &gauge);
    w->order[0] = gauge.size;
    return take_one(w);
}

static void a_connection_lost_while_idle_is_gone_before_anyone_gets_it(void **state)
{
    world w = {0};
    play(&w, lose_while_idle);
    assert_int_equal(w.order[0], 0);
    assert_int_equal(w.r[0], 0);
    assert_int_equal(w.stats.retired[WEIR_RETIRE_SERVER_SHUTDOWN], 1);
}

static int use_after_a_pause(world *w)
{
    take_one(w);
    weir_sleep(WEIR_S(40));
    return take_one(w);
}

static void a_connection_idle_for_long_is_checked_before_it_is_granted(void **state)
{
    world w = {0};
    play(&w, use_after_a_pause);
    assert_int_equal(w.counts.checks, 1);
    assert_int_equal(w.counts.dials, 1);
}

static void surplus_connections_are_closed_when_idle_too_long(void **state)
{
    world w = {.options = {.idle_timeout_ns = WEIR_S(10)}};
    play(&w, use_after_a_pause);
    assert_int_equal(w.stats.retired[WEIR_RETIRE_IDLE], 1);
    assert_int_equal(w.counts.dials, 2);
}

static int wait_for_warmth(world *w)
{
    weir_sleep(WEIR_MS(100));
    weir_pool_gauge gauge;
    weir_pool_gauge_read(w->pool, &gauge);
    w->order[0] = gauge.idle;
    return 0;
}

static void min_connections_are_kept_warm(void **state)
{
    world w = {.options = {.min = 3}};
    play(&w, wait_for_warmth);
    assert_int_equal(w.order[0], 3);
}

/* ---- Looking at it ---- */

static int look_at_holders(world *w)
{
    numbered n[3];
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_CANCEL_REST);
    for (uint32_t i = 0; i < 3; i++) {
        n[i] = (numbered){w, i};
        weir_group_spawn(&group, take_in_turn, &n[i]);
        weir_sleep(WEIR_MS(1));
    }
    weir_lease_info oldest[2];
    w->order[3] = weir_pool_leases(w->pool, oldest, 2);
    w->at_ns[0] = oldest[0].age_ns;
    w->at_ns[1] = oldest[1].age_ns;
    weir_connection_info connections[4];
    w->order[4] = weir_pool_connections(w->pool, connections, 4);
    snprintf(w->text, sizeof w->text, "%s", connections[0].state);
    return weir_group_wait(&group);
}

static void the_oldest_leases_are_told_first(void **state)
{
    world w = {0};
    play(&w, look_at_holders);
    assert_int_equal(w.order[3], 2);
    assert_int_equal(w.at_ns[0], WEIR_MS(3));
    assert_int_equal(w.at_ns[1], WEIR_MS(2));
    assert_int_equal(w.order[4], 3);
    assert_string_equal(w.text, "leased");
}

/* ---- Closing ---- */

static int close_under_waiters(world *w)
{
    weir_task *holder;
    int r = weir_spawn(hold_forever, w, &holder);
    if (r < 0)
        return r;
    weir_sleep(WEIR_MS(1));
    weir_task *waiter;
    r = weir_spawn(hold_forever, w, &waiter);
    if (r < 0)
        return r;
    weir_sleep(WEIR_MS(1));
    {
        weir_scoped_timeout(limit, WEIR_MS(10));
        w->r[0] = weir_pool_close(w->pool); /* one lease is still out */
    }
    weir_join(waiter, &w->r[1]);
    weir_lease *lease = NULL;
    w->r[2] = weir_acquire(w->pool, NULL, &lease);
    weir_cancel(holder);
    return weir_join(holder, NULL);
}

static void a_closing_pool_refuses_waiters_and_waits_for_leases(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, close_under_waiters);
    assert_int_equal(w.r[0], WEIR_ETIMEDOUT);
    assert_int_equal(w.r[1], WEIR_ECLOSED);
    assert_int_equal(w.r[2], WEIR_ECLOSED);
}

static void wrong_options_are_refused_with_a_reason(void **state)
{
    weir_runtime *runtime;
    assert_int_equal(weir_runtime_open(NULL, &runtime), 0);
    weir_pool *pool = NULL;
    weir_error why = {0};
    weir_pool_options options = {.driver = weir_fake_driver(), .max = 2, .min = 3};
    assert_int_equal(weir_pool_open(runtime, &options, &pool, &why), WEIR_EINVAL);
    assert_string_equal(why.message, "min is larger than max");
    assert_null(pool);
    weir_runtime_close(runtime);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_released_connection_is_used_again),
        cmocka_unit_test(a_waiter_is_refused_at_the_earliest_deadline_around_it),
        cmocka_unit_test(waiters_are_served_first_in_first_out),
        cmocka_unit_test(a_full_queue_refuses_at_once),
        cmocka_unit_test(a_cancelled_waiter_leaves_the_queue_at_once),
        cmocka_unit_test(while_dials_fail_a_waiter_learns_why_once_its_deadline_cannot_be_met),
        cmocka_unit_test(a_dial_that_fails_twice_is_tried_again),
        cmocka_unit_test(a_dial_that_hangs_ends_at_the_connect_timeout),
        cmocka_unit_test(a_connection_lost_while_idle_is_gone_before_anyone_gets_it),
        cmocka_unit_test(a_connection_idle_for_long_is_checked_before_it_is_granted),
        cmocka_unit_test(surplus_connections_are_closed_when_idle_too_long),
        cmocka_unit_test(min_connections_are_kept_warm),
        cmocka_unit_test(the_oldest_leases_are_told_first),
        cmocka_unit_test(a_closing_pool_refuses_waiters_and_waits_for_leases),
        cmocka_unit_test(wrong_options_are_refused_with_a_reason),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
