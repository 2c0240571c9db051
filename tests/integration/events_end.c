/* events_end.c: tests of how the streams of /events end with the service. */
#include "../support/events_served.h"

#include <signal.h>
#include <string.h>

static void a_service_that_ends_tells_all_and_waits_for_none(void **state)
{
    event_client *clients[20];
    for (int i = 0; i < 20; i++)
        clients[i] = hear_orders();
    double began = now();
    weir_signal(weir, SIGTERM);
    for (int i = 0; i < 20; i++) {
        heard_event e;
        assert_event(clients[i], "end", "{\"reason\":\"draining\"}");
        assert_false(events_next(clients[i], SOON, &e));
        assert_true(events_ended(clients[i]));
        events_close(clients[i]);
    }
    assert_int_equal(weir_await_exit(weir, 20), 0);
    assert_true(now() - began < 5 * slower()); /* and not the time that a drain may take */
}

/* A browser that is answered otherwise does not come back. */
static void a_stream_that_begins_while_the_service_ends_ends_at_once(void **state)
{
    ask_beside(0, "/q/nap");
    assert_true(BECOMES(naps() == 1, SOON));
    weir_signal(weir, SIGTERM);
    json_decref(weir_await_event(weir, "service.draining", 1, SOON));
    event_client *c = hear("/events/orders"), *p = hear("/pool/events");
    heard_event e;
    assert_int_equal(events_status(c), 200);
    assert_event(c, "end", "{\"reason\":\"draining\"}");
    assert_false(events_next(c, SOON, &e));
    assert_true(events_ended(c));
    assert_event(p, "end", "{\"reason\":\"draining\"}");
    events_close(c);
    events_close(p);
    assert_int_equal(answered(0), 200);
    assert_int_equal(weir_await_exit(weir, 20), 0);
}

static void a_stream_that_ends_ends_in_order(void **state)
{
    ask_beside(0, "/events/orders");
    assert_true(BECOMES(clients_of_orders() == 1, SOON));
    weir_signal(weir, SIGTERM);
    http_reply r = answer_of(0);
    assert_status(&r, 200);
    assert_string_equal(r.error, "");
    assert_non_null(strstr(r.body, "event: end\ndata: {\"reason\":\"draining\"}\n\n"));
    http_reply_free(&r);
}

static void a_reader_that_has_stopped_does_not_keep_the_service_from_ending(void **state)
{
    event_client *c = hear_orders();
    notify_each(1, 400, "i || repeat(' ', 7900)");
    assert_true(
        BECOMES(metric("weir_events_published_total{stream=\"/events/orders\"}") == 400, SOON));
    double began = now();
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 20 * slower()), 0);
    assert_true(now() - began < 6 * slower()); /* and not the time that a drain may take */
    events_close(c);
}

int main(void)
{
#define ending(name) cmocka_unit_test_setup_teardown(name, serve_streams, stop_stopped)
    const struct CMUnitTest tests[] = {
        ending(a_service_that_ends_tells_all_and_waits_for_none),
        ending(a_stream_that_begins_while_the_service_ends_ends_at_once),
        ending(a_stream_that_ends_ends_in_order),
        ending(a_reader_that_has_stopped_does_not_keep_the_service_from_ending),
    };
    return cmocka_run_group_tests(tests, events_start, events_end);
}
