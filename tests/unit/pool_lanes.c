/* pool_lanes.c: one pool shared by several lanes, in real time: nothing is lost or crossed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

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
    weir_pool_options options = {
        .driver = weir_fake_driver(), .driver_arg = w.fake, .max = MAX, .seed = 7};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_share_a_pool_without_crossing_or_losing_a_lease),
    };
    return cmocka_run_group_tests_name("pool_lanes", tests, NULL, NULL);
}
