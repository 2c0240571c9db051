/* batch.c: tests of several queries in one request, each on a lease of its own. */
#include "../support/items.h"
#include "../support/results.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static http_reply batch(const char *body)
{
    return http_send(client, "POST", "/batch", body, NULL);
}

static int start(void **state)
{
    items_start(state);
    query_file("sneak",
               "-- @route GET /sneak\n-- @returns count\ndelete from item where id = 50\n");
    return 0;
}

static int serve_few_at_once(void **state)
{
    serve_ready((const char *const[]){"--pool-max", "4", "--lanes", "1", "--batch-concurrency", "2",
                                      "--batch-max", "20", "--body-max", "64k", NULL});
    return 0;
}

static int serve_briefly(void **state)
{
    serve_ready((const char *const[]){"--pool-max", "4", "--batch-concurrency", "1",
                                      "--batch-timeout", "300ms", NULL});
    return 0;
}

#define few(name)   cmocka_unit_test_setup_teardown(name, serve_few_at_once, stop)
#define brief(name) cmocka_unit_test_setup_teardown(name, serve_briefly, stop)

/* ---- What it answers ---- */

static void results_stand_in_order_each_with_its_rows_or_its_problem(void **state)
{
    http_reply r = batch("[{\"query\":\"nap\",\"params\":{\"s\":0.05}},"
                         "{\"query\":\"item\",\"params\":{\"id\":7}},"
                         "{\"query\":\"item\",\"params\":{\"id\":7000}},"
                         "{\"query\":\"item\",\"params\":{\"id\":\"x\"}},"
                         "{\"query\":\"itms\"},"
                         "{\"query\":\"rename\",\"params\":{\"id\":20,\"name\":\"r\"}},"
                         "{\"query\":\"items\",\"params\":{\"n\":2},\"timeout\":null}]");
    assert_status(&r, 200);
    static const int statuses[] = {200, 200, 404, 400, 404, 200, 200};
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(status_at(&r, i), statuses[i]);
    json_t *row = json_object_get(result(&r, 1), "row");
    assert_string_equal(json_string_value(json_object_get(row, "name")), "item 7");
    assert_non_null(json_object_get(json_object_get(result(&r, 1), "pool"), "wait_ms"));
    assert_string_equal(problem_at(&r, 2, "code"), "row_not_found");
    assert_string_equal(problem_at(&r, 2, "instance"), "/batch#/2");
    assert_string_equal(problem_at(&r, 3, "parameter"), "id");
    assert_string_equal(problem_at(&r, 4, "code"), "query_not_found");
    assert_int_equal(count_at(&r, 5), 2);
    assert_int_equal(json_array_size(json_object_get(result(&r, 6), "rows")), 2);
    assert_int_equal(number(&r, "count"), 7);
    assert_int_equal(number(&r, "failed"), 3);
    http_reply_free(&r);
}

static void values_are_bound_by_their_type_with_the_digits_they_have(void **state)
{
    http_reply r = batch("[{\"query\":\"echo\",\"params\":{\"a\":0.10, \"b\" : \"[{,]\\\"\" }}, "
                         " {\"params\" : { }, \"query\":\"echo\"}]");
    assert_status(&r, 200);
    json_t *row = first_row(&r, 0);
    assert_string_equal(json_string_value(json_object_get(row, "a")), "0.10");
    assert_string_equal(json_string_value(json_object_get(row, "b")), "[{,]\"");
    row = first_row(&r, 1);
    assert_true(json_is_null(json_object_get(row, "a")));
    http_reply_free(&r);
}

static void each_query_of_a_batch_is_counted_and_told_apart(void **state)
{
    assert_answered(batch("[{\"query\":\"item\",\"params\":{\"id\":1}},"
                          "{\"query\":\"item\",\"params\":{\"id\":2}}]"),
                    200);
    assert_int_equal(metric("db_client_operation_duration_seconds_count{pool=\"default\","
                            "query=\"item\"}"),
                     2);
    assert_int_equal(metric("http_server_request_duration_seconds_count{route=\"/batch\","
                            "method=\"POST\",status=\"200\"}"),
                     1);

    http_reply r = http_send(client, "POST", "/batch?_trace=1", "[{\"query\":\"ping\"}]", NULL);
    json_t *pool = json_object_get(result(&r, 0), "pool");
    assert_true(json_array_size(json_object_get(pool, "lifecycle")) >= 5);
    http_reply_free(&r);
}

static void a_query_whose_route_is_a_get_cannot_write(void **state)
{
    http_reply r = batch("[{\"query\":\"sneak\"},{\"query\":\"item\",\"params\":{\"id\":50}}]");
    assert_status(&r, 200);
    assert_string_equal(problem_at(&r, 0, "code"), "25006");
    assert_int_equal(status_at(&r, 1), 200);
    http_reply_free(&r);
}

/* ---- How it runs ---- */

#define NAP "{\"query\":\"nap\",\"params\":{\"s\":5}}"

static void only_so_many_of_one_batch_run_at_once(void **state)
{
    int fd = post_beside("/batch", NULL, "[" NAP "," NAP "," NAP "," NAP "," NAP "]");
    assert_true(BECOMES(naps() == 2, 5));
    assert_answered(get("/q/ping"), 200); /* others still find a connection */
    assert_int_equal(naps(), 2);
    close(fd);
    assert_true(BECOMES(naps() == 0, 5));
}

static void a_client_that_goes_away_cancels_the_whole_batch(void **state)
{
    int fd = post_beside("/batch", NULL, "[" NAP "," NAP "," NAP "]");
    assert_true(BECOMES(naps() == 2, 5));
    raw_vanish(fd, true);
    assert_true(BECOMES(naps() == 0, 5));
    assert_true(BECOMES(pool("in_use") == 0 && pool("waiting") == 0, 5));
}

static void the_first_failure_cancels_the_rest_when_asked_to(void **state)
{
    http_reply r = http_send(client, "POST", "/batch?fail=fast",
                             "[" NAP ",{\"query\":\"shout\"}," NAP "," NAP "]", NULL);
    assert_status(&r, 200);
    assert_true(r.seconds < 4);
    assert_int_equal(status_at(&r, 1), 400);
    for (size_t i = 0; i < 4; i++)
        if (i != 1)
            assert_string_equal(problem_at(&r, i, "code"), "not_run");
    assert_int_equal(number(&r, "failed"), 4);
    http_reply_free(&r);
    assert_true(BECOMES(naps() == 0, 5));

    r = http_send(client, "POST", "/batch?fail=fast",
                  "[" NAP ",{\"query\":\"item\",\"params\":{}}]", NULL);
    assert_int_equal(status_at(&r, 0), 424); /* none is begun when one cannot be */
    assert_int_equal(status_at(&r, 1), 400);
    http_reply_free(&r);

    r = http_send(client, "POST", "/batch?fail=late",
                  "[{\"query\":\"shout\"},{\"query\":\"ping\"}]", NULL);
    assert_int_equal(status_at(&r, 1), 200);
    http_reply_free(&r);
}

static void a_query_may_be_given_less_time_but_not_more(void **state)
{
    http_reply r = batch("[{\"query\":\"nap\",\"params\":{\"s\":5},\"timeout\":\"100ms\"},"
                         "{\"query\":\"short\",\"timeout\":\"1m\"}]");
    assert_status(&r, 200);
    assert_true(r.seconds < 4);
    assert_string_equal(problem_at(&r, 0, "detail"), "The query was cancelled after 100 ms.");
    assert_string_equal(problem_at(&r, 1, "detail"), "The query was cancelled after 150 ms.");
    http_reply_free(&r);
}

static void a_batch_as_a_whole_has_a_limit_of_time(void **state)
{
    http_reply r = batch("[" NAP "," NAP ",{\"query\":\"ping\"}]");
    assert_status(&r, 200);
    assert_true(r.seconds < 4);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(problem_at(&r, i, "code"), "query_timed_out");
    http_reply_free(&r);
}

static void one_connection_is_enough_for_a_batch(void **state)
{
    http_reply r = batch("[{\"query\":\"ping\"},{\"query\":\"ping\"},{\"query\":\"ping\"}]");
    assert_status(&r, 200);
    assert_int_equal(number(&r, "failed"), 0);
    http_reply_free(&r);
}

static void a_batch_that_cannot_be_served_says_so_for_each_query(void **state)
{
    hold(4);
    http_reply r = batch("[{\"query\":\"ping\"},{\"query\":\"ping\"}]");
    assert_status(&r, 200);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(problem_at(&r, i, "code"), "pool_timeout");
        assert_true(json_integer_value(json_object_get(result(&r, i), "retry_after")) > 0);
        json_t *problem = json_object_get(result(&r, i), "problem");
        assert_int_equal(json_array_size(json_object_get(problem, "holders")), 1);
    }
    http_reply_free(&r);
}

/* ---- What it does not take ---- */

static void what_is_malformed_is_refused_by_name(void **state)
{
    static const malformed cases[] = {
        {"{\"query\":\"ping\"}", "bad_parameter", "", "must be an array"},
        {"\"ping\"", "bad_request", "", "not a JSON array"},
        {"17", "bad_request", "", "not a JSON array"},
        {" ", "bad_request", "", "not a JSON array"},
        {"[]", "bad_parameter", "", "one query at least"},
        {"[{\"query\":\"ping\"}", "bad_request", "", "line 1"},
        {"[{\"query\":\"ping\"}]]", "bad_request", "", "line 1"},
        {"[{\"query\":\"ping\"},", "bad_request", "", "line 1"},
        {"[7]", "bad_parameter", "0", "must be an object"},
        {"[{\"query\":\"ping\"},null]", "bad_parameter", "1", "must be an object"},
        {"[{}]", "bad_parameter", "0.query", "is missing"},
        {"[{\"query\":null}]", "bad_parameter", "0.query", "is missing"},
        {"[{\"query\":7}]", "bad_parameter", "0.query", "must be a string"},
        {"[{\"query\":\"ping\",\"params\":[1]}]", "bad_parameter", "0.params", "an object"},
        {"[{\"query\":\"ping\",\"params\":\"a\"}]", "bad_parameter", "0.params", "an object"},
        {"[{\"query\":\"ping\",\"timeout\":5}]", "bad_parameter", "0.timeout", "a string"},
        {"[{\"query\":\"ping\",\"timeout\":\"5\"}]", "bad_parameter", "0.timeout", "250ms"},
        {"[{\"query\":\"ping\",\"timeout\":\"0s\"}]", "bad_parameter", "0.timeout", "250ms"},
        {"[{\"query\":\"ping\",\"timeout\":\"-1s\"}]", "bad_parameter", "0.timeout", "250ms"},
        {"[{\"query\":\"ping\",\"timeout\":\"99999999999999999999s\"}]", "bad_parameter",
         "0.timeout", "250ms"},
        {"[{\"query\":\"ping\",\"param\":{}}]", "bad_parameter", "0.param", "mean params"},
        {"[{\"query\":\"ping\",\"query\":\"ping\"}]", "bad_request", "query", "twice"},
        {"[{\"query\":\"echo\",\"params\":{\"a\":1,\"a\":2}}]", "bad_request", "a", "twice"},
        {"[{\"query\":\"pi\\u0000ng\"}]", "bad_request", "", "NUL"},
        {"[{\"query\":\"pi\xff\"}]", "bad_request", "", "decode byte 0xff"},
        {"[{\"query\":\"pi\\ud800\"}]", "bad_request", "", "line 1"},
        {"[{\"query\":\"echo\",\"params\":{\"a\":1e999}}]", "bad_request", "", "too large"},
    };
    assert_malformed(cases, sizeof cases / sizeof *cases, batch);
    static const struct {
        const char *path, *parameter;
    } paths[] = {
        {"/batch?fail=now", "fail"}, {"/batch?fail", "fail"}, {"/batch?fial=fast", "fial"}};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        http_reply r = http_send(client, "POST", paths[i].path, "[{\"query\":\"ping\"}]", NULL);
        assert_problem(&r, 400, "bad_parameter");
        assert_string_equal(text(&r, "parameter"), paths[i].parameter);
        http_reply_free(&r);
    }
}

static void what_is_too_much_is_refused(void **state)
{
    static const bulky cases[] = {
        {"[{\"query\":\"ping\"}", ",{\"query\":\"ping\"}", 20, "]", 400, "bad_parameter",
         "names 21 queries and may name 20"},
        {"[{\"query\":\"", "long", 10000, "\"}]", 200, "", ""},
        {"[{\"query\":\"ping\"}", " ", 70000, "]", 413, "body_too_large", ""},
        {"", "[", 10000, "", 400, "bad_request", "line 1"},
        {"[{\"query\":\"ping\",\"params\":", "{\"a\":", 10000, "", 400, "bad_request", "line 1"},
        {"[{\"query\":\"ping\",\"", "param", 10000, "\":1}]", 400, "bad_parameter",
         "means nothing"},
    };
    assert_bulky(cases, sizeof cases / sizeof *cases, batch);
}

static void what_is_not_sent_as_json_is_refused(void **state)
{
    int fd = raw_dial(weir_port(weir));
    say(fd, "POST /batch HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
            "Content-Length: 18\r\n\r\n[{\"query\":\"ping\"}]");
    char *heard = raw_hear(fd, "unsupported_media_type", 1);
    assert_int_equal(raw_count(heard, "HTTP/1.1 415"), 1);
    free(heard);
    close(fd);
    http_reply r = http_send(client, "POST", "/batch", NULL, NULL);
    assert_problem(&r, 400, "bad_parameter");
    assert_string_equal(text(&r, "detail"), "The body is missing: it must be a JSON array.");
    http_reply_free(&r);
    r = get("/batch");
    assert_problem(&r, 405, "method_not_allowed");
    assert_string_equal(http_header(&r, "Allow"), "POST, OPTIONS");
    http_reply_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        usual(results_stand_in_order_each_with_its_rows_or_its_problem),
        usual(values_are_bound_by_their_type_with_the_digits_they_have),
        usual(each_query_of_a_batch_is_counted_and_told_apart),
        usual(a_query_whose_route_is_a_get_cannot_write),
        few(only_so_many_of_one_batch_run_at_once),
        few(a_client_that_goes_away_cancels_the_whole_batch),
        usual(the_first_failure_cancels_the_rest_when_asked_to),
        usual(a_query_may_be_given_less_time_but_not_more),
        brief(a_batch_as_a_whole_has_a_limit_of_time),
        narrow(one_connection_is_enough_for_a_batch),
        narrow(a_batch_that_cannot_be_served_says_so_for_each_query),
        usual(what_is_malformed_is_refused_by_name),
        few(what_is_too_much_is_refused),
        usual(what_is_not_sent_as_json_is_refused),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("batch", tests, start, items_end);
}
