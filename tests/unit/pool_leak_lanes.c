/* pool_leak_lanes.c: leases reclaimed while lanes pass their connections about, in real time. */
#include <stdatomic.h>

#include "../support/expect.h"
#include "driver.h"
#include "weir.h"

static const weir_statement select_one = {.sql = "select 1"}, slow = {.sql = "slow"};

enum { LANES = 3, TASKS = 12, ROUNDS = 200, MAX = 3, SERIALS = TASKS * ROUNDS * 4 };

typedef struct lanes {
    weir_runtime *runtime;
    weir_fake *fake;
    weir_pool *pool;
    atomic_int running, wrong, reclaimed, told;
    atomic_int users[SERIALS]; /* by connection serial */
    weir_pool_stats stats;
} lanes;

static void note_leak(void *arg, const weir_event *what)
{
    lanes *l = arg;
    if (what->kind == WEIR_LEASE_LEAKED)
        atomic_fetch_add(&l->told, 1);
}

static void use(lanes *l, weir_lease *lease, uint32_t round)
{
    atomic_int *users = &l->users[weir_lease_connection(lease) % SERIALS];
    if (round % 4 == 0)
        weir_sleep(WEIR_US(300));
    if (atomic_fetch_add(users, 1) != 0)
        atomic_fetch_add(&l->wrong, 1);
    int r = weir_query(lease, round % 5 ? &select_one : &slow, NULL, NULL);
    if (r == WEIR_ERECLAIMED)
        atomic_fetch_add(&l->reclaimed, 1);
    else if (r != 0)
        atomic_fetch_add(&l->wrong, 1);
    atomic_fetch_sub(users, 1);
    /* Of an answer in time it may still be told before its taker looks. */
    if (r < 0 && weir_lease_error(lease)->code != r)
        atomic_fetch_add(&l->wrong, 1);
}

static int use_and_lose(void *arg)
{
    lanes *l = arg;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        weir_scoped_lease weir_lease *lease = NULL;
        if (weir_acquire(l->pool, NULL, &lease) == 0)
            use(l, lease, i);
        else
            atomic_fetch_add(&l->wrong, 1);
    }
    atomic_fetch_sub(&l->running, 1);
    return 0;
}

static int close_when_done(void *arg)
{
    lanes *l = arg;
    while (atomic_load(&l->running) > 0)
        weir_sleep(WEIR_MS(1));
    weir_pool_stats_read(l->pool, &l->stats);
    if (weir_pool_close(l->pool) != 0)
        atomic_fetch_add(&l->wrong, 1);
    weir_runtime_stop(l->runtime);
    return 0;
}

static void open_lanes(lanes *l, const weir_driver *driver, uint32_t count, uint32_t max,
                       uint64_t leak_after_ns)
{
    assert_int_equal(weir_fake_open(&l->fake), 0);
    assert_int_equal(weir_runtime_open(&(weir_runtime_options){.lanes = count}, &l->runtime), 0);
    weir_pool_options options = {.driver = driver,
                                 .driver_arg = l->fake,
                                 .max = max,
                                 .shed_target_ns = WEIR_NEVER,
                                 .leak_after_ns = leak_after_ns,
                                 .reclaim_leaked = true,
                                 .on_event = note_leak,
                                 .on_event_arg = l};
    assert_int_equal(weir_pool_open(l->runtime, &options, &l->pool, NULL), 0);
}

static void run_lanes(lanes *l)
{
    assert_int_equal(weir_spawn(close_when_done, l, NULL), 0);
    assert_int_equal(weir_runtime_run(l->runtime), 0);
    weir_runtime_close(l->runtime);
    assert_int_equal(weir_fake_counted(l->fake).open, 0);
    weir_fake_close(l->fake);
    assert_int_equal(atomic_load(&l->wrong), 0);
    assert_int_equal(l->stats.granted, l->stats.released);
    assert_int_equal(l->stats.leaked_out, 0);
    assert_int_equal(l->stats.leaked, l->stats.retired[WEIR_RETIRE_LEAKED]);
    assert_int_equal(l->stats.leaked, atomic_load(&l->told));
}

static void leases_reclaimed_on_several_lanes_cross_nobody(void **state)
{
    static lanes l;
    weir_fake_step delay = {.delay_ns = WEIR_MS(1)}, brief = {.delay_ns = WEIR_US(50)};
    open_lanes(&l, weir_fake_driver(), LANES, MAX, WEIR_US(400));
    assert_int_equal(weir_fake_answer(l.fake, "slow", 0, &delay), 0);
    assert_int_equal(weir_fake_answer(l.fake, NULL, 0, &brief), 0);
    atomic_store(&l.running, TASKS);
    for (uint32_t i = 0; i < TASKS; i++)
        assert_int_equal(weir_spawn_on(weir_runtime_lane(l.runtime, i % LANES), use_and_lose, &l),
                         0);
    run_lanes(&l);
    assert_true(atomic_load(&l.reclaimed) > 0);
}

static uint64_t leaked(lanes *l)
{
    weir_pool_stats stats;
    weir_pool_stats_read(l->pool, &stats);
    return stats.leaked;
}

/* Takes the one connection, tells so, and gives it to the first who waits for it. */
static void take_and_hand_on(lanes *l)
{
    weir_lease *lease = NULL;
    weir_pool_gauge gauge = {0};
    if (weir_acquire(l->pool, NULL, &lease) != 0)
        atomic_fetch_add(&l->wrong, 1);
    atomic_fetch_sub(&l->running, 1);
    while (gauge.waiting == 0) {
        weir_sleep(WEIR_US(100));
        weir_pool_gauge_read(l->pool, &gauge);
    }
    weir_release(lease);
}

/* The first lane gives its connection to a taker of the second, and is then too busy to let it go
 * before the lease has leaked. */
static int release_and_block(void *arg)
{
    lanes *l = arg;
    take_and_hand_on(l);
    for (int i = 0; i < 5000 && leaked(l) == 0; i++) {
        usleep(1000);
        /* Makes the core look at its clock, and does not suspend. */
        weir_scope at_once = {.deadline_ns = weir_now()};
        weir_lease *lease = NULL;
        if (weir_acquire(l->pool, &at_once, &lease) != WEIR_ETIMEDOUT)
            atomic_fetch_add(&l->wrong, 1);
    }
    atomic_fetch_sub(&l->running, 1);
    return 0;
}

static int take_what_moves(void *arg)
{
    lanes *l = arg;
    weir_lease *lease = NULL;
    while (atomic_load(&l->running) > 2)
        weir_sleep(WEIR_US(100));
    if (weir_acquire(l->pool, NULL, &lease) != 0)
        atomic_fetch_add(&l->wrong, 1);
    if (weir_query(lease, &select_one, NULL, NULL) != WEIR_ERECLAIMED ||
        weir_lease_connection(lease) != 1)
        atomic_fetch_add(&l->wrong, 1);
    weir_release(lease);
    atomic_fetch_sub(&l->running, 1);
    return 0;
}

static void a_lease_reclaimed_while_its_connection_is_moving_hears_of_it(void **state)
{
    static lanes l;
    open_lanes(&l, weir_fake_driver(), 2, 1, WEIR_MS(400)); /* more than it takes to come so far */
    atomic_store(&l.running, 3);
    weir_lane *first = weir_runtime_lane(l.runtime, 0), *second = weir_runtime_lane(l.runtime, 1);
    assert_int_equal(weir_spawn_on(first, release_and_block, &l), 0);
    assert_int_equal(weir_spawn_on(second, take_what_moves, &l), 0);
    run_lanes(&l);
    assert_int_equal(l.stats.leaked, 1);
}

/* The connection is on its way, and the order to close it comes first. */
static lanes slow_move;

static void detach_slowly(weir_connection *c)
{
    for (int i = 0; i < 5000 && leaked(&slow_move) == 0; i++)
        usleep(1000);
    usleep(20000);
    weir_fake_driver()->detach(c);
}

static void close_where_it_is(weir_connection *c)
{
    if (c->lane != weir_lane_self())
        atomic_fetch_add(&slow_move.wrong, 1);
    weir_fake_driver()->close(c);
}

static int release_to_the_other_lane(void *arg)
{
    lanes *l = arg;
    take_and_hand_on(l);
    atomic_fetch_sub(&l->running, 1);
    return 0;
}

static int look_at_the_clock(void *arg)
{
    lanes *l = arg;
    for (int i = 0; i < 5000 && leaked(l) == 0; i++) {
        weir_scope at_once = {.deadline_ns = weir_now()};
        weir_lease *lease = NULL;
        weir_acquire(l->pool, &at_once, &lease);
        weir_sleep(WEIR_MS(1));
    }
    return 0;
}

static void an_order_to_close_waits_for_the_connection_to_arrive(void **state)
{
    lanes *l = &slow_move;
    weir_driver driver = *weir_fake_driver();
    driver.detach = detach_slowly;
    driver.close = close_where_it_is;
    open_lanes(l, &driver, 2, 1, WEIR_MS(400)); /* more than it takes to come so far */
    atomic_store(&l->running, 3);
    weir_lane *first = weir_runtime_lane(l->runtime, 0), *second = weir_runtime_lane(l->runtime, 1);
    assert_int_equal(weir_spawn_on(first, release_to_the_other_lane, l), 0);
    assert_int_equal(weir_spawn_on(second, take_what_moves, l), 0);
    assert_int_equal(weir_spawn_on(second, look_at_the_clock, l), 0);
    run_lanes(l);
    assert_int_equal(l->stats.leaked, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_reclaimed_while_its_connection_is_moving_hears_of_it),
        cmocka_unit_test(an_order_to_close_waits_for_the_connection_to_arrive),
        cmocka_unit_test(leases_reclaimed_on_several_lanes_cross_nobody),
    };
    return cmocka_run_group_tests_name("pool_leak_lanes", tests, NULL, NULL);
}
