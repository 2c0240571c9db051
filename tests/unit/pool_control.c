/* pool_control.c: a pool resized, paused and renewed while it is in use. */
#include <stdatomic.h>

#include "../support/fake_pool.h"

/* One test's pool. Tasks expect; the main stack asserts. */
typedef struct world {
    weir_fake *fake;
    weir_pool *pool;
    weir_pool_options options;
    int (*body)(struct world *w);
    weir_lease *held[3];
    weir_pool_stats stats;
    uint32_t events[WEIR_EVENT_COUNT];
    char said[WEIR_EVENT_COUNT][128]; /* the latest message */
    uint64_t retired_ns[16];
    uint32_t retired;
    int calls, error;
} world;

static void note_event(void *arg, const weir_event *event)
{
    world *w = arg;
    w->events[event->kind]++;
    if (event->message)
        strncpy(w->said[event->kind], event->message, sizeof w->said[0] - 1);
    if (event->kind == WEIR_CONNECTION_RETIRED && w->retired < 16)
        w->retired_ns[w->retired++] = weir_now();
}

static int run_body(void *arg)
{
    world *w = arg;
    if (open_on_fake(w->fake, &w->options, note_event, w, &w->pool) < 0)
        return -1;
    int r = w->body(w);
    return w->pool ? weir_pool_close(w->pool) : r;
}

static void play(world *w, int (*body)(world *w))
{
    w->body = body;
    play_on_fake(&w->fake, run_body, w);
}

static void take(world *w, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        expect(weir_acquire(w->pool, NULL, &w->held[i]) == 0);
}

static void give_back(world *w, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        weir_release(w->held[i]);
    weir_pool_stats_read(w->pool, &w->stats);
}

/* Takes and gives back, within 100 ms. */
static int use_soon(void *arg)
{
    world *w = arg;
    weir_scope scope = {.deadline_ns = weir_after(WEIR_MS(100))};
    weir_scoped_lease weir_lease *lease = NULL;
    return weir_acquire(w->pool, &scope, &lease);
}

/* ---- Resize ---- */

static int grow_under_a_waiter(world *w)
{
    take(w, 1);
    weir_task *waiter = NULL;
    int r = -1;
    expect(weir_spawn(use_soon, w, &waiter) == 0);
    weir_sleep(WEIR_MS(1));
    expect(weir_pool_resize(w->pool, 2, 1) == 0);
    expect(weir_join(waiter, &r) == 0 && r == 0);
    give_back(w, 1);
    return 0;
}

static void a_pool_that_grows_serves_its_waiters_at_once(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, grow_under_a_waiter);
    assert_int_equal(w.stats.max, 2);
    assert_int_equal(w.stats.min, 1);
    assert_int_equal(w.stats.timed_out, 0);
    assert_int_equal(w.events[WEIR_POOL_RESIZED], 1);
    assert_string_equal(w.said[WEIR_POOL_RESIZED], "max from 1 to 2, min from 0 to 1");
}

static int shrink_under_leases(world *w)
{
    take(w, 3);
    expect(weir_pool_resize(w->pool, 1, 0) == 0);
    weir_pool_stats_read(w->pool, &w->stats);
    expect(w->stats.in_use == 3 && w->stats.max == 1);
    give_back(w, 3);
    weir_sleep(WEIR_MS(1));
    weir_pool_stats_read(w->pool, &w->stats);
    return 0;
}

static void a_pool_that_shrinks_closes_what_is_too_many_as_it_comes_back(void **state)
{
    world w = {.options = {.max = 3}};
    play(&w, shrink_under_leases);
    assert_int_equal(w.stats.size, 1);
    assert_int_equal(w.stats.retired[WEIR_RETIRE_SURPLUS], 2);
}

static int resize_to_what_cannot_be(world *w)
{
    expect(weir_pool_resize(w->pool, 0, 0) == WEIR_EINVAL);
    expect(weir_pool_resize(w->pool, 9, 0) == WEIR_EINVAL);
    expect(weir_pool_resize(w->pool, 2, 3) == WEIR_EINVAL);
    weir_pool_stats_read(w->pool, &w->stats);
    expect(weir_pool_resize(w->pool, 8, 8) == 0);
    return 0;
}

static void a_size_that_cannot_be_changes_nothing(void **state)
{
    world w = {.options = {.max = 3, .max_limit = 8}};
    play(&w, resize_to_what_cannot_be);
    assert_int_equal(w.stats.max, 3);
    assert_int_equal(w.events[WEIR_POOL_RESIZED], 1);
}

/* ---- Pause ---- */

static int pause_when_idle(world *w)
{
    take(w, 1);
    give_back(w, 1);
    uint64_t asked_ns = weir_now();
    expect(weir_pool_pause(w->pool) == 0);
    expect(weir_pool_pause(w->pool) == 0); /* once more: it is at rest already */
    expect(weir_now() == asked_ns);
    expect(use_soon(w) == WEIR_ETIMEDOUT);
    expect(weir_now() == asked_ns + WEIR_MS(100));

    weir_task *waiter = NULL;
    int r = -1;
    expect(weir_spawn(use_soon, w, &waiter) == 0);
    weir_sleep(WEIR_MS(10));
    weir_pool_stats_read(w->pool, &w->stats);
    expect(w->stats.paused && w->stats.waiting == 1);
    weir_pool_resume(w->pool);
    expect(weir_join(waiter, &r) == 0 && r == 0);
    weir_pool_resume(w->pool); /* without effect */
    return 0;
}

static void a_paused_pool_grants_nothing_until_it_is_resumed(void **state)
{
    world w = {.options = {.max = 2}};
    play(&w, pause_when_idle);
    assert_int_equal(w.events[WEIR_POOL_PAUSED], 1);
    assert_int_equal(w.events[WEIR_POOL_RESUMED], 1);
    assert_string_equal(w.said[WEIR_POOL_RESUMED], "1 takes have waited for it");
}

static int give_back_later(void *arg)
{
    world *w = arg;
    weir_sleep(WEIR_MS(50));
    give_back(w, 2);
    return 0;
}

static void note_pause(void *arg, int error)
{
    world *w = arg;
    w->calls++;
    w->error = error;
}

static int pause_under_leases(world *w)
{
    take(w, 2);
    uint64_t asked_ns = weir_now();
    expect(weir_spawn(give_back_later, w, NULL) == 0);
    expect(weir_pool_pause_cb(w->pool, note_pause, w) == 0);
    expect(w->calls == 0);
    expect(weir_pool_pause(w->pool) == 0);
    expect(weir_now() == asked_ns + WEIR_MS(50));
    expect(w->calls == 1 && w->error == 0);
    expect(weir_pool_pause_cb(w->pool, note_pause, w) == 0);
    expect(w->calls == 1); /* never from inside the call */
    weir_sleep(WEIR_MS(1));
    expect(w->calls == 2 && w->error == 0);
    return 0;
}

static void a_pause_is_answered_once_nothing_is_leased(void **state)
{
    world w = {.options = {.max = 2}};
    play(&w, pause_under_leases);
    assert_int_equal(w.calls, 2);
    assert_string_equal(w.said[WEIR_POOL_PAUSED], "2 leases are out, 0 takes wait");
}

static int pause_for_too_short(void *arg)
{
    world *w = arg;
    weir_scoped_timeout(quick, WEIR_MS(10));
    return weir_pool_pause(w->pool);
}

static int give_a_pause_up(world *w)
{
    take(w, 1);
    expect(pause_for_too_short(w) == WEIR_ETIMEDOUT);
    weir_task *task = NULL;
    int r = 0;
    weir_pool_resume(w->pool);
    expect(weir_spawn(pause_for_too_short, w, &task) == 0);
    weir_cancel(task); /* before it runs */
    expect(weir_join(task, &r) == 0 && r == WEIR_ECANCELED);
    weir_pool_stats_read(w->pool, &w->stats);
    expect(w->stats.paused); /* all the same */
    weir_release(w->held[0]);
    expect(use_soon(w) == WEIR_ETIMEDOUT);
    expect(weir_spawn(pause_for_too_short, w, &task) == 0);
    weir_cancel(task); /* and now the answer is there at once */
    expect(weir_join(task, &r) == 0 && r == WEIR_ECANCELED);
    weir_pool_resume(w->pool);
    expect(use_soon(w) == 0);
    return 0;
}

static void a_pause_given_up_holds_all_the_same(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, give_a_pause_up);
}

static int resume_before_rest(world *w)
{
    take(w, 1);
    expect(weir_pool_pause_cb(w->pool, note_pause, w) == 0);
    weir_pool_resume(w->pool);
    weir_sleep(WEIR_MS(1));
    expect(w->calls == 1 && w->error == WEIR_EBUSY);
    give_back(w, 1);
    expect(use_soon(w) == 0);
    return 0;
}

static void a_pause_resumed_before_it_came_to_rest_says_so(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, resume_before_rest);
}

static int ask_for_pause(void *arg)
{
    return weir_pool_pause(((world *)arg)->pool);
}

static int hold_for_a_while(void *arg)
{
    world *w = arg;
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(w->pool, NULL, &lease);
    return r < 0 ? r : weir_sleep(WEIR_MS(50));
}

static int close_under_a_pause(world *w)
{
    weir_task *holder = NULL, *pauser = NULL;
    int r = 0;
    expect(weir_spawn(hold_for_a_while, w, &holder) == 0);
    weir_sleep(WEIR_MS(1));
    expect(weir_spawn(ask_for_pause, w, &pauser) == 0);
    expect(weir_pool_pause_cb(w->pool, note_pause, w) == 0);
    weir_sleep(WEIR_MS(1));
    expect(weir_pool_close(w->pool) == 0);
    w->pool = NULL;
    expect(weir_join(pauser, &r) == 0 && r == WEIR_ECLOSED);
    expect(w->calls == 1 && w->error == WEIR_ECLOSED);
    weir_join(holder, NULL);
    return 0;
}

static void a_pause_of_a_pool_that_is_closed_says_so(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, close_under_a_pause);
}

/* ---- Evict ---- */

static int evict_all(world *w)
{
    take(w, 3);
    weir_release(w->held[2]);
    weir_pool_evict(w->pool, 0);
    weir_sleep(WEIR_MS(1));
    weir_pool_stats_read(w->pool, &w->stats);
    expect(w->stats.retired[WEIR_RETIRE_EVICTED] == 1 && w->stats.in_use == 2);
    give_back(w, 2);
    weir_sleep(WEIR_MS(1));
    weir_lease *lease = NULL;
    expect(weir_acquire(w->pool, NULL, &lease) == 0);
    expect(weir_lease_connection(lease) > 3); /* a new one */
    weir_release(lease);
    weir_pool_stats_read(w->pool, &w->stats);
    return 0;
}

static void evicted_connections_are_replaced_leased_ones_as_they_come_back(void **state)
{
    world w = {.options = {.max = 3}};
    play(&w, evict_all);
    assert_int_equal(w.stats.retired[WEIR_RETIRE_EVICTED], 3);
    assert_string_equal(w.said[WEIR_POOL_EVICTED],
                        "3 connections are replaced, 2 of them once they come back");
}

static int evict_spread(world *w)
{
    weir_sleep(WEIR_MS(100)); /* all of min are up */
    weir_pool_evict(w->pool, WEIR_S(10));
    weir_sleep(WEIR_S(11));
    weir_pool_stats_read(w->pool, &w->stats);
    return 0;
}

static void an_eviction_can_be_spread(void **state)
{
    world w = {.options = {.max = 8, .min = 8}};
    play(&w, evict_spread);
    assert_int_equal(w.stats.retired[WEIR_RETIRE_EVICTED], 8);
    assert_int_equal(w.stats.idle, 8);
    assert_true(w.retired_ns[7] - w.retired_ns[0] > WEIR_S(2));
}

/* ---- A pool that is closing ---- */

static int control_while_closing(void *arg)
{
    world *w = arg;
    weir_sleep(WEIR_MS(10));
    expect(weir_pool_resize(w->pool, 2, 0) == WEIR_ECLOSED);
    expect(weir_pool_pause(w->pool) == WEIR_ECLOSED);
    expect(weir_pool_pause_cb(w->pool, note_pause, w) == 0);
    weir_pool_resume(w->pool);
    weir_pool_evict(w->pool, 0);
    weir_sleep(WEIR_MS(1));
    expect(w->calls == 1 && w->error == WEIR_ECLOSED);
    return 0;
}

static int close_under_control(world *w)
{
    expect(weir_spawn(hold_for_a_while, w, NULL) == 0);
    expect(weir_spawn(control_while_closing, w, NULL) == 0);
    weir_sleep(WEIR_MS(1)); /* the lease is out: the pool stays for as long */
    return 0;
}

static void a_closing_pool_takes_no_orders(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, close_under_control);
    assert_int_equal(w.events[WEIR_POOL_RESIZED], 0);
    assert_int_equal(w.events[WEIR_POOL_PAUSED], 0);
    assert_int_equal(w.events[WEIR_POOL_EVICTED], 0);
}

/* ---- Options ---- */

static void refuses(const weir_pool_options *options, const char *words)
{
    weir_runtime *runtime = NULL;
    weir_pool *pool = NULL;
    weir_error why = {0};
    assert_int_equal(weir_runtime_open(NULL, &runtime), 0);
    assert_int_equal(weir_pool_open(runtime, options, &pool, &why), WEIR_EINVAL);
    assert_string_equal(why.message, words);
    weir_runtime_close(runtime);
}

static void options_that_contradict_each_other_are_refused(void **state)
{
    refuses(&(weir_pool_options){.max = 9, .max_limit = 8}, "max is larger than max_limit");
    refuses(&(weir_pool_options){.max = 2, .min = 3}, "min is larger than max");
    refuses(&(weir_pool_options){.queue_max = 4, .queue_reserve = 4},
            "queue_reserve leaves no place of queue_max to the ordinary");
    refuses(&(weir_pool_options){.max_limit = 1000000},
            "max or max_limit is larger than any server takes");
}

/* ---- From several lanes at once ---- */

enum { LANES = 3, ROUNDS = 50 };

typedef struct several {
    weir_runtime *runtime;
    weir_fake *fake;
    weir_pool *pool;
    atomic_int running, granted, wrong;
} several;

static int use_again_and_again(void *arg)
{
    several *s = arg;
    for (int i = 0; i < ROUNDS * 4; i++) {
        weir_scoped_lease weir_lease *lease = NULL;
        if (weir_acquire(s->pool, NULL, &lease) == 0)
            atomic_fetch_add(&s->granted, 1);
        weir_sleep(WEIR_US(50));
    }
    atomic_fetch_sub(&s->running, 1);
    return 0;
}

static int control_again_and_again(void *arg)
{
    several *s = arg;
    for (int i = 0; i < ROUNDS; i++) {
        weir_scoped_timeout(limit, i % 3 ? WEIR_S(10) : WEIR_US(20));
        int r = weir_pool_pause(s->pool);
        if (r != 0 && r != WEIR_EBUSY && r != WEIR_ETIMEDOUT)
            atomic_fetch_add(&s->wrong, 1);
        weir_pool_resume(s->pool);
        if (weir_pool_resize(s->pool, 1 + (uint32_t)i % 4, 0) != 0)
            atomic_fetch_add(&s->wrong, 1);
        if (i % 8 == 0)
            weir_pool_evict(s->pool, WEIR_US(100));
    }
    weir_pool_resume(s->pool);
    atomic_fetch_sub(&s->running, 1);
    return 0;
}

static int close_when_done(void *arg)
{
    several *s = arg;
    while (atomic_load(&s->running) > 0)
        weir_sleep(WEIR_MS(1));
    if (weir_pool_close(s->pool) != 0)
        atomic_fetch_add(&s->wrong, 1);
    weir_runtime_stop(s->runtime);
    return 0;
}

static void any_lane_may_control_a_pool(void **state)
{
    several s = {0};
    assert_int_equal(weir_fake_open(&s.fake), 0);
    assert_int_equal(weir_runtime_open(&(weir_runtime_options){.lanes = LANES}, &s.runtime), 0);
    weir_pool_options options = {
        .driver = weir_fake_driver(), .driver_arg = s.fake, .max = 2, .shed_target_ns = WEIR_NEVER};
    assert_int_equal(weir_pool_open(s.runtime, &options, &s.pool, NULL), 0);
    atomic_store(&s.running, 2 * LANES);
    for (uint32_t i = 0; i < LANES; i++) {
        weir_lane *lane = weir_runtime_lane(s.runtime, i);
        assert_int_equal(weir_spawn_on(lane, use_again_and_again, &s), 0);
        assert_int_equal(weir_spawn_on(lane, control_again_and_again, &s), 0);
    }
    assert_int_equal(weir_spawn(close_when_done, &s, NULL), 0);
    assert_int_equal(weir_runtime_run(s.runtime), 0);
    weir_runtime_close(s.runtime);
    assert_int_equal(weir_fake_counted(s.fake).open, 0);
    weir_fake_close(s.fake);
    assert_int_equal(atomic_load(&s.wrong), 0);
    assert_int_equal(atomic_load(&s.granted), LANES * ROUNDS * 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_that_grows_serves_its_waiters_at_once),
        cmocka_unit_test(a_pool_that_shrinks_closes_what_is_too_many_as_it_comes_back),
        cmocka_unit_test(a_size_that_cannot_be_changes_nothing),
        cmocka_unit_test(a_paused_pool_grants_nothing_until_it_is_resumed),
        cmocka_unit_test(a_pause_is_answered_once_nothing_is_leased),
        cmocka_unit_test(a_pause_given_up_holds_all_the_same),
        cmocka_unit_test(a_pause_resumed_before_it_came_to_rest_says_so),
        cmocka_unit_test(a_pause_of_a_pool_that_is_closed_says_so),
        cmocka_unit_test(evicted_connections_are_replaced_leased_ones_as_they_come_back),
        cmocka_unit_test(an_eviction_can_be_spread),
        cmocka_unit_test(a_closing_pool_takes_no_orders),
        cmocka_unit_test(options_that_contradict_each_other_are_refused),
        cmocka_unit_test(any_lane_may_control_a_pool),
    };
    return cmocka_run_group_tests_name("pool_control", tests, NULL, NULL);
}
