/* events_tokens.c: tests of streams of events whose token a reload takes back. */
#include "../support/events_served.h"
#include "../support/secret_files.h"

#include <signal.h>
#include <string.h>

#define OPERATOR "open-sesame"
#define REVOKED  "{\"reason\":\"token_revoked\"}"

static int start(void **state)
{
    secret_files_open();
    return events_start(state);
}

static int end(void **state)
{
    secret_files_close();
    return events_end(state);
}

static int serve_guarded(void **state)
{
    secret_file("operators", OPERATOR "\nnight-shift\n");
    secret_file("clients", "old-one\nnew-one\n");
    serve_events((const char *const[]){"--auth", "token", "--client-token-file",
                                       secret_path("clients"), "--token-file",
                                       secret_path("operators"), NULL});
    return 0;
}

static int serve_open(void **state)
{
    secret_file("conf", "# nothing\n");
    serve_events((const char *const[]){"--config", secret_path("conf"), NULL});
    return 0;
}

static event_client *hear_orders_as(const char *token)
{
    event_client *c = events_open_as(weir_port(weir), "/events/orders", token);
    assert_int_equal(events_status(c), 200);
    assert_event(c, "listening", "{\"stream\":\"/events/orders\"}");
    return c;
}

/* Of what happens in the pools, only what is not to happen here. */
static event_client *watch_as(const char *token)
{
    event_client *c = events_open_as(weir_port(weir), "/pool/events?level=error", token);
    assert_int_equal(events_status(c), 200);
    return c;
}

static void assert_revoked(event_client *c)
{
    heard_event e;
    assert_event(c, "end", REVOKED);
    assert_false(events_next(c, SOON, &e));
    assert_true(events_ended(c));
    events_close(c);
}

static void assert_heard(event_client *c, const char *payload)
{
    assert_event(c, "message", payload);
    events_close(c);
}

/* ---- Tests ---- */

static void a_client_is_told_that_its_token_has_been_taken_back(void **state)
{
    event_client *old = hear_orders_as("old-one"), *new = hear_orders_as("new-one"),
                 *operators = hear_orders_as(OPERATOR);
    secret_file("clients", "new-one\n");
    assert_answered(post_as(OPERATOR, "/reload"), 200);
    notify("orders", "1");
    assert_revoked(old);
    assert_heard(new, "1");
    assert_heard(operators, "1");
    old = events_open_as(weir_port(weir), "/events/orders", "old-one");
    assert_int_equal(events_status(old), 401);
    events_close(old);
}

static void a_token_that_has_only_moved_lets_its_streams_be(void **state)
{
    event_client *old = hear_orders_as("old-one"), *new = hear_orders_as("new-one");
    secret_file("clients", "newest\nnew-one\n\nold-one\n");
    assert_answered(post_as(OPERATOR, "/reload"), 200);
    notify("orders", "1");
    assert_heard(old, "1");
    assert_heard(new, "1");
}

static void an_operator_is_told_as_well(void **state)
{
    event_client *pools = watch_as("night-shift"), *other_pools = watch_as(OPERATOR),
                 *orders = hear_orders_as("night-shift");
    heard_event e;
    secret_file("operators", OPERATOR "\n");
    secret_file("clients", "old-one\nnew-one\nnewest\n");
    assert_answered(post_as(OPERATOR, "/reload"), 200);
    assert_revoked(pools);
    assert_revoked(orders);
    assert_false(events_next(other_pools, 0.2, &e));
    assert_false(events_ended(other_pools));
    events_close(other_pools);
}

/* What lets clients listen does not let them look at the pools. */
static void a_token_that_has_become_a_clients_is_no_operators_any_more(void **state)
{
    event_client *pools = watch_as("night-shift"), *orders = hear_orders_as("night-shift");
    secret_file("operators", OPERATOR "\n");
    secret_file("clients", "night-shift\n");
    assert_answered(post_as(OPERATOR, "/reload"), 200);
    assert_revoked(pools);
    notify("orders", "1");
    assert_heard(orders, "1");
}

static void who_came_before_there_was_a_token_has_to_show_it(void **state)
{
    event_client *pools = watch_as(NULL), *orders = hear_orders_as(NULL);
    secret_file("conf", "token = " OPERATOR "\n");
    weir_signal(weir, SIGHUP);
    json_decref(weir_await_event(weir, "service.reloaded", 1, SOON));
    assert_revoked(pools);
    notify("orders", "1");
    assert_heard(orders, "1"); /* that needs none */
}

int main(void)
{
#define with(serve, name) cmocka_unit_test_setup_teardown(name, serve, stop)
    const struct CMUnitTest tests[] = {
        with(serve_guarded, a_client_is_told_that_its_token_has_been_taken_back),
        with(serve_guarded, a_token_that_has_only_moved_lets_its_streams_be),
        with(serve_guarded, an_operator_is_told_as_well),
        with(serve_guarded, a_token_that_has_become_a_clients_is_no_operators_any_more),
        with(serve_open, who_came_before_there_was_a_token_has_to_show_it),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests(tests, start, end);
}
