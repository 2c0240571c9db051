/* buffer.c: bytes that grow, for building answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "../../api/buffer.h"

static void assert_holds(buffer *b, const char *expected)
{
    assert_false(b->failed);
    assert_int_equal(b->length, strlen(expected));
    assert_memory_equal(b->data, expected, b->length);
    buffer_free(b);
}

static void what_is_appended_stands_in_order(void **state)
{
    buffer b = {0};
    buffer_append(&b, "ab", 2);
    buffer_text(&b, "cd");
    buffer_text(&b, "");
    buffer_append(&b, NULL, 0);
    buffer_char(&b, 'e');
    buffer_uint(&b, 42);
    buffer_printf(&b, "[%s %d]", "x", -7);
    assert_holds(&b, "abcde42[x -7]");
}

static void it_grows_and_keeps_what_it_holds(void **state)
{
    buffer b = {0};
    for (int i = 0; i < 100000; i++)
        buffer_char(&b, (char)('a' + i % 26));
    assert_int_equal(b.length, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], 'a' + i % 26);
    buffer_free(&b);
    assert_null(b.data);
}

static void a_long_format_is_not_cut(void **state)
{
    buffer b = {0};
    char text[1000];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    buffer_printf(&b, "%s!", text);
    assert_int_equal(b.length, sizeof text);
    assert_int_equal(b.data[b.length - 1], '!');
    assert_memory_equal(b.data, text, sizeof text - 1);
    buffer_free(&b);
}

static void numbers_are_printed_in_full(void **state)
{
    static const uint64_t numbers[] = {
        0, 1, 9, 10, 99, 100, 101, 9999, 10000, 123456, 18446744073709551615u};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char expected[32];
        buffer b = {0};
        snprintf(expected, sizeof expected, "%ju", (uintmax_t)numbers[i]);
        buffer_uint(&b, numbers[i]);
        assert_holds(&b, expected);
    }
}

static void milliseconds_have_three_decimals_and_are_rounded(void **state)
{
    buffer b = {0};
    buffer_ms(&b, 0);
    buffer_char(&b, ' ');
    buffer_ms(&b, 1234567);
    buffer_char(&b, ' ');
    buffer_ms(&b, 999999999);
    buffer_char(&b, ' ');
    buffer_ms(&b, UINT64_MAX);
    assert_holds(&b, "0.000 1.235 1000.000 18446744073709.552");
}

static void json_escapes_what_must_be_escaped(void **state)
{
    static const char text[] = "a\"b\\c/\b\f\n\r\t\x01\x1f\x7f é\0z";
    buffer b = {0};
    buffer_json(&b, text, sizeof text - 1);
    assert_holds(&b, "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f é\\u0000z\"");
    buffer_json(&b, "", 0);
    buffer_json_text(&b, "x");
    buffer_json_text(&b, NULL);
    assert_holds(&b, "\"\"\"x\"null");
}

/* Each byte that needs an escape, at each place of texts of each length around the word size and
 * the chunk size; jansson reads back what went in. */
static void json_is_read_back_as_it_was(void **state)
{
    static const char special[] = {'"', '\\', '\n', 0x01, 0x1f, 0x7f, ' ', '!', '#', '[', ']'};
    static const size_t lengths[] = {1, 7, 8, 9, 15, 16, 17, 31, 511, 512, 513, 1030};
    char text[1100];
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (size_t at = 0; at<lengths[l]; at += lengths[l]> 100 ? 37 : 1)
            for (size_t s = 0; s < sizeof special; s++) {
                memset(text, 'x', sizeof text);
                text[at] = special[s];
                text[lengths[l] - 1 - at] = special[s];
                buffer b = {0};
                buffer_json(&b, text, lengths[l]);
                json_t *read = json_loadb(b.data, b.length, JSON_DECODE_ANY, NULL);
                assert_non_null(read);
                assert_int_equal(json_string_length(read), lengths[l]);
                assert_memory_equal(json_string_value(read), text, lengths[l]);
                json_decref(read);
                buffer_free(&b);
            }
}

static void bytes_above_ascii_pass_unescaped_at_any_alignment(void **state)
{
    const char *text = "éééééééé😀😀漢字";
    for (size_t skip = 0; skip <= 8; skip += 2) {
        buffer b = {0}, expected = {0};
        buffer_json_text(&b, text + skip);
        buffer_printf(&expected, "\"%s\"", text + skip);
        buffer_char(&expected, '\0');
        assert_holds(&b, expected.data);
        buffer_free(&expected);
    }
}

static void without_memory_it_fails_and_stays_failed(void **state)
{
    buffer b = {0};
    buffer_text(&b, "kept");
    assert_false(buffer_reserve(&b, SIZE_MAX - 2));
    assert_true(b.failed);
    buffer_char(&b, 'x');
    buffer_json_text(&b, "x");
    buffer_printf(&b, "%d", 1);
    assert_int_equal(b.length, 4);
    size_t length = 1;
    assert_null(buffer_take(&b, &length));
    assert_int_equal(length, 0);
    assert_false(b.failed);
}

static void taking_hands_the_bytes_over(void **state)
{
    buffer b = {0};
    buffer_text(&b, "mine");
    size_t length = 0;
    char *data = buffer_take(&b, &length);
    assert_int_equal(length, 4);
    assert_memory_equal(data, "mine", 4);
    assert_null(b.data);
    assert_int_equal(b.length, 0);
    free(data);
    buffer_text(&b, "again");
    assert_holds(&b, "again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_appended_stands_in_order),
        cmocka_unit_test(it_grows_and_keeps_what_it_holds),
        cmocka_unit_test(a_long_format_is_not_cut),
        cmocka_unit_test(numbers_are_printed_in_full),
        cmocka_unit_test(milliseconds_have_three_decimals_and_are_rounded),
        cmocka_unit_test(json_escapes_what_must_be_escaped),
        cmocka_unit_test(json_is_read_back_as_it_was),
        cmocka_unit_test(bytes_above_ascii_pass_unescaped_at_any_alignment),
        cmocka_unit_test(without_memory_it_fails_and_stays_failed),
        cmocka_unit_test(taking_hands_the_bytes_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
