/* http_events.c: tests of /events: what the database's sessions NOTIFY, sent to clients. */
#include "../support/served.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/event_client.h"

/* How long what happens at once may take to be seen. */
#define SOON 10

static postgres_server *other; /* of the pool `far` */

static int start(void **state)
{
    const struct rlimit files = {8192, 8192};
    setrlimit(RLIMIT_NOFILE, &files); /* else as many as there may be */
    database = postgres_start("max_connections = 40\n");
    other = postgres_start("max_connections = 10\n");
    folder = scratch_folder();
    query_file("nap", "-- @returns row\nselect pg_sleep(2)::text as slept\n");
    query_file("one", "-- @returns row\nselect 1 as one\n");
    query_file("tell",
               "-- @route POST /tell\nselect pg_notify(:channel, :payload)::text as told\n");
    return 0;
}

static int end(void **state)
{
    scratch_remove(folder);
    postgres_stop(other);
    postgres_stop(database);
    return 0;
}

static void serve_with(const char *const *more)
{
    char far[512];
    snprintf(far, sizeof far, "far=%s", postgres_conninfo_tcp(other));
    const char *const usual[] = {
        "--pool-max", "2",        "--lanes", "2",        "--log-level",
        "debug",      "--pool",   far,       "--events", "orders, \"name\"/x",
        "--events",   "news@far", NULL};
    serve_ready(joined_flags(usual, more));
}

static int serve(void **state)
{
    serve_with(NULL);
    return 0;
}

static int serve_hastily(void **state)
{
    serve_with((const char *const[]){"--events-heartbeat", "100ms", "--events-buffer", "64",
                                     "--events-clients-max", "3", NULL});
    return 0;
}

static int serve_few(void **state)
{
    serve_with((const char *const[]){"--lanes", "1", "--clients-max", "4", NULL});
    return 0;
}

static event_client *hear(const char *path)
{
    return events_open(weir_port(weir), path, NULL);
}

#define assert_event(client, expected_name, expected_data)                                         \
    ({                                                                                             \
        heard_event e_;                                                                            \
        if (!events_next(client, SOON, &e_))                                                       \
            fail_msg("no event came, but %s was to", expected_data);                               \
        assert_string_equal(e_.name, expected_name);                                               \
        assert_string_equal(e_.data, expected_data);                                               \
        e_;                                                                                        \
    })

/* From its beginning to where it hears everything. */
static event_client *hear_orders(void)
{
    event_client *c = hear("/events/orders");
    assert_int_equal(events_status(c), 200);
    assert_event(c, "listening", "{\"stream\":\"/events/orders\"}");
    return c;
}

static void notify(const char *channel, const char *payload)
{
    char sql[256];
    snprintf(sql, sizeof sql, "select pg_notify('%s', '%s')", channel, payload);
    postgres_sql(database, sql);
}

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

/* By the lease: what its session runs, as the server tells it, is now and then another statement.
 */
static int listening(void)
{
    http_reply r = get("/pool?name=events@default");
    assert_status(&r, 200);
    int in_use = (int)json_integer_value(json_object_get(r.json, "in_use"));
    http_reply_free(&r);
    return in_use;
}

static bool nobody_listens(void)
{
    return metric("weir_event_clients{stream=\"/events/orders\"}") == 0;
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
    http_reply r = http_send(client, "POST", "/tell",
                             "{\"channel\": \"orders\", \"payload\": \"by a query\"}", NULL);
    assert_status(&r, 200);
    http_reply_free(&r);
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
        char sql[128];
        snprintf(sql, sizeof sql,
                 "select pg_notify('orders', i::text) from generate_series(%d, %d) i",
                 burst * BURST, (burst + 1) * BURST - 1);
        postgres_sql(database, sql);
        for (int i = 0; i < many; i++)
            for (int k = 0; k < BURST; k++) {
                char number[16];
                snprintf(number, sizeof number, "%d", burst * BURST + k);
                assert_event(clients[i], "message", number);
            }
    }
    assert_int_equal(listening(), 1);
    assert_true(metric("weir_event_clients{stream=\"/events/orders\"}") == many);
    assert_true(metric("weir_events_sent_total{stream=\"/events/orders\"}") ==
                (double)many * BURST * BURSTS);
    assert_true(metric("weir_event_gaps_total{stream=\"/events/orders\"}") == 0);
    for (int i = 0; i < many; i++)
        (i % 2 ? events_close : events_vanish)(clients[i]);
    free(clients);
    assert_true(BECOMES(nobody_listens(), SOON));
}

/* ---- Gaps ---- */

static void streams_leave_places_to_others(void **state)
{
    event_client *clients[3] = {hear_orders(), hear_orders(), hear("/pool/events")};
    assert_int_equal(events_status(clients[2]), 200);
    http_reply r = get("/events/orders");
    assert_problem(&r, 503, "too_many_listeners");
    assert_non_null(http_header(&r, "Retry-After"));
    http_reply_free(&r);
    r = get("/livez");
    assert_status(&r, 200);
    http_reply_free(&r);
    events_close(clients[0]);
    assert_true(BECOMES(metric("weir_event_clients{stream=\"/events/orders\"}") == 1, SOON));
    clients[0] = hear_orders();
    for (int i = 0; i < 3; i++)
        events_close(clients[i]);
}

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
    postgres_sql(database, "select pg_notify('orders', i::text) from generate_series(1, 100) i");
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

/* ---- Clients ---- */

/* Until no more fits anywhere: what is then heard has a gap, and nothing is told twice. */
static void a_slow_reader_misses_some_and_knows_how_many(void **state)
{
    event_client *slow = hear_orders(), *quick = hear_orders();
    enum { PIECES = 40, PIECE = 30 };
    for (int i = 0; i < PIECES; i++) {
        char sql[160];
        snprintf(
            sql, sizeof sql,
            "select pg_notify('orders', i || repeat(' ', 7000)) from generate_series(%d, %d) i",
            i * PIECE, i * PIECE + PIECE - 1);
        postgres_sql(database, sql);
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

static int serve_impatiently(void **state)
{
    serve_with((const char *const[]){"--stream-timeout", "500ms", "--events-buffer", "64", NULL});
    return 0;
}

static void a_reader_that_has_stopped_for_too_long_is_cut_off(void **state)
{
    event_client *c = hear_orders();
    for (int i = 0; i < 100 && weir_events(weir, "http.request") == 0; i++)
        postgres_sql(database, "select pg_notify('orders', i || repeat(' ', 7000)) from "
                               "generate_series(1, 60) i");
    assert_true(BECOMES(nobody_listens(), 20));
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
    assert_true(BECOMES(metric("weir_event_clients{stream=\"/events/orders\"}") == 1, SOON));
    assert_true(BECOMES(weir_descriptors(weir) <= before + 2, SOON));
    assert_true(BECOMES(metric("http_server_active_requests") == 2, SOON));
    heard_event e;
    for (int i = 0; i < 25; i++)
        assert_true(events_next(stays, SOON, &e));
    events_close(stays);
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

static void there_are_so_many_clients_and_no_more(void **state)
{
    event_client *clients[3] = {hear_orders(), hear_orders(), hear_orders()};
    http_reply r = get("/events/orders");
    assert_problem(&r, 503, "too_many_listeners");
    assert_non_null(http_header(&r, "Retry-After"));
    http_reply_free(&r);
    fails_with("GET", "/events/news", NULL, 503, "too_many_listeners");
    events_close(clients[1]);
    assert_true(BECOMES(metric("weir_event_clients{stream=\"/events/orders\"}") == 2, SOON));
    clients[1] = hear_orders();
    for (int i = 0; i < 3; i++)
        events_close(clients[i]);
}

/* ---- The connection ---- */

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

/* ---- The service goes on, and ends ---- */

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
    assert_true(BECOMES(metric("weir_event_clients{stream=\"/events/orders\"}") == 1, SOON));
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
    postgres_sql(
        database,
        "select pg_notify('orders', i || repeat(' ', 7900)) from generate_series(1, 400) i");
    assert_true(
        BECOMES(metric("weir_events_published_total{stream=\"/events/orders\"}") == 400, SOON));
    double began = now();
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 20 * slower()), 0);
    assert_true(now() - began < 6 * slower()); /* and not the time that a drain may take */
    events_close(c);
}

/* ---- Bad input ---- */

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
    assert_string_equal(http_header(&r, "Allow"), "GET, HEAD");
    http_reply_free(&r);
}

int main(void)
{
#define usual(name)  cmocka_unit_test_setup_teardown(name, serve, stop)
#define hasty(name)  cmocka_unit_test_setup_teardown(name, serve_hastily, stop)
#define ending(name) cmocka_unit_test_setup_teardown(name, serve, stop_stopped)
    const struct CMUnitTest tests[] = {
        usual(what_is_notified_comes_as_it_is),
        usual(the_answer_is_a_stream_that_nobody_keeps),
        usual(channels_are_told_apart_and_their_names_are_no_sql),
        usual(a_query_can_tell_those_who_listen),
        usual(a_thousand_clients_hear_each_burst_whole_and_in_order),
        usual(a_lost_connection_is_a_gap_and_what_comes_after_it_is_heard),
        usual(a_database_that_comes_back_is_heard_again),
        hasty(a_server_that_does_not_answer_any_more_is_a_gap),
        usual(channels_are_listed_with_the_queries),
        usual(one_who_comes_back_is_told_what_it_has_missed),
        usual(the_id_of_a_stream_that_has_just_begun_is_a_place_too),
        usual(an_id_that_is_not_known_is_a_gap),
        hasty(who_comes_back_too_late_is_told_how_many_are_gone),
        hasty(a_slow_reader_misses_some_and_knows_how_many),
        cmocka_unit_test_setup_teardown(a_reader_that_has_stopped_for_too_long_is_cut_off,
                                        serve_impatiently, stop),
        cmocka_unit_test_setup_teardown(a_reader_that_is_sent_nothing_is_not_cut_off,
                                        serve_impatiently, stop),
        usual(clients_that_go_leave_nothing_behind),
        hasty(a_silent_stream_has_a_pulse),
        hasty(there_are_so_many_clients_and_no_more),
        cmocka_unit_test_setup_teardown(streams_leave_places_to_others, serve_few, stop),
        hasty(there_is_a_connection_only_while_somebody_listens),
        hasty(who_comes_back_when_nobody_had_listened_is_told_so),
        usual(it_takes_no_connection_from_those_that_serve_requests),
        usual(a_reload_goes_unnoticed),
        ending(a_service_that_ends_tells_all_and_waits_for_none),
        ending(a_stream_that_begins_while_the_service_ends_ends_at_once),
        ending(a_stream_that_ends_ends_in_order),
        ending(a_reader_that_has_stopped_does_not_keep_the_service_from_ending),
        usual(bad_input_is_told_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, start, end);
}
