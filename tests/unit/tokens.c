/* tokens.c: tests of secrets that let in whoever shows one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../api/tokens.h"
#include "../../pool/weir.h"

static token_set set;

static int close_set(void **state)
{
    tokens_close(&set);
    return 0;
}

static void take(const char *lines)
{
    uint32_t line = 0;
    assert_int_equal(tokens_set(&set, lines, &line), 0);
}

static void without_a_token_nobody_is_let_in(void **state)
{
    static const char *const none[] = {NULL, "", "\n\n", "# only this\n   \n"};
    assert_false(tokens_know(&set, "x"));
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        take(none[i]);
        assert_int_equal(set.count, 0);
        assert_false(tokens_know(&set, ""));
    }
}

static void each_line_is_a_token(void **state)
{
    take("# ours\nfirst\n\n  second \t\r\nlast");
    assert_int_equal(set.count, 3);
    assert_true(tokens_know(&set, "first"));
    assert_true(tokens_know(&set, "second"));
    assert_true(tokens_know(&set, "last"));
}

static void nothing_but_a_whole_token_will_do(void **state)
{
    static const char *const wrong[] = {"",           "firs",       "firstt", "First",
                                        "first last", "firstfirst", " first"};
    take("first\nlast\n");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(tokens_know(&set, wrong[i]));
}

static void a_token_stands_behind_the_word_bearer(void **state)
{
    assert_string_equal(tokens_bearer("Bearer first"), "first");
    assert_string_equal(tokens_bearer("bearer second"), "second");
    assert_string_equal(tokens_bearer("Bearer "), "");
    assert_null(tokens_bearer("Basic first"));
    assert_null(tokens_bearer("first"));
    assert_null(tokens_bearer("Bearer"));
    assert_null(tokens_bearer(NULL));
}

static void new_tokens_replace_the_old_ones_unless_one_is_no_token(void **state)
{
    uint32_t line = 0;
    take("old");
    assert_int_equal(tokens_set(&set, "new\n\nwith a blank\n", &line), WEIR_EINVAL);
    assert_int_equal(line, 3);
    assert_true(tokens_know(&set, "old"));
    assert_false(tokens_know(&set, "new"));
    take("new");
    assert_false(tokens_know(&set, "old"));
    assert_true(tokens_know(&set, "new"));
}

#define test(name) cmocka_unit_test_teardown(name, close_set)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(without_a_token_nobody_is_let_in),
        test(each_line_is_a_token),
        test(nothing_but_a_whole_token_will_do),
        test(a_token_stands_behind_the_word_bearer),
        test(new_tokens_replace_the_old_ones_unless_one_is_no_token),
    };
    return cmocka_run_group_tests_name("tokens", tests, NULL, NULL);
}
