/* driver_stream.c: answers read in batches through the PostgreSQL driver, on a real server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/driver_world.h"
#include "../support/patience.h"

static const weir_statement series = {
    .sql = "select g, 'row ' || g from generate_series(1, $1::int) g"};

/* What one reading has seen. */
typedef struct reading {
    uint64_t batches, rows, largest;
    bool in_order;
} reading;

static uint64_t size_of(const weir_result *rows)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < weir_result_rows(rows); i++)
        for (uint32_t k = 0; k < weir_result_columns(rows); k++)
            size += weir_result_length(rows, i, k);
    return size;
}

static void look_at(reading *seen, const weir_result *rows)
{
    seen->batches++;
    for (uint32_t i = 0; i < weir_result_rows(rows); i++) {
        char number[24];
        snprintf(number, sizeof number, "%llu", (unsigned long long)++seen->rows);
        seen->in_order &= strcmp(weir_result_value(rows, i, 0), number) == 0;
    }
    if (size_of(rows) > seen->largest)
        seen->largest = size_of(rows);
}

/* The error that ended it, or 0. */
static int read_batches(weir_stream *stream, reading *seen, uint64_t batches)
{
    while (batches-- > 0) {
        weir_scoped_result weir_result *rows = NULL;
        int r = weir_stream_next(stream, &rows);
        if (r < 0 || !rows)
            return r;
        look_at(seen, rows);
    }
    return 0;
}

static int read_series(weir_lease *lease, const weir_statement *statement, const char *count,
                       reading *seen)
{
    *seen = (reading){.in_order = true};
    weir_scoped_stream weir_stream *stream = NULL;
    int r = weir_stream_open(lease, statement, &(weir_params){1, &count}, &stream);
    return r < 0 ? r : read_batches(stream, seen, UINT64_MAX);
}

/* ---- Rows ---- */

static int read_three_times(world *w, weir_lease *lease)
{
    weir_statement reads = series, at_once = series;
    reads.read_only = true;
    at_once.adhoc = true;
    const weir_statement *statements[] = {&series, &series, &reads, &at_once};
    for (int i = 0; i < 4; i++) {
        reading seen;
        w->r[i] = read_series(lease, statements[i], "50000", &seen);
        w->number[i * 3] = seen.in_order ? seen.rows : 0;
        w->number[i * 3 + 1] = seen.batches;
        w->number[i * 3 + 2] = seen.largest;
    }
    ask(w, lease, 20, "select 'still here'");
    return 0;
}

/* Prepared in the same flight, known, with a change of mode ahead of it, and not prepared. */
static void a_long_answer_comes_in_order_and_in_small_batches(void **state)
{
    world w = {.options = {.max = 1}};
    play_leased(&w, read_three_times);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(w.r[i], 0);
        assert_int_equal(w.number[i * 3], 50000);
        assert_true(w.number[i * 3 + 1] > 5);
        assert_true(w.number[i * 3 + 2] < 48 << 10);
    }
    assert_string_equal(w.text[20], "still here");
}

static void note_values(world *w, const weir_result *rows, uint32_t row)
{
    w->number[2] += weir_result_is_null(rows, row, 1) && !weir_result_is_null(rows, row, 2);
    w->number[3] += weir_result_length(rows, row, 1) + weir_result_length(rows, row, 2);
    w->number[4] += strlen(weir_result_value(rows, row, 3)) == 300000 &&
                    weir_result_length(rows, row, 3) == 300000;
    snprintf(w->text[0], sizeof w->text[0], "%s %s%s %s", weir_result_column_name(rows, 1),
             weir_result_value(rows, row, 0), weir_result_value(rows, row, 1),
             weir_result_value(rows, row, 4));
}

static int read_values(world *w, weir_lease *lease)
{
    weir_statement statement = {.sql = "select 7 as n, null::text as nothing, ''::text as empty, "
                                       "repeat('x', 300000) as large, g from "
                                       "generate_series(1, 3) g"};
    weir_scoped_stream weir_stream *stream = NULL;
    w->r[0] = weir_stream_open(lease, &statement, NULL, &stream);
    for (int i = 0; w->r[0] == 0; i++) {
        weir_scoped_result weir_result *rows = NULL;
        w->r[0] = weir_stream_next(stream, &rows);
        if (!rows)
            break;
        w->number[0] += weir_result_rows(rows);
        w->number[1] = weir_result_column_type(rows, 0);
        for (uint32_t row = 0; row < weir_result_rows(rows); row++)
            note_values(w, rows, row);
    }
    return 0;
}

static void values_nulls_and_columns_are_those_of_a_whole_answer(void **state)
{
    world w = {.options = {.max = 1}};
    play_leased(&w, read_values);
    assert_int_equal(w.r[0], 0);
    assert_int_equal(w.number[0], 3);
    assert_int_equal(w.number[1], 23);
    assert_int_equal(w.number[2], 3);
    assert_int_equal(w.number[3], 0);
    assert_int_equal(w.number[4], 3);
    assert_string_equal(w.text[0], "nothing 7 3");
}

static int read_nothing(world *w, weir_lease *lease)
{
    static const char *const sqls[] = {"select 1 as one, 'x' as two where false",
                                       "create temp table t (id int)", "insert into t values (3)"};
    for (int i = 0; i < 3; i++) {
        weir_statement statement = {.sql = sqls[i]};
        weir_scoped_stream weir_stream *stream = NULL;
        weir_scoped_result weir_result *first = NULL, *second = NULL;
        w->r[i] = weir_stream_open(lease, &statement, NULL, &stream);
        if (w->r[i] < 0)
            continue;
        w->r[i + 3] = weir_stream_next(stream, &first);
        w->number[i] = first ? weir_result_columns(first) * 10 + weir_result_rows(first) : 99;
        w->r[i + 6] = weir_stream_next(stream, &second);
        w->number[i + 3] = second != NULL;
    }
    return 0;
}

static void an_answer_without_rows_tells_its_columns_and_ends(void **state)
{
    world w = {.options = {.max = 1}};
    play_leased(&w, read_nothing);
    for (int i = 0; i < 9; i++)
        assert_int_equal(w.r[i], 0);
    assert_int_equal(w.number[0], 20);
    assert_int_equal(w.number[1], 0);
    assert_int_equal(w.number[2], 0);
    for (int i = 3; i < 6; i++)
        assert_int_equal(w.number[i], 0);
}

/* ---- Errors ---- */

static int read_to_an_error(world *w, weir_lease *lease)
{
    weir_statement statement = {.sql =
                                    "select g, 1 / (20000 - g) from generate_series(1, $1::int) g"};
    reading seen;
    w->r[1] = read_series(lease, &statement, "30000", &seen);
    w->error[1] = *weir_lease_error(lease);
    w->number[0] = seen.in_order ? seen.rows : 0;
    ask(w, lease, 20, "select 'still here'");
    return 0;
}

static void an_error_midway_comes_behind_the_rows_and_leaves_the_connection_in_order(void **state)
{
    world w = {.options = {.max = 1}};
    play_leased(&w, read_to_an_error);
    assert_int_equal(w.r[1], WEIR_EQUERY);
    assert_string_equal(w.error[1].sqlstate, "22012");
    assert_int_equal(w.r[20], 0); /* of the query behind it */
    assert_string_equal(w.text[20], "still here");
    /* All that the server had sent; but libpq may keep what does not fill one of its chunks. */
    assert_in_range(w.number[0], 19999 - 31, 19999);
    assert_int_equal(w.retired[WEIR_RETIRE_BROKEN], 0);
}

/* The pid of the lease's backend as the parameter of a query. */
static bool holds(const char *format, int pid)
{
    char sql[256];
    snprintf(sql, sizeof sql, format, pid);
    return postgres_number(server, sql) != 0;
}

#define STANDS_STILL                                                                               \
    "select count(*) from pg_stat_activity where pid = %d and wait_event = 'ClientWrite'"

static int leave_unread(world *w, weir_lease *lease)
{
    const char *count = "10000000";
    weir_scoped_stream weir_stream *stream = NULL;
    w->r[0] = weir_stream_open(lease, &series, &(weir_params){1, &count}, &stream);
    if (w->r[0] < 0)
        return w->r[0];
    int pid = weir_lease_backend_pid(lease);
    for (int i = 0; i < 500 && !holds(STANDS_STILL, pid); i++)
        weir_sleep(WEIR_MS(10)); /* the loop turns, and reads nothing */
    w->number[0] = holds(STANDS_STILL, pid);
    reading seen = {.in_order = true};
    w->r[1] = read_batches(stream, &seen, 1000);
    w->number[1] = seen.in_order && seen.batches == 1000;
    for (int i = 0; i < 500 && !holds(STANDS_STILL, pid); i++)
        weir_sleep(WEIR_MS(10));
    w->number[2] = holds("select pg_terminate_backend(%d)::int", pid);
    w->r[2] = read_batches(stream, &seen, UINT64_MAX);
    w->number[3] = seen.in_order;
    return 0;
}

static void a_reader_that_does_not_ask_stops_the_server_and_a_broken_connection_is_told(
    void **state)
{
    world w = {.options = {.max = 1}};
    play_leased(&w, leave_unread);
    assert_int_equal(w.number[0], 1);
    assert_int_equal(w.r[1], 0);
    assert_int_equal(w.number[1], 1);
    assert_int_equal(w.number[2], 1);
    assert_int_equal(w.r[2], WEIR_ELOST);
    assert_int_equal(w.number[3], 1);
}

static int read_after_ddl(world *w, weir_lease *lease)
{
    weir_statement statement = {.sql = "select * from changing where id <= $1::int order by id"};
    reading seen;
    ask(w, lease, 4, "create table changing as select g as id from generate_series(1, 20000) g");
    w->r[0] = read_series(lease, &statement, "20000", &seen);
    postgres_sql(server, "alter table changing add more text default 'x'");
    w->r[1] = read_series(lease, &statement, "20000", &seen);
    w->number[0] = seen.in_order ? seen.rows : 0;
    w->number[1] = seen.batches;
    ask(w, lease, 5, "drop table changing");
    return 0;
}

static void a_statement_overtaken_by_ddl_is_streamed_all_the_same(void **state)
{
    world w = {.options = {.max = 1}};
    play_leased(&w, read_after_ddl);
    assert_int_equal(w.r[0], 0);
    assert_int_equal(w.r[1], 0);
    assert_int_equal(w.number[0], 20000);
    assert_true(w.number[1] > 1);
}

/* ---- Early ends ---- */

/* Some of these answers have come to their end already when they are closed, some have not: the
 * first row makes libpq's buffer large enough to hold more than one batch. */
static int close_at_any_moment(world *w)
{
    weir_statement rows = {.sql = "select g, repeat('x', case g when 1 then 200000 else 4000 end) "
                                  "from generate_series(1, $1::int) g"};
    for (int n = 1; n <= 60; n++) {
        weir_scoped_lease weir_lease *lease = NULL;
        int r = take(w, &lease);
        if (r < 0)
            return r;
        char count[8], sql[32];
        const char *value = count;
        snprintf(count, sizeof count, "%d", n % 3 ? n : n * 100);
        snprintf(sql, sizeof sql, "select %d", n);
        ask(w, lease, 0, sql);
        w->number[1] += (uint64_t)(atoi(w->text[0]) != n);
        reading seen = {.in_order = true};
        weir_scoped_stream weir_stream *stream = NULL;
        r = weir_stream_open(lease, &rows, &(weir_params){1, &value}, &stream);
        if (r < 0)
            return r;
        if (read_batches(stream, &seen, (uint64_t)n % 4) < 0 || !seen.in_order)
            w->number[1]++;
        w->number[2] = weir_lease_connection(lease);
    }
    return 0;
}

static void streams_closed_at_any_moment_leave_their_connection_in_order(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, close_at_any_moment);
    assert_int_equal(w.number[1], 0);
    assert_int_equal(w.number[2], 1); /* the same from first to last */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_answer_comes_in_order_and_in_small_batches),
        cmocka_unit_test(values_nulls_and_columns_are_those_of_a_whole_answer),
        cmocka_unit_test(an_answer_without_rows_tells_its_columns_and_ends),
        cmocka_unit_test(an_error_midway_comes_behind_the_rows_and_leaves_the_connection_in_order),
        cmocka_unit_test(
            a_reader_that_does_not_ask_stops_the_server_and_a_broken_connection_is_told),
        cmocka_unit_test(a_statement_overtaken_by_ddl_is_streamed_all_the_same),
        cmocka_unit_test(streams_closed_at_any_moment_leave_their_connection_in_order),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
