/* refusals.c: tests of what a client is told when it gets no connection, or loses the one it has.
 */
#include "../support/served.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int start_world(void **state)
{
    database = postgres_start(NULL);
    folder = scratch_folder();
    query_file("ping", "select 1 as one\n");
    query_file("nap", "-- @route GET /nap\n-- @timeout 30s\nselect :s::float8 as slept from "
                      "pg_sleep(:s)\n");
    query_file("add", "-- @route POST /add\n-- @timeout 30s\nselect :s::float8 as slept from "
                      "pg_sleep(:s)\n");
    return 0;
}

static int end_world(void **state)
{
    scratch_remove(folder);
    postgres_stop(database);
    return 0;
}

/* One connection, waited for 300 ms. */
static void serve_narrowly(const char *const *more)
{
    char patience[32];
    snprintf(patience, sizeof patience, "%.0fms", 300 * slower());
    serve_ready(joined_flags((const char *const[]){"--pool-max", "1", "--lanes", "1",
                                                   "--acquire-timeout", patience, NULL},
                             more));
}

static void hold(double seconds)
{
    char path[64];
    snprintf(path, sizeof path, "/nap?s=%.3f", seconds * slower());
    ask_beside(0, path);
    assert_true(BECOMES(naps() == 1, 5));
}

static const char *said(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value ? value : "";
}

/* ---- Why there is none ---- */

static void a_refusal_says_why_and_who_holds_what(void **state)
{
    serve_narrowly(NULL);
    hold(1);
    http_reply r = get("/q/ping");
    assert_problem(&r, 503, "pool_timeout");
    const json_t *pool_object = json_object_get(r.json, "pool");
    assert_string_equal(said(pool_object, "verdict"), "saturated");
    assert_true(strlen(said(pool_object, "reason")) > 10);
    assert_non_null(strstr(text(&r, "detail"), said(pool_object, "reason")));
    const json_t *holder = json_array_get(json_object_get(r.json, "holders"), 0);
    assert_string_equal(said(holder, "label"), "/nap");
    assert_string_equal(said(holder, "query"), "nap");
    assert_true(*said(holder, "transaction") != '\0');
    assert_true(json_is_true(json_object_get(holder, "running")));
    assert_true(json_real_value(json_object_get(holder, "age_ms")) > 100);
    assert_true(json_integer_value(json_object_get(holder, "backend_pid")) > 0);
    assert_null(strstr(r.body, "pg_sleep")); /* a query's name, and never its text */
    http_reply_free(&r);
    assert_int_equal(answered(0), 200);
}

static void a_full_queue_says_why_it_is_full(void **state)
{
    serve_narrowly((const char *const[]){"--queue-max", "1", NULL});
    hold(1);
    ask_beside(1, "/q/ping");
    assert_true(BECOMES(pool("waiting") == 1, 0.25));
    http_reply r = get("/q/ping");
    assert_problem(&r, 503, "queue_full");
    assert_string_equal(json_string_value(member(&r, "pool", "verdict")), "saturated");
    assert_non_null(http_header(&r, "Retry-After"));
    http_reply_free(&r);
}

static void an_outage_is_told_by_its_code_alone(void **state)
{
    serve_narrowly(NULL);
    postgres_shut_down(database);
    assert_int_equal(http_status(weir_port(weir), "/q/ping"), 503);
    http_reply r = get("/q/ping");
    assert_problem(&r, 503, "database_unavailable");
    const json_t *error = json_object_get(r.json, "connect_error");
    assert_string_equal(said(error, "code"), "connect_failed");
    assert_null(json_object_get(error, "message"));
    assert_null(strstr(r.body, postgres_socket_folder(database)));
    assert_string_equal(json_string_value(member(&r, "pool", "verdict")), "connecting");
    http_reply_free(&r);
    postgres_bring_up(database);
    stop(NULL);

    serve_narrowly((const char *const[]){"--expose-sql", NULL});
    postgres_shut_down(database);
    assert_int_equal(http_status(weir_port(weir), "/q/ping"), 503);
    r = get("/q/ping");
    assert_problem(&r, 503, "database_unavailable");
    assert_non_null(strstr(said(json_object_get(r.json, "connect_error"), "message"),
                           postgres_socket_folder(database)));
    http_reply_free(&r);
    postgres_bring_up(database);
}

/* ---- Overload ---- */

enum { CROWD = 40 };

static void lasting_overload_is_shed_and_the_rest_is_answered(void **state)
{
    int fds[CROWD], good = 0, shed = 0;
    serve_ready((const char *const[]){"--pool-max", "1", "--lanes", "1", "--acquire-timeout", "20s",
                                      "--shed-target", "50ms", "--shed-interval", "200ms", NULL});
    for (int i = 0; i < CROWD; i++) {
        fds[i] = raw_dial(weir_port(weir));
        assert_true(raw_say(fds[i], "GET /nap?s=0.05 HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    for (int i = 0; i < CROWD; i++) {
        char *heard = raw_hear(fds[i], "}\n", 1);
        good += strncmp(heard, "HTTP/1.1 200", 12) == 0;
        if (strncmp(heard, "HTTP/1.1 503", 12) == 0) {
            shed++;
            assert_int_equal(raw_count(heard, "\"code\":\"shed\""), 1);
            assert_int_equal(raw_count(heard, "\"verdict\":\"shed\""), 1);
            assert_int_equal(raw_count(heard, "Retry-After: "), 1);
        }
        free(heard);
        close(fds[i]);
    }
    assert_int_equal(good + shed, CROWD);
    assert_true(good > 2 && shed > CROWD / 4);
    assert_true(metric("weir_leases_refused_total{pool=\"default\",reason=\"shed\"}") == shed);
    http_reply r = get("/q/ping"); /* it is over */
    assert_status(&r, 200);
    http_reply_free(&r);
}

static void many_refusals_cost_few_lines(void **state)
{
    int refused = 0;
    serve_narrowly((const char *const[]){"--queue-max", "1", "--log-level", "info", NULL});
    hold(1);
    ask_beside(1, "/q/ping");
    assert_true(BECOMES(pool("waiting") == 1, 0.25));
    double began = now();
    while (refused < 100 && now() - began < 0.2 * slower()) {
        http_reply r = get("/q/ping");
        refused += r.status == 503;
        http_reply_free(&r);
    }
    assert_true(refused > 30);
    int most = 5 * (int)(now() - began + 3); /* five in each second that was begun */
    json_decref(weir_await_event(weir, "http.request", 1, 5));
    json_decref(weir_await_event(weir, "lease.refused", 1, 5));
    assert_in_range(weir_events(weir, "http.request"), 1, most);
    assert_in_range(weir_events(weir, "lease.refused"), 1, most);
    answered(0);
    answered(1);
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL); /* the next second: what was left out */
    hold(0.5);
    ask_beside(1, "/q/ping");
    assert_true(BECOMES(pool("waiting") == 1, 0.25));
    http_reply r = get("/q/ping");
    assert_status(&r, 503);
    http_reply_free(&r);
    assert_true(BECOMES(strstr(weir_output(weir), "\"left_out\":") != NULL, 2));
}

/* ---- Leaks ---- */

static void a_lease_held_for_too_long_is_told_once(void **state)
{
    serve_narrowly((const char *const[]){"--leak-after", "200ms", NULL});
    hold(1);
    json_t *line = weir_await_event(weir, "lease.leaked", 1, 5);
    assert_string_equal(said(line, "label"), "/nap");
    assert_string_equal(said(line, "level"), "warn");
    json_decref(line);
    http_reply r = get("/pool");
    const json_t *lease = json_array_get(json_object_get(r.json, "leases"), 0);
    assert_true(json_is_true(json_object_get(lease, "leaked")));
    assert_string_equal(said(lease, "query"), "nap");
    assert_non_null(strstr(said(lease, "where"), "serve_query.c:"));
    assert_true(json_real_value(json_object_get(lease, "query_ms")) > 100);
    assert_int_equal(json_integer_value(json_object_get(r.json, "leaked_out")), 1);
    http_reply_free(&r);
    assert_int_equal(answered(0), 200);
    assert_int_equal(weir_events(weir, "lease.leaked"), 1);
    assert_true(metric("weir_leases_leaked_total{pool=\"default\"}") == 1);
    assert_true(metric("weir_leases_leaked_out{pool=\"default\"}") == 0);
}

static void a_leaked_lease_is_taken_back_where_that_was_asked_for(void **state)
{
    serve_narrowly((const char *const[]){"--leak-after", "300ms", "--leak-reclaim", NULL});
    http_reply r = get("/nap?s=20");
    assert_problem(&r, 504, "lease_reclaimed");
    assert_true(json_is_true(json_object_get(r.json, "retryable")));
    http_reply_free(&r);
    r = http_send(client, "POST", "/add", "{\"s\": 20}", NULL);
    assert_problem(&r, 504, "lease_reclaimed");
    assert_true(json_is_false(json_object_get(r.json, "retryable")));
    http_reply_free(&r);
    assert_true(BECOMES(naps() == 0, 5));
    assert_true(BECOMES(http_status(weir_port(weir), "/q/ping") == 200, 5));
    assert_true(metric("weir_connections_retired_total{pool=\"default\",reason=\"leaked\"}") == 2);
}

/* ---- GET /pool ---- */

static void the_pool_shows_waiters_verdict_and_advice(void **state)
{
    serve_narrowly(NULL);
    hold(1);
    ask_beside(1, "/q/ping");
    assert_true(BECOMES(pool("waiting") == 1, 0.25));
    http_reply r = get("/pool");
    const json_t *waiter = json_array_get(json_object_get(r.json, "waiters"), 0);
    assert_string_equal(said(waiter, "label"), "/q/ping");
    assert_true(json_real_value(json_object_get(waiter, "left_ms")) > 0);
    assert_true(json_is_false(json_object_get(waiter, "urgent")));
    assert_int_equal(strlen(said(waiter, "request_id")), 32);
    assert_string_equal(text(&r, "verdict"), "saturated");
    assert_true(*text(&r, "reason") != '\0');
    assert_true(*said(json_object_get(r.json, "advice"), "reason") != '\0');
    static const char *const totals[] = {
        "granted", "shed",           "deadlocked",      "leaked",
        "retired", "closed_refused", "cancels_drained", "cancels_discarded"};
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++)
        assert_non_null(member(&r, "totals", totals[i]));
    static const char *const members[] = {"paused", "shedding", "ceiling", "wait", "use", "create"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        assert_non_null(json_object_get(r.json, members[i]));
    http_reply_free(&r);
}

static void a_cancelled_query_is_counted_with_its_end(void **state)
{
    query_file("short", "-- @timeout 50ms\nselect 1 as one from pg_sleep(20)\n");
    serve_narrowly(NULL);
    fails_with("GET", "/q/short", NULL, 504, "query_timed_out");
    assert_true(
        BECOMES(metric("weir_cancels_ended_total{pool=\"default\",outcome=\"drained\"}") == 1, 5));
    assert_true(metric("weir_queries_cancelled_total{pool=\"default\"}") == 1);
}

#define test(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_refusal_says_why_and_who_holds_what),
        test(a_full_queue_says_why_it_is_full),
        test(an_outage_is_told_by_its_code_alone),
        test(lasting_overload_is_shed_and_the_rest_is_answered),
        test(many_refusals_cost_few_lines),
        test(a_lease_held_for_too_long_is_told_once),
        test(a_leaked_lease_is_taken_back_where_that_was_asked_for),
        test(the_pool_shows_waiters_verdict_and_advice),
        test(a_cancelled_query_is_counted_with_its_end),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("refusals", tests, start_world, end_world);
}
