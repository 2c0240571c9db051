/* advice.c (test): Erlang's formulas, the spans of load they are fed with, and the size a pool is
 * told to have, against queues that really run, in virtual time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../support/expect.h"
#include "erlang.h"
#include "load.h"

/* ---- The formulas ---- */

static double erlang_c(double erlangs, uint32_t connections)
{
    double blocked = 1;
    for (uint32_t i = 1; i <= connections; i++)
        blocked = erlang_b_next(blocked, erlangs, i);
    return erlang_c_of_b(blocked, erlangs, connections);
}

/* As Erlang wrote it, term by term. */
static double c_by_sums(double erlangs, uint32_t connections)
{
    long double term = 1, sum = 0;
    for (uint32_t k = 0; k < connections; k++) {
        sum += term;
        term *= (long double)erlangs / (k + 1);
    }
    term *= connections / (connections - (long double)erlangs);
    return (double)(term / (sum + term));
}

static void who_waits_is_as_in_the_tables(void **state)
{
    assert_float_equal(erlang_c(0.5, 1), 0.5, 1e-12);
    assert_float_equal(erlang_c(1, 2), 1.0 / 3, 1e-12);
    assert_float_equal(erlang_c(2, 3), 4.0 / 9, 1e-12);
    assert_float_equal(erlang_c(4, 5), 0.5541, 5e-5);
    assert_float_equal(erlang_c(8, 10), 0.4092, 5e-5);
}

static void who_waits_is_as_by_the_sums(void **state)
{
    for (uint32_t connections = 1; connections <= 200; connections++)
        for (int part = 1; part < 20; part++) {
            double erlangs = part / 20.0 * connections;
            double expected = c_by_sums(erlangs, connections);
            double relative = fabs(erlang_c(erlangs, connections) - expected) / expected;
            assert_true(relative < 1e-9);
        }
}

static void the_formula_stays_in_range_for_any_size(void **state)
{
    for (uint32_t connections = 1; connections <= 100000; connections *= 10)
        for (int exponent = -6; exponent < 6; exponent++) {
            double erlangs = pow(10, exponent);
            double c = erlang_c(erlangs, connections);
            assert_true(c >= 0 && c <= 1);
            if (erlangs >= connections)
                assert_true(c == 1);
        }
}

static void lateness_falls_off_as_with_one_connection(void **state)
{
    for (int wait = 0; wait < 5; wait++)
        assert_float_equal(erlang_late(erlang_c(0.8, 1), 0.8, 1, wait), 0.8 * exp(-0.2 * wait),
                           1e-12);
    assert_float_equal(erlang_late(1, 3, 2, 10), 1, 1e-12);
}

/* ---- The spans ---- */

static void busy_time_goes_to_the_spans_it_was_in(void **state)
{
    load l;
    load_span spans[LOAD_SPANS];
    load_begin(&l, WEIR_S(1000));
    load_taken(&l, WEIR_S(1005));
    load_granted(&l, WEIR_S(1005));
    load_ended(&l, WEIR_S(27), WEIR_S(1032));
    assert_int_equal(load_read(&l, WEIR_S(1034), spans), 3);
    assert_int_equal(spans[0].length_ns, WEIR_S(10));
    assert_int_equal(spans[0].busy_ns, WEIR_S(5));
    assert_int_equal(spans[0].takes, 1);
    assert_int_equal(spans[1].busy_ns, WEIR_S(10));
    assert_int_equal(spans[2].length_ns, WEIR_S(14));
    assert_int_equal(spans[2].busy_ns, WEIR_S(12));
    assert_int_equal(spans[2].ended, 1);
    assert_int_equal(spans[2].used_ns, WEIR_S(27));
}

static void leases_not_yet_given_back_count_until_now(void **state)
{
    load l;
    load_span spans[LOAD_SPANS];
    load_begin(&l, 0);
    load_granted(&l, WEIR_S(1));
    load_granted(&l, WEIR_S(2));
    assert_int_equal(load_read(&l, WEIR_S(4), spans), 1);
    assert_int_equal(spans[0].length_ns, WEIR_S(4));
    assert_int_equal(spans[0].busy_ns, WEIR_S(5));
}

static void only_the_last_five_minutes_are_kept(void **state)
{
    load l;
    load_span spans[LOAD_SPANS];
    load_begin(&l, 0);
    for (uint64_t s = 0; s < 1000; s++)
        load_taken(&l, WEIR_S(s));
    uint32_t count = load_read(&l, WEIR_S(1000), spans);
    uint64_t takes = 0, length_ns = 0;
    for (uint32_t i = 0; i < count; i++) {
        takes += spans[i].takes;
        length_ns += spans[i].length_ns;
    }
    assert_int_equal(length_ns, WEIR_S(290));
    assert_int_equal(takes, 290);
}

static void of_a_lease_only_the_last_five_minutes_count(void **state)
{
    load l;
    load_span spans[LOAD_SPANS];
    load_begin(&l, 0);
    load_granted(&l, 0);
    load_ended(&l, WEIR_S(3600), WEIR_S(3600));
    uint32_t count = load_read(&l, WEIR_S(3601), spans);
    assert_int_equal(spans[count - 1].ended, 1);
    assert_int_equal(spans[count - 1].used_ns, LOAD_KEPT_NS);
}

static void a_long_rest_leaves_empty_spans(void **state)
{
    load l;
    load_span spans[LOAD_SPANS];
    load_begin(&l, 0);
    load_taken(&l, WEIR_S(1));
    load_granted(&l, WEIR_S(1));
    uint32_t count = load_read(&l, WEIR_S(86400), spans);
    assert_int_equal(count, LOAD_SPANS - 1);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(spans[i].takes, 0);
        assert_int_equal(spans[i].busy_ns, spans[i].length_ns); /* it is out all that time */
    }
}

/* ---- The advice ---- */

/* Takes at random, each for a random time, one kind of load after the other. */
typedef struct phase {
    double takes_per_s, use_s;
    uint64_t length_ns;
} phase;

typedef struct queue {
    weir_fake *fake;
    weir_pool *pool;
    weir_pool_options options;
    phase phases[3];
    uint64_t patience_ns; /* 0: for ever */
    uint32_t held;        /* connections taken at first and kept */
    uint64_t random;
    uint32_t takes, late, refused;
    weir_advice advice;
} queue;

typedef struct user {
    queue *q;
    uint64_t use_ns;
} user;

/* xorshift64*; strictly between 0 and 1. */
static double random_share(queue *q)
{
    q->random ^= q->random >> 12;
    q->random ^= q->random << 25;
    q->random ^= q->random >> 27;
    return ((double)(q->random * 2685821657736338717u >> 11) + 0.5) / 9007199254740992.0;
}

static uint64_t exponential(queue *q, double mean_s)
{
    return (uint64_t)(-log(random_share(q)) * mean_s * 1e9);
}

static int use_once(void *arg)
{
    user u = *(user *)arg;
    free(arg);
    weir_scoped_lease weir_lease *lease = NULL;
    weir_scope scope = {.deadline_ns = u.q->patience_ns ? weir_after(u.q->patience_ns) : 0};
    uint64_t asked_ns = weir_now();
    int r = weir_acquire(u.q->pool, &scope, &lease);
    u.q->late += weir_now() - asked_ns > u.q->options.wait_target_ns;
    u.q->refused += r < 0;
    return r < 0 ? r : weir_sleep(u.use_ns);
}

static void run_phase(queue *q, const phase *p, weir_group *users)
{
    uint64_t end_ns = weir_after(p->length_ns);
    for (;;) {
        uint64_t pause_ns = exponential(q, 1 / p->takes_per_s);
        if (weir_now() + pause_ns >= end_ns)
            break;
        expect(weir_sleep(pause_ns) == 0);
        user *u = malloc(sizeof *u);
        *u = (user){q, exponential(q, p->use_s)};
        expect(weir_group_spawn(users, use_once, u) == 0);
        q->takes++;
    }
    expect(weir_sleep(end_ns - weir_now()) == 0);
}

static int play(void *arg)
{
    queue *q = arg;
    q->options.driver = weir_fake_driver();
    q->options.driver_arg = q->fake;
    q->options.seed = 1;
    q->options.queue_max = 100000;
    if (!q->options.reclaim_leaked)
        q->options.leak_after_ns = WEIR_NEVER;
    q->options.shed_target_ns = WEIR_NEVER;
    expect(weir_pool_open(NULL, &q->options, &q->pool, NULL) == 0);
    weir_lease *kept[8];
    for (uint32_t i = 0; i < q->held; i++)
        expect(weir_acquire(q->pool, NULL, &kept[i]) == 0);
    weir_scoped_group users = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    for (uint32_t i = 0; i < 3 && q->phases[i].length_ns; i++)
        run_phase(q, &q->phases[i], &users);
    weir_pool_advise(q->pool, &q->advice);
    weir_group_wait(&users);
    for (uint32_t i = 0; i < q->held; i++)
        weir_release(kept[i]);
    return weir_pool_close(q->pool);
}

static void run_queue(queue *q)
{
    q->random = 88172645463325252u;
    if (!q->options.wait_target_ns)
        q->options.wait_target_ns = WEIR_MS(10);
    assert_int_equal(weir_fake_open(&q->fake), 0);
    weir_runtime_options options = {.virtual_time = true};
    int r = weir_run(&options, play, q);
    weir_fake_close(q->fake);
    assert_expectations();
    assert_int_equal(r, 0);
}

static double late_share_with(uint32_t max)
{
    queue q = {.options.max = max, .phases = {{240, 0.0124, WEIR_S(300)}}};
    run_queue(&q);
    return (double)q.late / q.takes;
}

static void a_pool_of_the_advised_size_keeps_the_target(void **state)
{
    queue q = {.options.max = 20, .phases = {{240, 0.0124, WEIR_S(300)}}};
    run_queue(&q);
    print_message("%s\n", q.advice.reason);
    assert_true(fabs(q.advice.takes_per_s - 240) < 5);
    assert_true(fabs((double)q.advice.use_mean_ns / 12.4e6 - 1) < 0.03);
    assert_true(fabs(q.advice.busy_mean - 240 * 0.0124) < 0.1);
    assert_in_range(q.advice.max, 6, 9);
    assert_true(late_share_with(q.advice.max) < 0.012);
    assert_true(late_share_with(q.advice.max - 1) > 0.008);
    assert_true(late_share_with(q.advice.max - 2) > 0.02);
}

static void queues_wait_as_the_formula_says(void **state)
{
    for (uint32_t max = 4; max <= 7; max++) {
        double erlangs = 240 * 0.0124;
        double expected = erlang_late(erlang_c(erlangs, max), erlangs, max, 10 / 12.4);
        double seen = late_share_with(max);
        print_message("%u connections: %.4f late, by the formula %.4f\n", max, seen, expected);
        assert_true(fabs(seen - expected) < 0.003 + 0.1 * expected);
    }
}

static void a_pool_that_is_far_too_small_is_told_what_it_needs(void **state)
{
    queue q = {.options.max = 2, .phases = {{600, 0.01, WEIR_S(60)}}, .patience_ns = WEIR_MS(100)};
    run_queue(&q);
    print_message("%s\n", q.advice.reason);
    assert_true(q.refused > q.takes / 2);
    assert_true(fabs(q.advice.busy_mean - 2) < 0.1);
    assert_true(fabs(q.advice.takes_per_s - 600) < 15);
    assert_in_range(q.advice.max, 8, 14);
    assert_non_null(strstr(q.advice.reason, "refused"));
    assert_non_null(strstr(q.advice.reason, "the pool has 2"));
}

static void a_burst_is_sized_for_and_not_averaged_away(void **state)
{
    queue q = {
        .options.max = 50,
        .phases = {{20, 0.01, WEIR_S(200)}, {2000, 0.01, WEIR_S(30)}, {20, 0.01, WEIR_S(50)}}};
    run_queue(&q);
    print_message("%s\n", q.advice.reason);
    assert_true(q.advice.busy_mean < 4);
    assert_in_range(q.advice.max, 22, 34);
}

static void connections_that_are_out_for_long_are_counted_on_top(void **state)
{
    queue q = {.options.max = 12, .phases = {{50, 0.002, WEIR_S(60)}}, .held = 5};
    run_queue(&q);
    print_message("%s\n", q.advice.reason);
    assert_in_range(q.advice.max, 6, 7);
}

static void a_reclaimed_lease_keeps_no_connection(void **state)
{
    queue q = {.options = {.max = 12, .reclaim_leaked = true, .leak_after_ns = WEIR_S(1)},
               .phases = {{50, 0.002, WEIR_S(60)}},
               .held = 5};
    run_queue(&q);
    assert_true(q.advice.busy_mean < 0.3);
    assert_in_range(q.advice.max, 1, 2);
}

static void more_than_any_server_takes_is_not_advised(void **state)
{
    queue q = {.options.max = 1000, .phases = {{2000, 10, WEIR_S(20)}}, .patience_ns = WEIR_US(1)};
    run_queue(&q);
    print_message("%s\n", q.advice.reason);
    assert_int_equal(q.advice.max, 10000);
    assert_non_null(strstr(q.advice.reason, "not even 10000"));
}

static void with_little_known_nothing_is_advised(void **state)
{
    queue few = {.options.max = 2, .phases = {{1, 0.01, WEIR_S(30)}}};
    run_queue(&few);
    assert_int_equal(few.advice.max, 0);
    assert_non_null(strstr(few.advice.reason, "too little is known"));
    queue brief = {.options.max = 2, .phases = {{1000, 0.001, WEIR_S(5)}}};
    run_queue(&brief);
    print_message("%s\n", brief.advice.reason);
    assert_int_equal(brief.advice.max, 0);
    assert_true(brief.advice.takes_per_s > 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_is_as_in_the_tables),
        cmocka_unit_test(who_waits_is_as_by_the_sums),
        cmocka_unit_test(the_formula_stays_in_range_for_any_size),
        cmocka_unit_test(lateness_falls_off_as_with_one_connection),
        cmocka_unit_test(busy_time_goes_to_the_spans_it_was_in),
        cmocka_unit_test(leases_not_yet_given_back_count_until_now),
        cmocka_unit_test(only_the_last_five_minutes_are_kept),
        cmocka_unit_test(of_a_lease_only_the_last_five_minutes_count),
        cmocka_unit_test(a_long_rest_leaves_empty_spans),
        cmocka_unit_test(a_pool_of_the_advised_size_keeps_the_target),
        cmocka_unit_test(queues_wait_as_the_formula_says),
        cmocka_unit_test(a_pool_that_is_far_too_small_is_told_what_it_needs),
        cmocka_unit_test(a_burst_is_sized_for_and_not_averaged_away),
        cmocka_unit_test(connections_that_are_out_for_long_are_counted_on_top),
        cmocka_unit_test(a_reclaimed_lease_keeps_no_connection),
        cmocka_unit_test(more_than_any_server_takes_is_not_advised),
        cmocka_unit_test(with_little_known_nothing_is_advised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
