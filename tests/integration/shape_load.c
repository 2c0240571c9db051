/* shape_load.c: shapes asked for through a lease, and rows encoded from the driver's own results.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../api/encode.h"
#include "../../pool/weir.h"
#include "../support/postgres.h"

enum { COLUMNS_MAX = 16 };

static postgres_server *server;

/* What a task does on a lease, and what came of it: asserted on the main stack. */
typedef struct work {
    weir_runtime *runtime;
    weir_pool *pool;
    int (*run)(weir_lease *lease, struct work *w);
    const char *sql, *oracle_sql; /* rows, and the same through row_to_json */
    int error, close_error;
    uint32_t columns;
    bool set_untouched;
    buffer encoded, expected;
} work;

static int encode_rows_of(weir_lease *lease, work *w)
{
    const weir_statement statement = {.sql = w->sql}, oracle = {.sql = w->oracle_sql};
    weir_scoped_result weir_result *described = NULL, *rows = NULL, *expected = NULL;
    int error = weir_describe(lease, &statement, &described);
    if (error)
        return error;
    uint32_t types[COLUMNS_MAX];
    w->columns = weir_result_columns(described);
    for (uint32_t i = 0; i < w->columns && i < COLUMNS_MAX; i++)
        types[i] = weir_result_column_type(described, i);
    shape_set *shapes = NULL;
    error = shape_set_load(lease, types, w->columns, &shapes);
    if (!error)
        error = weir_query(lease, &statement, NULL, &rows);
    if (!error)
        error = weir_query(lease, &oracle, NULL, &expected);
    if (!error) {
        encode_rows(&w->encoded, rows, shapes);
        buffer_append(&w->expected, weir_result_value(expected, 0, 0),
                      weir_result_length(expected, 0, 0));
    }
    shape_set_free(shapes);
    return error;
}

static int load_too_late(weir_lease *lease, work *w)
{
    const uint32_t types[] = {23};
    shape_set *const untouched = (shape_set *)w, *set = untouched;
    weir_scoped_timeout(passed, 0);
    int error = shape_set_load(lease, types, 1, &set);
    w->set_untouched = set == untouched;
    return error;
}

static int load_nothing(weir_lease *lease, work *w)
{
    shape_set *set = NULL;
    int error = shape_set_load(lease, NULL, 0, &set);
    if (!error && shape_of(set, 23) != shape_of(NULL, 23))
        error = WEIR_EINVAL;
    shape_set_free(set);
    return error;
}

static int task(void *arg)
{
    work *w = arg;
    weir_lease *lease = NULL;
    const weir_scope scope = {.deadline_ns = weir_after(WEIR_S(20)), .label = "shape_load"};
    w->error = weir_acquire(w->pool, &scope, &lease);
    if (!w->error)
        w->error = w->run(lease, w);
    weir_release(lease);
    w->close_error = weir_pool_close(w->pool);
    weir_runtime_stop(w->runtime);
    return 0;
}

static void run_work(work *w)
{
    const weir_pool_options options = {.conninfo = postgres_conninfo(server), .max = 1};
    assert_int_equal(weir_runtime_open(NULL, &w->runtime), 0);
    assert_int_equal(weir_pool_open(w->runtime, &options, &w->pool, NULL), 0);
    assert_int_equal(weir_spawn_on(weir_runtime_lane(w->runtime, 0), task, w), 0);
    assert_int_equal(weir_runtime_run(w->runtime), 0);
    weir_runtime_close(w->runtime);
    assert_int_equal(w->close_error, 0);
}

#define ROWS                                                                                       \
    "select i, c, array[c, null] as cs, m, d, timestamptz '2024-02-29' + i * interval '1 day' as " \
    "at"                                                                                           \
    " from generate_series(1, 3) i,"                                                               \
    " lateral (select row(i, array['happy'::mood], 'x \"y\"')::mixed as c) x,"                     \
    " lateral (select 'sad'::mood as m, array[i, 7]::ints as d) y"

static void rows_of_made_types_are_encoded_as_the_server_does(void **state)
{
    work w = {.run = encode_rows_of,
              .sql = "select t.* from (" ROWS ") t",
              .oracle_sql = "select '[' || string_agg(row_to_json(t)::text, ',') || ']'"
                            " from (" ROWS ") t"};
    run_work(&w);
    assert_int_equal(w.error, 0);
    assert_int_equal(w.columns, 6);
    assert_int_equal(w.encoded.length, w.expected.length);
    assert_memory_equal(w.encoded.data, w.expected.data, w.expected.length);
    buffer_free(&w.encoded);
    buffer_free(&w.expected);
}

static void a_load_past_its_deadline_says_so_and_leaves_the_set(void **state)
{
    work w = {.run = load_too_late};
    run_work(&w);
    assert_int_equal(w.error, WEIR_ETIMEDOUT);
    assert_true(w.set_untouched);
}

static void no_types_make_an_empty_set(void **state)
{
    work w = {.run = load_nothing};
    run_work(&w);
    assert_int_equal(w.error, 0);
}

static int set_up(void **state)
{
    server = postgres_start(NULL);
    postgres_sql(server, "create type mood as enum ('happy', 'sad');"
                         "create domain ints as int[];"
                         "create type mixed as (n int, moods mood[], t text)");
    return 0;
}

static int tear_down(void **state)
{
    postgres_stop(server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_made_types_are_encoded_as_the_server_does),
        cmocka_unit_test(a_load_past_its_deadline_says_so_and_leaves_the_set),
        cmocka_unit_test(no_types_make_an_empty_set),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
