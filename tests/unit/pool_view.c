/* pool_view.c: who holds a pool's connections, who waits, and for how long, as anybody may ask. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "../support/diagnosis_world.h"

/* ---- Who holds, and who waits ---- */

static void look_at_leases(world *w)
{
    answer_slowly(w, WEIR_S(20));
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder idle = {.w = w, .label = "idle", .keep_ns = WEIR_S(30)};
    holder named = {.w = w, .label = "named", .statement = &report};
    holder other = {.w = w, .label = "nameless", .statement = &nameless};
    start(&group, &idle);
    weir_sleep(WEIR_S(1));
    start(&group, &named);
    weir_sleep(WEIR_S(1));
    start(&group, &other);
    weir_sleep(WEIR_S(1));
    weir_lease_info l[4];
    expect(weir_pool_leases(w->pool, l, 4) == 3);
    expect(strcmp(l[0].label, "idle") == 0 && l[0].age_ns == WEIR_S(3));
    expect(!l[0].running && l[0].query_ns == 0 && l[0].query[0] == '\0');
    expect(strcmp(l[1].label, "named") == 0 && l[1].age_ns == WEIR_S(2));
    expect(l[1].running && l[1].query_ns == WEIR_S(2));
    expect(strcmp(l[1].query, "report.sql") == 0);
    expect(strcmp(l[1].trace_id, "trace") == 0);
    expect(strcmp(l[2].query, nameless.sql) == 0 && l[2].query_ns == WEIR_S(1));
    for (int i = 0; i < 3; i++) {
        expect(strstr(l[i].where, "diagnosis_world.h:"));
        expect(l[i].transaction && l[i].transaction[0]);
        expect(l[i].backend_pid > 0 && l[i].connection > 0);
    }
    expect(weir_pool_leases(w->pool, l, 1) == 1 && strcmp(l[0].label, "idle") == 0);
    expect(weir_pool_leases(w->pool, l, 0) == 0);
}

static void look_at_a_long_path(world *w)
{
    weir_lease *lease = NULL;
    weir_lease_info info;
    expect(weir_acquire_at(w->pool, NULL,
                           "/a/very/long/path/to/a/source/tree/of/somebody/with/deep/folders/"
                           "handlers.c:123",
                           &lease) == 0);
    expect(weir_pool_leases(w->pool, &info, 1) == 1);
    expect(strlen(info.where) == WEIR_LABEL_MAX - 1);
    expect(strcmp(info.where + strlen(info.where) - 14, "handlers.c:123") == 0);
    weir_release(lease);
}

static void of_a_long_path_the_end_is_told(void **state)
{
    world w = {0};
    play(&w, look_at_a_long_path);
}

static void leases_are_told_oldest_first_with_what_they_run(void **state)
{
    world w = {0};
    play(&w, look_at_leases);
}

static void look_at_waiters(world *w)
{
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder holds = {.w = w, .keep_ns = WEIR_S(30)};
    holder first = {.w = w, .label = "first"};
    holder second = {.w = w, .label = "second", .patience_ns = WEIR_S(5)};
    start(&group, &holds);
    weir_sleep(WEIR_S(1));
    start(&group, &first);
    weir_sleep(WEIR_S(1));
    start(&group, &second);
    weir_sleep(WEIR_S(2));
    weir_waiter_info all[3];
    expect(weir_pool_waiters(w->pool, all, 3) == 2);
    expect(strcmp(all[0].label, "first") == 0 && all[0].waited_ns == WEIR_S(3));
    expect(all[0].left_ns == WEIR_NEVER);
    expect(strcmp(all[1].label, "second") == 0 && all[1].waited_ns == WEIR_S(2));
    expect(all[1].left_ns == WEIR_S(3) && strcmp(all[1].trace_id, "trace") == 0);
    expect(weir_pool_waiters(w->pool, all, 1) == 1);
    expect(strcmp(all[0].label, "first") == 0);
}

static void waiters_are_told_longest_waiting_first(void **state)
{
    world w = {.options = {.max = 1, .shed_target_ns = WEIR_NEVER}};
    play(&w, look_at_waiters);
}

/* ---- How long a wait may be expected to be ---- */

static void look_ahead(world *w)
{
    expect(weir_pool_expected_wait(w->pool) == 0);
    dial_so(w, 1, WEIR_FAKE_OK, WEIR_MS(30), "");
    know_the_usual(w);
    expect(weir_pool_expected_wait(w->pool) == 0);
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder holders[8];
    for (int i = 0; i < 8; i++) {
        holders[i] = (holder){.w = w, .keep_ns = WEIR_MS(4)};
        start(&group, &holders[i]);
    }
    weir_sleep(WEIR_MS(1));
    weir_pool_stats s;
    weir_pool_stats_read(w->pool, &s);
    expect(s.in_use == 2 && s.waiting == 6);
    uint64_t wait_ns = weir_pool_expected_wait(w->pool); /* 7 × 4 ms / 2 */
    expect(wait_ns > WEIR_MS(13) && wait_ns < WEIR_MS(15));
    weir_group_wait(&group);
    weir_fake_lose_idle(w->fake);
    weir_sleep(WEIR_MS(1));
    wait_ns = weir_pool_expected_wait(w->pool); /* a dial took 30 ms once, and nothing once */
    expect(wait_ns > WEIR_MS(20) && wait_ns <= WEIR_MS(30));
}

static void the_expected_wait_is_that_of_the_queue_or_of_a_dial(void **state)
{
    world w = {.options.max = 2};
    play(&w, look_ahead);
}

/* ---- From other threads ---- */

typedef struct crowd {
    weir_runtime *runtime;
    weir_pool *pool;
    atomic_uint running;
} crowd;

static int use_often(void *arg)
{
    crowd *c = arg;
    for (int i = 0; i < 300; i++) {
        weir_scoped_lease weir_lease *lease = NULL;
        weir_scope scope = {.label = "crowd", .trace_id = "one of many"};
        int r = weir_acquire(c->pool, &scope, &lease);
        expect(r == 0);
        if (r < 0)
            break;
        weir_scoped_result weir_result *result = NULL;
        expect(weir_query(lease, i % 2 ? &report : &nameless, NULL, &result) == 0);
        expect(weir_yield() == 0);
    }
    if (atomic_fetch_sub(&c->running, 1) == 1) {
        expect(weir_pool_close(c->pool) == 0);
        weir_runtime_stop(c->runtime);
    }
    return 0;
}

static void *run_crowd(void *arg)
{
    expect(weir_runtime_run(((crowd *)arg)->runtime) == 0);
    return NULL;
}

static void look_around(weir_pool *pool)
{
    weir_diagnosis diagnosis;
    weir_advice advice;
    weir_lease_info leases[8];
    weir_waiter_info waiters[8];
    weir_pool_diagnose(pool, 0, &diagnosis);
    weir_pool_advise(pool, &advice);
    expect(diagnosis.verdict < WEIR_VERDICT_COUNT && advice.reason[0]);
    uint32_t count = weir_pool_leases(pool, leases, 8);
    for (uint32_t i = 0; i < count; i++) {
        expect(strcmp(leases[i].label, "crowd") == 0);
        expect(!leases[i].query[0] || strcmp(leases[i].query, report.name) == 0 ||
               strcmp(leases[i].query, nameless.sql) == 0);
    }
    count = weir_pool_waiters(pool, waiters, 8);
    for (uint32_t i = 0; i < count; i++)
        expect(strcmp(waiters[i].trace_id, "one of many") == 0);
}

/* The pool goes once the last of the crowd has finished: one member of it is kept back until the
 * looking is done. */
static void any_thread_may_ask_while_lanes_are_at_work(void **state)
{
    crowd c = {.running = 21};
    weir_fake *fake;
    pthread_t thread;
    weir_runtime_options options = {.lanes = 2};
    assert_int_equal(weir_fake_open(&fake), 0);
    assert_int_equal(weir_runtime_open(&options, &c.runtime), 0);
    /* However slow the machine, nobody is turned away. */
    weir_pool_options pool = {
        .driver = weir_fake_driver(), .driver_arg = fake, .max = 3, .shed_target_ns = WEIR_NEVER};
    assert_int_equal(weir_pool_open(c.runtime, &pool, &c.pool, NULL), 0);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(weir_spawn_on(weir_runtime_lane(c.runtime, i % 2), use_often, &c), 0);
    assert_int_equal(pthread_create(&thread, NULL, run_crowd, &c), 0);
    while (atomic_load(&c.running) > 1) {
        look_around(c.pool);
        usleep(200); /* the lanes are to get on with it, where threads take turns */
    }
    assert_int_equal(weir_spawn_on(weir_runtime_lane(c.runtime, 0), use_often, &c), 0);
    pthread_join(thread, NULL);
    weir_runtime_close(c.runtime);
    weir_fake_close(fake);
    assert_expectations();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_long_path_the_end_is_told),
        cmocka_unit_test(leases_are_told_oldest_first_with_what_they_run),
        cmocka_unit_test(waiters_are_told_longest_waiting_first),
        cmocka_unit_test(the_expected_wait_is_that_of_the_queue_or_of_a_dial),
        cmocka_unit_test(any_thread_may_ask_while_lanes_are_at_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
