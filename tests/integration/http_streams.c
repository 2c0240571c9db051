/* http_streams.c: tests of answers that are sent while they are still being read. */
#include "../support/served.h"

#include <errno.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NDJSON "Accept: application/x-ndjson"
#define ARRAY  "Accept: application/json; stream=1"
#define CSV    "Accept: text/csv"

/* A million rows may cost so much, and a reader that stopped no more. */
#define GROWTH_MAX_KB 8192

#define ODD_ROWS                                                                                   \
    "select i as id, case when i % 7 = 0 then null when i % 11 = 0 then '' else "                  \
    "translate(md5(i::text), '0123456789', E',\"\\r\\n ;''\\t|\\\\') end as \"odd, "               \
    "\"\"name\"\"\", "                                                                             \
    "array[i, null] as list, i % 2 = 0 as even, timestamptz '2026-01-01 00:00Z' + i * interval "   \
    "'1 h' as at from generate_series(1, 3000) i"

static int start(void **state)
{
    database = postgres_start("max_connections = 40\n");
    folder = scratch_folder();
    query_file("series", "-- @default n 1000000\n"
                         "select generate_series(1, :n::int) as g, 'some words' as words\n");
    postgres_sql(database, "create type held as (v json)");
    query_file("broad", "select g, (E'{\"a\":\\r\\n' || g || '}')::json as j,"
                        " row((E'[\\n' || g || ']')::json)::held as held,"
                        " array[E'{\\n}'::json] as list from generate_series(1, 2) g\n");
    query_file("odd", ODD_ROWS "\n");
    query_file("break",
               "select g, 1 / (:at::int - g) as x from (select generate_series(1, 60000) g) t\n");
    query_file("pause", "-- @timeout 20s\n"
                        "select g, case when g = :at::int then pg_sleep(20) end::text as x from "
                        "(select generate_series(1, 60000) g) t\n");
    query_file("short", "-- @timeout 150ms\nselect pg_sleep(20)::text as slept\n");
    query_file("one", "-- @returns row\nselect 1 as one\n");
    query_file("add", "-- @route POST /adds\nselect :a::int + 1 as b\n");
    return 0;
}

static int end(void **state)
{
    scratch_remove(folder);
    postgres_stop(database);
    return 0;
}

static int serve(void **state)
{
    serve_ready(
        (const char *const[]){"--pool-max", "4", "--lanes", "2", "--log-level", "debug", NULL});
    return 0;
}

static int serve_impatiently(void **state)
{
    char patience[32];
    snprintf(patience, sizeof patience, "%.0fms", 400 * slower());
    serve_ready((const char *const[]){"--pool-max", "2", "--lanes", "1", "--stream-timeout",
                                      patience, "--drain-timeout", "500ms", NULL});
    return 0;
}

static http_reply get_as(const char *form, const char *path)
{
    return http_send(client, "GET", path, NULL, (const char *const[]){form, NULL});
}

/* Statements of streams that the server runs now. */
static long running(void)
{
    return postgres_number(database,
                           "select count(*) from pg_stat_activity where state = 'active' and "
                           "query like '%generate_series%' and pid <> pg_backend_pid()");
}

static bool stands_still(void)
{
    return postgres_number(database, "select count(*) from pg_stat_activity where wait_event = "
                                     "'ClientWrite'") > 0;
}

static long memory_kb(const char *what)
{
    char path[64], line[256];
    long kb = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)weir_pid(weir));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, what, strlen(what)) == 0)
            kb = strtol(line + strlen(what) + 1, NULL, 10);
    fclose(f);
    return kb;
}

/* Not where a sanitizer keeps what was freed. */
static void assert_grown_little(long before_kb)
{
    long most_kb = memory_kb("VmHWM");
    if (slower() == 1 && most_kb > before_kb + GROWTH_MAX_KB)
        fail_msg("from %ld kB to %ld kB", before_kb, most_kb);
}

static void warm_up(void)
{
    for (int i = 0; i < 4; i++) {
        http_reply r = get_as(NDJSON, "/q/series?n=5000");
        assert_status(&r, 200);
        http_reply_free(&r);
    }
}

/* ---- What is sent ---- */

static void a_million_rows_come_whole_and_in_order_in_constant_memory(void **state)
{
    warm_up();
    long before_kb = memory_kb("VmRSS");
    http_reply r = get_as(NDJSON, "/q/series");
    assert_status(&r, 200);
    assert_string_equal(http_header(&r, "Content-Type"), "application/x-ndjson");
    assert_string_equal(http_header(&r, "Vary"), "Accept");
    assert_non_null(http_header(&r, "X-Request-Id"));
    assert_non_null(http_header(&r, "Server-Timing"));
    const char *at = r.body;
    for (int i = 1; i <= 1000000; i++) {
        char line[64];
        int length = snprintf(line, sizeof line, "{\"g\":%d,\"words\":\"some words\"}\n", i);
        if (strncmp(at, line, (size_t)length) != 0)
            fail_msg("row %d: %.60s", i, at);
        at += length;
    }
    assert_ptr_equal(at, r.body + r.length);
    http_reply_free(&r);
    assert_grown_little(before_kb);
    assert_true(BECOMES(pool("in_use") == 0, 5));
}

static void each_line_is_the_object_that_a_whole_answer_has(void **state)
{
    http_reply whole = get("/q/odd"), lines = get_as(NDJSON, "/q/odd"),
               array = get_as(ARRAY, "/q/odd");
    assert_status(&whole, 200);
    assert_status(&lines, 200);
    assert_status(&array, 200);
    const json_t *rows = json_object_get(whole.json, "rows");
    assert_int_equal(json_array_size(rows), 3000);
    assert_true(json_equal(rows, array.json));
    assert_string_equal(http_header(&array, "Content-Type"), "application/json");
    char *at = lines.body;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        size_t length = strcspn(at, "\n");
        json_t *row = json_loadb(at, length, 0, NULL);
        if (!json_equal(row, json_array_get(rows, i)))
            fail_msg("row %zu: %.*s", i, (int)length, at);
        json_decref(row);
        at += length + 1;
    }
    assert_int_equal(*at, '\0');
    http_reply_free(&whole);
    http_reply_free(&lines);
    http_reply_free(&array);
}

static void a_row_is_one_line_whatever_the_white_space_of_its_json(void **state)
{
    static const struct {
        const char *form, *expected;
    } cases[] = {
        {NDJSON, "{\"g\":1,\"j\":{\"a\":  1},\"held\":{\"v\":[ 1]},\"list\":[{ }]}\n"
                 "{\"g\":2,\"j\":{\"a\":  2},\"held\":{\"v\":[ 2]},\"list\":[{ }]}\n"},
        {ARRAY, "[{\"g\":1,\"j\":{\"a\":  1},\"held\":{\"v\":[ 1]},\"list\":[{ }]},\n"
                "{\"g\":2,\"j\":{\"a\":  2},\"held\":{\"v\":[ 2]},\"list\":[{ }]}]\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_reply r = get_as(cases[i].form, "/q/broad");
        assert_status(&r, 200);
        assert_string_equal(r.body, cases[i].expected);
        http_reply_free(&r);
    }
}

static void csv_is_what_copy_makes_of_the_same_rows(void **state)
{
    http_reply r = get_as(CSV, "/q/odd");
    assert_status(&r, 200);
    assert_string_equal(http_header(&r, "Content-Type"), "text/csv; charset=utf-8; header=present");
    PGconn *pg = PQconnectdb(postgres_conninfo(database));
    PQclear(PQexec(pg, "copy (" ODD_ROWS ") to stdout (format csv, header)"));
    const char *at = r.body;
    char *line;
    for (int length; (length = PQgetCopyData(pg, &line, 0)) > 0; PQfreemem(line)) {
        line[--length] = '\0'; /* its line end, which for us has two characters */
        if (strncmp(at, line, (size_t)length) != 0 || strncmp(at + length, "\r\n", 2) != 0)
            fail_msg("%s\nis not\n%.200s", line, at);
        at += length + 2;
    }
    assert_int_equal(*at, '\0');
    PQfinish(pg);
    http_reply_free(&r);
}

static void an_answer_without_rows_is_empty_in_each_form(void **state)
{
    static const char *const expected[][2] = {{NDJSON, ""}, {ARRAY, "[]\n"}, {CSV, "g,words\r\n"}};
    for (int i = 0; i < 3; i++) {
        http_reply r = get_as(expected[i][0], "/q/series?n=0");
        assert_status(&r, 200);
        assert_string_equal(r.body, expected[i][1]);
        http_reply_free(&r);
    }
}

static void the_form_is_the_clients_choice_and_for_rows_only(void **state)
{
    http_reply r =
        get_as("Accept: text/html, text/csv;q=0.5, application/x-ndjson;q=0.7", "/q/series?n=1");
    assert_string_equal(http_header(&r, "Content-Type"), "application/x-ndjson");
    http_reply_free(&r);
    r = get_as("Accept: text/html,*/*;q=0.8", "/q/series?n=1");
    assert_int_equal(json_integer_value(json_object_get(r.json, "count")), 1);
    http_reply_free(&r);
    r = get_as(NDJSON, "/q/one");
    assert_int_equal(json_integer_value(member(&r, "row", "one")), 1);
    http_reply_free(&r);
    r = http_send(client, "POST", "/adds", "{\"a\": 3}", (const char *const[]){CSV, NULL});
    assert_status(&r, 200);
    assert_string_equal(r.body, "b\r\n4\r\n");
    http_reply_free(&r);
}

static void head_asks_for_the_head_alone(void **state)
{
    for (int i = 0; i < 20; i++) {
        http_reply r =
            http_send(client, "HEAD", "/q/series", NULL, (const char *const[]){CSV, NULL});
        assert_status(&r, 200);
        assert_int_equal(r.length, 0);
        assert_non_null(strstr(http_header(&r, "Content-Type"), "text/csv"));
        http_reply_free(&r);
    }
    assert_true(BECOMES(running() == 0 && pool("in_use") == 0, 5));
}

static void requests_behind_a_stream_are_answered_in_order(void **state)
{
    int fd = raw_dial(weir_port(weir));
    assert_true(raw_say(fd, "GET /q/series?n=2000 HTTP/1.1\r\nHost: x\r\n" NDJSON "\r\n\r\n"
                            "GET /q/series?n=3 HTTP/1.1\r\nHost: x\r\n" CSV "\r\n\r\n"
                            "GET /q/one HTTP/1.1\r\nHost: x\r\n\r\n"));
    char *heard = raw_hear(fd, "\"row\":{\"one\":1}", 1);
    const char *last = strstr(heard, "{\"g\":2000,"), *header = strstr(heard, "g,words\r\n");
    assert_true(last && header && last < header);
    assert_int_equal(raw_count(heard, "HTTP/1.1 200"), 3);
    assert_true(header < strstr(heard, "\"row\""));
    free(heard);
    close(fd);
}

/* ---- Errors ---- */

static void what_fails_before_its_first_row_fails_as_ever(void **state)
{
    http_reply r = get_as(NDJSON, "/q/break?at=1");
    assert_problem(&r, 400, "22012");
    http_reply_free(&r);
    r = get_as(CSV, "/q/short");
    assert_problem(&r, 504, "query_timed_out");
    http_reply_free(&r);
    r = get_as(CSV, "/q/break?at=x");
    assert_problem(&r, 400, "bad_parameter");
    http_reply_free(&r);
    assert_true(BECOMES(pool("in_use") == 0, 5));
}

static void an_error_midway_breaks_the_body_off_and_ndjson_says_why(void **state)
{
    static const char *const forms[] = {NDJSON, ARRAY, CSV};
    for (int i = 0; i < 3; i++) {
        http_reply r = get_as(forms[i], "/q/break?at=30000");
        assert_int_equal(r.status, 0); /* curl has seen that it is not whole */
        assert_non_null(strstr(r.headers, "200 OK"));
        assert_true(r.length > 10000);
        assert_int_equal(raw_count(r.body, "\"code\":\"22012\""), i == 0);
        /* All rows ahead of it, but for what libpq may keep; then the problem, or a header. */
        assert_in_range(raw_count(r.body, "\n"), 29999 - 31, 30000);
        if (i == 0) {
            r.body[r.length - 1] = '\0';
            json_t *last = json_loads(strrchr(r.body, '\n'), 0, NULL);
            assert_int_equal(json_integer_value(json_object_get(last, "status")), 400);
            assert_non_null(json_object_get(last, "request_id"));
            json_decref(last);
        }
        http_reply_free(&r);
    }
    assert_true(metric("http_server_request_duration_seconds_count{route=\"/q/"
                       "break\",method=\"GET\",status=\"400\"}") == 3);
    assert_true(BECOMES(pool("in_use") == 0, 5));
}

/* Whether the other side closed in order, once everything has been read. */
static bool ends_in_order(int fd)
{
    char bytes[65536];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        ;
    return n == 0;
}

static void before_http_1_1_a_broken_body_is_a_reset(void **state)
{
    for (int breaks = 0; breaks < 2; breaks++) {
        int fd = raw_dial(weir_port(weir));
        assert_true(raw_say(fd, breaks ? "GET /q/break?at=30000 HTTP/1.0\r\n" CSV "\r\n\r\n"
                                       : "GET /q/break?at=-1 HTTP/1.0\r\n" CSV "\r\n\r\n"));
        assert_int_equal(ends_in_order(fd), !breaks);
        close(fd);
    }
}

static void a_database_that_pauses_for_too_long_ends_the_stream(void **state)
{
    http_reply r = get_as(NDJSON, "/q/pause?at=30000");
    assert_int_equal(r.status, 0);
    assert_int_equal(raw_count(r.body, "\"code\":\"stream_timed_out\""), 1);
    http_reply_free(&r);
    assert_true(BECOMES(running() == 0 && pool("in_use") == 0, 5));
}

/* ---- Clients ---- */

/* A client that asks for more than all buffers hold, and reads none of it. */
static int ask_and_look_away(void)
{
    int fd = raw_dial(weir_port(weir));
    assert_true(raw_say(fd, "GET /q/series?n=100000000 HTTP/1.1\r\nHost: x\r\n" NDJSON "\r\n\r\n"));
    return fd;
}

static void a_reader_that_stops_stops_the_reading_and_costs_no_memory(void **state)
{
    warm_up();
    long before_kb = memory_kb("VmRSS");
    int fd = ask_and_look_away();
    if (!BECOMES(stands_still(), 20))
        fail_msg("%ld run, none stands still:\n%s", running(), weir_output(weir));
    assert_grown_little(before_kb);
    http_reply r = get("/q/one"); /* the others go on */
    assert_status(&r, 200);
    http_reply_free(&r);
    char *heard = raw_hear(fd, "{\"g\":30000,", 1); /* and so does this one */
    assert_int_equal(raw_count(heard, "{\"g\":30000,"), 1);
    free(heard);
    assert_int_equal(running(), 1);
    raw_vanish(fd, true);
    assert_true(BECOMES(running() == 0, 10));
    assert_grown_little(before_kb);
}

static void a_reader_that_has_stopped_for_too_long_is_cut_off(void **state)
{
    int fd = ask_and_look_away();
    assert_true(BECOMES(running() == 1, 10));
    json_t *line = weir_await_event(weir, "http.request", 1, 20 * slower());
    assert_non_null(line);
    assert_int_equal(json_integer_value(json_object_get(line, "status")), 499);
    assert_string_equal(json_string_value(json_object_get(line, "code")), "stream_unread");
    json_decref(line);
    assert_true(BECOMES(running() == 0 && pool("in_use") == 0, 5));
    assert_true(BECOMES(metric("http_server_active_requests") == 1, 5));
    assert_false(ends_in_order(fd));
    close(fd);
}

static void a_reader_that_has_stopped_does_not_keep_the_service_from_ending(void **state)
{
    int fd = ask_and_look_away();
    assert_true(BECOMES(running() == 1, 10));
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 10 * slower()), 0);
    close(fd);
}

#define GONE                                                                                       \
    "http_server_request_duration_seconds_count{route=\"/q/"                                       \
    "series\",method=\"GET\",status=\"499\"}"

static void a_client_that_goes_stops_the_query_at_the_server(void **state)
{
    for (int i = 0; i < 4; i++) { /* in order or abruptly, while it is served or stands still */
        int fd = ask_and_look_away();
        if (i / 2)
            assert_true(BECOMES(stands_still(), 20));
        else
            free(raw_hear(fd, "{\"g\":3000,", 1));
        raw_vanish(fd, i % 2);
        assert_true(BECOMES(running() == 0, 10));
        assert_true(BECOMES(metric(GONE) == i + 1, 5));
        assert_true(BECOMES(pool("in_use") == 0 && pool("cancelling") == 0, 5));
    }
}

static void clients_that_go_at_any_moment_leave_nothing_behind(void **state)
{
    int before = weir_descriptors(weir);
    for (int i = 0; i < 400; i++) {
        int fd = raw_dial(weir_port(weir));
        char request[128];
        snprintf(request, sizeof request, "GET /q/series?n=%d HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n",
                 i % 3 ? 100000 : 300, i % 2 ? NDJSON : CSV);
        assert_true(raw_say(fd, request));
        nanosleep(&(struct timespec){.tv_nsec = (i * 7919L) % 9000 * 1000}, NULL);
        raw_vanish(fd, i % 5 == 0);
    }
    assert_true(BECOMES(metric("http_server_active_requests") == 1, 10));
    assert_true(BECOMES(pool("in_use") == 0 && pool("waiting") == 0, 10));
    http_reply r = get_as(CSV, "/q/series?n=1");
    assert_string_equal(r.body, "g,words\r\n1,some words\r\n");
    http_reply_free(&r);
    assert_true(BECOMES(weir_descriptors(weir) <= before + 2 * 6, 10));
}

int main(void)
{
#define usual(name)     cmocka_unit_test_setup_teardown(name, serve, stop)
#define impatient(name) cmocka_unit_test_setup_teardown(name, serve_impatiently, stop)
    const struct CMUnitTest tests[] = {
        usual(a_million_rows_come_whole_and_in_order_in_constant_memory),
        usual(each_line_is_the_object_that_a_whole_answer_has),
        usual(a_row_is_one_line_whatever_the_white_space_of_its_json),
        usual(csv_is_what_copy_makes_of_the_same_rows),
        usual(an_answer_without_rows_is_empty_in_each_form),
        usual(the_form_is_the_clients_choice_and_for_rows_only),
        usual(head_asks_for_the_head_alone),
        usual(requests_behind_a_stream_are_answered_in_order),
        usual(what_fails_before_its_first_row_fails_as_ever),
        usual(an_error_midway_breaks_the_body_off_and_ndjson_says_why),
        usual(before_http_1_1_a_broken_body_is_a_reset),
        impatient(a_database_that_pauses_for_too_long_ends_the_stream),
        usual(a_reader_that_stops_stops_the_reading_and_costs_no_memory),
        impatient(a_reader_that_has_stopped_for_too_long_is_cut_off),
        cmocka_unit_test_setup_teardown(
            a_reader_that_has_stopped_does_not_keep_the_service_from_ending, serve_impatiently,
            stop_stopped),
        usual(a_client_that_goes_stops_the_query_at_the_server),
        usual(clients_that_go_at_any_moment_leave_nothing_behind),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("http_streams", tests, start, end);
}
