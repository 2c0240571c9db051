/* duration.c: which lengths of time are understood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../api/duration.h"
#include "../../pool/weir.h"

static void units_and_fractions_are_understood(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        {"0", 0},
        {"0s", 0},
        {"7ns", 7},
        {"100us", WEIR_US(100)},
        {"250ms", WEIR_MS(250)},
        {"2s", WEIR_S(2)},
        {"1.5s", WEIR_MS(1500)},
        {"0.000000001s", 1},
        {"5m", WEIR_S(300)},
        {"1h", WEIR_S(3600)},
        {"0.5d", WEIR_S(43200)},
        {"18446744073709551615ns", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t ns = 1234;
        assert_int_equal(duration_parse(good[i].text, &ns), 0);
        assert_int_equal(ns, good[i].ns);
    }
}

static void anything_else_is_refused_and_leaves_the_output(void **state)
{
    static const char *const bad[] = {
        "",       "5",          "00x",
        "s",      "-1s",        "+1s",
        " 1s",    "1s ",        "1 s",
        "1.s",    ".5s",        "1e3s",
        "1S",     "1h30m",      "1.5",
        "0.0",    "1.5ns",      "0.0000000001s",
        "1.2.3s", "1..5s",      "inf",
        "never",  "0x1s",       "1sec",
        "1week",  "213504000d", "18446744073709551616ns",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t ns = 1234;
        if (duration_parse(bad[i], &ns) != WEIR_EINVAL || ns != 1234)
            fail_msg("%s was taken for a duration", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_and_fractions_are_understood),
        cmocka_unit_test(anything_else_is_refused_and_leaves_the_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
