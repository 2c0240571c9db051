/* arguments.c: tests of what a query string says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "../../api/arguments.h"

static arguments parsed;
static char *copy;

static const char *parse(const char *query_string)
{
    free(copy);
    copy = strdup(query_string);
    return arguments_parse(&parsed, copy);
}

static int drop(void **state)
{
    free(copy);
    copy = NULL;
    return 0;
}

static void is_pair(uint32_t index, const char *name, const char *value)
{
    assert_true(index < parsed.count);
    assert_string_equal(parsed.pairs[index].name, name);
    if (value)
        assert_string_equal(parsed.pairs[index].value, value);
    else
        assert_null(parsed.pairs[index].value);
}

static void names_and_values_are_parted_and_decoded(void **state)
{
    assert_null(parse("a=1&b=x+y&c=x%2By&d%20e=%C3%A4"));
    assert_int_equal(parsed.count, 4);
    is_pair(0, "a", "1");
    is_pair(1, "b", "x y");
    is_pair(2, "c", "x+y");
    is_pair(3, "d e", "\xc3\xa4");
}

static void a_value_may_be_absent_or_empty_or_hold_equals_signs(void **state)
{
    assert_null(parse("a&b=&c=1=2&d=%26"));
    assert_int_equal(parsed.count, 4);
    is_pair(0, "a", NULL);
    is_pair(1, "b", "");
    is_pair(2, "c", "1=2");
    is_pair(3, "d", "&");
}

static void names_may_occur_several_times_in_order(void **state)
{
    assert_null(parse("a=1&b=2&a=3"));
    assert_int_equal(parsed.count, 3);
    is_pair(0, "a", "1");
    is_pair(2, "a", "3");
}

static void nothing_between_ampersands_says_nothing(void **state)
{
    assert_null(parse(""));
    assert_int_equal(parsed.count, 0);
    assert_null(parse("&&a=1&&"));
    assert_int_equal(parsed.count, 1);
}

static void what_cannot_be_understood_is_told(void **state)
{
    static const char *const bad[] = {"=1", "a=1&=2", "a=%", "a=%zz", "%=1", "a=%00", "a=%ff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!parse(bad[i]))
            fail_msg("%s was taken", bad[i]);
}

static void as_many_as_fit_are_taken_and_no_more(void **state)
{
    char many[ARGUMENTS_MAX * 4 + 8] = "";
    for (int i = 0; i < ARGUMENTS_MAX; i++)
        strcat(many, "a=1&");
    assert_null(parse(many));
    assert_int_equal(parsed.count, ARGUMENTS_MAX);
    strcat(many, "b");
    assert_non_null(parse(many));
}

static void an_argument_is_found_by_its_whole_name(void **state)
{
    assert_true(arguments_name("verbose", "verbose"));
    assert_true(arguments_name("a=1&verbose=1", "verbose"));
    assert_true(arguments_name("verbose&a", "verbose"));
    assert_false(arguments_name("", "verbose"));
    assert_false(arguments_name("verbosely&xverbose&a=verbose", "verbose"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_values_are_parted_and_decoded),
        cmocka_unit_test(a_value_may_be_absent_or_empty_or_hold_equals_signs),
        cmocka_unit_test(names_may_occur_several_times_in_order),
        cmocka_unit_test(nothing_between_ampersands_says_nothing),
        cmocka_unit_test(what_cannot_be_understood_is_told),
        cmocka_unit_test(as_many_as_fit_are_taken_and_no_more),
        cmocka_unit_test(an_argument_is_found_by_its_whole_name),
    };
    return cmocka_run_group_tests(tests, NULL, drop);
}
