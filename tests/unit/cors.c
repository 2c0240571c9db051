/* cors.c: tests of which origins are allowed, and which configurations are. */
#include "../../api/cors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../pool/weir.h"

static char why[256];

static void origins_are_allowed_as_configured(void **state)
{
    static const struct {
        const char *configured, *origin, *allowed;
        bool varies;
    } cases[] = {
        {"*", "https://shop.example", "*", false},
        {"*", "null", "*", false},
        {"*", NULL, NULL, false},
        {"https://shop.example", "https://shop.example", "https://shop.example", true},
        {"https://shop.example", "HTTPS://SHOP.example", "HTTPS://SHOP.example", true},
        {"https://shop.example", "http://shop.example", NULL, true},
        {"https://shop.example", "https://shop.example.evil.example", NULL, true},
        {"https://shop.example", "https://shop.exampl", NULL, true},
        {"https://shop.example", "https://shop.example:8443", NULL, true},
        {"https://shop.example", "null", NULL, true},
        {"https://shop.example", "", NULL, true},
        {"https://shop.example", NULL, NULL, true},
        {"https://a.example , http://localhost:3000", "http://localhost:3000",
         "http://localhost:3000", true},
        {"https://a.example,http://[::1]:3000", "http://[::1]:3000", "http://[::1]:3000", true},
        {"app+x://b", "app+x://b", "app+x://b", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cors *c;
        assert_int_equal(cors_open(cases[i].configured, &c, why, sizeof why), 0);
        const char *allowed = cors_allowed(c, cases[i].origin);
        if (cases[i].allowed)
            assert_string_equal(allowed, cases[i].allowed);
        else
            assert_null(allowed);
        assert_int_equal(cors_varies(c), cases[i].varies);
        cors_close(c);
    }
}

static void what_is_no_origin_is_refused_by_name(void **state)
{
    static const struct {
        const char *configured, *named;
    } cases[] = {
        {"shop.example", "\"shop.example\""},
        {"https://shop.example/", "\"https://shop.example/\""},
        {"https://a.example,", "\"\""},
        {",https://a.example", "\"\""},
        {"https://a.example,*", "\"*\""},
        {"null", "\"null\""},
        {"https://", "\"https://\""},
        {"://host", "\"://host\""},
        {"https://*.example", "\"https://*.example\""},
        {"https://a b", "\"https://a b\""},
        {"https://a.example https://b.example", "\"https://a.example https://b.example\""},
        {" ", "\"\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cors *c = NULL;
        assert_int_equal(cors_open(cases[i].configured, &c, why, sizeof why), WEIR_EINVAL);
        assert_null(c);
        assert_non_null(strstr(why, "--cors-origin: "));
        assert_non_null(strstr(why, cases[i].named));
    }
}

static void nothing_configured_is_nothing(void **state)
{
    cors *c = (cors *)why;
    assert_int_equal(cors_open(NULL, &c, why, sizeof why), 0);
    assert_null(c);
    cors_close(c);
}

static void only_lists_of_names_are_said_again(void **state)
{
    assert_true(cors_names_valid("content-type, Authorization,x-request-id"));
    assert_true(cors_names_valid("x"));
    static const char *const bad[] = {"", "a;b", "a:b", "\xc3\xa4", "a\r\nb", "<b>", "a\"b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(cors_names_valid(bad[i]));
    char many[1026];
    memset(many, 'x', sizeof many);
    many[1024] = '\0';
    assert_true(cors_names_valid(many));
    many[1024] = 'x';
    many[1025] = '\0';
    assert_false(cors_names_valid(many));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins_are_allowed_as_configured),
        cmocka_unit_test(what_is_no_origin_is_refused_by_name),
        cmocka_unit_test(nothing_configured_is_nothing),
        cmocka_unit_test(only_lists_of_names_are_said_again),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("cors", tests, NULL, NULL);
}
