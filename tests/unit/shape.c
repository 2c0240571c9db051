/* shape.c: shapes from the built-in table and from rows of the catalog. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../api/shape_catalog.h"
#include "../support/table_result.h"

enum { BOOL = 16, INT4 = 23, TEXT = 25, INT4_ARRAY = 1007, COLUMNS = 9 };

static const char *const names[COLUMNS] = {0};

/* Rows as shape_set_sql gives them. */
static shape_set *build(const char *const *values, uint32_t rows)
{
    table_result t = {{&table_result_class}, rows, COLUMNS, names, NULL, values, NULL, 0};
    shape_set *set = NULL;
    assert_int_equal(shape_set_build(&t.result, &set), 0);
    return set;
}

static void built_in_types_need_no_set(void **state)
{
    assert_int_equal(shape_of(NULL, BOOL)->kind, SHAPE_BOOLEAN);
    assert_int_equal(shape_of(NULL, INT4)->kind, SHAPE_NUMBER);
    assert_int_equal(shape_of(NULL, 26)->kind, SHAPE_TEXT); /* oid: a number in no JSON */
    assert_int_equal(shape_of(NULL, 1184)->kind, SHAPE_TIMESTAMPTZ);
    assert_int_equal(shape_of(NULL, 3802)->kind, SHAPE_JSON);
    assert_int_equal(shape_of(NULL, 22)->kind, SHAPE_VECTOR);
    assert_string_equal(shape_of(NULL, INT4)->type_name, "integer");
    const shape *array = shape_of(NULL, INT4_ARRAY);
    assert_int_equal(array->kind, SHAPE_ARRAY);
    assert_int_equal(array->delimiter, ',');
    assert_ptr_equal(array->element, shape_of(NULL, INT4));
    assert_int_equal(shape_of(NULL, 1020)->delimiter, ';'); /* box[] */
}

static void built_in_types_are_in_order_and_each_is_found(void **state)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i < shape_builtin_count(); i++) {
        const shape *s = shape_builtin_at(i);
        assert_true(s->oid > before);
        assert_ptr_equal(shape_builtin(s->oid), s);
        before = s->oid;
    }
    assert_null(shape_builtin_at(shape_builtin_count()));
}

static void an_unknown_type_is_text(void **state)
{
    shape_set *empty = build(NULL, 0);
    assert_int_equal(shape_of(NULL, 0)->kind, SHAPE_TEXT);
    assert_int_equal(shape_of(empty, 99999)->kind, SHAPE_TEXT);
    assert_non_null(shape_of(empty, UINT32_MAX)->type_name);
    assert_ptr_equal(shape_of(empty, INT4), shape_of(NULL, INT4));
    shape_set_free(empty);
    shape_set_free(NULL);
}

static void a_composite_has_its_fields_in_order(void **state)
{
    const char *const rows[] = {
        "23",    "integer", "b", "4",  "0",     "0", NULL, NULL, NULL,    /* */
        "20001", "s.pair",  "c", "-1", "0",     "0", NULL, "a",  "23",    /* */
        "20001", "s.pair",  "c", "-1", "0",     "0", NULL, "bs", "20003", /* */
        "20002", "s.none",  "c", "-1", "0",     "0", NULL, NULL, NULL,    /* */
        "20003", "s.e[]",   "b", "-1", "20004", "0", ";",  NULL, NULL,    /* */
        "20004", "s.e",     "e", "4",  "0",     "0", NULL, NULL, NULL,
    };
    shape_set *set = build(rows, 6);
    const shape *pair = shape_of(set, 20001), *none = shape_of(set, 20002);
    assert_int_equal(pair->kind, SHAPE_COMPOSITE);
    assert_string_equal(pair->type_name, "s.pair");
    assert_int_equal(pair->field_count, 2);
    assert_string_equal(pair->fields[0].name, "a");
    assert_int_equal(pair->fields[0].shape->kind, SHAPE_NUMBER);
    assert_string_equal(pair->fields[1].name, "bs");
    const shape *array = pair->fields[1].shape;
    assert_int_equal(array->kind, SHAPE_ARRAY);
    assert_int_equal(array->delimiter, ';');
    assert_int_equal(array->element->oid, 20004);
    assert_int_equal(array->element->kind, SHAPE_TEXT);
    assert_int_equal(none->kind, SHAPE_COMPOSITE);
    assert_int_equal(none->field_count, 0);
    shape_set_free(set);
}

static void a_domain_goes_by_its_base_and_keeps_its_name(void **state)
{
    const char *const rows[] = {
        "30001", "d.outer", "d", "-1", "0", "30002", NULL, NULL, NULL, /* */
        "30002", "d.inner", "d", "-1", "0", "1007",  NULL, NULL, NULL, /* */
        "30003", "d.rec",   "d", "-1", "0", "30004", NULL, NULL, NULL, /* */
        "30004", "rec",     "c", "-1", "0", "0",     NULL, "x",  "30001",
    };
    shape_set *set = build(rows, 4);
    const shape *outer = shape_of(set, 30001), *rec = shape_of(set, 30003);
    assert_int_equal(outer->kind, SHAPE_ARRAY);
    assert_string_equal(outer->type_name, "d.outer");
    assert_int_equal(outer->oid, 30001);
    assert_int_equal(outer->element->oid, INT4);
    assert_int_equal(rec->kind, SHAPE_COMPOSITE);
    assert_int_equal(rec->field_count, 1);
    assert_int_equal(rec->fields[0].shape->kind, SHAPE_ARRAY);
    shape_set_free(set);
}

static void types_that_contain_themselves_end(void **state)
{
    const char *const rows[] = {
        "40001", "loop",   "c", "-1", "0",     "0",     NULL, "self", "40002", /* */
        "40002", "loop[]", "b", "-1", "40001", "0",     ",",  NULL,   NULL,    /* */
        "40003", "d1",     "d", "-1", "0",     "40004", NULL, NULL,   NULL,    /* */
        "40004", "d2",     "d", "-1", "0",     "40003", NULL, NULL,   NULL,
    };
    shape_set *set = build(rows, 4);
    const shape *loop = shape_of(set, 40001);
    assert_ptr_equal(loop->fields[0].shape->element, loop);
    assert_int_equal(shape_of(set, 40003)->kind, SHAPE_TEXT);
    shape_set_free(set);
}

static void rows_of_another_form_are_refused(void **state)
{
    table_result t = {{&table_result_class}, 0, 3, names, NULL, NULL, NULL, 0};
    shape_set *set = NULL;
    assert_int_equal(shape_set_build(&t.result, &set), WEIR_EINVAL);
    assert_null(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in_types_need_no_set),
        cmocka_unit_test(built_in_types_are_in_order_and_each_is_found),
        cmocka_unit_test(an_unknown_type_is_text),
        cmocka_unit_test(a_composite_has_its_fields_in_order),
        cmocka_unit_test(a_domain_goes_by_its_base_and_keeps_its_name),
        cmocka_unit_test(types_that_contain_themselves_end),
        cmocka_unit_test(rows_of_another_form_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
