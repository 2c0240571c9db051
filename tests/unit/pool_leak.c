/* pool_leak.c: leases held for too long: told of, and taken from their holders. */
#include <stdio.h>

#include "../support/fake_pool.h"

/* One test's pool. Tasks expect; the main stack asserts. */
typedef struct world {
    weir_fake *fake;
    weir_pool *pool;
    weir_pool_options options;
    int (*body)(struct world *w);
    weir_pool_stats stats;
    uint32_t events[WEIR_EVENT_COUNT];
    weir_event leak, cancelled, retired;
    char label[WEIR_LABEL_MAX], trace_id[WEIR_LABEL_MAX], message[256];
    weir_lease *lease;
    int calls, error;
} world;

static void note_event(void *arg, const weir_event *event)
{
    world *w = arg;
    w->events[event->kind]++;
    if (event->kind == WEIR_QUERY_CANCELLED)
        w->cancelled = *event;
    if (event->kind == WEIR_CONNECTION_RETIRED)
        w->retired = *event;
    if (event->kind != WEIR_LEASE_LEAKED)
        return;
    w->leak = *event;
    snprintf(w->label, sizeof w->label, "%s", event->label);
    snprintf(w->trace_id, sizeof w->trace_id, "%s", event->trace_id);
    snprintf(w->message, sizeof w->message, "%s", event->message);
}

static int run_body(void *arg)
{
    world *w = arg;
    w->options.leak_after_ns = WEIR_MS(100);
    if (open_on_fake(w->fake, &w->options, note_event, w, &w->pool) < 0)
        return -1;
    w->body(w);
    weir_pool_stats_read(w->pool, &w->stats);
    return weir_pool_close(w->pool);
}

static void play(world *w, int (*body)(world *w))
{
    w->body = body;
    play_on_fake(&w->fake, run_body, w);
    assert_int_equal(w->stats.granted, w->stats.released);
    assert_int_equal(w->stats.leaked_out, 0);
    assert_int_equal(w->events[WEIR_LEASE_LEAKED], w->stats.leaked);
}

static const weir_statement select_one = {.sql = "select 1"}, slow = {.sql = "slow"};

static void make_slow(world *w)
{
    weir_fake_step delay = {.delay_ns = WEIR_S(10)};
    assert_int_equal(weir_fake_open(&w->fake), 0);
    assert_int_equal(weir_fake_answer(w->fake, "slow", 0, &delay), 0);
}

/* ---- Told of ---- */

static int hold_for_too_long(world *w)
{
    weir_scope scope = {.label = "GET /orders", .trace_id = "4711"};
    weir_lease *lease = NULL;
    expect(weir_acquire_at(w->pool, &scope, "orders.c:12", &lease) == 0);
    weir_sleep(WEIR_MS(99));
    expect(w->events[WEIR_LEASE_LEAKED] == 0);
    weir_sleep(WEIR_S(1));
    weir_pool_stats_read(w->pool, &w->stats);
    expect(w->stats.leaked == 1 && w->stats.leaked_out == 1);
    expect(weir_query(lease, &select_one, NULL, NULL) == 0); /* it is only told */
    weir_release(lease);
    return 0;
}

static void a_lease_held_for_too_long_is_told_of_once(void **state)
{
    world w = {.options = {.max = 2}};
    play(&w, hold_for_too_long);
    assert_int_equal(w.events[WEIR_LEASE_LEAKED], 1);
    assert_int_equal(w.leak.duration_ns, WEIR_MS(100));
    assert_int_equal(w.leak.connection, 1);
    assert_int_equal(w.leak.backend_pid, 1000);
    assert_string_equal(w.label, "GET /orders");
    assert_string_equal(w.trace_id, "4711");
    assert_string_equal(w.message, "taken at orders.c:12");
}

static int hold_briefly(world *w)
{
    for (int i = 0; i < 3; i++) {
        weir_scoped_lease weir_lease *lease = NULL;
        expect(weir_acquire(w->pool, NULL, &lease) == 0);
        weir_sleep(WEIR_MS(90));
    }
    return 0;
}

static void each_lease_counts_from_its_own_grant(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, hold_briefly);
    assert_int_equal(w.stats.leaked, 0);
}

/* ---- Streams ---- */

/* Ten rows in ten batches, each of which takes the server so long. */
static void make_stream(world *w, uint64_t delay_ns)
{
    static const char *const ten[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    weir_fake_step rows = {
        .columns = 1, .rows = 10, .values = ten, .batch = 1, .batch_delay_ns = delay_ns};
    assert_int_equal(weir_fake_open(&w->fake), 0);
    assert_int_equal(weir_fake_answer(w->fake, "slow", 0, &rows), 0);
}

/* The reader takes so long over each batch; the error that ended it, or 0. */
static int read_all(world *w, uint64_t pause_ns)
{
    weir_scoped_lease weir_lease *lease = NULL;
    weir_scoped_stream weir_stream *stream = NULL;
    expect(weir_acquire(w->pool, NULL, &lease) == 0);
    expect(weir_stream_open(lease, &slow, NULL, &stream) == 0);
    for (;;) {
        weir_scoped_result weir_result *rows = NULL;
        int r = weir_stream_next(stream, &rows);
        if (r < 0 || !rows)
            return r;
        weir_sleep(pause_ns);
    }
}

static int read_steadily(world *w)
{
    uint64_t began_ns = weir_now();
    w->error = read_all(w, WEIR_MS(90));
    expect(weir_now() - began_ns > WEIR_S(1));
    return 0;
}

static void a_stream_that_goes_on_is_no_leak_however_long(void **state)
{
    for (int reclaim = 0; reclaim < 2; reclaim++) {
        world w = {.options = {.max = 1, .reclaim_leaked = reclaim}};
        make_stream(&w, WEIR_MS(90)); /* both of them slow, but neither for too long */
        play(&w, read_steadily);
        assert_int_equal(w.stats.leaked, 0);
        assert_int_equal(w.error, 0);
    }
}

static int read_haltingly(world *w)
{
    w->error = read_all(w, WEIR_MS(110));
    return 0;
}

static void a_reader_that_stands_still_leaks(void **state)
{
    world w = {.options = {.max = 1}};
    make_stream(&w, 0);
    play(&w, read_haltingly);
    assert_int_equal(w.stats.leaked, 1); /* told once, though it stands still again and again */
    assert_int_equal(w.error, 0);
}

static int read_at_once(world *w)
{
    w->error = read_all(w, 0);
    return 0;
}

static void a_stream_whose_server_stands_still_leaks(void **state)
{
    world w = {.options = {.max = 1, .reclaim_leaked = true}};
    make_stream(&w, WEIR_MS(110));
    play(&w, read_at_once);
    assert_int_equal(w.stats.leaked, 1);
    assert_int_equal(w.error, WEIR_ERECLAIMED);
}

/* ---- Reclaimed ---- */

static int take_within(void *arg)
{
    world *w = arg;
    weir_scope scope = {.deadline_ns = weir_after(WEIR_S(1))};
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(w->pool, &scope, &lease);
    if (r == 0)
        r = weir_query(lease, &select_one, NULL, NULL);
    return r;
}

static int be_reclaimed(world *w)
{
    weir_task *waiter = NULL;
    weir_lease *lease = NULL;
    int r = 1;
    expect(weir_acquire(w->pool, NULL, &lease) == 0);
    expect(weir_spawn(take_within, w, &waiter) == 0);
    uint64_t asked_ns = weir_now();
    expect(weir_query(lease, &slow, NULL, NULL) == WEIR_ERECLAIMED);
    expect(weir_now() == asked_ns + WEIR_MS(100));
    expect(weir_lease_error(lease)->code == WEIR_ERECLAIMED);
    expect(weir_join(waiter, &r) == 0 && r == 0); /* the slot lives another life by now */
    expect(weir_query(lease, &select_one, NULL, NULL) == WEIR_ERECLAIMED);
    expect(weir_describe(lease, &select_one, NULL) == WEIR_ERECLAIMED);
    expect(weir_lease_connection(lease) == 1 && weir_lease_backend_pid(lease) == 1000);
    expect(weir_lease_error(lease)->code == WEIR_ERECLAIMED);
    expect(weir_lease_error(lease)->message[0]);
    weir_release(lease);
    return 0;
}

static void a_reclaimed_lease_has_nothing_left_but_its_end(void **state)
{
    world w = {.options = {.max = 1, .reclaim_leaked = true}};
    make_slow(&w);
    play(&w, be_reclaimed);
    assert_int_equal(w.stats.leaked, 1);
    assert_int_equal(w.stats.retired[WEIR_RETIRE_LEAKED], 1);
    assert_int_equal(w.stats.queries_cancelled, 1);
    assert_int_equal(w.cancelled.error, WEIR_ERECLAIMED);
    assert_int_equal(w.cancelled.connection, 1);
    assert_int_equal(w.events[WEIR_LEASE_RELEASED], 2);
    assert_int_equal(w.stats.opened, 2);
}

/* Others use the slot of a connection while the lease that had it is still about. */
static int release_under_the_next_holder(world *w)
{
    weir_lease *old = NULL, *new = NULL;
    expect(weir_acquire(w->pool, NULL, &old) == 0);
    weir_sleep(WEIR_MS(110));
    expect(weir_acquire(w->pool, NULL, &new) == 0);
    expect(weir_lease_connection(old) == 1 && weir_lease_connection(new) == 2);
    weir_lease_info infos[2];
    expect(weir_pool_leases(w->pool, infos, 2) == 1 && infos[0].connection == 2);
    weir_release(old);
    expect(weir_pool_leases(w->pool, infos, 2) == 1 && infos[0].connection == 2);
    expect(weir_query(new, &select_one, NULL, NULL) == 0);
    weir_release(new);
    return 0;
}

static void a_lease_does_not_touch_what_became_of_its_connection(void **state)
{
    world w = {.options = {.max = 1, .reclaim_leaked = true}};
    play(&w, release_under_the_next_holder);
    assert_int_equal(w.stats.leaked, 1);
}

static void note_done(void *arg, int error, weir_result *result)
{
    world *w = arg;
    w->calls++;
    w->error = error;
    expect(!result || error == 0);
    weir_result_free(result);
}

static void granted(void *arg, int error, weir_lease *lease)
{
    world *w = arg;
    expect(error == 0);
    w->lease = lease;
    expect(weir_query_cb(lease, &slow, NULL, weir_after(WEIR_S(5)), note_done, w) == 0);
}

static int be_reclaimed_by_callback(world *w)
{
    expect(weir_acquire_cb(w->pool, NULL, granted, w, NULL) == 0);
    weir_sleep(WEIR_MS(99));
    expect(w->calls == 0);
    weir_sleep(WEIR_MS(10));
    expect(w->calls == 1 && w->error == WEIR_ERECLAIMED);
    expect(weir_query_cb(w->lease, &slow, NULL, WEIR_NEVER, note_done, w) == WEIR_ERECLAIMED);
    weir_sleep(WEIR_S(6)); /* its deadline is of no more effect */
    expect(w->calls == 1);
    weir_release(w->lease);
    return 0;
}

static void a_query_by_callback_hears_of_the_reclaim(void **state)
{
    world w = {.options = {.max = 1, .reclaim_leaked = true}};
    make_slow(&w);
    play(&w, be_reclaimed_by_callback);
}

typedef struct late {
    weir_timer timer;
    world *w;
} late;

/* In the very instant of the reclaim, and before it: the query is yet to begin. */
static void ask_late(weir_timer *timer)
{
    world *w = weir_container(timer, late, timer)->w;
    expect(weir_query_cb(w->lease, &select_one, NULL, WEIR_NEVER, note_done, w) == 0);
}

static int ask_in_the_instant(world *w)
{
    late l = {.w = w};
    weir_timer_start(&l.timer, weir_after(WEIR_MS(100)), ask_late);
    expect(weir_acquire(w->pool, NULL, &w->lease) == 0);
    weir_sleep(WEIR_MS(200));
    expect(w->calls == 1 && (w->error == WEIR_ERECLAIMED || w->error == 0));
    weir_release(w->lease);
    return 0;
}

static void a_query_asked_in_the_instant_of_the_reclaim_is_answered(void **state)
{
    world w = {.options = {.max = 1, .reclaim_leaked = true}};
    play(&w, ask_in_the_instant);
}

static int hold(void *arg)
{
    world *w = arg;
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(w->pool, NULL, &lease);
    return r < 0 ? r : weir_query(lease, &slow, NULL, NULL);
}

static int cancel_in_the_instant(world *w)
{
    weir_task *task = NULL;
    int r = 0;
    expect(weir_spawn(hold, w, &task) == 0);
    weir_sleep(WEIR_MS(100));
    weir_cancel(task);
    expect(weir_join(task, &r) == 0 && r == WEIR_ECANCELED);
    return 0;
}

static void a_query_cancelled_in_the_instant_of_the_reclaim_ends_once(void **state)
{
    world w = {.options = {.max = 1, .reclaim_leaked = true}};
    make_slow(&w);
    play(&w, cancel_in_the_instant);
}

static int close_over_a_reclaimed_lease(void *arg)
{
    world *w = arg;
    weir_lease *lease = NULL;
    expect(weir_acquire(w->pool, NULL, &lease) == 0);
    weir_sleep(WEIR_MS(110));
    w->calls = (int)weir_fake_counted(w->fake).open; /* its connection is gone: nothing to drain */
    weir_sleep(WEIR_MS(50));
    weir_release(lease);
    return 0;
}

static int close_under_it(world *w)
{
    expect(weir_spawn(close_over_a_reclaimed_lease, w, NULL) == 0);
    weir_sleep(WEIR_MS(120));
    return 0;
}

static void a_pool_stays_until_a_reclaimed_lease_has_come_back(void **state)
{
    world w = {.options = {.max = 1, .reclaim_leaked = true}, .calls = -1};
    w.body = close_under_it;
    play_on_fake(&w.fake, run_body, &w);
    assert_int_equal(w.calls, 0);
    assert_int_equal(w.events[WEIR_LEASE_RELEASED], 1);
    assert_int_equal(w.events[WEIR_POOL_CLOSED], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_held_for_too_long_is_told_of_once),
        cmocka_unit_test(each_lease_counts_from_its_own_grant),
        cmocka_unit_test(a_stream_that_goes_on_is_no_leak_however_long),
        cmocka_unit_test(a_reader_that_stands_still_leaks),
        cmocka_unit_test(a_stream_whose_server_stands_still_leaks),
        cmocka_unit_test(a_reclaimed_lease_has_nothing_left_but_its_end),
        cmocka_unit_test(a_lease_does_not_touch_what_became_of_its_connection),
        cmocka_unit_test(a_query_by_callback_hears_of_the_reclaim),
        cmocka_unit_test(a_query_asked_in_the_instant_of_the_reclaim_is_answered),
        cmocka_unit_test(a_query_cancelled_in_the_instant_of_the_reclaim_ends_once),
        cmocka_unit_test(a_pool_stays_until_a_reclaimed_lease_has_come_back),
    };
    return cmocka_run_group_tests_name("pool_leak", tests, NULL, NULL);
}
