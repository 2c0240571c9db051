/* http_events.c: tests of /events: what the database's sessions NOTIFY, sent to clients. */
#include "../support/events_served.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int start(void **state)
{
    const struct rlimit files = {8192, 8192};
    setrlimit(RLIMIT_NOFILE, &files); /* else as many as there may be */
    events_start(state);
    query_file("tell",
               "-- @route POST /tell\nselect pg_notify(:channel, :payload)::text as told\n");
    return 0;
}

/* ---- What is sent ---- */

static void what_is_notified_comes_as_it_is(void **state)
{
    event_client *c = hear_orders();
    notify("orders", "one");
    assert_event(c, "message", "one");
    notify("orders", "");
    assert_event(c, "message", "");
    notify("orders", "{\"id\": 7, \"náme\": \" x\"}");
    assert_event(c, "message", "{\"id\": 7, \"náme\": \" x\"}");
    postgres_sql(database, "select pg_notify('orders', E'a\\nb\\r\\nc\\rd\\n\\ndata: e\\n')");
    assert_event(c, "message", "a\nb\nc\nd\n\ndata: e\n");
    postgres_sql(database, "select pg_notify('orders', repeat('x', 7999))");
    heard_event e;
    assert_true(events_next(c, SOON, &e));
    assert_int_equal(strlen(e.data), 7999);
    events_close(c);
}

static void the_answer_is_a_stream_that_nobody_keeps(void **state)
{
    int fd = raw_dial(weir_port(weir));
    raw_say(fd, "GET /events/orders HTTP/1.1\r\nHost: x\r\n\r\n");
    char *heard = raw_hear(fd, "event: listening", 1);
    assert_non_null(strstr(heard, "Content-Type: text/event-stream\r\n"));
    assert_non_null(strstr(heard, "Cache-Control: no-store\r\n"));
    assert_non_null(strstr(heard, "X-Accel-Buffering: no\r\n"));
    assert_non_null(strstr(heard, "Transfer-Encoding: chunked\r\n"));
    assert_non_null(strstr(heard, "\nretry: 2000\n\n"));
    free(heard);
    notify("orders", "in a chunk");
    heard = raw_hear(fd, "data: in a chunk\n", 1);
    assert_int_equal(raw_count(heard, "data: in a chunk\n"), 1);
    free(heard);
    close(fd);
    http_reply r = http_send(client, "HEAD", "/events/orders", NULL, NULL);
    assert_status(&r, 200);
    assert_string_equal(http_header(&r, "Content-Type"), "text/event-stream");
    http_reply_free(&r);
}

/* Names are taken as they are written, and never as SQL. */
static void channels_are_told_apart_and_their_names_are_no_sql(void **state)
{
    event_client *orders = hear_orders(), *odd = hear("/events/%22name%22%2Fx"),
                 *odd_again = hear("/events/%22name%22/x"), *news = hear("/events/news");
    assert_event(odd, "listening", "{\"stream\":\"/events/\\\"name\\\"/x\"}");
    assert_event(odd_again, "listening", "{\"stream\":\"/events/\\\"name\\\"/x\"}");
    assert_event(news, "listening", "{\"stream\":\"/events/news\"}");
    for (int i = 0; i < 20; i++) {
        notify("orders", "order");
        notify("\"name\"/x", "odd");
        notify("news", "of the wrong database");
        notify("Odd", "another channel");
        postgres_sql(other, "notify news, 'news'; notify orders, 'of the wrong database'");
    }
    for (int i = 0; i < 20; i++) {
        assert_event(orders, "message", "order");
        assert_event(odd, "message", "odd");
        assert_event(odd_again, "message", "odd");
        assert_event(news, "message", "news");
    }
    events_close(orders);
    events_close(odd);
    events_close(odd_again);
    events_close(news);
}

static void a_query_can_tell_those_who_listen(void **state)
{
    event_client *c = hear_orders();
    assert_answered(http_send(client, "POST", "/tell",
                              "{\"channel\": \"orders\", \"payload\": \"by a query\"}", NULL),
                    200);
    assert_event(c, "message", "by a query");
    events_close(c);
}

enum { MANY = 1000, BURSTS = 3, BURST = 200 };

/* Each hears all, in order, on whichever lane it is. */
static void a_thousand_clients_hear_each_burst_whole_and_in_order(void **state)
{
    int many = slower() > 1 ? MANY / 10 : MANY;
    event_client **clients = calloc(MANY, sizeof *clients);
    for (int i = 0; i < many; i++)
        clients[i] = hear("/events/orders");
    for (int i = 0; i < many; i++)
        assert_event(clients[i], "listening", "{\"stream\":\"/events/orders\"}");
    for (int burst = 0; burst < BURSTS; burst++) {
        notify_each(burst * BURST, (burst + 1) * BURST - 1, "i::text");
        for (int i = 0; i < many; i++)
            for (int k = 0; k < BURST; k++) {
                char number[16];
                snprintf(number, sizeof number, "%d", burst * BURST + k);
                assert_event(clients[i], "message", number);
            }
    }
    assert_int_equal(listening(), 1);
    assert_true(clients_of_orders() == many);
    assert_true(metric("weir_events_sent_total{stream=\"/events/orders\"}") ==
                (double)many * BURST * BURSTS);
    assert_true(metric("weir_event_gaps_total{stream=\"/events/orders\"}") == 0);
    for (int i = 0; i < many; i++)
        (i % 2 ? events_close : events_vanish)(clients[i]);
    free(clients);
    assert_true(BECOMES(clients_of_orders() == 0, SOON));
}

/* ---- What listens ---- */

static void there_is_a_connection_only_while_somebody_listens(void **state)
{
    assert_int_equal(listening(), 0);
    event_client *a = hear_orders(), *b = hear("/events/%22name%22%2Fx");
    assert_event(b, "listening", "{\"stream\":\"/events/\\\"name\\\"/x\"}");
    assert_int_equal(listening(), 1);
    events_close(a);
    notify("\"name\"/x", "still there");
    assert_event(b, "message", "still there");
    events_close(b);
    assert_true(BECOMES(listening() == 0, SOON));
    a = hear("/events/orders"); /* a stream that begins now has missed nothing */
    assert_event(a, "listening", "{\"stream\":\"/events/orders\"}");
    events_close(a);
}

static void it_takes_no_connection_from_those_that_serve_requests(void **state)
{
    event_client *c = hear_orders();
    assert_int_equal(pool("in_use"), 0);
    http_reply r = get("/pool?name=events@default");
    assert_status(&r, 200);
    assert_int_equal(json_integer_value(json_object_get(r.json, "in_use")), 1);
    json_t *lease = json_array_get(json_object_get(r.json, "leases"), 0);
    assert_string_equal(json_string_value(json_object_get(lease, "label")), "events");
    http_reply_free(&r);
    events_close(c);
}

static void a_reload_goes_unnoticed(void **state)
{
    event_client *c = hear_orders();
    for (int i = 1; i <= 3; i++) {
        weir_signal(weir, SIGHUP);
        json_decref(weir_await_event(weir, "service.reloaded", i, 20 * slower()));
        notify("orders", "as ever");
        assert_event(c, "message", "as ever");
    }
    events_close(c);
}

/* ---- How it is asked for ---- */

static void channels_are_listed_with_the_queries(void **state)
{
    http_reply r = http_send(client, "GET", "/", NULL,
                             (const char *const[]){"Accept: application/json", NULL});
    assert_status(&r, 200);
    char *events = json_dumps(json_object_get(r.json, "events"), JSON_COMPACT);
    assert_string_equal(events, "[\"/events/orders\",\"/events/%22name%22%2Fx\",\"/events/news\"]");
    free(events);
    http_reply_free(&r);
    r = get("/");
    assert_non_null(strstr(r.body, "/events/%22name%22%2Fx&#39;"));
    assert_non_null(strstr(r.body, "GET /events/&quot;name&quot;/x<"));
    http_reply_free(&r);
}

static void bad_input_is_told_what_is_wrong(void **state)
{
    static const struct {
        const char *method, *path, *code;
        int status;
    } table[] = {
        {"GET", "/events/", "not_found", 404},
        {"GET", "/events", "not_found", 404},
        {"GET", "/events/nothing", "not_found", 404},
        {"GET", "/events/ORDERS", "not_found", 404},
        {"GET", "/events/orders/", "not_found", 404},
        {"GET", "/events/orders%00", "bad_request", 400},
        {"GET", "/events/%ff", "bad_request", 400},
        {"GET", "/events/%zz", "bad_request", 400},
        {"GET", "/events/orders?x=1", "bad_parameter", 400},
        {"GET", "/events/orders?=1", "bad_request", 400},
        {"GET", "/events/orders?%ff=1", "bad_request", 400},
        {"POST", "/events/orders", "method_not_allowed", 405},
        {"DELETE", "/events/orders", "method_not_allowed", 405},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        fails_with(table[i].method, table[i].path, NULL, table[i].status, table[i].code);
    http_reply r = http_send(client, "OPTIONS", "/events/orders", NULL, NULL);
    assert_status(&r, 204);
    assert_string_equal(http_header(&r, "Allow"), "GET, HEAD, OPTIONS");
    http_reply_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        usual(what_is_notified_comes_as_it_is),
        usual(the_answer_is_a_stream_that_nobody_keeps),
        usual(channels_are_told_apart_and_their_names_are_no_sql),
        usual(a_query_can_tell_those_who_listen),
        usual(a_thousand_clients_hear_each_burst_whole_and_in_order),
        hasty(there_is_a_connection_only_while_somebody_listens),
        usual(it_takes_no_connection_from_those_that_serve_requests),
        usual(a_reload_goes_unnoticed),
        usual(channels_are_listed_with_the_queries),
        usual(bad_input_is_told_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, start, events_end);
}
