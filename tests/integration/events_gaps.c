/* events_gaps.c: tests of what a client of /events has missed, and is told that it has. */
#include "../support/events_served.h"

#include <stdio.h>
#include <string.h>

/* A member of the data of a gap, which is the next event. */
static double gap(event_client *c, const char *reason, const char *name)
{
    heard_event e;
    assert_true(events_next(c, SOON, &e));
    assert_string_equal(e.name, "gap");
    json_t *data = json_loads(e.data, 0, NULL);
    assert_non_null(data);
    assert_string_equal(json_string_value(json_object_get(data, "reason")), reason);
    double value = json_number_value(json_object_get(data, name));
    json_decref(data);
    return value;
}

/* ---- A connection that is lost ---- */

static void a_lost_connection_is_a_gap_and_what_comes_after_it_is_heard(void **state)
{
    event_client *clients[3] = {hear_orders(), hear_orders(), hear_orders()};
    notify("orders", "before");
    for (int i = 0; i < 3; i++)
        assert_event(clients[i], "message", "before");
    postgres_sql(database, "select pg_terminate_backend(pid) from pg_stat_activity where query "
                           "like 'LISTEN %'");
    for (int i = 0; i < 3; i++)
        assert_true(gap(clients[i], "connection_lost", "for_ms") > 0);
    assert_true(metric("weir_event_gaps_total{stream=\"/events/orders\"}") == 3);
    notify("orders", "after");
    for (int i = 0; i < 3; i++) {
        assert_event(clients[i], "message", "after");
        events_close(clients[i]);
    }
}

static void a_database_that_comes_back_is_heard_again(void **state)
{
    event_client *c = hear_orders();
    postgres_kill(database);
    event_client *late = hear("/events/orders");
    assert_int_equal(events_status(late), 200);
    assert_true(BECOMES(metric("weir_events_listening{stream=\"/events/orders\",pool=\"events@"
                               "default\"}") == 0,
                        SOON));
    postgres_bring_up(database);
    assert_true(gap(c, "connection_lost", "for_ms") > 0);
    assert_event(late, "listening", "{\"stream\":\"/events/orders\"}");
    notify("orders", "after all");
    assert_event(c, "message", "after all");
    assert_event(late, "message", "after all");
    events_close(c);
    events_close(late);
}

/* A query that is taken away for that tells that the time has passed. */
static void a_feed_that_hears_nothing_for_long_is_no_leak(void **state)
{
    serve_events((const char *const[]){"--leak-after", "1s", "--leak-reclaim", NULL});
    event_client *c = hear_orders();
    ask_beside(0, "/q/nap");
    assert_int_equal(answered(0), 504);
    notify("orders", "after");
    assert_event(c, "message", "after");
    assert_true(metric("weir_leases_leaked_total{pool=\"default\"}") == 1);
    assert_true(metric("weir_leases_leaked_total{pool=\"events@default\"}") == 0);
    events_close(c);
}

/* Its sockets stay open, and nothing comes from them. */
static void a_server_that_does_not_answer_any_more_is_a_gap(void **state)
{
    event_client *c = hear_orders();
    postgres_freeze(database);
    bool noticed = BECOMES(metric("weir_events_listening{stream=\"/events/orders\",pool=\"events@"
                                  "default\"}") == 0,
                           20);
    postgres_thaw(database);
    assert_true(noticed);
    assert_true(gap(c, "connection_lost", "for_ms") > 4000);
    notify("orders", "thawed");
    assert_event(c, "message", "thawed");
    events_close(c);
}

/* ---- Who comes back ---- */

static void one_who_comes_back_is_told_what_it_has_missed(void **state)
{
    char id[64];
    event_client *c = hear_orders(), *keeps_it_open = hear_orders();
    notify("orders", "one");
    snprintf(id, sizeof id, "%s", assert_event(c, "message", "one").id);
    events_close(c);
    notify("orders", "two");
    notify("orders", "three");
    assert_event(keeps_it_open, "message", "one");
    assert_event(keeps_it_open, "message", "two");
    assert_event(keeps_it_open, "message", "three");
    c = events_open(weir_port(weir), "/events/orders", id);
    assert_event(c, "message", "two");
    snprintf(id, sizeof id, "%s", assert_event(c, "message", "three").id);
    notify("orders", "four");
    assert_event(c, "message", "four");
    events_close(c);
    c = events_open(weir_port(weir), "/events/orders", id);
    assert_event(c, "message", "four");
    events_close(c);
    events_close(keeps_it_open);
}

static void the_id_of_a_stream_that_has_just_begun_is_a_place_too(void **state)
{
    char id[64];
    event_client *c = hear("/events/orders"), *keeps_it_open = hear_orders();
    heard_event e;
    assert_true(events_next(c, SOON, &e));
    snprintf(id, sizeof id, "%s", e.id);
    events_close(c);
    notify("orders", "meanwhile");
    assert_event(keeps_it_open, "message", "meanwhile");
    c = events_open(weir_port(weir), "/events/orders", id);
    assert_event(c, "message", "meanwhile");
    events_close(c);
    events_close(keeps_it_open);
}

static void an_id_that_is_not_known_is_a_gap(void **state)
{
    static const char *const ids[] = {
        "1-1", "x", "7", "-", "0-0", "99999999999999999999-1", "ž-ž", "1-18446744073709551615"};
    event_client *keeps_it_open = hear_orders();
    char future[64];
    notify("orders", "x");
    snprintf(future, sizeof future, "%s", assert_event(keeps_it_open, "message", "x").id);
    strcpy(strchr(future, '-') + 1, "1000000");
    for (size_t i = 0; i <= sizeof ids / sizeof *ids; i++) {
        event_client *c = events_open(weir_port(weir), "/events/orders",
                                      i < sizeof ids / sizeof *ids ? ids[i] : future);
        gap(c, "unknown_id", "");
        notify("orders", "new");
        assert_event(c, "message", "new");
        events_close(c);
    }
    events_close(keeps_it_open);
}

static void who_comes_back_too_late_is_told_how_many_are_gone(void **state)
{
    char id[64];
    event_client *c = hear_orders(), *keeps_it_open = hear_orders();
    notify("orders", "0");
    snprintf(id, sizeof id, "%s", assert_event(c, "message", "0").id);
    events_close(c);
    notify_each(1, 100, "i::text");
    heard_event e = {0};
    for (bool seen = false; !seen; seen = strcmp(e.data, "100") == 0)
        assert_true(events_next(keeps_it_open, SOON, &e));
    c = events_open(weir_port(weir), "/events/orders", id);
    assert_true(gap(c, "behind", "missed") == 36);
    for (int i = 37; i <= 100; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        assert_event(c, "message", number);
    }
    events_close(c);
    events_close(keeps_it_open);
}

static void who_comes_back_when_nobody_had_listened_is_told_so(void **state)
{
    char id[64];
    event_client *c = hear_orders();
    notify("orders", "one");
    snprintf(id, sizeof id, "%s", assert_event(c, "message", "one").id);
    events_close(c);
    assert_true(BECOMES(listening() == 0, SOON));
    notify("orders", "unheard");
    c = events_open(weir_port(weir), "/events/orders", id);
    assert_true(gap(c, "idle", "for_ms") > 0);
    notify("orders", "two");
    assert_event(c, "message", "two");
    events_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        usual(a_lost_connection_is_a_gap_and_what_comes_after_it_is_heard),
        usual(a_database_that_comes_back_is_heard_again),
        cmocka_unit_test_teardown(a_feed_that_hears_nothing_for_long_is_no_leak, stop),
        hasty(a_server_that_does_not_answer_any_more_is_a_gap),
        usual(one_who_comes_back_is_told_what_it_has_missed),
        usual(the_id_of_a_stream_that_has_just_begun_is_a_place_too),
        usual(an_id_that_is_not_known_is_a_gap),
        hasty(who_comes_back_too_late_is_told_how_many_are_gone),
        hasty(who_comes_back_when_nobody_had_listened_is_told_so),
    };
    return cmocka_run_group_tests(tests, events_start, events_end);
}
