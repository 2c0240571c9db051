/* answer_limit.c: tests of leases whose queries may have only so many bytes. */
#include <stdlib.h>

#include "../support/expect.h"
#include "weir.h"

static const weir_statement greet = {.sql = "greet"};
static const char *const words[] = {"hello", "world"}; /* ten bytes */

typedef struct world {
    weir_fake *fake;
    weir_pool *pool;
    int (*body)(struct world *w, weir_lease *lease);
    weir_lease *lease;
    bool answered;
    int error;
    weir_pool_stats stats;
} world;

static int run_body(void *arg)
{
    world *w = arg;
    weir_pool_options options = {
        .driver = weir_fake_driver(), .driver_arg = w->fake, .max = 1, .seed = 1};
    if (weir_pool_open(NULL, &options, &w->pool, NULL) < 0)
        return -1;
    expect(weir_acquire(w->pool, NULL, &w->lease) == 0);
    w->body(w, w->lease);
    weir_release(w->lease);
    weir_sleep(WEIR_S(10)); /* whatever the pool still has to do */
    weir_pool_stats_read(w->pool, &w->stats);
    return weir_pool_close(w->pool);
}

static void play(world *w, int (*body)(world *w, weir_lease *lease))
{
    assert_int_equal(weir_fake_open(&w->fake), 0);
    weir_fake_step two = {.columns = 1, .rows = 2, .values = words};
    assert_int_equal(weir_fake_answer(w->fake, greet.sql, 0, &two), 0);
    w->body = body;
    assert_int_equal(run_virtually(run_body, w), 0);
    assert_int_equal(w->stats.in_use, 0);
    weir_fake_close(w->fake);
}

static int within_and_beyond(world *w, weir_lease *lease)
{
    weir_result *rows = NULL;
    weir_lease_limit(lease, 10);
    expect(weir_query(lease, &greet, NULL, &rows) == 0);
    weir_result_free(rows);
    rows = NULL;
    weir_lease_limit(lease, 9);
    expect(weir_query(lease, &greet, NULL, &rows) == WEIR_ETOOLARGE);
    expect(!rows);
    expect(weir_lease_error(lease)->code == WEIR_ETOOLARGE);
    expect(weir_query(lease, &greet, NULL, NULL) == WEIR_ESPENT);
    return 0;
}

static void an_answer_beyond_its_limit_is_cancelled_and_the_lease_spent(void **state)
{
    world w = {.pool = NULL};
    play(&w, within_and_beyond);
    assert_int_equal(w.stats.queries_cancelled, 1);
    assert_int_equal(w.stats.size, 1); /* its connection is kept */
}

static int a_stream(world *w, weir_lease *lease)
{
    weir_stream *stream = NULL;
    weir_result *rows = NULL;
    weir_lease_limit(lease, 1);
    expect(weir_stream_open(lease, &greet, NULL, &stream) == 0);
    expect(weir_stream_next(stream, &rows) == 0 && weir_result_rows(rows) == 2);
    weir_result_free(rows);
    weir_stream_close(stream);
    return 0;
}

static void a_stream_has_no_such_limit(void **state)
{
    world w = {.pool = NULL};
    play(&w, a_stream);
    assert_int_equal(w.stats.queries_cancelled, 0);
}

static void done(void *arg, int error, weir_result *result)
{
    world *w = arg;
    w->answered = true;
    w->error = error;
    expect(!result);
}

static int by_callback(world *w, weir_lease *lease)
{
    weir_lease_limit(lease, 9);
    expect(weir_query_cb(lease, &greet, NULL, weir_after(WEIR_S(5)), done, w) == 0);
    weir_sleep(WEIR_S(1));
    expect(w->answered);
    return 0;
}

static void a_callback_is_told_once(void **state)
{
    world w = {.pool = NULL};
    play(&w, by_callback);
    assert_int_equal(w.error, WEIR_ETOOLARGE);
}

static int another_lease(world *w, weir_lease *lease)
{
    weir_lease_limit(lease, 1);
    weir_release(lease);
    w->lease = NULL;
    expect(weir_acquire(w->pool, NULL, &w->lease) == 0);
    expect(weir_query(w->lease, &greet, NULL, NULL) == 0);
    return 0;
}

static void the_next_lease_begins_without_a_limit(void **state)
{
    world w = {.pool = NULL};
    play(&w, another_lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_beyond_its_limit_is_cancelled_and_the_lease_spent),
        cmocka_unit_test(a_stream_has_no_such_limit),
        cmocka_unit_test(a_callback_is_told_once),
        cmocka_unit_test(the_next_lease_begins_without_a_limit),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("answer_limit", tests, NULL, NULL);
}
