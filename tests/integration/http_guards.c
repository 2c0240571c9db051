/* http_guards.c: tests of origins, of limits on what is asked and answered, and of rates. */
#include "../support/items.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int start(void **state)
{
    items_start(state);
    query_file("series", "-- @optional pad\n"
                         "select g as id, repeat('x', coalesce(:pad::int, 0)) as x from "
                         "generate_series(1, :n::int) g\n");
    query_file("shared", "-- @cache 5s\n-- @optional pad\n"
                         "select g as id, repeat('x', coalesce(:pad::int, 0)) as x from "
                         "generate_series(1, :n::int) g\n");
    query_file("count", "-- @returns count\nselect g from generate_series(1, :n::int) g\n");
    query_file("fill", "-- @route POST /fill\ninsert into parent select g from generate_series(1, "
                       ":n::int) g returning id\n");
    query_file("gone", "select 1 as one\n");
    return 0;
}

static http_reply ask(const char *method, const char *path, const char *body, const char *header)
{
    return http_send(client, method, path, body, (const char *const[]){header, NULL});
}

static const char *said(const http_reply *r, const char *name)
{
    const char *value = http_header(r, name);
    return value ? value : "";
}

/* ---- Origins ---- */

#define SHOP  "Origin: https://shop.example"
#define OTHER "Origin: https://other.example"

static int serve_a_shop(void **state)
{
    serve_ready((const char *const[]){"--lanes", "1", "--pool-max", "1", "--acquire-timeout",
                                      "50ms", "--token", "open-sesame", "--cors-origin",
                                      "https://shop.example,http://localhost:3000", NULL});
    return 0;
}

static void an_allowed_page_may_read_answers_and_problems(void **state)
{
    static const struct {
        const char *method, *path, *body;
        int status;
    } cases[] = {
        {"GET", "/items/7", NULL, 200},   {"GET", "/items/7000", NULL, 404},
        {"GET", "/nowhere", NULL, 404},   {"GET", "/items/abc", NULL, 400},
        {"PATCH", "/items/7", NULL, 405}, {"POST", "/batch", "[{\"query\": \"ping\"}]", 200},
        {"GET", "/short", NULL, 504},     {"GET", "/openapi.json", NULL, 200},
        {"OPTIONS", "/items", NULL, 204},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_reply r = ask(cases[i].method, cases[i].path, cases[i].body, SHOP);
        assert_status(&r, cases[i].status);
        assert_string_equal(said(&r, "Access-Control-Allow-Origin"), "https://shop.example");
        assert_string_equal(said(&r, "Access-Control-Allow-Credentials"), "");
        assert_non_null(strstr(said(&r, "Access-Control-Expose-Headers"), "X-Request-Id"));
        assert_non_null(strstr(r.headers, "Vary: Origin\r\n"));
        http_reply_free(&r);
    }
}

static void a_refusal_for_want_of_a_connection_can_be_read(void **state)
{
    ask_beside(0, "/nap?s=2");
    assert_true(BECOMES(naps() == 1, 5));
    http_reply r = ask("GET", "/items/7", NULL, SHOP);
    assert_problem(&r, 503, "pool_timeout");
    assert_string_equal(said(&r, "Access-Control-Allow-Origin"), "https://shop.example");
    assert_non_null(strstr(said(&r, "Access-Control-Expose-Headers"), "Retry-After"));
    http_reply_free(&r);
}

static void a_stream_can_be_read(void **state)
{
    const char *const headers[] = {SHOP, "Accept: application/x-ndjson", NULL};
    http_reply r = http_send(client, "GET", "/q/series?n=3", NULL, headers);
    assert_status(&r, 200);
    assert_string_equal(said(&r, "Access-Control-Allow-Origin"), "https://shop.example");
    http_reply_free(&r);
}

static void other_pages_are_told_nothing(void **state)
{
    static const char *const origins[] = {OTHER, "Origin: null", "Origin: https://shop.example.x",
                                          "Accept: */*"};
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        http_reply r = ask("GET", "/items/7", NULL, origins[i]);
        assert_status(&r, 200);
        assert_null(strstr(r.headers, "Access-Control"));
        assert_non_null(strstr(r.headers, "Vary: Origin\r\n")); /* it is not the same for all */
        http_reply_free(&r);
    }
}

static http_reply preflight(const char *path, const char *origin, const char *method,
                            const char *names)
{
    char asked[64], listed[128];
    snprintf(asked, sizeof asked, "Access-Control-Request-Method: %s", method);
    snprintf(listed, sizeof listed, "Access-Control-Request-Headers: %s", names);
    const char *const headers[] = {origin, asked, listed, NULL};
    return http_send(client, "OPTIONS", path, NULL, headers);
}

static void a_preflight_is_answered_whatever_the_path(void **state)
{
    static const char *const paths[] = {"/items/7", "/nowhere", "/batch", "/q/ping?n=%zz"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        http_reply r = preflight(paths[i], SHOP, "PUT", "content-type,authorization");
        assert_status(&r, 204);
        assert_int_equal(r.length, 0);
        assert_string_equal(said(&r, "Access-Control-Allow-Origin"), "https://shop.example");
        assert_non_null(strstr(said(&r, "Access-Control-Allow-Methods"), "PUT"));
        assert_string_equal(said(&r, "Access-Control-Allow-Headers"), "content-type,authorization");
        assert_string_equal(said(&r, "Access-Control-Max-Age"), "600");
        http_reply_free(&r);
    }
    http_reply r = preflight("/items/7", OTHER, "PUT", "content-type");
    assert_status(&r, 204);
    assert_null(strstr(r.headers, "Access-Control"));
    http_reply_free(&r);
    r = preflight("/items/7", SHOP, "PUT", "x<y");
    assert_string_equal(said(&r, "Access-Control-Allow-Headers"), "");
    http_reply_free(&r);
}

static void no_page_reads_what_is_for_operators(void **state)
{
    static const char *const paths[] = {"/metrics", "/pool", "/readyz"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        http_reply r = ask("GET", paths[i], NULL, SHOP);
        assert_status(&r, 200);
        assert_null(strstr(r.headers, "Access-Control"));
        http_reply_free(&r);
    }
    http_reply r = preflight("/sql", SHOP, "POST", "authorization");
    assert_status(&r, 204);
    assert_null(strstr(r.headers, "Access-Control"));
    http_reply_free(&r);
}

static int serve_all_pages(void **state)
{
    serve_ready((const char *const[]){"--lanes", "1", "--cors-origin", "*", NULL});
    return 0;
}

static void a_star_is_the_same_for_everybody(void **state)
{
    http_reply r = ask("GET", "/items/7", NULL, OTHER);
    assert_string_equal(said(&r, "Access-Control-Allow-Origin"), "*");
    assert_null(strstr(r.headers, "Vary: Origin"));
    http_reply_free(&r);
}

static void without_the_flag_no_page_may(void **state)
{
    http_reply r = ask("GET", "/items/7", NULL, SHOP);
    assert_status(&r, 200);
    assert_null(strstr(r.headers, "Access-Control"));
    http_reply_free(&r);
}

/* ---- What is asked ---- */

static int serve_little(void **state)
{
    serve_ready((const char *const[]){"--lanes", "1", "--pool-max", "2", "--url-max", "100",
                                      "--params-max", "3", "--rows-max", "20", "--answer-max",
                                      "64k", "--token", "open-sesame", NULL});
    return 0;
}

static void a_url_that_is_too_long_is_a_problem(void **state)
{
    static const char *const heads[] = {"/q/echo?a=", "/items/", "/nowhere/", "/livez?"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        char *fits = repeated(heads[i], "1", 100 - (int)strlen(heads[i]), "");
        char *exceeds = repeated(heads[i], "1", 101 - (int)strlen(heads[i]), "");
        http_reply r = get(fits);
        assert_int_not_equal(r.status, 414);
        http_reply_free(&r);
        fails_with("GET", exceeds, NULL, 414, "url_too_long");
        fails_with("POST", exceeds, "{\"a\": \"b\"}", 414, "url_too_long");
        free(fits);
        free(exceeds);
    }
}

static void too_many_parameters_are_refused(void **state)
{
    http_reply r = get("/q/echo?a=1&b=2&_x=3");
    assert_status(&r, 200);
    http_reply_free(&r);
    fails_with("GET", "/q/echo?a=1&b=2&_x=3&_y=4", NULL, 400, "bad_request");
    fails_with("POST", "/q/echo?_x=1", "{\"a\":\"1\",\"b\":\"2\",\"c\":1,\"d\":1}", 400,
               "bad_parameter");
}

/* ---- What is answered ---- */

static void assert_excess(http_reply *r, const char *code, bool could_stream)
{
    assert_problem(r, 507, code);
    assert_int_equal(strstr(text(r, "detail"), "application/x-ndjson") != NULL, could_stream);
    assert_false(json_is_true(json_object_get(r->json, "retryable")));
}

static void assert_too_much(http_reply *r, const char *code)
{
    assert_excess(r, code, true);
}

/* For what cannot be asked for as a stream. */
static void assert_too_much_at_once(http_reply *r, const char *code)
{
    assert_excess(r, code, false);
}

static void too_many_rows_are_a_problem_that_says_to_stream(void **state)
{
    http_reply r = get("/q/series?n=20");
    assert_status(&r, 200);
    http_reply_free(&r);
    r = get("/q/series?n=21");
    assert_too_much(&r, "too_many_rows");
    assert_non_null(strstr(text(&r, "detail"), "21 rows"));
    http_reply_free(&r);
    r = ask("GET", "/q/series?n=5000", NULL, "Accept: application/x-ndjson");
    assert_status(&r, 200);
    http_reply_free(&r);
    r = get("/q/count?n=500"); /* which are not answered */
    assert_status(&r, 200);
    http_reply_free(&r);
}

static void an_answer_that_is_too_large_is_a_problem(void **state)
{
    http_reply r = get("/q/series?n=2&pad=30000");
    assert_status(&r, 200);
    http_reply_free(&r);
    r = get("/q/series?n=2&pad=33000");
    assert_too_much(&r, "answer_too_large");
    assert_null(http_header(&r, "ETag"));
    http_reply_free(&r);
}

static void answers_that_are_shared_are_limited_too(void **state)
{
    http_reply r = get("/q/shared?n=20");
    assert_status(&r, 200);
    http_reply_free(&r);
    r = get("/q/shared?n=21");
    assert_too_much(&r, "too_many_rows");
    http_reply_free(&r);
    r = get("/q/shared?n=2&pad=33000");
    assert_too_much(&r, "answer_too_large");
    http_reply_free(&r);
    r = get("/q/shared?n=200000&pad=100");
    assert_too_much(&r, "answer_too_large");
    http_reply_free(&r);
}

/* Before all of it has been read: the server is told to stop. */
static void a_huge_answer_is_not_read_to_its_end(void **state)
{
    for (int i = 0; i < 3; i++) {
        http_reply r = get("/q/series?n=2000000&pad=500");
        assert_too_much(&r, "answer_too_large");
        assert_true(r.seconds < 10 * slower());
        http_reply_free(&r);
        r = get("/q/count?n=500000");
        assert_too_much_at_once(&r, "answer_too_large");
        http_reply_free(&r);
    }
    assert_true(BECOMES(pool("in_use") == 0 && pool("cancelling") == 0, 10));
    http_reply r = get("/items/1"); /* and its connection serves the next */
    assert_status(&r, 200);
    http_reply_free(&r);
}

static void what_a_refused_answer_has_changed_is_told(void **state)
{
    http_reply r = ask("POST", "/fill", "{\"n\":30}", NULL);
    assert_too_much(&r, "too_many_rows");
    assert_non_null(strstr(text(&r, "detail"), "What was changed stays so."));
    http_reply_free(&r);
    assert_int_equal(postgres_number(database, "select count(*) from parent"), 30);
    postgres_sql(database, "delete from parent");
}

static void a_transaction_with_too_much_to_tell_is_undone(void **state)
{
    http_reply r = ask("POST", "/tx",
                       "{\"queries\":[{\"query\":\"fill\",\"params\":{\"n\":5}},"
                       "{\"query\":\"series\",\"params\":{\"n\":21}}]}",
                       NULL);
    assert_too_much_at_once(&r, "too_many_rows");
    assert_int_equal(json_integer_value(json_object_get(r.json, "step")), 1);
    assert_null(strstr(text(&r, "detail"), "stays"));
    http_reply_free(&r);
    assert_int_equal(postgres_number(database, "select count(*) from parent"), 0);
}

static void the_parts_of_a_batch_are_limited_alone_and_together(void **state)
{
    http_reply r = ask("POST", "/batch",
                       "[{\"query\":\"series\",\"params\":{\"n\":21}},{\"query\":\"ping\"}]", NULL);
    assert_status(&r, 200);
    json_t *results = json_object_get(r.json, "results");
    json_t *first = json_array_get(results, 0);
    assert_int_equal(json_integer_value(json_object_get(first, "status")), 507);
    json_t *detail = json_object_get(json_object_get(first, "problem"), "detail");
    assert_null(strstr(json_string_value(detail), "x-ndjson"));
    assert_int_equal(json_integer_value(json_object_get(json_array_get(results, 1), "status")),
                     200);
    http_reply_free(&r);
    r = ask("POST", "/batch",
            "[{\"query\":\"series\",\"params\":{\"n\":1,\"pad\":40000}},"
            "{\"query\":\"series\",\"params\":{\"n\":1,\"pad\":40000}}]",
            NULL);
    if (r.status == 200) /* the second has found what had been left by the first */
        assert_int_equal(json_integer_value(json_object_get(r.json, "failed")), 1);
    else
        assert_too_much_at_once(&r, "answer_too_large");
    http_reply_free(&r);
}

static void an_operators_sql_is_limited_too(void **state)
{
    const char *token = "Authorization: Bearer open-sesame";
    http_reply r = ask("POST", "/sql", "{\"sql\":\"select generate_series(1, 21)\"}", token);
    assert_too_much_at_once(&r, "too_many_rows");
    http_reply_free(&r);
    r = ask("POST", "/sql", "{\"sql\":\"select repeat('x', 70000)\"}", token);
    assert_too_much_at_once(&r, "answer_too_large");
    http_reply_free(&r);
}

/* ---- Rates ---- */

static int serve_rarely(void **state)
{
    serve_ready((const char *const[]){"--lanes", "2", "--rate-limit", "4/h", "--token",
                                      "open-sesame", "--trusted-proxies", "127.0.0.0/8", NULL});
    return 0;
}

static int status_as(const char *header, const char *path)
{
    http_reply r = ask("GET", path, NULL, header);
    int status = r.status;
    http_reply_free(&r);
    return status;
}

#define ALICE "X-Forwarded-For: 192.0.2.1"
#define BOB   "X-Forwarded-For: 192.0.2.2"

static void who_asks_too_often_is_told_when_to_come_back(void **state)
{
    for (int i = 0; i < 4; i++)
        assert_int_equal(status_as(ALICE, "/items/1"), 200);
    http_reply r = ask("GET", "/items/1", NULL, ALICE);
    assert_problem(&r, 429, "too_many_requests");
    long after = strtol(said(&r, "Retry-After"), NULL, 10);
    assert_in_range(after, 800, 900);
    assert_true(json_is_true(json_object_get(r.json, "retryable")));
    http_reply_free(&r);
    assert_int_equal(status_as(ALICE, "/nowhere"), 429);
    assert_int_equal(status_as(ALICE, "/"), 429);
    assert_int_equal(status_as(BOB, "/items/1"), 200);
    assert_int_equal(status_as("X-Forwarded-For: 192.0.2.2, 192.0.2.1", "/items/1"), 429);
    assert_true(metric("weir_requests_limited_total{by=\"address\"}") == 4);
}

#define PING "{\"query\":\"ping\"},"
#define FILL "{\"query\":\"fill\",\"params\":{\"n\":3}}"

static void each_query_of_a_request_counts(void **state)
{
    static const char *const headers[] = {ALICE, BOB};
    static const char *const heads[][2] = {{"/batch", "["}, {"/tx", "{\"queries\":["}};
    static const char *const tails[] = {PING PING "{\"query\":\"ping\"}]",
                                        PING PING "{\"query\":\"ping\"}]}"};
    for (int i = 0; i < 2; i++) {
        char *body = repeated(heads[i][1], "", 0, tails[i]);
        assert_answered(ask("POST", heads[i][0], body, headers[i]), 200);
        assert_int_equal(status_as(headers[i], "/items/1"), 200);
        assert_int_equal(status_as(headers[i], "/items/1"), 429);
        free(body);
    }
}

static void too_many_queries_are_refused_before_any_is_run(void **state)
{
    assert_int_equal(status_as(ALICE, "/items/1"), 200);
    http_reply r = ask("POST", "/tx", "{\"queries\":[" PING PING PING FILL "]}", ALICE);
    assert_problem(&r, 429, "too_many_requests");
    assert_in_range(strtol(said(&r, "Retry-After"), NULL, 10), 1700, 1801);
    assert_true(json_is_true(json_object_get(r.json, "retryable")));
    http_reply_free(&r);
    assert_refused(ask("POST", "/batch", "[" PING PING FILL "]", ALICE), 429, "too_many_requests");
    assert_int_equal(postgres_number(database, "select count(*) from parent"), 0);
    assert_true(metric("weir_requests_limited_total{by=\"address\"}") == 2);
}

static void more_queries_than_the_burst_pass_and_are_paid_for_afterwards(void **state)
{
    assert_answered(
        ask("POST", "/batch", "[" PING PING PING PING PING PING "{\"query\":\"ping\"}]", ALICE),
        200);
    http_reply r = ask("GET", "/items/1", NULL, ALICE);
    assert_problem(&r, 429, "too_many_requests");
    assert_in_range(strtol(said(&r, "Retry-After"), NULL, 10), 3500, 3601);
    http_reply_free(&r);
}

static void an_ipv6_client_is_its_64(void **state)
{
    for (int i = 0; i < 4; i++) {
        char header[64];
        snprintf(header, sizeof header, "X-Forwarded-For: 2001:db8::%d", i);
        assert_int_equal(status_as(header, "/items/1"), 200);
    }
    assert_int_equal(status_as("X-Forwarded-For: 2001:db8::ffff:1", "/items/1"), 429);
    assert_int_equal(status_as("X-Forwarded-For: 2001:db8:0:1::1", "/items/1"), 200);
}

static void a_token_is_counted_wherever_it_comes_from(void **state)
{
    for (int i = 0; i < 5; i++) {
        char from[64];
        snprintf(from, sizeof from, "X-Forwarded-For: 192.0.2.%d", 10 + i);
        const char *const headers[] = {from, "Authorization: Bearer somebody", NULL};
        http_reply r = http_send(client, "GET", "/items/1", NULL, headers);
        assert_status(&r, i < 4 ? 200 : 429);
        http_reply_free(&r);
    }
    assert_true(metric("weir_requests_limited_total{by=\"token\"}") == 1);
}

static void probes_scrapes_and_operators_are_not_limited(void **state)
{
    static const char *const paths[] = {"/livez", "/readyz", "/metrics", "/pool"};
    for (int i = 0; i < 6; i++) {
        for (size_t p = 0; p < sizeof paths / sizeof *paths; p++)
            assert_int_equal(status_as(ALICE, paths[p]), 200);
        assert_int_equal(status_as("Authorization: Bearer open-sesame", "/items/1"), 200);
        assert_answered(ask("POST", "/sql",
                            "{\"queries\":[{\"sql\":\"select 1\"},{\"sql\":\"select 2\"}]}",
                            "Authorization: Bearer open-sesame"),
                        200);
    }
}

static void who_guesses_at_tokens_is_limited(void **state)
{
    int unknown = 0, refused = 0;
    for (int i = 0; i < 8; i++) {
        char guess[64];
        snprintf(guess, sizeof guess, "Authorization: Bearer guess%d", i);
        http_reply r =
            i % 2 ? ask("POST", "/reload", NULL, guess) : ask("GET", "/pool/events", NULL, guess);
        unknown += r.status == 401;
        refused += r.status == 429;
        http_reply_free(&r);
    }
    assert_int_equal(unknown, 4);
    assert_int_equal(refused, 4);
}

/* ---- Flags ---- */

static void wrong_flags_stop_the_start(void **state)
{
    static const struct {
        const char *flag, *value;
    } cases[] = {{"--cors-origin", "shop"},   {"--rate-limit", "often"},
                 {"--trusted-proxies", "10"}, {"--rows-max", "0"},
                 {"--params-max", "257"},     {"--answer-max", "1k"},
                 {"--header-timeout", "0s"},  {"--clients-per-address", "none"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        serve_unready((const char *const[]){cases[i].flag, cases[i].value, NULL});
        assert_int_equal(weir_await_exit(weir, 10 * slower()), 64);
        assert_non_null(strstr(weir_output(weir), cases[i].flag));
        weir_stop(weir);
        weir = NULL;
    }
}

#define with(serve, name) cmocka_unit_test_setup_teardown(name, serve, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with(serve_a_shop, an_allowed_page_may_read_answers_and_problems),
        with(serve_a_shop, a_refusal_for_want_of_a_connection_can_be_read),
        with(serve_a_shop, a_stream_can_be_read),
        with(serve_a_shop, other_pages_are_told_nothing),
        with(serve_a_shop, a_preflight_is_answered_whatever_the_path),
        with(serve_a_shop, no_page_reads_what_is_for_operators),
        with(serve_all_pages, a_star_is_the_same_for_everybody),
        usual(without_the_flag_no_page_may),
        with(serve_little, a_url_that_is_too_long_is_a_problem),
        with(serve_little, too_many_parameters_are_refused),
        with(serve_little, too_many_rows_are_a_problem_that_says_to_stream),
        with(serve_little, an_answer_that_is_too_large_is_a_problem),
        with(serve_little, answers_that_are_shared_are_limited_too),
        with(serve_little, a_huge_answer_is_not_read_to_its_end),
        with(serve_little, what_a_refused_answer_has_changed_is_told),
        with(serve_little, a_transaction_with_too_much_to_tell_is_undone),
        with(serve_little, the_parts_of_a_batch_are_limited_alone_and_together),
        with(serve_little, an_operators_sql_is_limited_too),
        with(serve_rarely, who_asks_too_often_is_told_when_to_come_back),
        with(serve_rarely, each_query_of_a_request_counts),
        with(serve_rarely, too_many_queries_are_refused_before_any_is_run),
        with(serve_rarely, more_queries_than_the_burst_pass_and_are_paid_for_afterwards),
        with(serve_rarely, an_ipv6_client_is_its_64),
        with(serve_rarely, a_token_is_counted_wherever_it_comes_from),
        with(serve_rarely, probes_scrapes_and_operators_are_not_limited),
        with(serve_rarely, who_guesses_at_tokens_is_limited),
        cmocka_unit_test(wrong_flags_stop_the_start),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("http_guards", tests, start, items_end);
}
