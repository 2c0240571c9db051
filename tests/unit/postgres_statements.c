/* postgres_statements.c: which prepared statements a session keeps, and which have to go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/postgres_statements.h"

static prepared *add(statements *all, const char *sql)
{
    statements_make_room(all);
    prepared *p = statements_make(all, sql);
    assert_non_null(p);
    statements_add(all, p);
    return p;
}

static void a_statement_is_found_by_its_text_once_added(void **state)
{
    statements all = {.max = 4};
    prepared *p = statements_make(&all, "select 1");
    assert_null(statements_find(&all, "select 1"));
    statements_add(&all, p);
    char elsewhere[] = "select 1";
    assert_ptr_equal(statements_find(&all, elsewhere), p);
    assert_null(statements_find(&all, "select 2"));
    statements_clear(&all);
    assert_null(statements_find(&all, "select 1"));
}

static void the_one_used_longest_ago_makes_room(void **state)
{
    statements all = {.max = 3};
    add(&all, "a");
    prepared *b = add(&all, "b");
    add(&all, "c");
    statements_find(&all, "a");
    add(&all, "d");
    assert_null(statements_find(&all, "b"));
    assert_non_null(statements_find(&all, "a"));
    assert_non_null(statements_find(&all, "c"));
    assert_ptr_equal(statements_doomed(&all, NULL), b);
    assert_int_equal(all.count, 3);
    statements_clear(&all);
}

static void doomed_statements_are_closed_oldest_first(void **state)
{
    statements all = {.max = 1};
    const prepared *a = add(&all, "a"), *b = add(&all, "b");
    add(&all, "c");
    assert_ptr_equal(statements_doomed(&all, NULL), a);
    assert_ptr_equal(statements_doomed(&all, a), b);
    assert_null(statements_doomed(&all, b));
    statements_closed(&all);
    assert_ptr_equal(statements_doomed(&all, NULL), b);
    statements_closed(&all);
    assert_null(statements_doomed(&all, NULL));
    statements_clear(&all);
}

static void a_name_is_never_used_twice(void **state)
{
    statements all = {.max = 2};
    char first[STATEMENT_NAME_MAX];
    prepared *p = add(&all, "a");
    snprintf(first, sizeof first, "%s", prepared_name(p));
    statements_drop(&all, p);
    assert_null(statements_doomed(&all, NULL));
    assert_string_not_equal(prepared_name(add(&all, "a")), first);
    all.serial = UINT32_MAX - 1;
    assert_string_equal(prepared_name(add(&all, "b")), "weir_4294967295");
    statements_clear(&all);
}

static void thousands_come_and_go_within_the_bound(void **state)
{
    statements all = {.max = 16};
    char sql[32];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(sql, sizeof sql, "select %u", i * 7 % 23);
        if (!statements_find(&all, sql))
            add(&all, sql);
        if (i % 3 == 0 && statements_doomed(&all, NULL))
            statements_closed(&all);
        assert_true(all.count <= 16);
        assert_non_null(statements_find(&all, sql));
    }
    statements_clear(&all);
    assert_int_equal(all.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_statement_is_found_by_its_text_once_added),
        cmocka_unit_test(the_one_used_longest_ago_makes_room),
        cmocka_unit_test(doomed_statements_are_closed_oldest_first),
        cmocka_unit_test(a_name_is_never_used_twice),
        cmocka_unit_test(thousands_come_and_go_within_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
