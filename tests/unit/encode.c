/* encode.c: values and rows in their text form, as JSON. What the server prints for them is the
 * business of tests/integration/row_to_json.c; here is what it never prints, and the frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "../../api/encode.h"
#include "../support/table_result.h"

enum {
    BOOL = 16,
    INT2VECTOR = 22,
    INT4 = 23,
    TEXT = 25,
    JSON = 114,
    JSONS = 199,
    FLOAT8 = 701,
    INT4_ARRAY = 1007,
    TEXT_ARRAY = 1009,
    BOX_ARRAY = 1020,
    TIMESTAMP = 1114,
    TIMESTAMPTZ = 1184
};

static void assert_holds(buffer *b, const char *expected)
{
    buffer_char(b, '\0');
    assert_false(b->failed);
    assert_string_equal(b->data, expected);
    buffer_free(b);
}

/* From an exact copy, so that a read past its end shows. */
static void assert_value(const shape *as, const char *text, const char *expected)
{
    size_t length = strlen(text);
    char *copy = malloc(length + 1);
    memcpy(copy, text, length);
    copy = realloc(copy, length ? length : 1);
    buffer b = {0};
    encode_value(&b, copy, length, as);
    assert_holds(&b, expected);
    free(copy);
}

static void assert_builtin(uint32_t oid, const char *text, const char *expected)
{
    assert_value(shape_of(NULL, oid), text, expected);
}

static void numbers_are_verbatim_when_json_has_them(void **state)
{
    static const char *const numbers[] = {"0", "-0", "7", "-12.50", "1e-300", "1.5E+7", "0.1"};
    static const char *const others[] = {"NaN", "-Infinity", "",    "-",  "01",   "1.", ".5",
                                         "1e",  "+1",        "0x1", "1 ", "1.e5", "1e+"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_builtin(FLOAT8, numbers[i], numbers[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "\"%s\"", others[i]);
        assert_builtin(FLOAT8, others[i], expected);
    }
}

static void booleans_are_true_or_false(void **state)
{
    assert_builtin(BOOL, "t", "true");
    assert_builtin(BOOL, "f", "false");
    assert_builtin(BOOL, "true", "\"true\"");
    assert_builtin(BOOL, "", "\"\"");
}

static void timestamps_are_iso_8601(void **state)
{
    assert_builtin(TIMESTAMP, "2024-02-29 01:02:03.4", "\"2024-02-29T01:02:03.4\"");
    assert_builtin(TIMESTAMP, "0044-03-15 00:00:00 BC", "\"0044-03-15T00:00:00 BC\"");
    assert_builtin(TIMESTAMPTZ, "2024-02-29 01:02:03+00", "\"2024-02-29T01:02:03+00:00\"");
    assert_builtin(TIMESTAMPTZ, "2024-02-29 01:02:03-03:30", "\"2024-02-29T01:02:03-03:30\"");
    assert_builtin(TIMESTAMPTZ, "1850-01-01 00:19:32+00:19:32", "\"1850-01-01T00:19:32+00:19:32\"");
    assert_builtin(TIMESTAMPTZ, "0044-03-15 00:00:00-08 BC", "\"0044-03-15T00:00:00-08:00 BC\"");
    assert_builtin(TIMESTAMPTZ, "infinity", "\"infinity\"");
    assert_builtin(TIMESTAMP, "-infinity", "\"-infinity\"");
}

static void what_is_no_iso_timestamp_is_printed_as_it_is(void **state)
{
    static const char *const texts[] = {"", "2024", "Thu Feb 29 01:02:03 2024 CET", "02/29/2024 1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char expected[64];
        snprintf(expected, sizeof expected, "\"%s\"", texts[i]);
        assert_builtin(TIMESTAMPTZ, texts[i], expected);
    }
    assert_builtin(TIMESTAMPTZ, "2024-01-01 0\"", "\"2024-01-01 0\\\"\"");
    assert_builtin(TIMESTAMPTZ, "1 +", "\"1T+\"");
    assert_builtin(TIMESTAMPTZ, "1 +1", "\"1T+1\"");
}

static void json_keeps_its_text_but_for_line_breaks(void **state)
{
    assert_builtin(JSON, " {\"a\" :\t[1, 2]} ", " {\"a\" :\t[1, 2]} ");
    assert_builtin(JSON, "{\r\n\"a\\n\":\n[1,\n\n\r2]\n}\n", "{  \"a\\n\": [1,   2] } ");
    assert_builtin(JSONS, "{\"[1,\n2]\",\"{\n\\\"a\\\": 3}\"}", "[[1, 2],{ \"a\": 3}]");
    assert_builtin(TEXT, "a\nb", "\"a\\nb\"");
}

static void arrays_keep_their_dimensions(void **state)
{
    assert_builtin(INT4_ARRAY, "{}", "[]");
    assert_builtin(INT4_ARRAY, "{1,NULL,-3}", "[1,null,-3]");
    assert_builtin(INT4_ARRAY, "[2:3][0:1]={{1,2},{3,4}}", "[[1,2],[3,4]]");
    assert_builtin(TEXT_ARRAY, "{a,\"b \\\"c\\\" \\\\\",\"\",\"NULL\",null}",
                   "[\"a\",\"b \\\"c\\\" \\\\\",\"\",\"NULL\",\"null\"]");
    assert_builtin(BOX_ARRAY, "{(3,4),(1,2);(7,8),(5,6)}", "[\"(3,4),(1,2)\",\"(7,8),(5,6)\"]");
    assert_builtin(INT2VECTOR, "", "[]");
    assert_builtin(INT2VECTOR, "1 2", "[1,2]");
}

static void a_malformed_array_is_a_string(void **state)
{
    static const char *const texts[] = {
        "",           "{",
        "}",          "x",
        "{1",         "{1,",
        "{1,}",       "{,1}",
        "{1}x",       "{{1}",
        "{1}}",       "{1 {2}}",
        "{1{2}}",     "{{1}{2}}",
        "[2:3]{1}",   "[2:3]=",
        "[2",         "[2:3]={1}}",
        "{{1},}",     "{1,{2}x",
        "{{1},{2}x}", "{{{{{{{1}}}}}}}",
        "{,}",        "{}{}",
        "{{},{}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char expected[64];
        snprintf(expected, sizeof expected, "\"%s\"", texts[i]);
        assert_builtin(INT4_ARRAY, texts[i], expected);
    }
    assert_builtin(TEXT_ARRAY, "{\"", "\"{\\\"\"");
    assert_builtin(TEXT_ARRAY, "{\"\\", "\"{\\\"\\\\\"");
    assert_builtin(TEXT_ARRAY, "{\"a\"b}", "\"{\\\"a\\\"b}\"");
    assert_builtin(TEXT_ARRAY, "{\"a\"\"b\"}", "\"{\\\"a\\\"\\\"b\\\"}\"");
    assert_builtin(TEXT_ARRAY, "{a\"b\"}", "\"{a\\\"b\\\"}\"");
    assert_builtin(INT2VECTOR, " 1", "\" 1\"");
    assert_builtin(INT2VECTOR, "1 ", "\"1 \"");
    assert_builtin(INT2VECTOR, "1  2", "\"1  2\"");
}

static const shape *composite(uint32_t field_count)
{
    static shape_field fields[2] = {{"a \"q\"", NULL}, {"b", NULL}};
    static shape made = {.kind = SHAPE_COMPOSITE, .fields = fields};
    fields[0].shape = shape_of(NULL, INT4);
    fields[1].shape = shape_of(NULL, TEXT);
    made.field_count = field_count;
    return &made;
}

static void composites_are_objects(void **state)
{
    assert_value(composite(2), "(1,x)", "{\"a \\\"q\\\"\":1,\"b\":\"x\"}");
    assert_value(composite(2), "(,\"\")", "{\"a \\\"q\\\"\":null,\"b\":\"\"}");
    assert_value(composite(2), "(1,\"x, \"\"y\"\" \\\\)\")",
                 "{\"a \\\"q\\\"\":1,\"b\":\"x, \\\"y\\\" \\\\)\"}");
    assert_value(composite(1), "()", "{\"a \\\"q\\\"\":null}");
    assert_value(composite(0), "()", "{}");
}

static void a_composite_that_does_not_fit_its_shape_is_a_string(void **state)
{
    static const char *const texts[] = {"",    "(",    ")",      "()",     "(1)",   "(1,2,3)",
                                        "1,2", "(1,2", "(1,2)x", "(1,2))", "(1,2(", "(1(,2)"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char expected[64];
        snprintf(expected, sizeof expected, "\"%s\"", texts[i]);
        assert_value(composite(2), texts[i], expected);
    }
    assert_value(composite(0), "(1)", "\"(1)\"");
    assert_value(composite(2), "(1,\"x)", "\"(1,\\\"x)\"");
    assert_value(composite(2), "(1,\"x\"\")", "\"(1,\\\"x\\\"\\\")\"");
    assert_value(composite(2), "(1,\"x\\", "\"(1,\\\"x\\\\\"");
    assert_value(composite(2), "(1,\"x\"y)", "\"(1,\\\"x\\\"y)\"");
}

static void a_long_element_is_unescaped_whole(void **state)
{
    buffer text = {0}, expected = {0};
    buffer_text(&text, "{\"");
    buffer_text(&expected, "[\"");
    for (int i = 0; i < 1000; i++) {
        buffer_text(&text, "\\\"x");
        buffer_text(&expected, "\\\"x");
    }
    buffer_append(&text, "\"}", 3);
    buffer_append(&expected, "\"]", 3);
    assert_builtin(TEXT_ARRAY, text.data, expected.data);
    buffer_free(&text);
    buffer_free(&expected);
}

/* ((((…)))) needs no quotes until it is deeper than the encoder goes. */
static void what_is_nested_too_deep_is_a_string(void **state)
{
    static shape loop;
    static shape_field field = {"s", &loop};
    loop = (shape){.kind = SHAPE_COMPOSITE, .field_count = 1, .fields = &field};
    buffer text = {0}, out = {0};
    buffer_text(&text, "x");
    for (int depth = 0; depth < ENCODE_DEPTH_MAX + 4; depth++) {
        buffer wrapped = {0};
        buffer_text(&wrapped, "(\"");
        for (size_t i = 0; i < text.length; i++) {
            if (text.data[i] == '"' || text.data[i] == '\\')
                buffer_char(&wrapped, text.data[i]);
            buffer_char(&wrapped, text.data[i]);
        }
        buffer_text(&wrapped, "\")");
        buffer_free(&text);
        text = wrapped;
    }
    encode_value(&out, text.data, text.length, &loop);
    json_t *read = json_loadb(out.data, out.length, JSON_DECODE_ANY, NULL), *at = read;
    int depth = 0;
    for (; json_is_object(at); depth++)
        at = json_object_get(at, "s");
    assert_int_equal(depth, ENCODE_DEPTH_MAX);
    assert_true(json_is_string(at));
    json_decref(read);
    buffer_free(&out);
    buffer_free(&text);
}

static const char *const names[] = {"id", "na\"me", "j"};
static const uint32_t types[] = {INT4, TEXT, JSON};

static void rows_are_objects_in_an_array(void **state)
{
    const char *const values[] = {"1", "a", "{}", NULL, "", "[1, 2]", "3", NULL, NULL};
    table_result t = {{&table_result_class}, 3, 3, names, types, values, NULL, 0};
    buffer b = {0};
    encode_rows(&b, &t.result, NULL);
    assert_holds(&b, "[{\"id\":1,\"na\\\"me\":\"a\",\"j\":{}},"
                     "{\"id\":null,\"na\\\"me\":\"\",\"j\":[1, 2]},"
                     "{\"id\":3,\"na\\\"me\":null,\"j\":null}]");
    encode_row(&b, &t.result, 1, NULL);
    assert_holds(&b, "{\"id\":null,\"na\\\"me\":\"\",\"j\":[1, 2]}");
}

static void one_row_or_none_is_still_an_array(void **state)
{
    const char *const values[] = {"1", "a", NULL};
    table_result t = {{&table_result_class}, 1, 3, names, types, values, NULL, 0};
    buffer b = {0};
    encode_rows(&b, &t.result, NULL);
    assert_holds(&b, "[{\"id\":1,\"na\\\"me\":\"a\",\"j\":null}]");
    t.rows = 0;
    encode_rows(&b, &t.result, NULL);
    assert_holds(&b, "[]");
}

static void rows_without_columns_are_empty_objects(void **state)
{
    table_result t = {{&table_result_class}, 2, 0, NULL, NULL, NULL, NULL, 0};
    buffer b = {0};
    encode_rows(&b, &t.result, NULL);
    assert_holds(&b, "[{},{}]");
}

static void a_failed_buffer_stays_failed(void **state)
{
    const char *const values[] = {"1", "a", NULL, "2", "b", NULL};
    table_result t = {{&table_result_class}, 2, 3, names, types, values, NULL, 0};
    buffer b = {.failed = true};
    encode_rows(&b, &t.result, NULL);
    encode_value(&b, "{{1", 3, shape_of(NULL, INT4_ARRAY));
    encode_value(&b, "2024-01-01 00:00:00", 19, shape_of(NULL, TIMESTAMP));
    assert_true(b.failed);
    assert_int_equal(b.length, 0);
    buffer_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_verbatim_when_json_has_them),
        cmocka_unit_test(booleans_are_true_or_false),
        cmocka_unit_test(timestamps_are_iso_8601),
        cmocka_unit_test(what_is_no_iso_timestamp_is_printed_as_it_is),
        cmocka_unit_test(json_keeps_its_text_but_for_line_breaks),
        cmocka_unit_test(arrays_keep_their_dimensions),
        cmocka_unit_test(a_malformed_array_is_a_string),
        cmocka_unit_test(composites_are_objects),
        cmocka_unit_test(a_composite_that_does_not_fit_its_shape_is_a_string),
        cmocka_unit_test(a_long_element_is_unescaped_whole),
        cmocka_unit_test(what_is_nested_too_deep_is_a_string),
        cmocka_unit_test(rows_are_objects_in_an_array),
        cmocka_unit_test(one_row_or_none_is_still_an_array),
        cmocka_unit_test(rows_without_columns_are_empty_objects),
        cmocka_unit_test(a_failed_buffer_stays_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
