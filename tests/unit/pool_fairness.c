/* pool_fairness.c: what a pool owes to all: even waits, no more connections than needed. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "../support/expect.h"
#include "weir.h"

enum { TASKS = 1000, ROUNDS = 6, MAX = 50, LANES = 4 };

/* A closed loop: each task takes, holds for so long, gives back, and asks again. What is looked at
 * are the waits from the second round on, when all have come. */
typedef struct loop {
    weir_runtime *runtime;
    weir_fake *fake;
    weir_pool *pool;
    uint64_t hold_ns;
    atomic_int running, failed;
    uint64_t asked_ns[TASKS][ROUNDS], granted_ns[TASKS][ROUNDS];
} loop;

typedef struct taker {
    loop *l;
    uint32_t number;
} taker;

static int take_again_and_again(void *arg)
{
    taker *t = arg;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        weir_scoped_lease weir_lease *lease = NULL;
        weir_timings timings;
        weir_scope scope = {.timings = &timings};
        if (weir_acquire(t->l->pool, &scope, &lease) != 0 || weir_sleep(t->l->hold_ns) != 0)
            atomic_fetch_add(&t->l->failed, 1);
        t->l->asked_ns[t->number][round] = timings.asked_ns;
        t->l->granted_ns[t->number][round] = timings.granted_ns;
    }
    atomic_fetch_sub(&t->l->running, 1);
    return 0;
}

static int close_when_done(void *arg)
{
    loop *l = arg;
    while (atomic_load(&l->running) > 0)
        weir_sleep(WEIR_MS(5));
    int r = weir_pool_close(l->pool);
    weir_runtime_stop(l->runtime);
    return r;
}

static int by_length(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

typedef struct spread {
    double p50, p99;
} spread;

enum { WAITS = TASKS * (ROUNDS - 1) };

static spread spread_of(uint64_t waits[WAITS])
{
    qsort(waits, WAITS, sizeof *waits, by_length);
    uint64_t p50 = waits[WAITS / 2], p99 = waits[WAITS * 99 / 100];
    return (spread){(double)p50, (double)p99};
}

static spread spread_in_time(const loop *l)
{
    static uint64_t waits_ns[WAITS];
    for (uint32_t i = 0; i < WAITS; i++) {
        uint32_t task = i / (ROUNDS - 1), round = 1 + i % (ROUNDS - 1);
        waits_ns[i] = l->granted_ns[task][round] - l->asked_ns[task][round];
    }
    return spread_of(waits_ns);
}

/* How many of `sorted` are at or before `at`. */
static uint64_t count_until(const uint64_t *sorted, uint32_t count, uint64_t at)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sorted[middle] <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A wait by how many others were granted in the meantime: of a machine that stands still for a
 * moment this knows nothing. */
static spread spread_in_turns(const loop *l)
{
    enum { GRANTS = TASKS * ROUNDS };
    static uint64_t granted_ns[GRANTS], turns[WAITS];
    memcpy(granted_ns, l->granted_ns, sizeof granted_ns);
    qsort(granted_ns, GRANTS, sizeof *granted_ns, by_length);
    for (uint32_t i = 0; i < WAITS; i++) {
        uint32_t task = i / (ROUNDS - 1), round = 1 + i % (ROUNDS - 1);
        turns[i] = count_until(granted_ns, GRANTS, l->granted_ns[task][round]) -
                   count_until(granted_ns, GRANTS, l->asked_ns[task][round]);
    }
    return spread_of(turns);
}

static void run_loop(loop *l, const weir_runtime_options *runtime)
{
    static taker takers[TASKS];
    uint32_t lanes = runtime->lanes ? runtime->lanes : 1;
    assert_int_equal(weir_fake_open(&l->fake), 0);
    assert_int_equal(weir_runtime_open(runtime, &l->runtime), 0);
    weir_pool_options options = {.driver = weir_fake_driver(),
                                 .driver_arg = l->fake,
                                 .max = MAX,
                                 .queue_max = 2 * TASKS,
                                 .shed_target_ns = WEIR_NEVER, /* all are to wait their turn */
                                 .seed = 1};
    assert_int_equal(weir_pool_open(l->runtime, &options, &l->pool, NULL), 0);
    atomic_store(&l->running, TASKS);
    for (uint32_t i = 0; i < TASKS; i++) {
        takers[i] = (taker){l, i};
        weir_lane *lane = weir_runtime_lane(l->runtime, i % lanes);
        assert_int_equal(weir_spawn_on(lane, take_again_and_again, &takers[i]), 0);
    }
    assert_int_equal(weir_spawn(close_when_done, l, NULL), 0);
    assert_int_equal(weir_runtime_run(l->runtime), 0);
    weir_runtime_close(l->runtime);
    assert_int_equal(weir_fake_counted(l->fake).open, 0);
    weir_fake_close(l->fake);
    assert_int_equal(atomic_load(&l->failed), 0);
}

static void a_thousand_tasks_on_fifty_connections_wait_about_as_long(void **state)
{
    static loop l = {.hold_ns = WEIR_MS(10)};
    run_loop(&l, &(weir_runtime_options){.virtual_time = true});
    spread s = spread_in_time(&l);
    print_message("%d tasks on %d connections wait for: p50 %.1f ms, p99 %.1f ms, p99/p50 %.2f\n",
                  TASKS, MAX, s.p50 / 1e6, s.p99 / 1e6, s.p99 / s.p50);
    assert_true(s.p99 <= 1.3 * s.p50);
}

static void tasks_of_several_lanes_wait_for_about_as_many_others(void **state)
{
    static loop l = {.hold_ns = WEIR_MS(10)};
    run_loop(&l, &(weir_runtime_options){.lanes = LANES});
    spread s = spread_in_turns(&l), t = spread_in_time(&l);
    print_message("%d tasks of %d lanes wait for: p50 %.0f others, p99 %.0f, p99/p50 %.2f; in time "
                  "p99/p50 %.2f\n",
                  TASKS, LANES, s.p50, s.p99, s.p99 / s.p50, t.p99 / t.p50);
    assert_true(s.p99 <= 1.3 * s.p50);
}

/* ---- A burst on a cold pool ---- */

typedef struct burst {
    weir_fake *fake;
    weir_pool *pool;
    uint64_t slowest_ns;
    weir_pool_stats stats;
} burst;

static const weir_statement select_one = {.sql = "select 1"};

static int ask_once(void *arg)
{
    burst *b = arg;
    uint64_t asked_ns = weir_now();
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(b->pool, NULL, &lease);
    if (r == 0)
        r = weir_query(lease, &select_one, NULL, NULL);
    if (weir_now() - asked_ns > b->slowest_ns)
        b->slowest_ns = weir_now() - asked_ns;
    return r;
}

static int ask_all_at_once(void *arg)
{
    burst *b = arg;
    weir_pool_options options = {
        .driver = weir_fake_driver(), .driver_arg = b->fake, .max = 50, .seed = 1};
    expect(weir_pool_open(NULL, &options, &b->pool, NULL) == 0);
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    for (int i = 0; i < 50; i++)
        expect(weir_group_spawn(&group, ask_once, b) == 0);
    expect(weir_group_wait(&group) == 0);
    weir_pool_stats_read(b->pool, &b->stats);
    return weir_pool_close(b->pool);
}

static void a_burst_on_a_cold_pool_opens_far_fewer_connections_than_it_might(void **state)
{
    burst b = {0};
    weir_fake_step dial = {.delay_ns = WEIR_MS(5)}, answer = {.delay_ns = WEIR_MS(1)};
    assert_int_equal(weir_fake_open(&b.fake), 0);
    assert_int_equal(weir_fake_script(b.fake, WEIR_FAKE_DIAL, 0, &dial), 0);
    assert_int_equal(weir_fake_answer(b.fake, NULL, 0, &answer), 0);
    assert_int_equal(run_virtually(ask_all_at_once, &b), 0);
    weir_fake_counts counts = weir_fake_counted(b.fake);
    weir_fake_close(b.fake);
    print_message("50 requests at once on a cold pool: %u connections open at most, %llu dials, "
                  "slowest answer after %.1f ms\n",
                  counts.open_most, (unsigned long long)counts.dials, (double)b.slowest_ns / 1e6);
    assert_true(counts.dials <= 25);
    assert_true(counts.open_most <= 25);
    assert_int_equal(b.stats.granted, 50);
}

/* ---- Who goes before ---- */

typedef struct queue {
    weir_fake *fake;
    weir_pool *pool;
    int ordinary[3], urgent;
} queue;

static int wait_in_line(void *arg)
{
    queue *q = arg;
    weir_scope scope = {.deadline_ns = weir_after(WEIR_MS(10))};
    weir_lease *lease = NULL;
    return weir_acquire(q->pool, &scope, &lease);
}

static int wait_urgently(void *arg)
{
    queue *q = arg;
    weir_scope scope = {.deadline_ns = weir_after(WEIR_MS(10)), .urgent = true};
    weir_lease *lease = NULL;
    return weir_acquire(q->pool, &scope, &lease);
}

static int fill_the_queue(void *arg)
{
    queue *q = arg;
    weir_pool_options options = {.driver = weir_fake_driver(),
                                 .driver_arg = q->fake,
                                 .max = 1,
                                 .queue_max = 3,
                                 .queue_reserve = 1};
    expect(weir_pool_open(NULL, &options, &q->pool, NULL) == 0);
    weir_lease *held = NULL;
    expect(weir_acquire(q->pool, NULL, &held) == 0);
    weir_task *waiters[2], *urgent = NULL;
    for (int i = 0; i < 2; i++)
        expect(weir_spawn(wait_in_line, q, &waiters[i]) == 0);
    weir_sleep(WEIR_MS(1));
    q->ordinary[2] = wait_in_line(q);
    expect(weir_spawn(wait_urgently, q, &urgent) == 0);
    expect(weir_join(urgent, &q->urgent) == 0);
    for (int i = 0; i < 2; i++)
        expect(weir_join(waiters[i], &q->ordinary[i]) == 0);
    weir_release(held);
    return weir_pool_close(q->pool);
}

static int fill_it_all(void *arg)
{
    queue *q = arg;
    enum { PLACES = 16 }; /* of which one would be kept */
    weir_pool_options options = {.driver = weir_fake_driver(),
                                 .driver_arg = q->fake,
                                 .max = 1,
                                 .queue_max = PLACES,
                                 .queue_reserve = WEIR_NO_RESERVE};
    weir_lease *held = NULL;
    weir_task *waiters[PLACES];
    expect(weir_pool_open(NULL, &options, &q->pool, NULL) == 0);
    expect(weir_acquire(q->pool, NULL, &held) == 0);
    for (int i = 0; i < PLACES; i++)
        expect(weir_spawn(wait_in_line, q, &waiters[i]) == 0);
    for (int i = 0; i < PLACES; i++) {
        int r = 0;
        expect(weir_join(waiters[i], &r) == 0 && r == WEIR_ETIMEDOUT);
    }
    weir_release(held);
    return weir_pool_close(q->pool);
}

static void a_queue_may_keep_no_place_for_the_urgent(void **state)
{
    queue q = {0};
    assert_int_equal(weir_fake_open(&q.fake), 0);
    assert_int_equal(run_virtually(fill_it_all, &q), 0);
    weir_fake_close(q.fake);
}

static void the_last_places_of_the_queue_are_for_the_urgent(void **state)
{
    queue q = {0};
    assert_int_equal(weir_fake_open(&q.fake), 0);
    assert_int_equal(run_virtually(fill_the_queue, &q), 0);
    weir_fake_close(q.fake);
    assert_int_equal(q.ordinary[0], WEIR_ETIMEDOUT);
    assert_int_equal(q.ordinary[1], WEIR_ETIMEDOUT);
    assert_int_equal(q.ordinary[2], WEIR_EQUEUEFULL);
    assert_int_equal(q.urgent, WEIR_ETIMEDOUT);
}

/* ---- While nobody asks ---- */

static int do_nothing_for_an_hour(void *arg)
{
    burst *b = arg;
    weir_pool_options options = {.driver = weir_fake_driver(),
                                 .driver_arg = b->fake,
                                 .max = 4,
                                 .min = 2,
                                 .max_lifetime_ns = WEIR_NEVER,
                                 .seed = 1};
    expect(weir_pool_open(NULL, &options, &b->pool, NULL) == 0);
    weir_sleep(WEIR_S(3600));
    weir_pool_stats_read(b->pool, &b->stats);
    return weir_pool_close(b->pool);
}

static void idle_connections_are_kept_alive(void **state)
{
    burst b = {0};
    assert_int_equal(weir_fake_open(&b.fake), 0);
    assert_int_equal(run_virtually(do_nothing_for_an_hour, &b), 0);
    weir_fake_counts counts = weir_fake_counted(b.fake);
    weir_fake_close(b.fake);
    assert_int_equal(counts.dials, 2);
    assert_int_equal(b.stats.idle, 2);
    /* Each every two minutes, or up to a tenth of that earlier. */
    assert_in_range(counts.checks, 2 * 29, 2 * 34);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_tasks_on_fifty_connections_wait_about_as_long),
        cmocka_unit_test(tasks_of_several_lanes_wait_for_about_as_many_others),
        cmocka_unit_test(the_last_places_of_the_queue_are_for_the_urgent),
        cmocka_unit_test(a_queue_may_keep_no_place_for_the_urgent),
        cmocka_unit_test(idle_connections_are_kept_alive),
        cmocka_unit_test(a_burst_on_a_cold_pool_opens_far_fewer_connections_than_it_might),
    };
    return cmocka_run_group_tests_name("pool_fairness", tests, NULL, NULL);
}
