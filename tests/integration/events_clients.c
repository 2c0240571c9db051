/* events_clients.c: tests of the clients of /events: slow, gone, silent, or too many. */
#include "../support/events_served.h"

#include <stdlib.h>
#include <string.h>

/* ---- Slow and silent ones ---- */

#define LONG "i || repeat(' ', 7000)" /* a payload of notify_each */

static int serve_impatiently(void **state)
{
    serve_events((const char *const[]){"--stream-timeout", "500ms", "--events-buffer", "64", NULL});
    return 0;
}

/* Until no more fits anywhere: what is then heard has a gap, and nothing is told twice. */
static void a_slow_reader_misses_some_and_knows_how_many(void **state)
{
    event_client *slow = hear_orders(), *quick = hear_orders();
    enum { PIECES = 40, PIECE = 30 };
    for (int i = 0; i < PIECES; i++) {
        notify_each(i * PIECE, i * PIECE + PIECE - 1, LONG);
        for (int k = 0; k < PIECE; k++) {
            heard_event e;
            assert_true(events_next(quick, SOON, &e));
            assert_int_equal(strtol(e.data, NULL, 10), i * PIECE + k);
        }
    }
    int expected = 0, gaps = 0;
    while (expected < PIECES * PIECE) {
        heard_event e;
        assert_true(events_next(slow, SOON, &e));
        if (strcmp(e.name, "gap") == 0) {
            expected += (int)strtol(strstr(e.data, "missed\":") + 8, NULL, 10);
            gaps++;
        } else {
            assert_int_equal(strtol(e.data, NULL, 10), expected++);
        }
    }
    assert_true(gaps > 0);
    assert_true(metric("weir_events_missed_total{stream=\"/events/orders\"}") > 0);
    events_close(slow);
    events_close(quick);
}

static void a_reader_that_has_stopped_for_too_long_is_cut_off(void **state)
{
    event_client *c = hear_orders();
    for (int i = 0; i < 100 && weir_events(weir, "http.request") == 0; i++)
        notify_each(1, 60, LONG);
    assert_true(BECOMES(clients_of_orders() == 0, 20));
    json_t *line = NULL;
    for (int i = 1; !line && i < 50; i++) {
        line = weir_await_event(weir, "http.request", i, SOON);
        if (line && json_integer_value(json_object_get(line, "status")) != 499) {
            json_decref(line);
            line = NULL;
        }
    }
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "code")), "stream_unread");
    json_decref(line);
    events_close(c);
}

/* Nor one that is sent little: what it has been sent it has read. */
static void a_reader_that_is_sent_nothing_is_not_cut_off(void **state)
{
    event_client *c = hear_orders();
    heard_event e;
    for (int i = 0; i < 3; i++) {
        assert_false(events_next(c, 1, &e));
        assert_false(events_ended(c));
        notify("orders", "now and then");
        assert_event(c, "message", "now and then");
    }
    events_close(c);
}

static void a_silent_stream_has_a_pulse(void **state)
{
    event_client *c = hear_orders();
    heard_event e;
    assert_false(events_next(c, 1, &e));
    assert_true(events_comments(c) >= 3);
    assert_false(events_ended(c));
    events_close(c);
}

/* ---- How many ---- */

static void one_more_is_turned_away(void)
{
    http_reply r = get("/events/orders");
    assert_problem(&r, 503, "too_many_listeners");
    assert_non_null(http_header(&r, "Retry-After"));
    http_reply_free(&r);
}

static void clients_that_go_leave_nothing_behind(void **state)
{
    event_client *stays = hear_orders();
    int before = weir_descriptors(weir);
    for (int round = 0; round < 5; round++) {
        event_client *clients[40];
        for (int i = 0; i < 40; i++)
            clients[i] = hear("/events/orders");
        for (int i = 0; i < 40; i++) {
            if (i % 3)
                events_status(clients[i]);
            (i % 2 ? events_close : events_vanish)(clients[i]);
            if (i % 8 == 0)
                notify("orders", "x");
        }
    }
    assert_true(BECOMES(clients_of_orders() == 1, SOON));
    assert_true(BECOMES(weir_descriptors(weir) <= before + 2, SOON));
    assert_true(BECOMES(metric("http_server_active_requests") == 2, SOON));
    heard_event e;
    for (int i = 0; i < 25; i++)
        assert_true(events_next(stays, SOON, &e));
    events_close(stays);
}

static void there_are_so_many_clients_and_no_more(void **state)
{
    event_client *clients[3] = {hear_orders(), hear_orders(), hear_orders()};
    one_more_is_turned_away();
    fails_with("GET", "/events/news", NULL, 503, "too_many_listeners");
    events_close(clients[1]);
    assert_true(BECOMES(clients_of_orders() == 2, SOON));
    clients[1] = hear_orders();
    for (int i = 0; i < 3; i++)
        events_close(clients[i]);
}

static int serve_few(void **state)
{
    serve_events((const char *const[]){"--lanes", "1", "--clients-max", "4", NULL});
    return 0;
}

static void streams_leave_places_to_others(void **state)
{
    event_client *clients[3] = {hear_orders(), hear_orders(), hear("/pool/events")};
    assert_int_equal(events_status(clients[2]), 200);
    one_more_is_turned_away();
    assert_answered(get("/livez"), 200);
    events_close(clients[0]);
    assert_true(BECOMES(clients_of_orders() == 1, SOON));
    clients[0] = hear_orders();
    for (int i = 0; i < 3; i++)
        events_close(clients[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hasty(a_slow_reader_misses_some_and_knows_how_many),
        cmocka_unit_test_setup_teardown(a_reader_that_has_stopped_for_too_long_is_cut_off,
                                        serve_impatiently, stop),
        cmocka_unit_test_setup_teardown(a_reader_that_is_sent_nothing_is_not_cut_off,
                                        serve_impatiently, stop),
        hasty(a_silent_stream_has_a_pulse),
        usual(clients_that_go_leave_nothing_behind),
        hasty(there_are_so_many_clients_and_no_more),
        cmocka_unit_test_setup_teardown(streams_leave_places_to_others, serve_few, stop),
    };
    return cmocka_run_group_tests(tests, events_start, events_end);
}
