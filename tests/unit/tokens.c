/* tokens.c: tests of the secrets that let operators in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../api/tokens.h"
#include "../../pool/weir.h"

static token_set set;

static int open_set(void **state)
{
    tokens_open(&set);
    return 0;
}

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
    assert_int_equal(tokens_judge(&set, "Bearer x"), TOKEN_NONE_SET);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        take(none[i]);
        assert_int_equal(tokens_judge(&set, "Bearer "), TOKEN_NONE_SET);
        assert_int_equal(tokens_judge(&set, NULL), TOKEN_NONE_SET);
    }
}

static void each_line_is_a_token(void **state)
{
    take("# ours\nfirst\n\n  second \t\r\nlast");
    assert_int_equal(tokens_judge(&set, "Bearer first"), TOKEN_GOOD);
    assert_int_equal(tokens_judge(&set, "bearer second"), TOKEN_GOOD);
    assert_int_equal(tokens_judge(&set, "Bearer last"), TOKEN_GOOD);
}

static void nothing_but_a_whole_token_will_do(void **state)
{
    static const char *const wrong[] = {"Bearer ",      "Bearer firs",       "Bearer firstt",
                                        "Bearer First", "Bearer first last", "Bearer firstfirst",
                                        "Bearer  first"};
    take("first\nlast\n");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(tokens_judge(&set, wrong[i]), TOKEN_WRONG);
    assert_int_equal(tokens_judge(&set, NULL), TOKEN_MISSING);
    assert_int_equal(tokens_judge(&set, "Basic first"), TOKEN_MISSING);
    assert_int_equal(tokens_judge(&set, "first"), TOKEN_MISSING);
}

static void new_tokens_replace_the_old_ones_unless_one_is_no_token(void **state)
{
    uint32_t line = 0;
    take("old");
    assert_int_equal(tokens_set(&set, "new\n\nwith a blank\n", &line), WEIR_EINVAL);
    assert_int_equal(line, 3);
    assert_int_equal(tokens_judge(&set, "Bearer old"), TOKEN_GOOD);
    assert_int_equal(tokens_judge(&set, "Bearer new"), TOKEN_WRONG);
    take("new");
    assert_int_equal(tokens_judge(&set, "Bearer old"), TOKEN_WRONG);
    assert_int_equal(tokens_judge(&set, "Bearer new"), TOKEN_GOOD);
}

#define test(name) cmocka_unit_test_setup_teardown(name, open_set, close_set)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(without_a_token_nobody_is_let_in),
        test(each_line_is_a_token),
        test(nothing_but_a_whole_token_will_do),
        test(new_tokens_replace_the_old_ones_unless_one_is_no_token),
    };
    return cmocka_run_group_tests_name("tokens", tests, NULL, NULL);
}
