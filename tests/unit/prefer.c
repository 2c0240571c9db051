/* prefer.c: how long a client says that it is willing to wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../api/prefer.h"
#include "weir.h"

enum { NONE = 0, WRONG = UINT32_MAX };

static void waits(const char *prefer, uint32_t expected)
{
    uint32_t seconds = 4711;
    int r = prefer_wait(prefer, &seconds);
    bool fits = expected == NONE    ? r == 0 && seconds == 4711
                : expected == WRONG ? r == WEIR_EINVAL && seconds == 4711
                                    : r == 1 && seconds == expected;
    if (!fits)
        fail_msg("%s: %d, %u", prefer, r, seconds);
}

static void a_wait_is_found_among_other_preferences(void **state)
{
    waits("wait=10", 10);
    waits("WAIT=1", 1);
    waits(" \twait = 10 \t", 10);
    waits("wait=\"10\"", 10);
    waits("wait=0010", 10);
    waits("wait=10;by=me; \"and, you\"", 10);
    waits("respond-async, wait=10", 10);
    waits("respond-async;x=\"a, wait=3, b\", wait=10", 10);
    waits("a=\"\\\", wait=3\", wait=10", 10);
    waits(",,, ,wait=10,,", 10);
    waits("return=minimal;wait=3, wait=10", 10);
    waits("wait=4294967294", 4294967294);
}

static void of_several_the_first_counts(void **state)
{
    waits("wait=5, wait=10", 5);
    waits("wait=5, wait=soon", 5);
    waits("wait=soon, wait=5", WRONG);
}

static void other_preferences_mean_nothing(void **state)
{
    static const char *const none[] = {
        "",
        " ",
        ",",
        "respond-async",
        "waiting=3",
        "wai=3",
        "a=wait=3",
        "\"wait=3\"",
        "a=\"wait",
        "a;wait=3",
        "x=\"\\",
        ";;;",
        "===",
        "a b c",
        "handling",
        "=wait",
        "a=\"b\" wait=3",
        "\"",
        "\xff\xfe=",
        "a=\"\\\"",
        "await=3,;",
        "wait-for=3",
        "a=,",
        "\\",
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        waits(none[i], NONE);
}

static void what_is_no_number_of_seconds_is_wrong(void **state)
{
    static const char *const wrong[] = {
        "wait",      "wait=",    "wait=0",        "wait=00",   "wait=-1",     "wait=+1",
        "wait=1.5",  "wait=1s",  "wait=soon",     "wait=\"\"", "wait=\" 1\"", "wait;10",
        "wait 10",   "wait==10", "wait=\"1",      "wait=10 5", "wait=\"1\"2", "wait=1=2",
        "wait=0x10", "wait=1e3", "wait=\xd9\xa1", "a, wait=,", "wait=\"x",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        waits(wrong[i], WRONG);
}

static void more_seconds_than_can_be_counted_are_as_many(void **state)
{
    uint32_t seconds = 0;
    assert_int_equal(prefer_wait("wait=99999999999999999999999999999", &seconds), 1);
    assert_int_equal(seconds, UINT32_MAX);
}

static void a_timeout_has_a_unit_or_is_in_seconds(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        {"250ms", WEIR_MS(250)}, {"2s", WEIR_S(2)},       {"2", WEIR_S(2)},
        {"1.5", WEIR_MS(1500)},  {"1.5s", WEIR_MS(1500)}, {" 3 \t", WEIR_S(3)},
        {"5m", WEIR_S(300)},     {"0.001", WEIR_MS(1)},   {"1h", WEIR_S(3600)},
        {"100us", WEIR_US(100)}, {"007", WEIR_S(7)},
    };
    static const char *const wrong[] = {
        "",
        " ",
        "0",
        "0s",
        "0.0",
        "-1",
        "+1",
        "1 s",
        "1s 2s",
        "soon",
        "1.",
        ".5",
        "1..5",
        "1.5.",
        "1e3",
        "0x10",
        "s",
        "1S",
        "1,5",
        "1;2",
        "\"1\"",
        "ms",
        "1\n",
        "1s\r",
        "99999999999999999999s",
        "18446744073.8s",
        "inf",
        "nan",
        "1ss",
        "1000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t ns = 0;
        if (prefer_timeout(good[i].text, &ns) != 0 || ns != good[i].ns)
            fail_msg("%s: %llu", good[i].text, (unsigned long long)ns);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint64_t ns = 4711;
        if (prefer_timeout(wrong[i], &ns) != WEIR_EINVAL || ns != 4711)
            fail_msg("%s: %llu", wrong[i], (unsigned long long)ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_is_found_among_other_preferences),
        cmocka_unit_test(of_several_the_first_counts),
        cmocka_unit_test(other_preferences_mean_nothing),
        cmocka_unit_test(what_is_no_number_of_seconds_is_wrong),
        cmocka_unit_test(more_seconds_than_can_be_counted_are_as_many),
        cmocka_unit_test(a_timeout_has_a_unit_or_is_in_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
