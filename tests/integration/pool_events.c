/* pool_events.c: tests of /pool/events: what happens in the pools, as it happens. */
#include "../support/served.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../support/event_client.h"

static int start(void **state)
{
    database = postgres_start("max_connections = 40\n");
    folder = scratch_folder();
    query_file("one", "-- @returns row\nselect 1 as one\n");
    return 0;
}

static int end(void **state)
{
    scratch_remove(folder);
    postgres_stop(database);
    return 0;
}

static void serve_with(const char *const *more)
{
    char far[512];
    snprintf(far, sizeof far, "far=%s", postgres_conninfo_tcp(database));
    serve_ready(joined_flags((const char *const[]){"--pool-max", "4", "--lanes", "2", "--pool", far,
                                                   "--pool-min", "1", NULL},
                             more));
}

static int serve(void **state)
{
    serve_with(NULL);
    return 0;
}

static int serve_operators_apart(void **state)
{
    serve_with((const char *const[]){"--admin-listen", "127.0.0.1:0", "--events", "orders", NULL});
    return 0;
}

#define TOKEN "open-sesame"

static int serve_with_a_token(void **state)
{
    serve_with((const char *const[]){"--token", TOKEN, NULL});
    return 0;
}

static int serve_apart_with_a_token(void **state)
{
    serve_with((const char *const[]){"--token", TOKEN, "--admin-listen", "127.0.0.1:0", NULL});
    return 0;
}

static uint16_t admin_port(void)
{
    json_t *line = weir_await_event(weir, "service.started", 1, SOON);
    uint16_t port = (uint16_t)json_integer_value(json_object_get(line, "admin_port"));
    json_decref(line);
    return port;
}

static event_client *watch(const char *path)
{
    event_client *c = events_open(weir_port(weir), path, NULL);
    assert_int_equal(events_status(c), 200);
    return c;
}

/* The next event, an object of the log. json_decref it. */
static json_t *next(event_client *c, heard_event *e)
{
    assert_true(events_next(c, SOON, e));
    assert_string_equal(e->name, "message");
    json_t *event = json_loads(e->data, 0, NULL);
    assert_non_null(event);
    return event;
}

static bool is(const json_t *event, const char *name, const char *value)
{
    const char *text = json_string_value(json_object_get(event, name));
    return text && strcmp(text, value) == 0;
}

/* Reads on to an event of that kind; its id. */
static const char *find(event_client *c, const char *kind, const char *pool)
{
    static char id[64];
    for (bool found = false; !found;) {
        heard_event e;
        json_t *event = next(c, &e);
        found = is(event, "event", kind) && is(event, "pool", pool);
        snprintf(id, sizeof id, "%s", e.id);
        json_decref(event);
    }
    return id;
}

static void end_all_sessions(void)
{
    postgres_signal_backends(database, SIGTERM);
}

/* ---- Tests ---- */

static void the_latest_come_first_and_then_what_happens(void **state)
{
    event_client *c = watch("/pool/events");
    heard_event e;
    json_t *first = next(c, &e);
    assert_true(is(first, "event", "pool.opened"));
    json_decref(first);
    find(c, "connection.opened", "default");
    end_all_sessions();
    find(c, "connection.retired", "default");
    find(c, "connection.opened", "default"); /* --pool-min */
    events_close(c);
}

static void an_event_is_the_line_of_the_log(void **state)
{
    event_client *c = watch("/pool/events");
    heard_event e;
    for (int nth = 1; nth <= 2; nth++) {
        json_t *event = NULL;
        do {
            json_decref(event);
            event = next(c, &e);
        } while (!is(event, "event", "connection.opened"));
        json_t *line = weir_await_event(weir, "connection.opened", nth, SOON);
        json_object_del(line, "ts");
        assert_non_null(json_object_get(event, "ts"));
        json_object_del(event, "ts");
        assert_true(json_equal(event, line));
        json_decref(line);
        json_decref(event);
    }
    events_close(c);
}

static void one_pools_events_can_be_asked_for(void **state)
{
    event_client *c = watch("/pool/events?name=far");
    heard_event e;
    end_all_sessions();
    for (bool retired = false, opened = false; !retired || !opened;) {
        json_t *event = next(c, &e);
        assert_true(is(event, "pool", "far"));
        opened |= retired && is(event, "event", "connection.opened");
        retired |= is(event, "event", "connection.retired");
        json_decref(event);
    }
    events_close(c);
}

static void the_less_important_can_be_left_out(void **state)
{
    event_client *c = watch("/pool/events?level=warn");
    heard_event e;
    postgres_kill(database);
    json_t *event = next(c, &e);
    assert_true(is(event, "level", "warn"));
    assert_true(is(event, "event", "connection.failed"));
    json_decref(event);
    postgres_bring_up(database);
    events_close(c);
}

static void leases_are_told_of_only_when_asked_for(void **state)
{
    http_reply r = get("/q/one");
    http_reply_free(&r);
    event_client *usual = watch("/pool/events"), *all = watch("/pool/events?level=debug");
    heard_event e;
    assert_true(events_next(all, SOON, &e));
    assert_string_equal(e.name, "listening"); /* those before were not kept */
    double kept = metric("weir_events_published_total{stream=\"/pool/events\"}");
    for (int i = 0; i < 20; i++) {
        r = get("/q/one");
        http_reply_free(&r);
        find(all, "lease.granted", "default");
        find(all, "lease.released", "default");
    }
    /* Nor do they wash the others away. */
    assert_true(metric("weir_events_published_total{stream=\"/pool/events\"}") < kept + 20);
    while (events_next(usual, 0.2, &e)) {
        json_t *event = json_loads(e.data, 0, NULL);
        assert_false(is(event, "event", "lease.granted"));
        json_decref(event);
    }
    events_close(all);
    events_close(usual);
}

static void who_comes_back_goes_on_where_it_was(void **state)
{
    char id[64];
    event_client *c = watch("/pool/events");
    snprintf(id, sizeof id, "%s", find(c, "connection.opened", "default"));
    events_close(c);
    end_all_sessions();
    c = events_open(weir_port(weir), "/pool/events", id);
    heard_event e;
    for (bool retired = false; !retired;) {
        json_t *event = next(c, &e);
        assert_false(is(event, "event", "pool.opened"));
        retired = is(event, "event", "connection.retired");
        json_decref(event);
    }
    events_close(c);
    c = events_open(weir_port(weir), "/pool/events", "none-of-ours");
    assert_true(events_next(c, SOON, &e));
    assert_string_equal(e.name, "gap");
    assert_string_equal(e.data, "{\"reason\":\"unknown_id\"}");
    json_t *event = next(c, &e);
    assert_true(is(event, "event", "pool.opened"));
    json_decref(event);
    events_close(c);
}

static void of_too_many_the_latest_are_kept(void **state)
{
    for (int i = 0; i < 300; i++) { /* each is two events at least */
        end_all_sessions();
        assert_true(BECOMES(pool("size") >= 1, SOON));
    }
    event_client *c = watch("/pool/events");
    heard_event e;
    int kept = 0;
    while (events_next(c, 0.3, &e)) {
        assert_string_equal(e.name, "message");
        kept++;
    }
    assert_in_range(kept, 256, 300); /* and what happened while they were read */
    events_close(c);
}

static void they_are_the_operators(void **state)
{
    uint16_t port = admin_port();
    fails_with("GET", "/pool/events", NULL, 404, "not_found");
    event_client *c = events_open(port, "/pool/events", NULL);
    find(c, "connection.opened", "default");
    events_close(c);
    assert_int_equal(http_status(port, "/events/orders"), 404);
    c = watch("/events/orders");
    events_close(c);
}

static void once_a_token_is_set_it_is_asked_for(void **state)
{
    static const char *const wrong[] = {NULL, "", "open-sesam", "Open-Sesame"};
    static const char *const methods[] = {"GET", "HEAD"};
    for (size_t m = 0; m < 2; m++)
        for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++) {
            http_reply r = send_as(wrong[w], methods[m], "/pool/events?level=loud", NULL);
            assert_status(&r, 401);
            assert_memory_equal(http_header(&r, "WWW-Authenticate"), "Bearer realm=\"weir\"", 19);
            http_reply_free(&r);
        }
    assert_refused(send_as("open-sesam", "GET", "/pool/events", NULL), 401, "unauthorized");
    event_client *c = events_open_as(weir_port(weir), "/pool/events", TOKEN);
    find(c, "connection.opened", "default");
    events_close(c);
    assert_answered(get("/pool"), 200); /* as ever */
}

static void apart_it_is_asked_for_as_well(void **state)
{
    assert_int_equal(http_status(admin_port(), "/pool/events"), 401);
    event_client *c = events_open_as(admin_port(), "/pool/events", TOKEN);
    find(c, "connection.opened", "default");
    events_close(c);
}

static void a_service_that_ends_ends_them(void **state)
{
    event_client *c = watch("/pool/events");
    heard_event e;
    weir_signal(weir, SIGTERM);
    do
        assert_true(events_next(c, SOON, &e));
    while (strcmp(e.name, "end") != 0);
    assert_false(events_next(c, SOON, &e));
    assert_true(events_ended(c));
    events_close(c);
    assert_int_equal(weir_await_exit(weir, 20), 0);
}

static void bad_input_is_told_what_is_wrong(void **state)
{
    static const struct {
        const char *method, *path, *code;
        int status;
    } table[] = {
        {"GET", "/pool/events?level=loud", "bad_parameter", 400},
        {"GET", "/pool/events?level=", "bad_parameter", 400},
        {"GET", "/pool/events?level", "bad_parameter", 400},
        {"GET", "/pool/events?name=nowhere", "not_found", 404},
        {"GET", "/pool/events?name", "not_found", 404},
        {"GET", "/pool/events?pool=default", "bad_parameter", 400},
        {"GET", "/pool/events?%ff=1", "bad_request", 400},
        {"GET", "/pool/events/", "not_found", 404},
        {"POST", "/pool/events", "method_not_allowed", 405},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        fails_with(table[i].method, table[i].path, NULL, table[i].status, table[i].code);
}

int main(void)
{
#define usual(name) cmocka_unit_test_setup_teardown(name, serve, stop)
    const struct CMUnitTest tests[] = {
        usual(the_latest_come_first_and_then_what_happens),
        usual(an_event_is_the_line_of_the_log),
        usual(one_pools_events_can_be_asked_for),
        usual(the_less_important_can_be_left_out),
        usual(leases_are_told_of_only_when_asked_for),
        usual(who_comes_back_goes_on_where_it_was),
        usual(of_too_many_the_latest_are_kept),
        cmocka_unit_test_setup_teardown(they_are_the_operators, serve_operators_apart, stop),
        cmocka_unit_test_setup_teardown(once_a_token_is_set_it_is_asked_for, serve_with_a_token,
                                        stop),
        cmocka_unit_test_setup_teardown(apart_it_is_asked_for_as_well, serve_apart_with_a_token,
                                        stop),
        cmocka_unit_test_setup_teardown(a_service_that_ends_ends_them, serve, stop_stopped),
        usual(bad_input_is_told_what_is_wrong),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests(tests, start, end);
}
