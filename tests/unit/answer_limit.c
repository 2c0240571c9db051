/* answer_limit.c: tests of leases whose queries may have only so many bytes. */
#include <stdlib.h>

#include "../support/lease_world.h"

static const weir_statement greet = {.sql = "greet"};
static const char *const words[] = {"hello", "world"}; /* ten bytes */

static void play(world *w, int (*body)(world *w, weir_lease *lease))
{
    w->step = (weir_fake_step){.columns = 1, .rows = 2, .values = words};
    play_scripted(w, &greet, body);
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
    world w = {0};
    play(&w, within_and_beyond);
    assert_int_equal(w.stats.queries_cancelled, 1);
    assert_int_equal(w.stats.size, 1); /* its connection is kept */
}

static int nulls(world *w, weir_lease *lease)
{
    static const weir_statement ask = {.sql = "ask"};
    weir_scoped_result weir_result *rows = NULL;
    weir_fake_step step = {.columns = 2, .rows = 3}; /* a script without values */
    expect(weir_fake_answer(w->fake, ask.sql, 1, &step) == 0);
    weir_lease_limit(lease, 1);
    expect(weir_query(lease, &ask, NULL, &rows) == 0);
    expect(rows && weir_result_rows(rows) == 3 && weir_result_is_null(rows, 2, 1));
    return 0;
}

static void nulls_count_nothing(void **state)
{
    world w = {0};
    play(&w, nulls);
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
    world w = {0};
    play(&w, a_stream);
    assert_int_equal(w.stats.queries_cancelled, 0);
}

typedef struct answer {
    bool told;
    int error;
} answer;

static void done(void *arg, int error, weir_result *result)
{
    answer *a = arg;
    a->told = true;
    a->error = error;
    expect(!result);
}

static int by_callback(world *w, weir_lease *lease)
{
    answer a = {0};
    weir_lease_limit(lease, 9);
    expect(weir_query_cb(lease, &greet, NULL, weir_after(WEIR_S(5)), done, &a) == 0);
    weir_sleep(WEIR_S(1));
    expect(a.told);
    return a.error;
}

static void a_callback_is_told_once(void **state)
{
    world w = {0};
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
    world w = {0};
    play(&w, another_lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_beyond_its_limit_is_cancelled_and_the_lease_spent),
        cmocka_unit_test(nulls_count_nothing),
        cmocka_unit_test(a_stream_has_no_such_limit),
        cmocka_unit_test(a_callback_is_told_once),
        cmocka_unit_test(the_next_lease_begins_without_a_limit),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("answer_limit", tests, NULL, NULL);
}
