/* pool_hooks.c: what a program may say of each connection, and what it is shown. */
#include <stdio.h>

#include "../support/fake_pool.h"

/* One test's pool. Tasks expect; the main stack asserts. */
typedef struct world {
    weir_fake *fake;
    weir_pool *pool;
    weir_pool_options options;
    int (*body)(struct world *w);
    uint32_t connects, acquires, releases, closes;
    uint32_t connects_refused, acquires_refused, releases_refused; /* the first so many */
    weir_session session;                                          /* the latest */
    weir_retire_reason closed_for;
    weir_pool_stats stats;
    uint32_t events[WEIR_EVENT_COUNT];
    weir_retire_reason failed_for;
    uint32_t order[4], ordered;
    int calls;
} world;

static void note_event(void *arg, const weir_event *event)
{
    world *w = arg;
    w->events[event->kind]++;
    if (event->kind == WEIR_CONNECTION_FAILED)
        w->failed_for = event->reason;
}

static bool on_connect(void *arg, const weir_session *session)
{
    world *w = arg;
    w->session = *session;
    return ++w->connects > w->connects_refused;
}

static bool before_acquire(void *arg, const weir_session *session)
{
    world *w = arg;
    w->session = *session;
    return ++w->acquires > w->acquires_refused;
}

static bool after_release(void *arg, const weir_session *session)
{
    world *w = arg;
    w->session = *session;
    return ++w->releases > w->releases_refused;
}

static void before_close(void *arg, const weir_session *session, weir_retire_reason reason)
{
    world *w = arg;
    w->session = *session;
    w->closed_for = reason;
    w->closes++;
}

static int run_body(void *arg)
{
    world *w = arg;
    w->options.hooks = (weir_hooks){w, on_connect, before_acquire, after_release, before_close};
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
    assert_int_equal(w->closes, w->stats.opened); /* each that was open, once */
}

static int use(world *w)
{
    weir_scope scope = {.deadline_ns = weir_after(WEIR_S(1))};
    weir_scoped_lease weir_lease *lease = NULL;
    return weir_acquire(w->pool, &scope, &lease);
}

/* ---- What they are shown ---- */

static int use_three_times(world *w)
{
    expect(use(w) == 0 && use(w) == 0);
    weir_sleep(WEIR_MS(5));
    expect(use(w) == 0);
    expect(strcmp(w->session.pool, "orders") == 0);
    expect(w->session.connection == 1 && w->session.backend_pid == 1000);
    expect(w->session.leases == 3 && w->session.age_ns == WEIR_MS(5));
    expect(!w->session.native);
    expect(w->connects == 1 && w->acquires == 3 && w->releases == 3 && w->closes == 0);
    return 0;
}

static void hooks_see_each_step_of_a_connection(void **state)
{
    world w = {.options = {.name = "orders", .max = 1}};
    play(&w, use_three_times);
    assert_int_equal(w.closes, 1);
    assert_int_equal(w.closed_for, WEIR_RETIRE_DRAINED);
}

/* ---- on_connect ---- */

static int use_once(world *w)
{
    expect(use(w) == 0);
    weir_error error;
    weir_pool_connect_error(w->pool, &error);
    expect(error.code == 0); /* a dial has succeeded since */
    return 0;
}

static void a_session_that_on_connect_turns_down_counts_as_a_failed_dial(void **state)
{
    world w = {.connects_refused = 2};
    play(&w, use_once);
    assert_int_equal(w.connects, 3);
    assert_int_equal(w.stats.dial_failures, 2);
    assert_int_equal(w.stats.opened, 1);
    assert_int_equal(w.stats.retired[WEIR_RETIRE_REJECTED], 2);
    assert_int_equal(w.events[WEIR_CONNECTION_FAILED], 2);
    assert_int_equal(w.failed_for, WEIR_RETIRE_REJECTED);
}

static int use_in_vain(world *w)
{
    expect(use(w) == WEIR_ECONNECT);
    weir_error error;
    weir_pool_connect_error(w->pool, &error);
    expect(error.code == WEIR_ECONNECT && strstr(error.message, "on_connect"));
    return 0;
}

static void takers_learn_that_on_connect_turns_all_down(void **state)
{
    world w = {.connects_refused = UINT32_MAX};
    play(&w, use_in_vain);
    assert_int_equal(w.closes, 0);
}

/* ---- before_acquire ---- */

static void a_connection_that_before_acquire_turns_down_is_replaced(void **state)
{
    world w = {.acquires_refused = 2};
    play(&w, use_once);
    assert_int_equal(w.acquires, 3);
    assert_int_equal(w.stats.retired[WEIR_RETIRE_REJECTED], 2);
    assert_int_equal(w.stats.opened, 3);
    assert_int_equal(w.events[WEIR_LEASE_GRANTED], 1);
    assert_int_equal(w.events[WEIR_LEASE_RELEASED], 1);
}

static int use_until_the_deadline(world *w)
{
    uint64_t asked_ns = weir_now();
    expect(use(w) == WEIR_ETIMEDOUT);
    expect(weir_now() == asked_ns + WEIR_S(1));
    return 0;
}

static void a_taker_asks_anew_within_its_deadline(void **state)
{
    world w = {.acquires_refused = UINT32_MAX};
    weir_fake_step slow = {.delay_ns = WEIR_MS(30)};
    assert_int_equal(weir_fake_open(&w.fake), 0);
    assert_int_equal(weir_fake_script(w.fake, WEIR_FAKE_DIAL, 0, &slow), 0);
    play(&w, use_until_the_deadline);
    assert_true(w.acquires > 20);
}

typedef struct taker {
    world *w;
    uint32_t number;
} taker;

static int queue_up(void *arg)
{
    taker *t = arg;
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(t->w->pool, NULL, &lease);
    t->w->order[t->w->ordered++] = t->number;
    return r;
}

static int turn_the_first_down(world *w)
{
    weir_lease *held = NULL;
    taker takers[] = {{w, 1}, {w, 2}, {w, 3}};
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    expect(weir_acquire(w->pool, NULL, &held) == 0);
    for (int i = 0; i < 3; i++)
        expect(weir_group_spawn(&group, queue_up, &takers[i]) == 0);
    weir_sleep(WEIR_MS(1));
    w->acquires_refused = w->acquires + 1;
    weir_release(held);
    expect(weir_group_wait(&group) == 0);
    return 0;
}

static void who_asks_anew_comes_behind_those_who_wait(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, turn_the_first_down);
    assert_int_equal(w.ordered, 3);
    assert_int_equal(w.order[0], 2);
    assert_int_equal(w.order[1], 3);
    assert_int_equal(w.order[2], 1);
}

static void granted(void *arg, int error, weir_lease *lease)
{
    ((world *)arg)->calls++;
    expect(error == 0);
    weir_release(lease);
}

static int use_by_callback(world *w)
{
    expect(weir_acquire_cb(w->pool, NULL, granted, w, NULL) == 0);
    weir_sleep(WEIR_MS(1));
    return 0;
}

static void a_take_by_callback_asks_anew_too(void **state)
{
    world w = {.acquires_refused = 2};
    play(&w, use_by_callback);
    assert_int_equal(w.calls, 1);
    assert_int_equal(w.acquires, 3);
}

/* ---- after_release ---- */

static int use_twice(world *w)
{
    expect(use(w) == 0);
    weir_sleep(WEIR_MS(1));
    expect(w->closes == 1 && w->closed_for == WEIR_RETIRE_REJECTED);
    expect(use(w) == 0);
    return 0;
}

static void a_connection_that_after_release_turns_down_is_closed(void **state)
{
    world w = {.options = {.max = 1}, .releases_refused = 1};
    play(&w, use_twice);
    assert_int_equal(w.stats.opened, 2);
    assert_int_equal(w.stats.retired[WEIR_RETIRE_REJECTED], 1);
}

static const weir_statement lost = {.sql = "lost"}, slow = {.sql = "slow"};

static int bring_back_broken_and_running(world *w)
{
    weir_lease *lease = NULL;
    expect(weir_acquire(w->pool, NULL, &lease) == 0);
    expect(weir_query(lease, &lost, NULL, NULL) == WEIR_ELOST);
    weir_release(lease);
    expect(weir_acquire(w->pool, NULL, &lease) == 0);
    {
        weir_scoped_timeout(quick, WEIR_MS(1));
        expect(weir_query(lease, &slow, NULL, NULL) == WEIR_ETIMEDOUT);
    }
    weir_release(lease);
    expect(w->releases == 0);
    return 0;
}

static void after_release_is_not_asked_of_what_is_broken_or_running(void **state)
{
    world w = {0};
    weir_fake_step lose = {.outcome = WEIR_FAKE_LOSE}, delay = {.delay_ns = WEIR_MS(10)};
    assert_int_equal(weir_fake_open(&w.fake), 0);
    assert_int_equal(weir_fake_answer(w.fake, "lost", 0, &lose), 0);
    assert_int_equal(weir_fake_answer(w.fake, "slow", 0, &delay), 0);
    assert_int_equal(weir_fake_script(w.fake, WEIR_FAKE_CANCEL, 0, &delay), 0);
    play(&w, bring_back_broken_and_running);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hooks_see_each_step_of_a_connection),
        cmocka_unit_test(a_session_that_on_connect_turns_down_counts_as_a_failed_dial),
        cmocka_unit_test(takers_learn_that_on_connect_turns_all_down),
        cmocka_unit_test(a_connection_that_before_acquire_turns_down_is_replaced),
        cmocka_unit_test(a_taker_asks_anew_within_its_deadline),
        cmocka_unit_test(who_asks_anew_comes_behind_those_who_wait),
        cmocka_unit_test(a_take_by_callback_asks_anew_too),
        cmocka_unit_test(a_connection_that_after_release_turns_down_is_closed),
        cmocka_unit_test(after_release_is_not_asked_of_what_is_broken_or_running),
    };
    return cmocka_run_group_tests_name("pool_hooks", tests, NULL, NULL);
}
