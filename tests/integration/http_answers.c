/* http_answers.c: tests of what requests are answered with when all is well. */
#include "../support/items.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void rows_come_with_their_count_and_the_pool(void **state)
{
    http_reply r = get("/items?n=2");
    assert_status(&r, 200);
    assert_string_equal(http_header(&r, "Content-Type"), "application/json");
    assert_memory_equal(r.body, "{\"rows\":[{\"id\":1},{\"id\":2}],\"count\":2,\"pool\":{", 45);
    static const char *const members[] = {"name", "connection", "wait_ms", "query_ms",
                                          "size", "in_use",     "idle",    "waiting"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        assert_non_null(member(&r, "pool", members[i]));
    assert_null(member(&r, "pool", "lifecycle"));
    double acquire, query;
    assert_int_equal(sscanf(http_header(&r, "Server-Timing"), "acquire;dur=%lf, query;dur=%lf",
                            &acquire, &query),
                     2);
    assert_true(query > 0);
    http_reply_free(&r);
}

static void one_row_is_an_object_or_a_404(void **state)
{
    http_reply r = get("/items/7");
    assert_status(&r, 200);
    assert_string_equal(json_string_value(member(&r, "row", "name")), "item 7");
    http_reply_free(&r);
    fails_with("GET", "/items/7000", NULL, 404, "row_not_found");
}

static void a_write_says_how_many_rows_it_changed(void **state)
{
    http_reply r = http_send(client, "PUT", "/items/10", "{\"name\":\"renamed\"}", NULL);
    assert_status(&r, 200);
    assert_int_equal(json_integer_value(json_object_get(r.json, "count")), 2);
    http_reply_free(&r);
    r = http_send(client, "POST", "/items", "{\"id\":900,\"name\":\"new\"}", NULL);
    assert_status(&r, 200);
    assert_int_equal(json_integer_value(member(&r, "row", "id")), 900);
    http_reply_free(&r);
    r = http_send(client, "DELETE", "/items/900", NULL, NULL);
    assert_int_equal(json_integer_value(json_object_get(r.json, "count")), 1);
    http_reply_free(&r);
}

static void a_trace_tells_the_lifecycle_in_order(void **state)
{
    static const char *const expected[] = {"lease.requested", "lease.granted", "query.sent",
                                           "query.first_row", "query.done",    "lease.released"};
    http_reply r = get("/nap?s=0.03&_trace=1");
    assert_status(&r, 200);
    json_t *steps = member(&r, "pool", "lifecycle"), *step;
    size_t i, found = 0;
    double last = 0;
    json_array_foreach(steps, i, step)
    {
        double at = json_real_value(json_object_get(step, "at_ms"));
        assert_true(at >= last);
        last = at;
        const char *event = json_string_value(json_object_get(step, "event"));
        if (found < 6 && strcmp(event, expected[found]) == 0)
            found++;
    }
    assert_int_equal(found, 6);
    assert_true(last >= 30);
    http_reply_free(&r);

    r = get("/items/7000?_trace=1"); /* on errors too */
    assert_problem(&r, 404, "row_not_found");
    assert_true(json_array_size(member(&r, "pool", "lifecycle")) >= 5);
    http_reply_free(&r);
}

static void a_trace_tells_of_no_row_where_none_came(void **state)
{
    static const char *const paths[] = {"/q/shout?_trace=1", "/short?_trace=1",
                                        "/items/7000?_trace=1"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        http_reply r = get(paths[i]);
        assert_true(r.status >= 400);
        assert_non_null(strstr(r.body, "\"query.sent\""));
        assert_null(strstr(r.body, "\"query.first_row\""));
        http_reply_free(&r);
    }
}

static void a_request_keeps_its_id_or_is_given_one(void **state)
{
    const char *const given[] = {"X-Request-Id: abc-123", NULL};
    http_reply r = http_send(client, "GET", "/q/ping", NULL, given);
    assert_string_equal(http_header(&r, "X-Request-Id"), "abc-123");
    http_reply_free(&r);
    const char *const bad[] = {"X-Request-Id: a b", NULL};
    r = http_send(client, "GET", "/q/ping", NULL, bad);
    assert_int_equal(strlen(http_header(&r, "X-Request-Id")), 32);
    http_reply_free(&r);
}

static void values_are_decoded_once_and_keep_their_slashes(void **state)
{
    static const struct {
        const char *path, *a;
    } cases[] = {
        {"/q/echo?a=x+y", "x y"},       {"/q/echo?a=x%2By", "x+y"},
        {"/q/echo?a=%2541", "%41"},     {"/q/echo?a=%C3%A4", "\xc3\xa4"},
        {"/q/echo?a=1=2", "1=2"},       {"/q/echo?a=", ""},
        {"/q/echo?&&a=z&", "z"},        {"/q/echo?%61=named", "named"},
        {"/q/echo?a=%26b%3D2", "&b=2"}, {"/%71/echo?a=path", "path"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_reply r = get(cases[i].path);
        assert_status(&r, 200);
        json_t *row = json_array_get(json_object_get(r.json, "rows"), 0);
        assert_string_equal(json_string_value(json_object_get(row, "a")), cases[i].a);
        http_reply_free(&r);
    }
    http_reply r = get("/by/a%2Fb%20c/x");
    json_t *row = json_array_get(json_object_get(r.json, "rows"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "name")), "a/b c");
    http_reply_free(&r);
}

static void head_is_get_without_a_body(void **state)
{
    int fd = raw_dial(weir_port(weir));
    say(fd, "HEAD /q/ping HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    char *heard = raw_hear(fd, "alive\n", 1);
    assert_int_equal(raw_count(heard, "HTTP/1.1 200 OK"), 2);
    assert_int_equal(raw_count(heard, "\"rows\""), 0);
    assert_true(raw_count(heard, "Content-Length: ") == 2 &&
                raw_count(heard, "Content-Length: 0") == 0);
    free(heard);
    close(fd);
}

static void options_says_what_a_path_takes(void **state)
{
    static const struct {
        const char *path, *allow;
    } cases[] = {{"/items", "GET, HEAD, POST, OPTIONS"},
                 {"/items/1", "GET, HEAD, PUT, DELETE, OPTIONS"},
                 {"/livez", "GET, HEAD, OPTIONS"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_reply r = http_send(client, "OPTIONS", cases[i].path, NULL, NULL);
        assert_status(&r, 204);
        assert_string_equal(http_header(&r, "Allow"), cases[i].allow);
        http_reply_free(&r);
    }
}

static void a_large_answer_arrives_whole(void **state)
{
    http_reply r = get("/q/big?n=5000");
    assert_status(&r, 200);
    assert_int_equal(json_array_size(json_object_get(r.json, "rows")), 5000);
    assert_true(r.length > 5000 * 1000);
    http_reply_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        usual(rows_come_with_their_count_and_the_pool),
        usual(one_row_is_an_object_or_a_404),
        usual(a_write_says_how_many_rows_it_changed),
        usual(a_trace_tells_the_lifecycle_in_order),
        usual(a_trace_tells_of_no_row_where_none_came),
        usual(a_request_keeps_its_id_or_is_given_one),
        usual(values_are_decoded_once_and_keep_their_slashes),
        usual(head_is_get_without_a_body),
        usual(options_says_what_a_path_takes),
        usual(a_large_answer_arrives_whole),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("http_answers", tests, items_start, items_end);
}
