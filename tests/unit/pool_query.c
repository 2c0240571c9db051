/* pool_query.c: queries through a pool, by tasks and by callbacks, on a server made of a script. */
#include <stdio.h>

#include "../support/pool_world.h"

static const weir_statement select_one = {.sql = "select 1"};

/* ---- Queries ---- */

static int ask_one(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(w->pool, NULL, &lease);
    if (r < 0)
        return r;
    uint64_t asked_ns = weir_now();
    {
        weir_scoped_timeout(limit, WEIR_MS(50));
        weir_scoped_result weir_result *result = NULL;
        w->r[0] = weir_query(lease, &select_one, NULL, &result);
        w->at_ns[0] = weir_now() - asked_ns;
        w->error = *weir_lease_error(lease);
        if (w->r[0] == 0)
            snprintf(w->text, sizeof w->text, "%u %u %s=%s", weir_result_rows(result),
                     weir_result_columns(result), weir_result_column_name(result, 0),
                     weir_result_value(result, 0, 0));
    }
    w->r[1] = weir_query(lease, &select_one, NULL, NULL);
    return 0;
}

static void a_query_gives_its_rows(void **state)
{
    world w = {0};
    assert_int_equal(weir_fake_open(&w.fake), 0);
    const char *name = "answer", *value = "42";
    weir_fake_step step = {.columns = 1, .rows = 1, .names = &name, .values = &value};
    step.delay_ns = WEIR_MS(7);
    assert_int_equal(weir_fake_answer(w.fake, select_one.sql, 0, &step), 0);
    play(&w, ask_one);
    assert_int_equal(w.r[0], 0);
    assert_int_equal(w.r[1], 0);
    assert_int_equal(w.at_ns[0], WEIR_MS(7));
    assert_string_equal(w.text, "1 1 answer=42");
}

static void a_failed_query_says_why_and_leaves_the_lease_usable(void **state)
{
    world w = {0};
    assert_int_equal(weir_fake_open(&w.fake), 0);
    weir_fake_step step = {.outcome = WEIR_FAKE_FAIL,
                           .error = {.sqlstate = "22012", .message = "division by zero"}};
    assert_int_equal(weir_fake_answer(w.fake, NULL, 1, &step), 0);
    play(&w, ask_one);
    assert_int_equal(w.r[0], WEIR_EQUERY);
    assert_string_equal(w.error.sqlstate, "22012");
    assert_string_equal(w.error.message, "division by zero");
    assert_int_equal(w.r[1], 0);
    assert_int_equal(w.counts.dials, 1);
}

static int time_out_then_ask_again(world *w)
{
    int r = ask_one(w);
    if (r < 0)
        return r;
    weir_scoped_lease weir_lease *lease = NULL;
    w->r[2] = weir_acquire(w->pool, NULL, &lease);
    if (w->r[2] == 0) {
        w->order[0] = (uint32_t)weir_lease_connection(lease);
        w->r[3] = weir_query(lease, &select_one, NULL, NULL);
    }
    return 0;
}

static void a_query_past_its_deadline_spends_the_lease_and_quarantines_the_connection(void **state)
{
    world w = {.options = {.max = 1}};
    assert_int_equal(weir_fake_open(&w.fake), 0);
    weir_fake_step slow = {.delay_ns = WEIR_S(60)};
    assert_int_equal(weir_fake_answer(w.fake, NULL, 1, &slow), 0);
    weir_fake_step stops_late = {.delay_ns = WEIR_MS(200)};
    assert_int_equal(weir_fake_script(w.fake, WEIR_FAKE_CANCEL, 1, &stops_late), 0);
    play(&w, time_out_then_ask_again);
    assert_int_equal(w.r[0], WEIR_ETIMEDOUT);
    assert_int_equal(w.at_ns[0], WEIR_MS(50));
    assert_int_equal(w.r[1], WEIR_ESPENT);
    assert_int_equal(w.r[2], 0);
    assert_int_equal(w.order[0], 1);
    assert_int_equal(w.r[3], 0);
    assert_int_equal(w.counts.cancels, 1);
    assert_int_equal(w.counts.dials, 1);
    assert_int_equal(w.stats.queries_cancelled, 1);
}

static void a_query_that_will_not_stop_costs_the_connection_after_the_grace(void **state)
{
    world w = {.options = {.max = 1, .cancel_grace_ns = WEIR_MS(500)}};
    assert_int_equal(weir_fake_open(&w.fake), 0);
    weir_fake_step hang = {.outcome = WEIR_FAKE_HANG};
    assert_int_equal(weir_fake_answer(w.fake, NULL, 1, &hang), 0);
    assert_int_equal(weir_fake_script(w.fake, WEIR_FAKE_CANCEL, 1, &hang), 0);
    play(&w, time_out_then_ask_again);
    assert_int_equal(w.r[0], WEIR_ETIMEDOUT);
    assert_int_equal(w.r[3], 0);
    assert_int_equal(w.order[0], 2);
    assert_int_equal(w.stats.retired[WEIR_RETIRE_CANCELLED], 1);
}

static void a_lost_connection_is_replaced(void **state)
{
    world w = {.options = {.max = 1}};
    assert_int_equal(weir_fake_open(&w.fake), 0);
    weir_fake_step lost = {.outcome = WEIR_FAKE_LOSE};
    assert_int_equal(weir_fake_answer(w.fake, NULL, 1, &lost), 0);
    play(&w, time_out_then_ask_again);
    assert_int_equal(w.r[0], WEIR_ELOST);
    assert_int_equal(w.r[1], WEIR_ELOST);
    assert_int_equal(w.r[3], 0);
    assert_int_equal(w.order[0], 2);
    assert_int_equal(w.stats.retired[WEIR_RETIRE_BROKEN], 1);
}

static int leave_a_transaction_open(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(w->pool, NULL, &lease);
    if (r < 0)
        return r;
    return weir_query(lease, &(weir_statement){.sql = "begin"}, NULL, NULL);
}

static int take_after_an_open_transaction(world *w)
{
    int r = leave_a_transaction_open(w);
    return r < 0 ? r : take_one(w);
}

static void a_connection_with_an_open_transaction_is_reset_before_the_next_lease(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, take_after_an_open_transaction);
    assert_int_equal(w.r[0], 0);
    assert_int_equal(w.counts.resets, 1);
    assert_int_equal(w.counts.dials, 1);
}

/* ---- The callback form ---- */

static void answered(void *arg, int error, weir_result *result)
{
    world *w = arg;
    w->r[1] = error;
    weir_result_free(result);
    w->at_ns[1] = weir_now();
}

static void granted(void *arg, int error, weir_lease *lease)
{
    world *w = arg;
    w->r[0] = error;
    if (error < 0)
        return;
    w->text[0] = 'g';
    weir_query_cb(lease, &select_one, NULL, weir_after(WEIR_MS(20)), answered, w);
    /* Kept for the body to release once answered. */
    memcpy(&w->at_ns[7], &lease, sizeof lease);
}

static int use_callbacks(world *w)
{
    w->r[2] = weir_acquire_cb(w->pool, NULL, granted, w, NULL);
    w->order[0] = (uint32_t)w->text[0]; /* never from inside the call */
    uint64_t start_ns = weir_now();
    weir_sleep(WEIR_S(1));
    w->at_ns[1] -= start_ns;
    weir_lease *lease;
    memcpy(&lease, &w->at_ns[7], sizeof lease);
    weir_release(lease);
    return 0;
}

static void callbacks_work_without_tasks(void **state)
{
    world w = {0};
    play(&w, use_callbacks);
    assert_int_equal(w.r[0], 0);
    assert_int_equal(w.r[1], 0);
    assert_int_equal(w.order[0], 0);
}

static void a_query_by_callback_has_its_deadline(void **state)
{
    world w = {0};
    assert_int_equal(weir_fake_open(&w.fake), 0);
    weir_fake_step hang = {.outcome = WEIR_FAKE_HANG};
    assert_int_equal(weir_fake_answer(w.fake, NULL, 1, &hang), 0);
    play(&w, use_callbacks);
    assert_int_equal(w.r[1], WEIR_ETIMEDOUT);
    assert_int_equal(w.at_ns[1], WEIR_MS(20));
    assert_int_equal(w.stats.queries_cancelled, 1);
}

static void refused(void *arg, int error, weir_lease *lease)
{
    *(int *)arg = error;
    weir_release(lease);
}

static int cancel_by_callback(world *w)
{
    weir_lease *held = NULL, *waiting = NULL, *granting = NULL;
    weir_acquire(w->pool, NULL, &held);
    weir_acquire_cb(w->pool, NULL, refused, &w->r[0], &waiting);
    weir_acquire_cancel(waiting);
    weir_sleep(WEIR_MS(1));
    weir_release(held);
    weir_acquire_cb(w->pool, NULL, refused, &w->r[1], &granting); /* granted, not yet called */
    weir_acquire_cancel(granting);
    weir_sleep(WEIR_MS(1));
    return 0;
}

static void a_cancelled_acquire_calls_back_once_with_cancelled(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, cancel_by_callback);
    assert_int_equal(w.r[0], WEIR_ECANCELED);
    assert_int_equal(w.r[1], WEIR_ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_gives_its_rows),
        cmocka_unit_test(a_failed_query_says_why_and_leaves_the_lease_usable),
        cmocka_unit_test(a_query_past_its_deadline_spends_the_lease_and_quarantines_the_connection),
        cmocka_unit_test(a_query_that_will_not_stop_costs_the_connection_after_the_grace),
        cmocka_unit_test(a_lost_connection_is_replaced),
        cmocka_unit_test(a_connection_with_an_open_transaction_is_reset_before_the_next_lease),
        cmocka_unit_test(callbacks_work_without_tasks),
        cmocka_unit_test(a_query_by_callback_has_its_deadline),
        cmocka_unit_test(a_cancelled_acquire_calls_back_once_with_cancelled),
    };
    return cmocka_run_group_tests_name("pool_query", tests, NULL, NULL);
}
