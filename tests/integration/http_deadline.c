/* http_deadline.c: tests of how long a query may run: by its file, by its client, and at the server
 * when nobody is left to stop it. */
#include "../support/items.h"
#include "../support/results.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int start(void **state)
{
    items_start(state);
    query_file("brief", "-- @timeout 500ms\nselect :s::float8 as slept from pg_sleep(:s)\n");
    query_file("drip", "select g, repeat('x', 9000) as filling, pg_sleep(0.03) is null as no"
                       " from generate_series(1, 30) g\n");
    query_file("kept",
               "-- @cache 5s\n-- @timeout 30s\nselect :s::float8 as slept from pg_sleep(:s)\n");
    query_file("limit", "-- @timeout 500ms\nselect current_setting('statement_timeout') as is\n");
    return 0;
}

static int serve_without_limits(void **state)
{
    serve_ready((const char *const[]){"--pool-max", "2", "--server-timeout", "off", NULL});
    return 0;
}

static int serve_operators(void **state)
{
    serve_ready((const char *const[]){"--pool-max", "2", "--lanes", "1", "--token", "open-sesame",
                                      "--batch-concurrency", "1", NULL});
    return 0;
}

#define operated(name)  cmocka_unit_test_setup_teardown(name, serve_operators, stop)
#define unlimited(name) cmocka_unit_test_setup_teardown(name, serve_without_limits, stop)

/* ---- The server's own limit ---- */

static void a_query_ends_at_the_server_though_the_program_was_killed(void **state)
{
    ask_beside(0, "/q/brief?s=60");
    assert_true(BECOMES(naps() == 1, 5));
    weir_signal(weir, SIGKILL);
    assert_int_equal(weir_await_exit(weir, 10), 128 + SIGKILL);
    assert_int_equal(answered(0), 0);
    assert_true(BECOMES(naps() == 0, 20));
}

static void the_programs_own_limit_comes_first(void **state)
{
    http_reply r = get("/q/brief?s=60");
    assert_problem(&r, 504, "query_timed_out");
    assert_string_equal(text(&r, "detail"), "The query was cancelled after 500 ms.");
    http_reply_free(&r);
    assert_true(BECOMES(naps() == 0, 5));
}

static void the_server_need_not_be_told(void **state)
{
    http_reply r = get("/q/limit");
    assert_status(&r, 200);
    assert_non_null(strstr(r.body, "\"is\":\"0\""));
    http_reply_free(&r);
}

/* ---- The client's ---- */

static http_reply get_within(const char *header, const char *path)
{
    return http_send(client, "GET", path, NULL, (const char *const[]){header, NULL});
}

static http_reply post_within(const char *header, const char *path, const char *body)
{
    return http_send(client, "POST", path, body,
                     (const char *const[]){header, "Authorization: Bearer open-sesame", NULL});
}

/* "The query was cancelled after 298 ms (X-Request-Timeout)." */
static void assert_cancelled(const char *detail, int most_ms, const char *by)
{
    int ms = -1, length = 0;
    sscanf(detail, "The query was cancelled after %d ms%n", &ms, &length);
    if (ms < 0 || ms > most_ms || strcmp(detail + length, by) != 0)
        fail_msg("%s", detail);
}

#define BY_TIMEOUT " (X-Request-Timeout)."
#define BY_PREFER  " (Prefer: wait)."

static void a_client_may_give_a_query_less_time(void **state)
{
    http_reply r = get_within("X-Request-Timeout: 300ms", "/nap?s=20");
    assert_problem(&r, 504, "query_timed_out");
    assert_cancelled(text(&r, "detail"), 300, BY_TIMEOUT);
    assert_null(http_header(&r, "Preference-Applied"));
    http_reply_free(&r);
    assert_true(BECOMES(naps() == 0, 5));

    r = get_within("prefer: respond-async, wait=1", "/nap?s=20");
    assert_problem(&r, 504, "query_timed_out");
    assert_cancelled(text(&r, "detail"), 1000, BY_PREFER);
    assert_string_equal(http_header(&r, "Preference-Applied"), "wait=1");
    http_reply_free(&r);
    assert_true(BECOMES(naps() == 0, 5));
}

static void but_not_more(void **state)
{
    http_reply r = get_within("X-Request-Timeout: 20s", "/q/brief?s=60");
    assert_problem(&r, 504, "query_timed_out");
    assert_cancelled(text(&r, "detail"), 500, ".");
    http_reply_free(&r);
    r = get_within("Prefer: wait=4294967299", "/q/brief?s=60");
    assert_cancelled(text(&r, "detail"), 500, ".");
    http_reply_free(&r);
}

static void an_answer_in_time_is_as_ever(void **state)
{
    http_reply r = get_within("Prefer: wait=20", "/items/7");
    assert_status(&r, 200);
    assert_string_equal(http_header(&r, "Preference-Applied"), "wait=20");
    http_reply_free(&r);
    r = get_within("Prefer: return=minimal; wait=3", "/items/7");
    assert_status(&r, 200);
    assert_null(http_header(&r, "Preference-Applied"));
    http_reply_free(&r);
}

static void of_several_headers_the_shortest_time_counts(void **state)
{
    int fd = raw_dial(weir_port(weir));
    say(fd, "GET /nap?s=20 HTTP/1.1\r\nHost: x\r\nPrefer: respond-async\r\nPrefer: wait=9\r\n"
            "X-Request-Timeout: 10\r\nX-Request-Timeout: 0.2\r\nPrefer: wait=1\r\n\r\n");
    char *heard = raw_hear(fd, "\"request_id\"", 1);
    assert_int_equal(raw_count(heard, "HTTP/1.1 504"), 1);
    assert_int_equal(raw_count(heard, "ms (X-Request-Timeout)."), 1);
    assert_int_equal(raw_count(heard, "Preference-Applied: wait=9\r\n"), 1);
    free(heard);
    close(fd);
}

static void waiting_for_a_connection_is_part_of_it(void **state)
{
    hold(4);
    http_reply r = get_within("X-Request-Timeout: 60ms", "/q/ping");
    assert_problem(&r, 503, "pool_timeout");
    int ms = -1, length = 0;
    sscanf(text(&r, "detail"), "No connection became free within %d ms%n", &ms, &length);
    if (ms < 0 || ms > 60 ||
        strncmp(text(&r, "detail") + length, " (X-Request-Timeout): ", 22) != 0)
        fail_msg("%s", text(&r, "detail"));
    assert_non_null(http_header(&r, "Retry-After"));
    http_reply_free(&r);
    r = get_within("X-Request-Timeout: 60s", "/q/ping");
    assert_problem(&r, 503, "pool_timeout");
    assert_null(strstr(text(&r, "detail"), "X-Request-Timeout"));
    http_reply_free(&r);
}

#define NAP "{\"query\":\"nap\",\"params\":{\"s\":20}}"

static void it_holds_for_several_queries_together(void **state)
{
    char header[64];
    int most_ms = (int)(300 * (slower() < 10 ? slower() : 10)); /* less than --query-timeout */
    snprintf(header, sizeof header, "X-Request-Timeout: %dms", most_ms);
    http_reply r = post_within(header, "/batch", "[{\"query\":\"ping\"}," NAP "," NAP "]");
    assert_status(&r, 200);
    assert_int_equal(status_at(&r, 0), 200);
    assert_cancelled(problem_at(&r, 1, "detail"), most_ms, BY_TIMEOUT);
    assert_string_equal(problem_at(&r, 2, "detail"),
                        "The batch's time was over (X-Request-Timeout).");
    http_reply_free(&r);

    r = post_within(header, "/tx", "{\"queries\":[{\"query\":\"ping\"}," NAP "]}");
    assert_problem(&r, 504, "query_timed_out");
    assert_cancelled(text(&r, "detail"), most_ms, BY_TIMEOUT);
    http_reply_free(&r);
    r = post_within("Prefer: wait=30", "/tx", "{\"timeout\":\"200ms\",\"queries\":[" NAP "]}");
    assert_cancelled(text(&r, "detail"), 200, ".");
    assert_string_equal(http_header(&r, "Preference-Applied"), "wait=30");
    http_reply_free(&r);

    r = post_within(header, "/sql", "{\"sql\":\"select pg_sleep(20)\"}");
    assert_problem(&r, 504, "query_timed_out");
    assert_cancelled(text(&r, "detail"), most_ms, BY_TIMEOUT);
    http_reply_free(&r);
    r = post_within(header, "/sql",
                    "{\"queries\":[{\"sql\":\"select 1\"},{\"sql\":\"select pg_sleep(20)\"}]}");
    assert_status(&r, 200);
    assert_cancelled(problem_at(&r, 1, "detail"), most_ms, BY_TIMEOUT);
    http_reply_free(&r);
    assert_true(BECOMES(naps() == 0, 5));
}

/* Its patience is its own: who shares the query has the answer all the same. */
static void it_is_not_that_of_others_who_asked_the_same(void **state)
{
    char path[32], header[64];
    snprintf(path, sizeof path, "/q/kept?s=%.1f", slower());
    snprintf(header, sizeof header, "X-Request-Timeout: %.0fms", 300 * slower());
    ask_beside(0, path);
    assert_true(BECOMES(naps() == 1, 5));
    http_reply r = get_within(header, path);
    assert_problem(&r, 504, "query_timed_out");
    assert_cancelled(text(&r, "detail"), (int)(900 * slower()), BY_TIMEOUT);
    http_reply_free(&r);
    assert_int_equal(answered(0), 200);
}

static http_reply stream_within(const char *header, const char *path)
{
    return http_send(client, "GET", path, NULL,
                     (const char *const[]){header, "Accept: application/x-ndjson", NULL});
}

static void of_a_stream_it_is_the_time_until_its_first_row(void **state)
{
    http_reply r = stream_within("X-Request-Timeout: 300ms", "/nap?s=20");
    assert_problem(&r, 504, "query_timed_out");
    assert_cancelled(text(&r, "detail"), 300, BY_TIMEOUT);
    http_reply_free(&r);
    assert_true(BECOMES(naps() == 0, 5));

    char header[64];
    snprintf(header, sizeof header, "X-Request-Timeout: %.0fms", 500 * slower());
    r = stream_within(header, "/q/drip"); /* nine tenths of a second */
    assert_status(&r, 200);
    assert_int_equal(raw_count(r.body, "\"g\":"), 30);
    http_reply_free(&r);
}

static void a_time_that_cannot_be_read_is_refused_by_its_header(void **state)
{
    static const char *const wrong[] = {
        "Prefer: wait",           "Prefer: wait=0",           "Prefer: wait=1.5",
        "Prefer: wait=soon",      "Prefer: x, wait=-1",       "Prefer: wait=\"1",
        "X-Request-Timeout: 0",   "X-Request-Timeout: soon",  "X-Request-Timeout: -1s",
        "X-Request-Timeout: 1 s", "X-Request-Timeout: 1s,2s", "X-Request-Timeout: 1e3",
        "X-Request-Timeout;", /* without a value */
    };
    static const char *const paths[] = {"/items/7", "/batch", "/tx", "/sql"};
    double granted = metric("db_client_connection_wait_time_seconds_count{pool=\"default\"}");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        for (int k = 0; k < 4; k++) {
            http_reply r =
                k == 0 ? get_within(wrong[i], paths[k]) : post_within(wrong[i], paths[k], "{}");
            char name[32] = "";
            sscanf(wrong[i], "%31[^:;]", name);
            assert_problem(&r, 400, "bad_parameter");
            assert_string_equal(text(&r, "parameter"), name);
            assert_non_null(strstr(text(&r, "detail"), name));
            http_reply_free(&r);
        }
    }
    assert_true(metric("db_client_connection_wait_time_seconds_count{pool=\"default\"}") ==
                granted);
}

static void a_client_that_goes_before_a_streams_first_row_stops_it(void **state)
{
    static const char *const forms[] = {"application/x-ndjson", "text/csv",
                                        "application/json;stream=1"};
    for (int i = 0; i < 6; i++) {
        char request[128];
        int fd = raw_dial(weir_port(weir));
        snprintf(request, sizeof request, "GET /nap?s=25 HTTP/1.1\r\nHost: x\r\nAccept: %s\r\n\r\n",
                 forms[i / 2]);
        say(fd, request);
        assert_true(BECOMES(naps() == 1, 5));
        raw_vanish(fd, i % 2);
        assert_true(BECOMES(naps() == 0, 5));
        assert_true(BECOMES(pool("in_use") == 0 && pool("cancelling") == 0, 5));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_query_ends_at_the_server_though_the_program_was_killed,
                                        serve_usually, stop_stopped),
        usual(the_programs_own_limit_comes_first),
        unlimited(the_server_need_not_be_told),
        usual(a_client_may_give_a_query_less_time),
        usual(but_not_more),
        usual(an_answer_in_time_is_as_ever),
        usual(of_several_headers_the_shortest_time_counts),
        narrow(waiting_for_a_connection_is_part_of_it),
        operated(it_holds_for_several_queries_together),
        operated(it_is_not_that_of_others_who_asked_the_same),
        usual(of_a_stream_it_is_the_time_until_its_first_row),
        operated(a_time_that_cannot_be_read_is_refused_by_its_header),
        usual(a_client_that_goes_before_a_streams_first_row_stops_it),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("http_deadline", tests, start, items_end);
}
