/* http_service.c: tests of what HTTP shows of the service itself: a full pool, an outage, pages,
 * its end. */
#include "../support/items.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static void a_full_pool_says_who_holds_it_and_when_to_come_back(void **state)
{
    hold(3);
    http_reply r = get("/items/1?_trace=1");
    assert_problem(&r, 503, "pool_timeout");
    assert_in_range(atoi(http_header(&r, "Retry-After")), 1, 120);
    assert_true(json_is_true(json_object_get(r.json, "retryable")));
    char limit[64]; /* as it was set, and not when its end was seen */
    snprintf(limit, sizeof limit, " within %.0f ms: ", ACQUIRE_MS * slower());
    assert_non_null(strstr(text(&r, "detail"), limit));
    assert_int_equal(json_integer_value(member(&r, "pool", "in_use")), 1);
    assert_int_equal(json_integer_value(member(&r, "pool", "max")), 1);
    /* The wait's time begins a little before the wait itself. */
    double waited_ms = json_real_value(member(&r, "pool", "waited_ms"));
    assert_true(waited_ms >= 0.8 * ACQUIRE_MS * slower() && waited_ms < 3 * ACQUIRE_MS * slower());
    json_t *held = json_array_get(json_object_get(r.json, "holders"), 0);
    assert_string_equal(json_string_value(json_object_get(held, "label")), "/nap");
    assert_true(json_real_value(json_object_get(held, "age_ms")) >= 0.8 * waited_ms);
    assert_true(json_is_true(json_object_get(held, "running")));
    assert_true(json_integer_value(json_object_get(held, "backend_pid")) > 0);
    http_reply_free(&r);
    assert_int_equal(answered(0), 200);
}

static void a_full_queue_refuses_at_once(void **state)
{
    hold(2);
    ask_beside(1, "/items/1");
    ask_beside(2, "/items/2");
    assert_true(BECOMES(pool("waiting") == 2, 0.25));
    http_reply r = get("/items/3");
    assert_problem(&r, 503, "queue_full");
    assert_true(r.seconds < 0.25 * slower());
    http_reply_free(&r);
    for (int i = 0; i < 3; i++)
        answered(i);
}

static void probes_and_metrics_need_no_connection(void **state)
{
    hold(2);
    static const char *const paths[] = {"/livez", "/readyz", "/metrics", "/pool", "/"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        http_reply r = get(paths[i]);
        assert_status(&r, 200);
        assert_true(r.seconds < 0.25 * slower());
        http_reply_free(&r);
    }
    answered(0);
}

static void a_database_that_is_away_is_503_and_not_ready(void **state)
{
    postgres_shut_down(database);
    http_reply r = get("/items/1");
    assert_status(&r, 503);
    assert_true(r.seconds < 5 * slower());
    assert_non_null(http_header(&r, "Retry-After"));
    http_reply_free(&r);
    assert_true(BECOMES(http_status(weir_port(weir), "/readyz") == 503, 5));
    assert_int_equal(http_status(weir_port(weir), "/livez"), 200);
    r = get("/items/1");
    assert_problem(&r, 503, "database_unavailable");
    http_reply_free(&r);
    r = get("/readyz?verbose");
    assert_status(&r, 503);
    assert_true(json_is_false(json_object_get(r.json, "ready")));
    http_reply_free(&r);
    assert_non_null(strstr(weir_output(weir), "\"msg\":\"the database cannot be reached\""));
    assert_null(strstr(weir_output(weir), "\"msg\":\"\""));
    r = get("/pool");
    assert_true(json_string_length(member(&r, "connect_error", "message")) > 0);
    http_reply_free(&r);
    postgres_bring_up(database);
    assert_true(BECOMES(http_status(weir_port(weir), "/items/1") == 200, 5));
    assert_true(BECOMES(http_status(weir_port(weir), "/readyz") == 200, 5));
}

/* ---- For operators and people ---- */

static void the_pool_shows_leases_and_connections(void **state)
{
    hold(2);
    http_reply r = get("/pool");
    assert_status(&r, 200);
    assert_string_equal(text(&r, "name"), "default");
    assert_int_equal(json_integer_value(json_object_get(r.json, "in_use")), 1);
    json_t *lease = json_array_get(json_object_get(r.json, "leases"), 0);
    assert_string_equal(json_string_value(json_object_get(lease, "label")), "/nap");
    assert_int_equal(json_string_length(json_object_get(lease, "request_id")), 32);
    assert_true(json_array_size(json_object_get(r.json, "connections")) >= 1);
    assert_true(json_real_value(member(&r, "create", "p50_ms")) > 0);
    http_reply_free(&r);
    answered(0);
}

static void metrics_count_requests_by_route_method_and_status(void **state)
{
    for (int i = 0; i < 3; i++) {
        http_reply r = get("/items/1");
        assert_status(&r, 200);
        http_reply_free(&r);
    }
    fails_with("GET", "/nowhere/at/all", NULL, 404, "not_found");
    fails_with("BREW", "/nowhere", NULL, 404, "not_found");
    assert_true(metric("http_server_request_duration_seconds_count{route=\"/items/{id}\","
                       "method=\"GET\",status=\"200\"}") == 3);
    assert_true(metric("http_server_request_duration_seconds_count{route=\"\",method=\"GET\","
                       "status=\"404\"}") == 1);
    assert_true(metric("http_server_request_duration_seconds_count{route=\"\",method=\"_OTHER\","
                       "status=\"404\"}") == 1);
    assert_true(metric("db_client_operation_duration_seconds_count{pool=\"default\",query=\"item\"}"
                       "") == 3);
    const char *const asks[] = {"Accept: application/openmetrics-text; version=1.0.0", NULL};
    http_reply r = http_send(client, "GET", "/metrics", NULL, asks);
    assert_non_null(strstr(http_header(&r, "Content-Type"), "application/openmetrics-text"));
    assert_string_equal(r.body + r.length - 6, "# EOF\n");
    http_reply_free(&r);
    r = get("/metrics");
    assert_string_equal(http_header(&r, "Content-Type"),
                        "text/plain; version=0.0.4; charset=utf-8");
    http_reply_free(&r);
}

static void the_first_page_lists_the_queries_and_escapes_what_they_say(void **state)
{
    http_reply r = get("/");
    assert_status(&r, 200);
    assert_string_equal(http_header(&r, "Content-Type"), "text/html; charset=utf-8");
    assert_non_null(strstr(r.body, "Says &lt;hello&gt; &amp; more."));
    assert_non_null(strstr(r.body, "/items/{id}"));
    assert_non_null(strstr(r.body, "Greets <code>&lt;who&gt;</code> with `care."));
    assert_non_null(strstr(r.body, "/q/greet?who=it%27s%20%3Cyou%3E%20%26%20%60me%60&#39;"));
    assert_null(strstr(r.body, "<p></p>"));
    http_reply_free(&r);
    const char *const asks[] = {"Accept: application/json", NULL};
    r = http_send(client, "GET", "/", NULL, asks);
    assert_true(json_array_size(json_object_get(r.json, "queries")) >= 12);
    http_reply_free(&r);
}

static void the_type_of_a_problem_can_be_looked_up(void **state)
{
    http_reply r = get("/nowhere"), page;
    page = get(text(&r, "type"));
    assert_status(&page, 200);
    assert_non_null(strstr(page.body, "not_found"));
    http_reply_free(&page);
    http_reply_free(&r);
    page = get("/problems/bad_parameter");
    assert_non_null(strstr(page.body, "<code>parameter</code> names it"));
    assert_null(strchr(page.body, '`'));
    http_reply_free(&page);
    fails_with("GET", "/problems/nonsense", NULL, 404, "not_found");
}

static void an_admin_listener_takes_what_is_for_operators_along(void **state)
{
    serve_ready((const char *const[]){"--admin-listen", "127.0.0.1:0", NULL});
    json_t *started = weir_await_event(weir, "service.started", 1, 5);
    uint16_t admin = (uint16_t)json_integer_value(json_object_get(started, "admin_port"));
    json_decref(started);
    static const char *const paths[] = {"/livez", "/readyz", "/metrics", "/pool"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_int_equal(http_status(weir_port(weir), paths[i]), 404);
        assert_int_equal(http_status(admin, paths[i]), 200);
    }
    assert_int_equal(http_status(weir_port(weir), "/q/ping"), 200);
    assert_int_equal(http_status(admin, "/q/ping"), 404);
    assert_int_equal(http_status(admin, "/"), 404);
    assert_int_equal(http_status(admin, "/problems/unauthorized"),
                     200); /* a type it answers with */
}

/* ---- The end ---- */

static void while_draining_new_requests_are_refused_and_running_ones_end(void **state)
{
    /* The drain is not to end before what is held does, however slow this program is run. */
    serve_ready((const char *const[]){"--pool-max", "4", "--drain-timeout", "60s", NULL});
    hold(4);
    http_reply r = get("/q/ping"); /* its connection stays open */
    http_reply_free(&r);
    weir_signal(weir, SIGTERM);
    json_decref(weir_await_event(weir, "service.draining", 1, 5));
    r = get("/q/ping");
    assert_problem(&r, 503, "draining");
    assert_string_equal(http_header(&r, "Connection"), "close");
    http_reply_free(&r);
    assert_int_equal(http_status(weir_port(weir), "/readyz"), 503);
    assert_int_equal(http_status(weir_port(weir), "/livez"), 200);
    assert_int_equal(answered(0), 200);
    assert_int_equal(weir_await_exit(weir, 10), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        narrow(a_full_pool_says_who_holds_it_and_when_to_come_back),
        narrow(a_full_queue_refuses_at_once),
        narrow(probes_and_metrics_need_no_connection),
        usual(a_database_that_is_away_is_503_and_not_ready),
        usual(the_pool_shows_leases_and_connections),
        usual(metrics_count_requests_by_route_method_and_status),
        usual(the_first_page_lists_the_queries_and_escapes_what_they_say),
        usual(the_type_of_a_problem_can_be_looked_up),
        cmocka_unit_test_teardown(an_admin_listener_takes_what_is_for_operators_along, stop),
        cmocka_unit_test_teardown(while_draining_new_requests_are_refused_and_running_ones_end,
                                  stop_stopped),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("http_service", tests, items_start, items_end);
}
