/* request_log.c: tests of the log's lines of requests, and of who asked by them. */
#include "../support/items.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FORWARDED "X-Forwarded-For: 198.51.100.9, 192.0.2.1"

static void serve_telling_all(const char *const *more)
{
    serve_ready(
        joined_flags((const char *const[]){"--lanes", "2", "--log-level", "debug", "--token",
                                           "open-sesame", "--rate-limit", "3/h", NULL},
                     more));
}

static int serve_anybody(void **state)
{
    serve_telling_all(NULL);
    return 0;
}

static int serve_behind_a_proxy(void **state)
{
    serve_telling_all((const char *const[]){"--trusted-proxies", "127.0.0.0/8", NULL});
    return 0;
}

/* The log's first line of a request with this status; NULL: none came. json_decref it. */
static json_t *line_of(int status)
{
    for (int i = 1; i < 50; i++) {
        json_t *line = weir_await_event(weir, "http.request", i, 10);
        if (!line || json_integer_value(json_object_get(line, "status")) == status)
            return line;
        json_decref(line);
    }
    return NULL;
}

static void assert_client(int status, const char *address)
{
    json_t *line = line_of(status);
    assert_non_null(line);
    const char *client_said = json_string_value(json_object_get(line, "client"));
    assert_string_equal(client_said ? client_said : "", address);
    json_decref(line);
}

static http_reply ask_as(const char *forwarded, const char *method, const char *path)
{
    return http_send(client, method, path, NULL, (const char *const[]){forwarded, NULL});
}

/* ---- Tests ---- */

static void each_line_says_from_where_the_request_came(void **state)
{
    assert_answered(get("/items/1"), 200);
    assert_client(200, "127.0.0.1");
    assert_answered(post_as("no-such-token", "/reload"), 401);
    assert_client(401, "127.0.0.1");
    assert_answered(get("/nowhere"), 404);
    assert_answered(get("/items/1"), 429);
    assert_client(429, "127.0.0.1");
}

static void what_anybody_can_write_is_not_believed(void **state)
{
    assert_answered(ask_as(FORWARDED, "POST", "/reload"), 401);
    assert_client(401, "127.0.0.1");
}

static void behind_a_trusted_proxy_it_is_whom_that_names(void **state)
{
    assert_answered(ask_as(FORWARDED, "POST", "/reload"), 401);
    assert_client(401, "192.0.2.1");
    assert_answered(ask_as("X-Forwarded-For: 2001:db8::7", "GET", "/nowhere"), 404);
    assert_client(404, "2001:db8::7");
}

static void a_client_that_has_gone_away_is_named_too(void **state)
{
    int fd = raw_dial(weir_port(weir));
    say(fd, "GET /nap?s=20 HTTP/1.1\r\nHost: x\r\n" FORWARDED "\r\n\r\n");
    assert_true(BECOMES(naps() == 1, 5));
    close(fd);
    assert_client(499, "192.0.2.1");
}

int main(void)
{
#define with(serve, name) cmocka_unit_test_setup_teardown(name, serve, stop)
    const struct CMUnitTest tests[] = {
        with(serve_anybody, each_line_says_from_where_the_request_came),
        with(serve_anybody, what_anybody_can_write_is_not_believed),
        with(serve_behind_a_proxy, behind_a_trusted_proxy_it_is_whom_that_names),
        with(serve_behind_a_proxy, a_client_that_has_gone_away_is_named_too),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("request_log", tests, items_start, items_end);
}
