/* pool_overload.c: a pool at ten times its capacity, in virtual time: who is let through is in
 * time.
 *
 * Ten connections and queries of 10 ms make 1000 a second. Requests come at an even rate whatever
 * becomes of those before them (an open loop), each with 300 ms for its wait and its query. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weir.h"

#define CAPACITY_PER_S 1000u
#define QUERY_NS       WEIR_MS(10)
#define PATIENCE_NS    WEIR_MS(300)
#define WARM_UP_NS     WEIR_S(3)
#define MEASURED_NS    WEIR_S(5)
#define ANSWERS_MAX    (2 * CAPACITY_PER_S * (MEASURED_NS / WEIR_S(1)))

typedef struct world {
    weir_pool *pool;
    weir_pool_options options;
    uint32_t rate_per_s;
    uint64_t measured_from_ns, measured_until_ns;
    uint32_t good, cut, shed, timed_out, other;
    uint64_t took_ns[ANSWERS_MAX]; /* those that were let through */
    uint32_t let_through;
    uint64_t expected_most_ns;
} world;

static const weir_statement select_one = {.sql = "select 1"};

static int request(world *w)
{
    weir_scoped_timeout(all_of_it, PATIENCE_NS);
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(w->pool, NULL, &lease);
    if (r < 0)
        return r;
    weir_scoped_result weir_result *rows = NULL;
    r = weir_query(lease, &select_one, NULL, &rows);
    return r < 0 ? 1 : 0;
}

static void count_refusal(world *w, int r)
{
    uint64_t expected_ns = weir_pool_expected_wait(w->pool);
    if (expected_ns > w->expected_most_ns)
        w->expected_most_ns = expected_ns;
    switch (r) {
    case WEIR_ESHED: w->shed++; break;
    case WEIR_ETIMEDOUT: w->timed_out++; break;
    default: w->other++;
    }
}

static int client(void *arg)
{
    world *w = arg;
    uint64_t asked_ns = weir_now();
    int r = request(w);
    if (asked_ns < w->measured_from_ns || asked_ns >= w->measured_until_ns)
        return 0;
    if (r < 0) {
        count_refusal(w, r);
        return 0;
    }
    if (r == 0)
        w->good++;
    else
        w->cut++;
    if (w->let_through < ANSWERS_MAX)
        w->took_ns[w->let_through++] = weir_now() - asked_ns;
    return 0;
}

static int load(void *arg)
{
    world *w = arg;
    weir_fake_step answer = {.delay_ns = QUERY_NS};
    weir_fake *fake = w->options.driver_arg;
    int r = weir_fake_answer(fake, NULL, 0, &answer);
    if (r == 0)
        r = weir_pool_open(NULL, &w->options, &w->pool, NULL);
    if (r < 0)
        return r;
    w->measured_from_ns = weir_after(WARM_UP_NS);
    w->measured_until_ns = w->measured_from_ns + MEASURED_NS;
    while (r == 0 && weir_now() < w->measured_until_ns) {
        r = weir_spawn(client, w, NULL);
        if (r == 0)
            r = weir_sleep(WEIR_S(1) / w->rate_per_s);
    }
    if (r == 0)
        r = weir_sleep(PATIENCE_NS); /* the last of them come to their end */
    int closed = weir_pool_close(w->pool);
    return r < 0 ? r : closed;
}

/* Requests answered well a second, at `times` the capacity. */
static uint32_t goodput(world *w, uint32_t times, uint64_t shed_target_ns)
{
    weir_fake *fake = NULL;
    assert_int_equal(weir_fake_open(&fake), 0);
    memset(w, 0, sizeof *w);
    w->rate_per_s = times * CAPACITY_PER_S;
    w->options = (weir_pool_options){.driver = weir_fake_driver(),
                                     .driver_arg = fake,
                                     .max = CAPACITY_PER_S * QUERY_NS / WEIR_S(1),
                                     .queue_max = 100000,
                                     .shed_target_ns = shed_target_ns,
                                     .seed = 1};
    int r = weir_run(&(weir_runtime_options){.virtual_time = true}, load, w);
    weir_fake_close(fake);
    assert_int_equal(r, 0);
    return (uint32_t)(w->good * WEIR_S(1) / MEASURED_NS);
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static uint64_t p99_of(world *w)
{
    qsort(w->took_ns, w->let_through, sizeof *w->took_ns, by_size);
    return w->took_ns[w->let_through * 99 / 100];
}

static void at_ten_times_capacity_goodput_stays_and_who_is_let_in_is_in_time(void **state)
{
    world *w = *state;
    uint32_t peak = goodput(w, 1, 0);
    uint32_t goodput_10 = goodput(w, 10, 0);

    print_message("goodput at capacity %u/s, at ten times %u/s; let through: p99 %.0f ms of %.0f; "
                  "shed %u, timed out %u, cut short %u\n",
                  peak, goodput_10, (double)p99_of(w) / 1e6, (double)PATIENCE_NS / 1e6, w->shed,
                  w->timed_out, w->cut);
    assert_true(goodput_10 * 10 >= peak * 9);
    assert_true(p99_of(w) < PATIENCE_NS);
    assert_int_equal(w->other, 0);
    assert_true(w->shed > w->timed_out);
    assert_true(w->expected_most_ns <= WEIR_S(1));
}

static void without_shedding_work_is_wasted_on_those_who_give_up(void **state)
{
    world *w = *state;

    goodput(w, 10, WEIR_NEVER);
    uint32_t wasted = w->cut;
    goodput(w, 10, 0);
    assert_int_equal(w->cut, 0);
    assert_true(wasted > 0);
}

static int set_up(void **state)
{
    return (*state = calloc(1, sizeof(world))) ? 0 : -1;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            at_ten_times_capacity_goodput_stays_and_who_is_let_in_is_in_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_shedding_work_is_wasted_on_those_who_give_up,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
