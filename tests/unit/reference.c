/* reference.c: tests of how a value of an earlier step is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "../../api/reference.h"
#include "../support/table_result.h"

static void a_path_names_step_form_row_and_column(void **state)
{
    static const struct {
        const char *path;
        reference_form form;
        uint32_t step, row;
        const char *name;
    } cases[] = {
        {"0.rows.0.id", REFERENCE_ROWS, 0, 0, "id"},
        {"12.rows.999999999.a b", REFERENCE_ROWS, 12, 999999999, "a b"},
        {"1.rows.2.x.y.0", REFERENCE_ROWS, 1, 2, "x.y.0"}, /* a column's name may have dots */
        {"0.row.id", REFERENCE_ROW, 0, 0, "id"},
        {"0.row.rows.0", REFERENCE_ROW, 0, 0, "rows.0"},
        {"3.count", REFERENCE_COUNT, 3, 0, ""},
        {"007.count", REFERENCE_COUNT, 7, 0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reference r;
        assert_true(reference_parse(cases[i].path, &r));
        assert_int_equal(r.form, cases[i].form);
        assert_int_equal(r.step, cases[i].step);
        assert_int_equal(r.row, cases[i].row);
        assert_string_equal(r.name, cases[i].name);
    }
}

static void what_is_no_path_is_left_alone(void **state)
{
    static const char *const paths[] = {"",
                                        "0",
                                        ".",
                                        "0.",
                                        "rows.0.id",
                                        "-1.count",
                                        "+1.count",
                                        " 1.count",
                                        "1 .count",
                                        "0x1.count",
                                        "0.counts",
                                        "0.count.",
                                        "0.count.x",
                                        "0.rows",
                                        "0.rows.",
                                        "0.rows.0",
                                        "0.rows.0.",
                                        "0.rows.id",
                                        "0.rows.-1.id",
                                        "0.rows.1e3.id",
                                        "0.row",
                                        "0.row.",
                                        "0.Rows.0.id",
                                        "$.0.rows.0.id",
                                        "0.rows[0].id",
                                        "9999999999.count",
                                        "0.rows.9999999999.id"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        reference r = {.step = 77};
        if (reference_parse(paths[i], &r))
            fail_msg("taken: %s", paths[i]);
        assert_int_equal(r.step, 77);
    }
}

static const char *path_in(const char *json)
{
    static char kept[64];
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    json_item item = {.value = value, .text = json, .length = strlen(json)};
    const char *path = reference_path(&item);
    if (path)
        strncpy(kept, path, sizeof kept - 1);
    json_decref(value);
    return path ? kept : NULL;
}

static void only_an_object_with_that_one_text_refers(void **state)
{
    assert_string_equal(path_in("{\"$ref\":\"0.count\"}"), "0.count");
    static const char *const values[] = {"{}",
                                         "[]",
                                         "\"0.count\"",
                                         "7",
                                         "null",
                                         "{\"$ref\":7}",
                                         "{\"a\":\"0.count\"}",
                                         "{\"$ref\":null}",
                                         "{\"$ref\":\"0.count\",\"a\":1}"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_null(path_in(values[i]));
}

static void a_path_must_fit_what_the_step_answers(void **state)
{
    char id[] = "id", total[] = "total";
    query_column columns[] = {{.name = id}, {.name = total}};
    query q = {.columns = columns, .column_count = 2};
    static const struct {
        const char *path;
        bool rows, row, count; /* what @returns makes it good */
    } cases[] = {{"0.rows.1.total", true, false, false},
                 {"0.row.total", false, true, false},
                 {"0.count", true, false, true},
                 {"0.rows.1.Total", false, false, false},
                 {"0.row.tot", false, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bool good[] = {[RETURNS_ROWS] = cases[i].rows,
                             [RETURNS_ROW] = cases[i].row,
                             [RETURNS_COUNT] = cases[i].count};
        for (q.returns = RETURNS_ROWS; q.returns <= RETURNS_COUNT; q.returns++) {
            bind_fault fault = {.message = ""};
            reference r;
            assert_true(reference_parse(cases[i].path, &r));
            int status = reference_check(&r, &q, "p", &fault);
            assert_int_equal(status, good[q.returns] ? 0 : WEIR_EINVAL);
            if (status != 0)
                assert_string_equal(fault.parameter, "p");
        }
    }
}

static void a_value_is_found_by_the_name_of_its_column(void **state)
{
    static const char *const names[] = {"id", "owner"}, *const values[] = {"1", NULL, "2", "42"};
    const table_result t = {{&table_result_class}, 2, 2, names, NULL, values, NULL, 0};
    static const struct {
        const char *path;
        reference_found found;
        const char *text;
    } cases[] = {
        {"0.rows.1.owner", REFERENCE_FOUND, "42"},  {"0.rows.0.owner", REFERENCE_FOUND, NULL},
        {"0.row.id", REFERENCE_FOUND, "1"},         {"0.count", REFERENCE_FOUND, "2"},
        {"0.rows.2.owner", REFERENCE_NO_ROW, NULL}, {"0.rows.1.price", REFERENCE_NO_COLUMN, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const query q = {.returns = RETURNS_ROWS};
        reference r;
        char *text = NULL;
        assert_true(reference_parse(cases[i].path, &r));
        assert_int_equal(reference_value(&r, &q, &t.result, &text), cases[i].found);
        assert_true(!text == !cases[i].text);
        if (text)
            assert_string_equal(text, cases[i].text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_names_step_form_row_and_column),
        cmocka_unit_test(what_is_no_path_is_left_alone),
        cmocka_unit_test(only_an_object_with_that_one_text_refers),
        cmocka_unit_test(a_path_must_fit_what_the_step_answers),
        cmocka_unit_test(a_value_is_found_by_the_name_of_its_column),
    };
    return cmocka_run_group_tests_name("reference", tests, NULL, NULL);
}
