/* pool_lanes.c: one pool shared by several lanes, in real time: nothing is lost or crossed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "driver.h"
#include "weir.h"

enum { LANES = 3, TASKS = 12, ROUNDS = 400, MAX = 4 };

typedef struct world {
    weir_runtime *runtime;
    weir_fake *fake;
    weir_pool *pool;
    atomic_int running;                       /* tasks not yet ended */
    atomic_int holders[MAX * ROUNDS * TASKS]; /* by connection serial: never two */
    atomic_int crossed, granted, refused, unexpected;
    int closed;
    weir_pool_stats stats;
} world;

typedef struct worker {
    world *w;
    uint32_t seed;
} worker;

static uint32_t next(worker *k, uint32_t bound)
{
    k->seed = k->seed * 1664525u + 1013904223u;
    return (k->seed >> 8) % bound;
}

static void use(worker *k, weir_lease *lease)
{
    world *w = k->w;
    atomic_int *holders = &w->holders[weir_lease_connection(lease)];
    if (atomic_fetch_add(holders, 1) != 0)
        atomic_fetch_add(&w->crossed, 1);
    static const weir_statement statement = {.sql = "select 1"};
    weir_scoped_timeout(limit, WEIR_US(50 + next(k, 400)));
    int r = weir_query(lease, &statement, NULL, NULL);
    if (r < 0 && r != WEIR_ETIMEDOUT && r != WEIR_ELOST && r != WEIR_ECANCELED)
        atomic_fetch_add(&w->unexpected, 1);
    atomic_fetch_sub(holders, 1);
    atomic_fetch_add(&w->granted, 1);
}

static int work(void *arg)
{
    worker *k = arg;
    for (int i = 0; i < ROUNDS; i++) {
        weir_scope scope = {.deadline_ns = weir_after(WEIR_US(20 + next(k, 3000)))};
        weir_scoped_lease weir_lease *lease = NULL;
        int r = weir_acquire(k->w->pool, &scope, &lease);
        if (r == 0)
            use(k, lease);
        else
            atomic_fetch_add(r == WEIR_ETIMEDOUT ? &k->w->refused : &k->w->unexpected, 1);
        if (r < 0)
            weir_yield();
    }
    atomic_fetch_sub(&k->w->running, 1);
    return 0;
}

static int close_when_done(void *arg)
{
    world *w = arg;
    while (atomic_load(&w->running) > 0)
        weir_sleep(WEIR_MS(1));
    weir_pool_stats_read(w->pool, &w->stats);
    w->closed = weir_pool_close(w->pool);
    weir_runtime_stop(w->runtime);
    return 0;
}

static void lanes_share_a_pool_without_crossing_or_losing_a_lease(void **state)
{
    static world w;
    static worker workers[TASKS];
    assert_int_equal(weir_fake_open(&w.fake), 0);
    weir_fake_step slow = {.delay_ns = WEIR_US(100)}, slower = {.delay_ns = WEIR_MS(1)};
    weir_fake_step lost = {.outcome = WEIR_FAKE_LOSE, .delay_ns = WEIR_US(50)};
    for (int i = 0; i < 40; i++) {
        assert_int_equal(weir_fake_answer(w.fake, NULL, 20, &slow), 0);
        assert_int_equal(weir_fake_answer(w.fake, NULL, 2, &slower), 0);
        assert_int_equal(weir_fake_answer(w.fake, NULL, 1, &lost), 0);
    }
    assert_int_equal(weir_runtime_open(&(weir_runtime_options){.lanes = LANES}, &w.runtime), 0);
    weir_pool_options options = {.driver = weir_fake_driver(),
                                 .driver_arg = w.fake,
                                 .max = MAX,
                                 .shed_target_ns = WEIR_NEVER, /* everyone is to wait */
                                 .seed = 7};
    assert_int_equal(weir_pool_open(w.runtime, &options, &w.pool, NULL), 0);
    atomic_store(&w.running, TASKS);
    for (uint32_t i = 0; i < TASKS; i++) {
        workers[i] = (worker){&w, i + 1};
        weir_lane *lane = weir_runtime_lane(w.runtime, i % LANES);
        assert_int_equal(weir_spawn_on(lane, work, &workers[i]), 0);
    }
    weir_lane *first = weir_runtime_lane(w.runtime, 0);
    assert_int_equal(weir_spawn_on(first, close_when_done, &w), 0);
    assert_int_equal(weir_runtime_run(w.runtime), 0);
    weir_runtime_close(w.runtime);
    weir_fake_counts counts = weir_fake_counted(w.fake);
    weir_fake_close(w.fake);

    assert_int_equal(w.closed, 0);
    assert_int_equal(atomic_load(&w.crossed), 0);
    assert_int_equal(atomic_load(&w.unexpected), 0);
    assert_int_equal(atomic_load(&w.granted) + atomic_load(&w.refused), TASKS * ROUNDS);
    assert_true(atomic_load(&w.granted) > 0);
    assert_int_equal(counts.open, 0);
    assert_true(counts.open_most <= MAX);
    assert_int_equal(w.stats.waiting, 0);
    assert_int_equal(w.stats.granted, w.stats.released);
}

/* ---- Closing under waiters ---- */

enum { WAITERS = 12, CLOSINGS = 20 };

static void note_pool(void *arg, const weir_event *what)
{
    if (!what->pool[0])
        atomic_fetch_add(&((world *)arg)->unexpected, 1);
}

static int wait_for_the_close(void *arg)
{
    world *w = arg;
    weir_lease *lease = NULL;
    if (weir_acquire(w->pool, NULL, &lease) != WEIR_ECLOSED)
        atomic_fetch_add(&w->unexpected, 1);
    atomic_fetch_sub(&w->running, 1);
    return 0;
}

/* So that refusals and the end of the pool are waiting for the lane together. */
static int block_the_lane(void *arg)
{
    usleep(2000);
    return 0;
}

static void await_waiters(world *w, uint32_t count)
{
    weir_pool_gauge gauge = {0};
    for (int i = 0; i < 50000 && gauge.waiting < count; i++) {
        weir_sleep(WEIR_US(100));
        weir_pool_gauge_read(w->pool, &gauge);
    }
}

/* The only connection, which never comes up, is the closing lane's. */
static int close_under_waiters(world *w)
{
    weir_pool_options options = {.driver = weir_fake_driver(),
                                 .driver_arg = w->fake,
                                 .max = 1,
                                 .on_event = note_pool,
                                 .on_event_arg = w};
    int r = weir_pool_open(w->runtime, &options, &w->pool, NULL);
    if (r < 0)
        return r;
    atomic_store(&w->running, WAITERS);
    for (uint32_t i = 0; i < WAITERS; i++) {
        weir_spawn_on(weir_runtime_lane(w->runtime, i % LANES), wait_for_the_close, w);
        await_waiters(w, i + 1);
    }
    for (uint32_t i = 1; i < LANES; i++)
        weir_spawn_on(weir_runtime_lane(w->runtime, i), block_the_lane, w);
    weir_sleep(WEIR_MS(1));
    r = weir_pool_close(w->pool);
    while (atomic_load(&w->running) > 0)
        weir_sleep(WEIR_US(100));
    return r;
}

static int close_many(void *arg)
{
    world *w = arg;
    for (int i = 0; i < CLOSINGS && w->closed == 0; i++)
        w->closed = close_under_waiters(w);
    weir_runtime_stop(w->runtime);
    return 0;
}

static void a_pool_stays_until_the_takers_of_all_lanes_have_come_away(void **state)
{
    static world w;
    weir_fake_step hang = {.outcome = WEIR_FAKE_HANG};
    assert_int_equal(weir_fake_open(&w.fake), 0);
    assert_int_equal(weir_fake_script(w.fake, WEIR_FAKE_DIAL, 0, &hang), 0);
    assert_int_equal(weir_runtime_open(&(weir_runtime_options){.lanes = LANES}, &w.runtime), 0);
    assert_int_equal(weir_spawn(close_many, &w, NULL), 0);
    assert_int_equal(weir_runtime_run(w.runtime), 0);
    weir_runtime_close(w.runtime);
    assert_int_equal(weir_fake_counted(w.fake).open, 0);
    weir_fake_close(w.fake);
    assert_int_equal(w.closed, 0);
    assert_int_equal(atomic_load(&w.unexpected), 0);
}

/* ---- Moves that fail ---- */

static int refuse_to_join(weir_connection *c)
{
    return WEIR_EIO;
}

static int ask_after_a_failed_move(void *arg)
{
    world *w = arg;
    static const weir_statement statement = {.sql = "select 1"};
    weir_lease *lease = NULL;
    w->closed = weir_acquire(w->pool, NULL, &lease);
    if (w->closed == 0) {
        if (weir_query(lease, &statement, NULL, NULL) != WEIR_ELOST ||
            weir_lease_error(lease)->code != WEIR_ELOST || !weir_lease_error(lease)->message[0])
            atomic_fetch_add(&w->unexpected, 1);
        weir_release(lease);
    }
    atomic_fetch_sub(&w->running, 1);
    return 0;
}

static int move_to_another_lane(void *arg)
{
    world *w = arg;
    weir_lease *lease = NULL;
    if (weir_acquire(w->pool, NULL, &lease) == 0)
        weir_release(lease);
    atomic_store(&w->running, 1);
    weir_spawn_on(weir_runtime_lane(w->runtime, 1), ask_after_a_failed_move, w);
    return close_when_done(w);
}

static void a_connection_that_cannot_join_a_lane_counts_as_lost(void **state)
{
    static world w;
    weir_driver driver = *weir_fake_driver();
    driver.attach = refuse_to_join;
    assert_int_equal(weir_fake_open(&w.fake), 0);
    assert_int_equal(weir_runtime_open(&(weir_runtime_options){.lanes = 2}, &w.runtime), 0);
    weir_pool_options options = {.driver = &driver, .driver_arg = w.fake, .max = 1};
    assert_int_equal(weir_pool_open(w.runtime, &options, &w.pool, NULL), 0);
    assert_int_equal(weir_spawn(move_to_another_lane, &w, NULL), 0);
    assert_int_equal(weir_runtime_run(w.runtime), 0);
    weir_runtime_close(w.runtime);
    weir_fake_close(w.fake);
    assert_int_equal(w.closed, 0);
    assert_int_equal(atomic_load(&w.unexpected), 0);
    assert_int_equal(w.stats.retired[WEIR_RETIRE_BROKEN], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_stays_until_the_takers_of_all_lanes_have_come_away),
        cmocka_unit_test(a_connection_that_cannot_join_a_lane_counts_as_lost),
        cmocka_unit_test(lanes_share_a_pool_without_crossing_or_losing_a_lease),
    };
    return cmocka_run_group_tests_name("pool_lanes", tests, NULL, NULL);
}
