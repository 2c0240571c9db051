/* stream.c: answers in batches, from a server made of a script. */
#include <signal.h>

#include "../support/lease_world.h"

static const weir_statement numbers = {.sql = "select n"};
static const weir_statement other = {.sql = "select 1"};

static const char *const five[] = {"1", "2", "3", "4", "5"};

static weir_fake_counts play(world *w, int (*body)(world *w, weir_lease *lease))
{
    w->step.columns = 1;
    if (w->step.rows)
        w->step.values = five;
    return play_scripted(w, &numbers, body);
}

/* Up to `batches` of them, as text such as "12|34|5|"; the error that ended it, or 0. */
static int read_some(world *w, weir_stream *stream, int batches)
{
    for (; batches > 0; batches--) {
        weir_scoped_result weir_result *rows = NULL;
        int r = weir_stream_next(stream, &rows);
        if (r < 0 || !rows)
            return r;
        expect(weir_result_columns(rows) == 1);
        for (uint32_t i = 0; i < weir_result_rows(rows); i++)
            strcat(w->text, weir_result_value(rows, i, 0));
        strcat(w->text, "|");
    }
    return 0;
}

static int read_all(world *w, weir_lease *lease)
{
    weir_scoped_stream weir_stream *stream = NULL;
    int r = weir_stream_open(lease, &numbers, NULL, &stream);
    return r < 0 ? r : read_some(w, stream, 100);
}

static int read_all_and_go_on(world *w, weir_lease *lease)
{
    int r = read_all(w, lease);
    expect(weir_query(lease, &other, NULL, NULL) == 0);
    return r;
}

static void rows_come_in_order_and_batches_and_the_lease_is_as_good_as_before(void **state)
{
    world w = {.step = {.rows = 5, .batch = 2, .batch_delay_ns = WEIR_MS(5)}};
    weir_fake_counts counts = play(&w, read_all_and_go_on);
    assert_int_equal(w.error, 0);
    assert_string_equal(w.text, "12|34|5|");
    assert_int_equal(counts.cancels, 0);
    assert_int_equal(counts.dials, 1);
}

static void an_answer_in_one_batch_is_a_stream_too(void **state)
{
    world w = {.step = {.rows = 5}};
    play(&w, read_all_and_go_on);
    assert_int_equal(w.error, 0);
    assert_string_equal(w.text, "12345|");
}

static void an_answer_without_rows_has_one_batch_with_its_columns(void **state)
{
    world w = {.step = {.rows = 0}};
    play(&w, read_all_and_go_on);
    assert_int_equal(w.error, 0);
    assert_string_equal(w.text, "|");
}

static void an_error_before_the_first_row_is_that_of_opening(void **state)
{
    world w = {.step = {.outcome = WEIR_FAKE_FAIL, .error = {.sqlstate = "22012"}}};
    weir_fake_counts counts = play(&w, read_all);
    assert_int_equal(w.error, WEIR_EQUERY);
    assert_string_equal(w.why.sqlstate, "22012");
    assert_string_equal(w.text, "");
    assert_int_equal(counts.cancels, 0);
}

static int read_past_the_error(world *w, weir_lease *lease)
{
    weir_scoped_stream weir_stream *stream = NULL;
    weir_result *rows = NULL;
    expect(weir_stream_open(lease, &numbers, NULL, &stream) == 0);
    int r = read_some(w, stream, 100);
    expect(weir_stream_next(stream, &rows) == r);
    expect(!rows);
    return r;
}

static void an_error_midway_comes_behind_the_rows_and_stays(void **state)
{
    world w = {
        .step = {.rows = 4, .batch = 2, .outcome = WEIR_FAKE_FAIL, .error = {.sqlstate = "22012"}}};
    weir_fake_counts counts = play(&w, read_past_the_error);
    assert_int_equal(w.error, WEIR_EQUERY);
    assert_string_equal(w.text, "12|34|");
    assert_string_equal(w.why.sqlstate, "22012");
    assert_int_equal(counts.cancels, 0);
    assert_int_equal(counts.dials, 1);
}

static void a_connection_that_breaks_midway_is_an_error_and_replaced(void **state)
{
    world w = {.step = {.rows = 4, .batch = 2, .outcome = WEIR_FAKE_LOSE}};
    play(&w, read_past_the_error);
    assert_int_equal(w.error, WEIR_ELOST);
    assert_string_equal(w.text, "12|34|");
    assert_int_equal(w.stats.retired[WEIR_RETIRE_BROKEN], 1);
}

static int read_one_batch(world *w, weir_lease *lease)
{
    {
        weir_scoped_stream weir_stream *stream = NULL;
        expect(weir_stream_open(lease, &numbers, NULL, &stream) == 0);
        expect(read_some(w, stream, 1) == 0);
        expect(weir_query(lease, &other, NULL, NULL) == WEIR_EBUSY);
    }
    return weir_query(lease, &other, NULL, NULL);
}

static void a_stream_closed_early_is_cancelled_and_spends_the_lease(void **state)
{
    world w = {.step = {.rows = 5, .batch = 2}};
    weir_fake_counts counts = play(&w, read_one_batch);
    assert_int_equal(w.error, WEIR_ESPENT);
    assert_string_equal(w.text, "12|");
    assert_int_equal(counts.cancels, 1);
    assert_int_equal(w.stats.queries_cancelled, 1);
    assert_int_equal(counts.dials, 1); /* the connection stays */
}

static int open_and_close(world *w, weir_lease *lease)
{
    weir_scoped_stream weir_stream *stream = NULL;
    return weir_stream_open(lease, &numbers, NULL, &stream);
}

static void a_stream_nobody_read_of_goes_with_its_rows(void **state)
{
    world w = {.step = {.rows = 5, .batch = 2}};
    weir_fake_counts counts = play(&w, open_and_close);
    assert_int_equal(w.error, 0);
    assert_int_equal(counts.cancels, 1);
}

static int read_until_the_deadline(world *w, weir_lease *lease)
{
    weir_scoped_stream weir_stream *stream = NULL;
    weir_result *rows = NULL;
    weir_scoped_timeout(limit, WEIR_MS(15));
    int r = weir_stream_open(lease, &numbers, NULL, &stream);
    if (r == 0)
        r = read_some(w, stream, 100);
    expect(!stream || weir_stream_next(stream, &rows) == r);
    return r;
}

static void a_deadline_midway_ends_the_stream_at_the_server(void **state)
{
    world w = {.step = {.rows = 5, .batch = 2, .batch_delay_ns = WEIR_MS(10)}};
    weir_fake_counts counts = play(&w, read_until_the_deadline);
    assert_int_equal(w.error, WEIR_ETIMEDOUT);
    assert_string_equal(w.text, "12|34|");
    assert_int_equal(counts.cancels, 1);
}

static void a_deadline_before_the_first_row_leaves_no_stream(void **state)
{
    world w = {.step = {.rows = 5, .delay_ns = WEIR_MS(20)}};
    weir_fake_counts counts = play(&w, read_until_the_deadline);
    assert_int_equal(w.error, WEIR_ETIMEDOUT);
    assert_int_equal(counts.cancels, 1);
}

static int read_then_dawdle(world *w, weir_lease *lease)
{
    weir_scoped_stream weir_stream *stream = NULL;
    weir_scoped_timeout(limit, WEIR_MS(15));
    expect(weir_stream_open(lease, &numbers, NULL, &stream) == 0);
    expect(read_some(w, stream, 1) == 0);
    weir_sleep(WEIR_MS(30)); /* the deadline passes while nobody waits for rows */
    return read_some(w, stream, 1);
}

static void a_deadline_that_has_passed_asks_for_no_more_rows(void **state)
{
    world w = {.step = {.rows = 5, .batch = 2}};
    weir_fake_counts counts = play(&w, read_then_dawdle);
    assert_int_equal(w.error, WEIR_ETIMEDOUT);
    assert_string_equal(w.text, "12|");
    assert_int_equal(counts.cancels, 1);
}

static int in_a_task_of_its_own(void *arg)
{
    world *w = arg;
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(w->pool, NULL, &lease);
    return r < 0 ? r : read_all(w, lease);
}

static int cancel_a_reader(world *w, weir_lease *lease)
{
    weir_task *reader = NULL;
    int r = 0;
    expect(weir_spawn(in_a_task_of_its_own, w, &reader) == 0);
    weir_sleep(WEIR_MS(15));
    weir_cancel(reader);
    expect(weir_join(reader, &r) == 0);
    return r;
}

static void a_reader_cancelled_midway_gives_everything_back(void **state)
{
    world w = {.options = {.max = 2},
               .step = {.rows = 5, .batch = 2, .batch_delay_ns = WEIR_MS(10)}};
    weir_fake_counts counts = play(&w, cancel_a_reader);
    assert_int_equal(counts.cancels, 1);
    assert_int_equal(w.error, WEIR_ECANCELED);
    assert_string_equal(w.text, "12|34|");
}

static int be_reclaimed(world *w, weir_lease *lease)
{
    weir_scoped_stream weir_stream *stream = NULL;
    expect(weir_stream_open(lease, &numbers, NULL, &stream) == 0);
    expect(read_some(w, stream, 1) == 0);
    weir_sleep(WEIR_S(2)); /* nobody waits for rows when it is taken away */
    return read_some(w, stream, 1);
}

static void a_lease_reclaimed_between_batches_ends_the_stream(void **state)
{
    world w = {.options = {.leak_after_ns = WEIR_S(1), .reclaim_leaked = true},
               .step = {.rows = 5, .batch = 2}};
    play(&w, be_reclaimed);
    assert_int_equal(w.error, WEIR_ERECLAIMED);
    assert_string_equal(w.text, "12|");
    assert_int_equal(w.stats.retired[WEIR_RETIRE_LEAKED], 1);
}

static int release_too_early(world *w, weir_lease *lease)
{
    weir_stream *stream = NULL;
    expect(weir_stream_open(lease, &numbers, NULL, &stream) == 0);
    weir_release(lease);
    return 0;
}

static void release_with_a_stream(void)
{
    world w = {.step = {.rows = 5, .batch = 2}};
    play(&w, release_too_early);
}

static void a_lease_released_with_its_stream_open_ends_the_program(void **state)
{
    assert_true(dies(release_with_a_stream, SIGABRT, "a stream on it is open"));
}

static void a_stream_needs_a_task(void **state)
{
    weir_stream *stream = NULL;
    assert_int_equal(weir_stream_open(NULL, &numbers, NULL, &stream), WEIR_ENOTASK);
    weir_stream_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_in_order_and_batches_and_the_lease_is_as_good_as_before),
        cmocka_unit_test(an_answer_in_one_batch_is_a_stream_too),
        cmocka_unit_test(an_answer_without_rows_has_one_batch_with_its_columns),
        cmocka_unit_test(an_error_before_the_first_row_is_that_of_opening),
        cmocka_unit_test(an_error_midway_comes_behind_the_rows_and_stays),
        cmocka_unit_test(a_connection_that_breaks_midway_is_an_error_and_replaced),
        cmocka_unit_test(a_stream_closed_early_is_cancelled_and_spends_the_lease),
        cmocka_unit_test(a_stream_nobody_read_of_goes_with_its_rows),
        cmocka_unit_test(a_deadline_midway_ends_the_stream_at_the_server),
        cmocka_unit_test(a_deadline_before_the_first_row_leaves_no_stream),
        cmocka_unit_test(a_deadline_that_has_passed_asks_for_no_more_rows),
        cmocka_unit_test(a_reader_cancelled_midway_gives_everything_back),
        cmocka_unit_test(a_lease_reclaimed_between_batches_ends_the_stream),
        cmocka_unit_test(a_lease_released_with_its_stream_open_ends_the_program),
        cmocka_unit_test(a_stream_needs_a_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
