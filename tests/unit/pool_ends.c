/* pool_ends.c: takes, queries and pools that end at an awkward moment. */
#include <signal.h>

#include "../support/fake_pool.h"

static const weir_statement select_one = {.sql = "select 1"};
static const weir_statement select_two = {.sql = "select 2"};

/* One test's pool. Tasks expect; the main stack asserts. */
typedef struct world {
    weir_fake *fake;
    weir_pool *pool;
    weir_pool_options options;
    int (*body)(struct world *w);
    weir_lease *lease;
    weir_timings timings;
    weir_pool_stats stats;
    uint32_t events[WEIR_EVENT_COUNT];
    uint64_t connections[WEIR_EVENT_COUNT]; /* the latest event's */
    int calls, error;
    int retired_error;
    bool closed;
    char text[16];
} world;

static void note_event(void *arg, const weir_event *event)
{
    world *w = arg;
    w->events[event->kind]++;
    w->connections[event->kind] = event->connection;
    if (event->kind == WEIR_CONNECTION_RETIRED)
        w->retired_error = event->error;
}

static int run_body(void *arg)
{
    world *w = arg;
    if (open_on_fake(w->fake, &w->options, note_event, w, &w->pool) < 0)
        return -1;
    return w->body(w);
}

/* The body closes the pool, which is often what the test is about. */
static void play(world *w, int (*body)(world *w))
{
    w->body = body;
    play_on_fake(&w->fake, run_body, w);
}

/* ---- Takes given up ---- */

static int take_with_timings(void *arg)
{
    world *w = arg;
    weir_scope scope = {.timings = &w->timings};
    weir_lease *lease = NULL;
    int r = weir_acquire(w->pool, &scope, &lease);
    /* From here on the caller may use that memory for something else. */
    memset(&w->timings, 0x5a, sizeof w->timings);
    return r;
}

static int give_up_with_the_grant_on_its_way(world *w)
{
    weir_lease *held = NULL;
    weir_task *waiter = NULL;
    expect(weir_acquire(w->pool, NULL, &held) == 0);
    expect(weir_spawn(take_with_timings, w, &waiter) == 0);
    weir_sleep(WEIR_MS(1));
    weir_cancel(waiter);
    weir_release(held);
    int taken = 0;
    expect(weir_join(waiter, &taken) == 0);
    expect(taken == WEIR_ECANCELED);
    weir_sleep(WEIR_MS(1));
    weir_pool_stats_read(w->pool, &w->stats);
    return weir_pool_close(w->pool);
}

static void a_grant_that_comes_too_late_goes_back_and_leaves_the_timings_alone(void **state)
{
    world w = {.options = {.max = 1}};
    weir_timings untouched;
    memset(&untouched, 0x5a, sizeof untouched);
    play(&w, give_up_with_the_grant_on_its_way);
    assert_memory_equal(&w.timings, &untouched, sizeof untouched);
    assert_int_equal(w.stats.granted, 2);
    assert_int_equal(w.stats.released, 2);
    assert_int_equal(w.events[WEIR_LEASE_GRANTED], 2);
    assert_int_equal(w.events[WEIR_LEASE_RELEASED], 2);
    assert_int_equal(w.connections[WEIR_LEASE_RELEASED], 1);
}

static void no_lease(void *arg, int error, weir_lease *lease)
{
    world *w = arg;
    w->calls++;
    w->error = error;
    expect(!lease);
}

static int call_off_a_callback(world *w)
{
    weir_lease *held = NULL, *pending = NULL;
    expect(weir_acquire(w->pool, NULL, &held) == 0);
    expect(weir_acquire_cb(w->pool, NULL, no_lease, w, &pending) == 0);
    weir_acquire_cancel(pending);
    weir_sleep(WEIR_MS(1));
    weir_release(held);
    return weir_pool_close(w->pool);
}

static void a_take_called_off_is_told_of_in_an_event(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, call_off_a_callback);
    assert_int_equal(w.calls, 1);
    assert_int_equal(w.error, WEIR_ECANCELED);
    assert_int_equal(w.events[WEIR_LEASE_CANCELLED], 1);
}

/* ---- Queries on one lease ---- */

static int ask_in_the_gap(void *arg)
{
    world *w = arg;
    weir_sleep(WEIR_MS(10));
    expect(weir_query(w->lease, &select_two, NULL, NULL) == WEIR_EBUSY);
    return 0;
}

/* Both are due in the same tick: the other's question comes between answer and asker. */
static int two_tasks_on_one_lease(world *w)
{
    expect(weir_acquire(w->pool, NULL, &w->lease) == 0);
    weir_task *other = NULL;
    expect(weir_spawn(ask_in_the_gap, w, &other) == 0);
    weir_yield();
    weir_result *result = NULL;
    expect(weir_query(w->lease, &select_one, NULL, &result) == 0);
    expect(result && strcmp(weir_result_value(result, 0, 0), "42") == 0);
    weir_result_free(result);
    weir_join(other, NULL);
    weir_release(w->lease);
    return weir_pool_close(w->pool);
}

static void answer_42(world *w, uint64_t delay_ns)
{
    const char *value = "42";
    weir_fake_step step = {.columns = 1, .rows = 1, .values = &value, .delay_ns = delay_ns};
    assert_int_equal(weir_fake_open(&w->fake), 0);
    assert_int_equal(weir_fake_answer(w->fake, NULL, 0, &step), 0);
}

static void an_answer_not_yet_taken_keeps_its_lease_busy(void **state)
{
    world w = {0};
    answer_42(&w, WEIR_MS(10));
    play(&w, two_tasks_on_one_lease);
}

static void keep_text(void *arg, int error, weir_result *result)
{
    world *w = arg;
    w->calls++;
    w->error = error;
    if (result)
        strncat(w->text, weir_result_value(result, 0, 0), sizeof w->text - 1);
    weir_result_free(result);
}

static int two_callbacks_on_one_lease(world *w)
{
    expect(weir_acquire(w->pool, NULL, &w->lease) == 0);
    expect(weir_query_cb(w->lease, &select_one, NULL, WEIR_NEVER, keep_text, w) == 0);
    expect(weir_query_cb(w->lease, &select_two, NULL, WEIR_NEVER, keep_text, w) == WEIR_EBUSY);
    expect(weir_query(w->lease, &select_two, NULL, NULL) == WEIR_EBUSY);
    weir_sleep(WEIR_MS(1));
    expect(w->calls == 1 && w->error == 0 && strcmp(w->text, "42") == 0);
    weir_release(w->lease);
    return weir_pool_close(w->pool);
}

static void a_query_not_yet_begun_keeps_its_lease_busy(void **state)
{
    world w = {0};
    answer_42(&w, 0);
    play(&w, two_callbacks_on_one_lease);
}

typedef struct late {
    weir_timer timer;
    world *w;
} late;

static void ask_too_late(weir_timer *timer)
{
    world *w = weir_container(timer, late, timer)->w;
    expect(weir_query_cb(w->lease, &select_one, NULL, weir_now(), keep_text, w) == 0);
    expect(w->calls == 0);
}

static int ask_past_the_deadline(world *w)
{
    late l = {.w = w};
    expect(weir_acquire(w->pool, NULL, &w->lease) == 0);
    weir_timer_start(&l.timer, weir_after(WEIR_MS(1)), ask_too_late);
    weir_sleep(WEIR_MS(5));
    expect(w->calls == 1 && w->error == WEIR_ETIMEDOUT);
    expect(weir_query(w->lease, &select_one, NULL, NULL) == 0); /* nothing was cut short */
    weir_release(w->lease);
    return weir_pool_close(w->pool);
}

static void a_query_by_callback_past_its_deadline_is_never_sent(void **state)
{
    world w = {0};
    play(&w, ask_past_the_deadline);
    assert_int_equal(w.calls, 1);
}

static int fail_and_go_on(world *w)
{
    weir_lease *lease = NULL;
    expect(weir_acquire(w->pool, NULL, &lease) == 0);
    expect(weir_query(lease, &select_one, NULL, NULL) == WEIR_EQUERY);
    expect(weir_lease_error(lease)->position == 8);
    weir_release(lease);
    expect(weir_acquire(w->pool, NULL, &lease) == 0);
    expect(weir_lease_error(lease)->code == 0 && !weir_lease_error(lease)->message[0]);
    expect(weir_lease_error(lease)->position == 0);
    weir_release(lease);
    return weir_pool_close(w->pool);
}

static void what_went_wrong_on_one_lease_is_not_told_to_the_next(void **state)
{
    world w = {0};
    weir_fake_step fails = {.outcome = WEIR_FAKE_FAIL,
                            .error = {.position = 8, .message = "no such column"}};
    assert_int_equal(weir_fake_open(&w.fake), 0);
    assert_int_equal(weir_fake_answer(w.fake, NULL, 1, &fails), 0);
    play(&w, fail_and_go_on);
    assert_int_equal(w.events[WEIR_CONNECTION_RETIRED], 1);
    assert_int_equal(w.retired_error, 0); /* it was not retired for that */
}

/* ---- Leases misused ---- */

static int wait_for_an_answer(void *arg)
{
    world *w = arg;
    return weir_query(w->lease, &select_one, NULL, NULL);
}

static int release_under_a_query(world *w)
{
    weir_acquire(w->pool, NULL, &w->lease);
    weir_spawn(wait_for_an_answer, w, NULL);
    weir_sleep(WEIR_MS(1));
    weir_release(w->lease);
    return 0;
}

static void misuse(void)
{
    world w = {.body = release_under_a_query};
    weir_fake_step hang = {.outcome = WEIR_FAKE_HANG};
    weir_fake_open(&w.fake);
    weir_fake_answer(w.fake, NULL, 0, &hang);
    run_virtually(run_body, &w);
}

static void a_lease_released_while_its_query_waits_ends_the_program(void **state)
{
    assert_true(dies(misuse, SIGABRT, "released while"));
}

/* ---- Closing ---- */

static int close_at_once(void *arg)
{
    world *w = arg;
    weir_sleep(WEIR_S(1));
    return weir_pool_close(w->pool);
}

static void note_closed(void *arg)
{
    ((world *)arg)->closed = true;
}

static void cancel_a_close(world *w)
{
    weir_task *closer = NULL;
    int closed = 0;
    weir_spawn(close_at_once, w, &closer);
    weir_yield();
    weir_cancel(closer);
    weir_join(closer, &closed);
    expect(closed == WEIR_ECANCELED);
}

static int close_from_a_cancelled_task(world *w)
{
    cancel_a_close(w);
    weir_lease *lease = NULL;
    expect(weir_acquire(w->pool, NULL, &lease) == WEIR_ECLOSED); /* it is closing all the same */
    weir_pool_close_cb(w->pool, note_closed, w);
    weir_sleep(WEIR_MS(1));
    return 0;
}

static void a_cancelled_task_can_begin_a_close_that_a_callback_ends(void **state)
{
    world w = {.options = {.min = 2}};
    play(&w, close_from_a_cancelled_task);
    assert_true(w.closed);
    assert_int_equal(w.events[WEIR_POOL_CLOSED], 1);
}

static int close_twice_over(world *w)
{
    cancel_a_close(w);
    weir_sleep(WEIR_MS(1)); /* by now it is closed, with nobody waiting for it */
    expect(w->events[WEIR_POOL_CLOSED] == 1);
    weir_pool_close_cb(w->pool, note_closed, w);
    expect(!w->closed); /* never from inside the call */
    weir_sleep(WEIR_MS(1));
    return 0;
}

static void a_pool_already_closed_is_freed_by_the_next_close(void **state)
{
    world w = {0};
    play(&w, close_twice_over);
    assert_true(w.closed);
    assert_int_equal(w.events[WEIR_POOL_CLOSED], 1);
}

static void a_pool_needs_a_lane(void **state)
{
    weir_pool *pool = NULL;
    weir_error why = {0};
    assert_int_equal(weir_pool_open(NULL, &(weir_pool_options){0}, &pool, &why), WEIR_EINVAL);
    assert_true(why.message[0]);
    assert_null(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grant_that_comes_too_late_goes_back_and_leaves_the_timings_alone),
        cmocka_unit_test(a_take_called_off_is_told_of_in_an_event),
        cmocka_unit_test(an_answer_not_yet_taken_keeps_its_lease_busy),
        cmocka_unit_test(a_query_not_yet_begun_keeps_its_lease_busy),
        cmocka_unit_test(a_query_by_callback_past_its_deadline_is_never_sent),
        cmocka_unit_test(what_went_wrong_on_one_lease_is_not_told_to_the_next),
        cmocka_unit_test(a_lease_released_while_its_query_waits_ends_the_program),
        cmocka_unit_test(a_cancelled_task_can_begin_a_close_that_a_callback_ends),
        cmocka_unit_test(a_pool_already_closed_is_freed_by_the_next_close),
        cmocka_unit_test(a_pool_needs_a_lane),
    };
    return cmocka_run_group_tests_name("pool_ends", tests, NULL, NULL);
}
