/* bind.c: what becomes of a request's values, and which are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../api/bind.h"
#include "../../api/bind_value.h"

enum {
    BOOL = 16,
    INT8 = 20,
    INT2 = 21,
    INT4 = 23,
    TEXT = 25,
    OID = 26,
    JSON = 114,
    FLOAT4 = 700,
    FLOAT8 = 701,
    INT4_ARRAY = 1007,
    TEXT_ARRAY = 1009,
    NUMERIC = 1700,
    UUID = 2950,
    JSONB = 3802,
    JSONB_ARRAY = 3807,
};

/* A query whose first parameters have these types; 0 ends the list. */
static query *with_types(const char *text, const uint32_t *types)
{
    query *q = NULL;
    query_fault fault = {0};
    if (query_parse("q.sql", text, strlen(text), &q, &fault) != 0)
        fail_msg("%s", fault.message);
    for (uint32_t i = 0; types[i] != 0; i++)
        q->params[i].type = types[i];
    return q;
}

static query *with_type(uint32_t type)
{
    return with_types("select :a", (const uint32_t[]){type, 0});
}

/* ---- From a body ---- */

static void body_gives(uint32_t type, const char *body, const char *value)
{
    bound b;
    bind_fault fault = {0};
    query *q = with_type(type);
    if (bind_request(q, NULL, NULL, 0, body, strlen(body), &b, &fault) != 0)
        fail_msg("%s: %s", body, fault.message);
    assert_int_equal(b.params.count, 1);
    if (value)
        assert_string_equal(b.params.values[0], value);
    else
        assert_null(b.params.values[0]);
    bound_free(&b);
    query_free(q);
}

static void body_refused(uint32_t type, const char *body, const char *part)
{
    bound b;
    bind_fault fault = {0};
    query *q = with_type(type);
    if (bind_request(q, NULL, NULL, 0, body, strlen(body), &b, &fault) != WEIR_EINVAL)
        fail_msg("taken: %s", body);
    if (!strstr(fault.message, part))
        fail_msg("%s: %s", body, fault.message);
    query_free(q);
}

static void scalars_of_a_body_become_text(void **state)
{
    body_gives(TEXT, "{\"a\":\"b \\u00e9\\n\\\"\"}", "b é\n\"");
    body_gives(TEXT, "{\"a\":\"\"}", "");
    body_gives(TEXT, " { \"a\" : 5 } \n", "5");
    body_gives(TEXT, "{\"a\":true}", "true");
    body_gives(BOOL, "{\"a\":false}", "false");
    body_gives(INT4, "{\"a\":\"17\"}", "17");
    body_gives(INT4, "{\"\\u0061\":17}", "17");
    body_gives(TEXT, "{\"a\":null}", NULL);
    body_gives(JSONB, "{\"a\":null}", NULL);
}

static void numbers_keep_the_digits_they_are_written_with(void **state)
{
    body_gives(NUMERIC, "{\"a\":0.1}", "0.1");
    body_gives(NUMERIC, "{\"a\":0.10000000000000000000000000000000001}",
               "0.10000000000000000000000000000000001");
    body_gives(NUMERIC, "{\"a\":123456789012345678901234567890}", "123456789012345678901234567890");
    body_gives(NUMERIC, "{\"a\":-1.50E+3 }", "-1.50E+3");
    body_gives(INT8, "{\"a\":9223372036854775807}", "9223372036854775807");
    body_gives(JSONB, "{\"a\":{\"b\":0.1,\"c\":[1e2, 12345678901234567890123]}}",
               "{\"b\":0.1,\"c\":[1e2,12345678901234567890123]}");
    body_refused(INT8, "{\"a\":9223372036854775808}", "whole number");
    body_refused(INT4, "{\"a\":1.5}", "whole number");
    body_refused(NUMERIC, "{\"a\":1e999}", "as a string");
}

static void json_parameters_take_any_json(void **state)
{
    body_gives(JSON, "{\"a\": {\"x\" : [1, \"a b , }\", \"\\\"\" ] , \"y\":{} } }",
               "{\"x\":[1,\"a b , }\",\"\\\"\"],\"y\":{}}");
    body_gives(JSONB, "{\"a\":[]}", "[]");
    body_gives(JSONB, "{\"a\":\"b\\u0061\"}", "\"b\\u0061\"");
    body_gives(JSONB, "{\"a\":1}", "1");
    body_gives(JSONB, "{\"a\":false}", "false");
    body_refused(TEXT, "{\"a\":{}}", "not an object");
    body_refused(INT4, "{\"a\":[1]}", "not an array");
}

static void json_arrays_become_array_literals(void **state)
{
    body_gives(INT4_ARRAY, "{\"a\":[1, -2,null,\"3\" ]}", "{1,-2,NULL,3}");
    body_gives(INT4_ARRAY, "{\"a\":[ ]}", "{}");
    body_gives(INT4_ARRAY, "{\"a\":[[1,2],[3,4]]}", "{{1,2},{3,4}}");
    body_gives(TEXT_ARRAY, "{\"a\":[\"a,b\",\"{c}\",\"d\\\"e\\\\f\",\"\",\"NULL\",true,1.50]}",
               "{\"a,b\",\"{c}\",\"d\\\"e\\\\f\",\"\",\"NULL\",\"true\",1.50}");
    body_gives(TEXT_ARRAY, "{\"a\":[[\"x y\"],[null]]}", "{{\"x y\"},{NULL}}");
    body_gives(TEXT_ARRAY, "{\"a\":\"{a,b}\"}", "{a,b}");
    body_gives(TEXT_ARRAY, "{\"a\":null}", NULL);
    body_gives(JSONB_ARRAY, "{\"a\":[[1, 2],{\"b\":\"c\"},\"d\",3]}",
               "{\"[1,2]\",\"{\\\"b\\\":\\\"c\\\"}\",\"\\\"d\\\"\",3}");
    body_refused(INT4_ARRAY, "{\"a\":[1,\"x\"]}", "whole number");
    body_refused(INT4_ARRAY, "{\"a\":[1,{}]}", "not an object");
    body_refused(INT4_ARRAY, "{\"a\":7}", "an array");
    body_refused(INT4_ARRAY, "{\"a\":[[[[[[[1]]]]]]]}", "dimensions");
}

static void a_type_not_known_yet_takes_everything(void **state)
{
    body_gives(0, "{\"a\":{\"b\": [1]}}", "{\"b\":[1]}");
    body_gives(0, "{\"a\":\"x\"}", "x");
    body_gives(0, "{\"a\":1.10}", "1.10");
}

static void a_body_that_is_no_object_is_refused(void **state)
{
    body_refused(TEXT, "[]", "must be a JSON object");
    body_refused(TEXT, "1", "not a JSON object");
    body_refused(TEXT, "{", "line 1");
    body_refused(TEXT, " ", "not a JSON object");
    body_refused(TEXT, "{\"a\":1}x", "not a JSON object");
    body_refused(TEXT, "{\"a\":1,\"a\":2}", "twice");
    body_refused(TEXT, "{\"a\":\"b\\u0000\"}", "NUL");
    body_refused(TEXT, "{\"a\":\"\xff\"}", "not a JSON object");
    body_refused(TEXT, "{\"a\":\"\\ud800\"}", "not a JSON object");
    body_refused(TEXT, "{\"ab\":1}", "unknown parameter ab");
    body_refused(TEXT, "{\"_a\":1}", "unknown parameter _a");
    body_refused(TEXT, "{}", "missing parameter a");
}

static void members_are_told_apart_whatever_they_hold(void **state)
{
    static const char body[] = "{\"d\":{\"a\":[{},\"}\"]},\"c\" : \"\\\\\" , \"b\":[ ] ,\"a\":-0}";
    bound b;
    bind_fault fault;
    query *q = with_types("select :a, :b, :c, :d", (const uint32_t[]){INT4, JSON, TEXT, JSON, 0});
    assert_int_equal(bind_request(q, NULL, NULL, 0, body, sizeof body - 1, &b, &fault), 0);
    assert_string_equal(b.params.values[0], "-0");
    assert_string_equal(b.params.values[1], "[]");
    assert_string_equal(b.params.values[2], "\\");
    assert_string_equal(b.params.values[3], "{\"a\":[{},\"}\"]}");
    bound_free(&b);
    query_free(q);
}

/* ---- From a query string ---- */

static int bind_string(const query *q, const char *string, bound *b, bind_fault *fault)
{
    char text[256];
    bind_pair pairs[16];
    uint32_t count = 0;
    snprintf(text, sizeof text, "%s", string);
    for (char *at = strtok(text, "&"); at; at = strtok(NULL, "&")) {
        char *value = strchr(at, '=');
        if (value)
            *value++ = '\0';
        pairs[count++] = (bind_pair){.name = at, .value = value};
    }
    return bind_request(q, NULL, pairs, count, NULL, 0, b, fault);
}

static void string_gives(uint32_t type, const char *string, const char *value)
{
    bound b;
    bind_fault fault = {0};
    query *q = with_type(type);
    if (bind_string(q, string, &b, &fault) != 0)
        fail_msg("%s: %s", string, fault.message);
    assert_string_equal(b.params.values[0], value);
    bound_free(&b);
    query_free(q);
}

static void string_refused(uint32_t type, const char *string, const char *part)
{
    bound b;
    bind_fault fault = {0};
    query *q = with_type(type);
    if (bind_string(q, string, &b, &fault) != WEIR_EINVAL)
        fail_msg("taken: %s", string);
    if (!strstr(fault.message, part))
        fail_msg("%s: %s", string, fault.message);
    query_free(q);
}

static void a_query_string_gives_values_as_they_are(void **state)
{
    string_gives(TEXT, "a=b c", "b c");
    string_gives(TEXT, "a=", "");
    string_gives(INT4, "a= 7 ", " 7 ");
    string_gives(BOOL, "a", "true");
    string_gives(BOOL, "a=off", "off");
    string_gives(JSONB, "a={\"b\":1}", "{\"b\":1}");
    string_gives(TEXT, "_trace=1&a=b&_x", "b");
    string_refused(TEXT, "a", "no value");
    string_refused(INT4, "a=", "empty");
    string_refused(INT4, "a=abc", "not \"abc\"");
    string_refused(JSONB, "a={b:1}", "valid JSON");
    string_refused(TEXT, "a=\xc3(", "UTF-8");
    string_refused(TEXT, "a=1&a=2", "2 times");
    string_refused(BOOL, "a&a", "no value");
    string_refused(TEXT, "a=1&trace=2", "unknown parameter trace");
}

static void a_repeated_name_becomes_an_array(void **state)
{
    string_gives(INT4_ARRAY, "a=1&a=2&a=3", "{1,2,3}");
    string_gives(INT4_ARRAY, "a=1", "{1}");
    string_gives(INT4_ARRAY, "a={1,2}", "{1,2}");
    string_gives(TEXT_ARRAY, "a=x, \"y\"&a={z}&a=", "{\"x, \\\"y\\\"\",\"{z}\",\"\"}");
    string_gives(TEXT_ARRAY, "a=[b]", "{\"[b]\"}");
    string_refused(INT4_ARRAY, "a=1&a=x", "whole number");
    string_refused(INT4_ARRAY, "a=", "empty");
    string_refused(INT4_ARRAY, "a=1&a", "no value");
    string_refused(TEXT_ARRAY, "a=\xff&a=b", "UTF-8");
}

/* ---- All together ---- */

static route_match path_with(const query *q, const char *name, const char *value, size_t length)
{
    route_match match = {.query = q, .route = q->path, .value_count = 1};
    match.values[0].name = name;
    match.values[0].value = value;
    match.values[0].length = length;
    return match;
}

static void path_body_and_string_are_joined(void **state)
{
    query *q = with_types("-- @route GET /x/{id}\n-- @default limit 20\n-- @optional since\n"
                          "select :id, :limit, :since, :q",
                          (const uint32_t[]){INT4, INT8, TEXT, TEXT, 0});
    route_match match = path_with(q, "id", "17/more", 2);
    bind_pair pair = {.name = "q", .value = "v"};
    bound b;
    bind_fault fault;
    assert_int_equal(bind_request(q, &match, &pair, 1, NULL, 0, &b, &fault), 0);
    assert_int_equal(b.params.count, 4);
    assert_string_equal(b.params.values[0], "17");
    assert_string_equal(b.params.values[1], "20");
    assert_null(b.params.values[2]);
    assert_string_equal(b.params.values[3], "v");
    bound_free(&b);
    assert_int_equal(
        bind_request(q, &match, &pair, 1, "{\"limit\":5,\"since\":\"x\"}", 23, &b, &fault), 0);
    assert_string_equal(b.params.values[1], "5");
    assert_string_equal(b.params.values[2], "x");
    bound_free(&b);
    query_free(q);
}

static void a_value_given_in_two_places_is_refused(void **state)
{
    query *q =
        with_types("-- @route GET /x/{id}\nselect :id, :a", (const uint32_t[]){INT4, INT4, 0});
    route_match match = path_with(q, "id", "1", 1);
    bind_pair pairs[] = {{.name = "a", .value = "2"}, {.name = "id", .value = "2"}};
    bound b;
    bind_fault fault;
    assert_int_equal(bind_request(q, &match, pairs, 2, NULL, 0, &b, &fault), WEIR_EINVAL);
    assert_string_equal(fault.message, "id is given twice: in the path and in the query string");
    assert_int_equal(bind_request(q, &match, NULL, 0, "{\"id\":1}", 8, &b, &fault), WEIR_EINVAL);
    assert_string_equal(fault.message, "id is given twice: in the path and in the body");
    assert_int_equal(bind_request(q, &match, pairs, 1, "{\"a\":null}", 10, &b, &fault),
                     WEIR_EINVAL);
    assert_string_equal(fault.message, "a is given twice: in the body and in the query string");
    query_free(q);
}

static void a_fault_names_its_parameter_and_the_nearest(void **state)
{
    query *q = with_types("select :customer_id, :limit", (const uint32_t[]){INT4, INT4, 0});
    bound b;
    bind_fault fault;
    assert_int_equal(bind_string(q, "customer_di=1&limit=2", &b, &fault), WEIR_EINVAL);
    assert_string_equal(fault.parameter, "customer_di");
    assert_string_equal(fault.message, "unknown parameter customer_di: did you mean customer_id?");
    assert_int_equal(bind_string(q, "customer_id=1", &b, &fault), WEIR_EINVAL);
    assert_string_equal(fault.parameter, "limit");
    assert_string_equal(fault.message, "missing parameter limit");
    assert_int_equal(bind_string(q, "customer_id=1&limit=9999999999", &b, &fault), WEIR_EINVAL);
    assert_string_equal(fault.message,
                        "limit must be a whole number from -2147483648 to 2147483647, "
                        "not \"9999999999\"");
    query_free(q);
}

static void a_bad_value_of_the_path_is_refused(void **state)
{
    query *q = with_types("-- @route GET /x/{id}\nselect :id", (const uint32_t[]){TEXT, 0});
    route_match match = path_with(q, "id", "a\0b", 3);
    bound b;
    bind_fault fault;
    assert_int_equal(bind_request(q, &match, NULL, 0, NULL, 0, &b, &fault), WEIR_EINVAL);
    assert_string_equal(fault.message, "id holds a NUL character");
    match = path_with(q, "id", "\xe9", 1);
    assert_int_equal(bind_request(q, &match, NULL, 0, NULL, 0, &b, &fault), WEIR_EINVAL);
    assert_string_equal(fault.message, "id is not valid UTF-8");
    query_free(q);
}

static void a_query_without_parameters_binds_nothing(void **state)
{
    query *q = with_types("select 1", (const uint32_t[]){0});
    bound b;
    bind_fault fault;
    assert_int_equal(bind_request(q, NULL, NULL, 0, "{}", 2, &b, &fault), 0);
    assert_int_equal(b.params.count, 0);
    bound_free(&b);
    query_free(q);
}

/* ---- Types ---- */

static void all(uint32_t type, bool good, const char *const *texts)
{
    for (; *texts; texts++) {
        if ((value_problem(type, *texts) == NULL) != good)
            fail_msg("type %u: \"%s\" should be %s", type, *texts, good ? "taken" : "refused");
    }
}
#define taken(type, ...)   all(type, true, (const char *const[]){__VA_ARGS__, NULL})
#define refused(type, ...) all(type, false, (const char *const[]){__VA_ARGS__, NULL})

static void whole_numbers_are_checked_as_the_server_does(void **state)
{
    taken(INT2, "0", "-32768", "32767", "+7", " 7 ", "\t\n7\f", "007", "0x1F", "1_000");
    refused(INT2, "", " ", "32768", "-32769", "7.0", "1e2", "7 7", "--7", "- 7", "x", "7x", "+");
    taken(INT4, "2147483647", "-2147483648");
    refused(INT4, "2147483648", "-2147483649", "99999999999999999999");
    taken(INT8, "9223372036854775807", "-9223372036854775808");
    refused(INT8, "9223372036854775808", "-9223372036854775809", "NaN");
    taken(OID, "4294967295", "0", "-1");
    refused(OID, "4294967296", "-2147483649", "x");
}

static void other_numbers_are_checked_as_the_server_does(void **state)
{
    taken(NUMERIC, "1", ".5", "5.", "-1.5e10", " 1E-5 ", "NaN", "infinity", "-Inf", "+inf",
          "123456789012345678901234567890.123", "0x1f", "1_0.5");
    refused(NUMERIC, "", ".", "e5", "1e", "1.2.3", "1,5", "x", "1 2", "infinit", "nanx", "$1");
    taken(FLOAT8, "1", ".5", "1e300", "NaN", "-Infinity", " 2 ", "1e-310", "0");
    refused(FLOAT8, "", " ", "x", "1e400", "1e-400", "1 2", "1,5");
    taken(FLOAT4, "1e38", "nan");
    refused(FLOAT4, "1e39", "1e-60");
}

static void booleans_and_uuids_are_checked_as_the_server_does(void **state)
{
    taken(BOOL, "t", "TRUE", "tru", "f", "false", "y", "yes", "n", "no", "on", "off", "of", "1",
          "0", " true ");
    refused(BOOL, "", "o", "2", "truee", "01", "ja", "t f", "yess");
    taken(UUID, "123e4567-e89b-12d3-a456-426614174000", "123E4567E89B12D3A456426614174000",
          "{123e4567-e89b-12d3-a456-426614174000}", "123e-4567-e89b-12d3-a456-4266-1417-4000");
    refused(UUID, "", "123e4567-e89b-12d3-a456-42661417400",
            "123e4567-e89b-12d3-a456-4266141740000", " 123e4567-e89b-12d3-a456-426614174000",
            "{123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000}",
            "12-3e4567e89b12d3a456426614174000", "123e4567--e89b12d3a456426614174000",
            "123e4567-e89b-12d3-a456-42661417400g", "123e4567e89b12d3a456426614174000-");
}

static void json_is_checked_and_the_rest_is_the_servers(void **state)
{
    taken(JSON, "1", "\"a\"", " null ", "{\"a\":1,\"a\":2}", "[]", "1e999", "99999999999999999999",
          "\"\\ud800\"", "\"\\u0000\"");
    refused(JSON, "", "a", "'a'", "{a:1}", "[1,]", "1 2", "\"a");
    refused(JSONB, "nul");
    taken(TEXT, "", "anything");
    taken(1082, "yesterday", "not a date at all");
    taken(0, "", "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_of_a_body_become_text),
        cmocka_unit_test(numbers_keep_the_digits_they_are_written_with),
        cmocka_unit_test(json_parameters_take_any_json),
        cmocka_unit_test(json_arrays_become_array_literals),
        cmocka_unit_test(a_type_not_known_yet_takes_everything),
        cmocka_unit_test(a_body_that_is_no_object_is_refused),
        cmocka_unit_test(members_are_told_apart_whatever_they_hold),
        cmocka_unit_test(a_query_string_gives_values_as_they_are),
        cmocka_unit_test(a_repeated_name_becomes_an_array),
        cmocka_unit_test(path_body_and_string_are_joined),
        cmocka_unit_test(a_value_given_in_two_places_is_refused),
        cmocka_unit_test(a_fault_names_its_parameter_and_the_nearest),
        cmocka_unit_test(a_bad_value_of_the_path_is_refused),
        cmocka_unit_test(a_query_without_parameters_binds_nothing),
        cmocka_unit_test(whole_numbers_are_checked_as_the_server_does),
        cmocka_unit_test(other_numbers_are_checked_as_the_server_does),
        cmocka_unit_test(booleans_and_uuids_are_checked_as_the_server_does),
        cmocka_unit_test(json_is_checked_and_the_rest_is_the_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
