/* percent.c: tests of percent-decoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "../../api/percent.h"

static void escapes_become_bytes(void **state)
{
    static const struct {
        const char *text, *decoded;
    } cases[] = {
        {"", ""},           {"plain", "plain"},     {"a%20b", "a b"},         {"%41%5a%5A", "AZZ"},
        {"100%25", "100%"}, {"%2541", "%41"}, /* once, not twice */
        {"a+b", "a+b"},     {"%C3%A4", "\xc3\xa4"}, {"\xc3\xa4", "\xc3\xa4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[64];
        size_t length = 99;
        assert_true(percent_decode(cases[i].text, strlen(cases[i].text), '/', out, &length));
        assert_string_equal(out, cases[i].decoded);
        assert_int_equal(length, strlen(cases[i].decoded));
    }
}

static void what_is_no_text_is_refused(void **state)
{
    const char *bad[] = {"%",   "%4",     "%zz",   "a%4g",         "%00",
                         "%ff", "\xff",   "%C3",   "%C3%28",       "%ED%A0%80",
                         "%",   "%C0%80", "abc%2", "%F4%90%80%80", "%-1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char out[64];
        size_t length = 99;
        if (percent_decode(bad[i], strlen(bad[i]), '/', out, &length))
            fail_msg("%s was taken", bad[i]);
        assert_int_equal(length, 99);
    }
    char out[8];
    size_t length;
    assert_false(percent_decode("a\0b", 3, '/', out, &length));
}

static void an_encoded_slash_is_kept_apart_from_a_plain_one(void **state)
{
    char out[64];
    size_t length;
    const char *path = "/a%2Fb/c%2f%C3%A4/d";
    assert_true(percent_decode(path, strlen(path), PERCENT_SLASH, out, &length));
    assert_string_equal(out, "/a\xff"
                             "b/c\xff\xc3\xa4/d");
    percent_slashes(out, length);
    assert_string_equal(out, "/a/b/c/\xc3\xa4/d");
}

static void nothing_beyond_the_length_is_read(void **state)
{
    char out[64];
    size_t length;
    assert_true(percent_decode("ab%20", 2, '/', out, &length));
    assert_string_equal(out, "ab");
    assert_false(percent_decode("ab%20", 4, '/', out, &length));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_become_bytes),
        cmocka_unit_test(what_is_no_text_is_refused),
        cmocka_unit_test(an_encoded_slash_is_kept_apart_from_a_plain_one),
        cmocka_unit_test(nothing_beyond_the_length_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
