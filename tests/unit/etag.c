/* etag.c: tests of what tells one answer from another. */
#include "../../api/etag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void tag(const void *bytes, size_t length, char etag[ETAG_SIZE])
{
    etag_of(bytes, length, false, etag);
}

static void the_same_bytes_have_the_same_tag(void **state)
{
    char a[ETAG_SIZE], b[ETAG_SIZE], copy[] = "xsome bytes";
    tag("some bytes", 10, a);
    tag(copy + 1, 10, b);
    assert_string_equal(a, b);
    assert_int_equal(strlen(a), 34);
    etag_of("some bytes", 10, true, b);
    assert_memory_equal(b, "W/", 2);
    assert_string_equal(b + 2, a);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void assert_distinct(char tags[][ETAG_SIZE], size_t count)
{
    qsort(tags, count, ETAG_SIZE, by_text);
    for (size_t i = 1; i < count; i++)
        assert_string_not_equal(tags[i - 1], tags[i]);
}

static void each_bit_and_the_length_make_a_difference(void **state)
{
    enum { LENGTHS = 40, MOST = 40 * 41 * 4 + 1 };
    static char tags[MOST + LENGTHS][ETAG_SIZE];
    size_t count = 0;
    for (size_t length = 0; length < LENGTHS; length++) { /* zeros, and zeros with one bit set */
        unsigned char bytes[LENGTHS] = {0};
        tag(bytes, length, tags[count++]);
        for (size_t bit = 0; bit < 8 * length; bit++) {
            bytes[bit / 8] = (unsigned char)(1u << bit % 8);
            tag(bytes, length, tags[count++]);
            bytes[bit / 8] = 0;
        }
    }
    assert_true(count > 6000 && count <= sizeof tags / sizeof *tags);
    assert_distinct(tags, count);
}

static void what_changes_places_makes_a_difference(void **state)
{
    static char tags[2000][ETAG_SIZE];
    for (size_t i = 0; i < 2000; i++) {
        char text[64];
        int length =
            snprintf(text, sizeof text, "{\"rows\":[{\"a\":%zu,\"b\":%zu}]}", i / 40, i % 40);
        tag(text, (size_t)length, tags[i]);
    }
    assert_distinct(tags, 2000);
}

static void a_tag_is_found_in_a_list_and_nowhere_else(void **state)
{
    static const struct {
        const char *header;
        bool listed;
    } cases[] = {
        {"\"abc\"", true},
        {"W/\"abc\"", true},
        {"*", true},
        {"\"x\", * ", true},
        {"*x", false},
        {"\"x\", W/\"y\",\t\"abc\"", true},
        {"\"x,\\\",\"abc\"", true},
        {"\"abcd\"", false},
        {"\"ab\"", false},
        {"abc", false},
        {"", false},
        {" , ,", false},
        {"\"abc", false},
        {"\"x\" nonsense \"abc\"", false},
        {"w/\"abc\"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(etag_listed(cases[i].header, "\"abc\""), cases[i].listed);
        assert_int_equal(etag_listed(cases[i].header, "W/\"abc\""), cases[i].listed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bytes_have_the_same_tag),
        cmocka_unit_test(each_bit_and_the_length_make_a_difference),
        cmocka_unit_test(what_changes_places_makes_a_difference),
        cmocka_unit_test(a_tag_is_found_in_a_list_and_nowhere_else),
    };
    return cmocka_run_group_tests_name("etag", tests, NULL, NULL);
}
