/* http_sharing.c: tests of identical GETs under way together, which one run of their query answers.
 */
#include "../support/items.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Queries that wait at the gate until it is opened, and then say when that was: two answers that
 * say the same to the microsecond are of one run. */
#define GATE                                                                                       \
    "create table gate (open boolean not null); insert into gate values (false);"                  \
    "create function pass() returns text language plpgsql as $$ begin"                             \
    " while not (select open from gate) loop perform pg_sleep(0.005); end loop;"                   \
    " return clock_timestamp()::text; end $$;"

static void set_gate(bool open)
{
    postgres_sql(database, open ? "update gate set open = true" : "update gate set open = false");
}

/* Runs that wait at the gate. */
static int at_gate(void)
{
    return (int)postgres_number(database, "select count(*) from pg_stat_activity where "
                                          "state = 'active' and query like '%pass()%' and pid "
                                          "<> pg_backend_pid()");
}

static int shared(void)
{
    return (int)metric("weir_requests_shared_total");
}

/* Runs of a query that are over. */
static int runs_of(const char *query)
{
    char sample[128];
    snprintf(sample, sizeof sample,
             "db_client_operation_duration_seconds_count{pool=\"default\",query=\"%s\"}", query);
    return (int)metric(sample);
}

static int gone(void)
{
    return (int)metric("http_server_request_duration_seconds_count{route=\"/passed\",method="
                       "\"GET\",status=\"499\"}");
}

/* Asks without waiting for the answer. `headers` NULL: no further ones, else each with its line
 * end. */
static int ask_with(const char *path, const char *headers)
{
    char request[512];
    int fd = raw_dial(weir_port(weir));
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path,
             headers ? headers : "");
    say(fd, request);
    return fd;
}

/* One more client, which joins those there are. */
static int join(const char *path)
{
    int before = shared(), fd = ask_with(path, NULL);
    assert_true(BECOMES(shared() == before + 1, 5));
    return fd;
}

/* One more client, whose query is run, and how many then are. */
static int begin(const char *path, int running)
{
    int fd = ask_with(path, NULL);
    assert_true(BECOMES(at_gate() == running, 5));
    return fd;
}

/* The answer to a client, which must begin so; free() it. */
static char *heard_from(int fd, const char *status)
{
    char *heard = raw_hear(fd, "}\n", 1), line[64];
    snprintf(line, sizeof line, "HTTP/1.1 %s", status);
    if (strncmp(heard, line, strlen(line)) != 0)
        fail_msg("not %s: %s", status, heard);
    close(fd);
    return heard;
}

static void is_told(int fd, const char *status)
{
    free(heard_from(fd, status));
}

/* What stands in an answer from `from` up to `to`. */
static void copy_part(const char *heard, const char *from, const char *to, char part[256])
{
    const char *begins = strstr(heard, from), *ends = begins ? strstr(begins, to) : NULL;
    assert_true(begins && ends && ends - begins < 256);
    memcpy(part, begins, (size_t)(ends - begins));
    part[ends - begins] = '\0';
}

/* ---- When all is well ---- */

enum { MANY = 100 };

static void identical_gets_run_their_query_once(void **state)
{
    int fds[MANY], began = 0;
    char rows[256], tag[256], part[256], ids[MANY][256];
    for (int i = 0; i < MANY; i++)
        fds[i] = ask_with("/passed?a=x", NULL);
    assert_true(BECOMES(shared() == MANY - 1, 10));
    assert_int_equal(at_gate(), 1);
    assert_int_equal(pool("in_use"), 1);
    set_gate(true);
    for (int i = 0; i < MANY; i++) {
        char *heard = heard_from(fds[i], "200");
        copy_part(heard, "{\"rows\"", ",\"pool\"", i == 0 ? rows : part);
        assert_string_equal(i == 0 ? rows : part, rows);
        copy_part(heard, "ETag: ", "\r\n", i == 0 ? tag : part);
        assert_string_equal(i == 0 ? tag : part, tag);
        copy_part(heard, "X-Request-Id: ", "\r\n", ids[i]);
        for (int other = 0; other < i; other++)
            assert_string_not_equal(ids[i], ids[other]);
        began += !strstr(heard, "\"shared\":true");
        copy_part(heard, "Server-Timing: ", "\r\n", part);
        assert_int_equal(!strstr(part, ", shared"), !strstr(heard, "\"shared\":true"));
        free(heard);
    }
    assert_int_equal(began, 1);
    assert_int_equal(runs_of("passed"), 1);
}

static void each_lane_shares_by_itself(void **state)
{
    int fds[MANY], runs = 0;
    char rows[MANY][256];
    for (int i = 0; i < MANY; i++)
        fds[i] = ask_with("/passed?a=x", NULL);
    assert_true(BECOMES(metric("http_server_active_requests") == MANY + 1, 10));
    assert_true(BECOMES(shared() >= MANY - 2, 10));
    assert_true(at_gate() <= 2);
    set_gate(true);
    for (int i = 0; i < MANY; i++) {
        char *heard = heard_from(fds[i], "200");
        copy_part(heard, "{\"rows\"", ",\"pool\"", rows[i]);
        bool is_new = true;
        for (int other = 0; other < i; other++)
            is_new &= strcmp(rows[i], rows[other]) != 0;
        runs += is_new;
        free(heard);
    }
    assert_true(runs <= 2);
}

static void other_values_are_another_run(void **state)
{
    static const char *const paths[] = {"/passed?a=x", "/passed?b=x",
                                        "/passed?a=xx&b=", "/passed?a=x&b=x"};
    int fds[4];
    for (int i = 0; i < 4; i++)
        fds[i] = begin(paths[i], i + 1);
    assert_int_equal(shared(), 0);
    int same = join("/q/passed?b=x&a=%78"); /* said in another way */
    set_gate(true);
    for (int i = 0; i < 4; i++)
        is_told(fds[i], "200");
    is_told(same, "200");
}

static void an_empty_text_and_null_are_two_values(void **state)
{
    int empty = begin("/passed?a=", 1), none = begin("/passed", 2);
    set_gate(true);
    is_told(empty, "200");
    is_told(none, "200");
}

static void who_wants_a_run_of_its_own_has_it(void **state)
{
    int first = begin("/passed?a=x", 1), fds[4];
    fds[0] = ask_with("/passed?a=x", "Cache-Control: no-cache\r\n");
    fds[1] = ask_with("/passed?a=x&_trace=1", NULL);
    fds[2] = post_beside("/q/passed", NULL, "{\"a\":\"x\"}");
    assert_true(BECOMES(at_gate() == 4, 5));
    fds[3] = begin("/q/asked", 5); /* without @cache */
    int again = begin("/q/asked", 6);
    assert_int_equal(shared(), 0);
    set_gate(true);
    is_told(first, "200");
    for (int i = 0; i < 4; i++)
        is_told(fds[i], "200");
    is_told(again, "200");
}

static void what_is_told_is_of_the_time_that_a_client_has_waited(void **state)
{
    int first = begin("/passed", 1);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL); /* that the other has not waited */
    int second = join("/passed");
    set_gate(true);
    char *heard[2] = {heard_from(first, "200"), heard_from(second, "200")};
    double wait[2], query[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sscanf(strstr(heard[i], "Server-Timing: "),
                                "Server-Timing: acquire;dur=%lf, query;dur=%lf", &wait[i],
                                &query[i]),
                         2);
        double wait_said, query_said; /* in the body, where they may be rounded otherwise */
        assert_int_equal(sscanf(strstr(heard[i], "\"wait_ms\":"),
                                "\"wait_ms\":%lf,\"query_ms\":%lf", &wait_said, &query_said),
                         2);
        assert_true(fabs(wait_said - wait[i]) < 0.002 && fabs(query_said - query[i]) < 0.002);
        free(heard[i]);
    }
    assert_true(query[0] > 300 && query[1] < query[0] - 250 && query[1] > 0);
    assert_true(wait[1] == 0);
}

static void nobody_gets_what_is_older_than_may_be_kept(void **state)
{
    int first = begin("/q/brief", 1);
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 50000000}, NULL); /* its @cache is 1 s */
    int second = begin("/q/brief", 2), third = join("/q/brief");
    set_gate(true);
    char of_first[256], of_second[256], of_third[256];
    char *heard[3] = {heard_from(first, "200"), heard_from(second, "200"),
                      heard_from(third, "200")};
    copy_part(heard[0], "{\"rows\"", ",\"pool\"", of_first);
    copy_part(heard[1], "{\"rows\"", ",\"pool\"", of_second);
    copy_part(heard[2], "{\"rows\"", ",\"pool\"", of_third);
    assert_string_not_equal(of_first, of_second);
    assert_string_equal(of_second, of_third);
    for (int i = 0; i < 3; i++)
        free(heard[i]);
}

static void a_client_that_knows_the_rows_is_told_304_among_others(void **state)
{
    set_gate(true);
    http_reply r = get("/fixed");
    char known[128];
    snprintf(known, sizeof known, "If-None-Match: %s\r\n", http_header(&r, "ETag"));
    http_reply_free(&r);
    set_gate(false);
    int first = begin("/fixed", 1), knowing = ask_with("/fixed", known);
    assert_true(BECOMES(shared() == 1, 5));
    set_gate(true);
    is_told(first, "200");
    char *heard = raw_hear(knowing, "\r\n\r\n", 1);
    assert_memory_equal(heard, "HTTP/1.1 304", 12);
    free(heard);
    close(knowing);
}

static void large_answers_are_shared_packed_or_not(void **state)
{
    int first = begin("/q/large", 1), packed = ask_with("/q/large", "Accept-Encoding: gzip\r\n");
    assert_true(BECOMES(shared() == 1, 5));
    set_gate(true);
    char *heard = raw_hear(packed, "\r\n\r\n", 1);
    assert_non_null(strstr(heard, "Content-Encoding: gzip\r\n"));
    free(heard);
    close(packed);
    heard = heard_from(first, "200");
    assert_int_equal(raw_count(heard, "{\"word\":\""), 3000);
    free(heard);
}

/* ---- Clients that vanish ---- */

static void who_began_may_vanish(void **state)
{
    int first = begin("/passed", 1), second = join("/passed");
    raw_vanish(first, false);
    assert_true(BECOMES(gone() == 1, 5));
    int third = join("/passed");
    set_gate(true);
    is_told(second, "200");
    is_told(third, "200");
    assert_true(metric("weir_queries_cancelled_total{pool=\"default\"}") == 0);
    assert_int_equal(runs_of("passed"), 1);
}

static void who_joined_may_vanish(void **state)
{
    int first = begin("/passed", 1), second = join("/passed");
    raw_vanish(second, true);
    assert_true(BECOMES(gone() == 1, 5));
    set_gate(true);
    is_told(first, "200");
    assert_true(metric("weir_queries_cancelled_total{pool=\"default\"}") == 0);
}

static void a_run_that_nobody_waits_for_is_cancelled(void **state)
{
    int first = begin("/passed", 1), second = join("/passed");
    raw_vanish(first, true);
    raw_vanish(second, false);
    assert_true(BECOMES(at_gate() == 0, 5));
    assert_true(BECOMES(pool("in_use") == 0 && pool("cancelling") == 0, 5));
    assert_int_equal(gone(), 2);
    int next = begin("/passed", 1); /* and nobody joins it any more */
    set_gate(true);
    is_told(next, "200");
}

/* At every moment of a quick run: as it begins, under way, as it is told. */
static void clients_that_vanish_at_any_moment_leave_nothing_behind(void **state)
{
    enum { CLIENTS = 8 };
    int fds[CLIENTS];
    set_gate(true);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < CLIENTS; i++)
            fds[i] = ask_with(i % 2 ? "/passed?a=x" : "/passed?a=y", NULL);
        nanosleep(&(struct timespec){.tv_nsec = (round * 7919) % 3000 * 1000}, NULL);
        for (int i = 0; i < CLIENTS; i++)
            raw_vanish(fds[i], i % 3 == 0);
    }
    assert_true(BECOMES(metric("http_server_active_requests") == 1, 10));
    assert_true(BECOMES(pool("in_use") == 0 && pool("waiting") == 0, 10));
    http_reply r = get("/passed?a=x");
    assert_status(&r, 200);
    assert_null(member(&r, "pool", "shared"));
    http_reply_free(&r);
}

/* ---- When it fails ---- */

static void is_problem(char *heard, const char *code)
{
    char id[256], said[512];
    snprintf(said, sizeof said, "\"code\":\"%s\"", code);
    assert_non_null(strstr(heard, said));
    copy_part(heard, "X-Request-Id: ", "\r\n", id);
    snprintf(said, sizeof said, "\"request_id\":\"%s\"", id + strlen("X-Request-Id: "));
    assert_non_null(strstr(heard, said));
    free(heard);
}

static void a_failure_is_told_to_all(void **state)
{
    int first = begin("/q/failing", 1), second = join("/q/failing");
    int third = join("/q/failing?_x=1");
    set_gate(true);
    is_problem(heard_from(first, "400"), "P0001");
    is_problem(heard_from(second, "400"), "P0001");
    is_problem(heard_from(third, "400"), "P0001");
    assert_int_equal(runs_of("failing"), 1);
}

static void a_row_that_is_not_there_is_404_for_all(void **state)
{
    int first = begin("/q/missing", 1), second = join("/q/missing");
    set_gate(true);
    is_problem(heard_from(first, "404"), "row_not_found");
    is_problem(heard_from(second, "404"), "row_not_found");
}

static void a_query_that_takes_too_long_is_cancelled_once(void **state)
{
    enum { CLIENTS = 10 };
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = ask_with("/q/hasty", NULL);
    for (int i = 0; i < CLIENTS; i++)
        is_problem(heard_from(fds[i], "504"), "query_timed_out");
    assert_true(metric("weir_queries_cancelled_total{pool=\"default\"}") == 1);
    assert_int_equal(shared(), CLIENTS - 1);
}

static void a_refusal_is_told_to_all_and_takes_one_place_in_the_queue(void **state)
{
    enum { CLIENTS = 5 };
    int fds[CLIENTS], holder = begin("/q/asked", 1);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = ask_with("/passed", NULL);
    assert_true(BECOMES(shared() == CLIENTS - 1, 5) && pool("waiting") <= 1);
    for (int i = 0; i < CLIENTS; i++) {
        char *heard = heard_from(fds[i], "503");
        assert_non_null(strstr(heard, "\r\nRetry-After: "));
        assert_non_null(strstr(heard, "\"waited_ms\":"));
        is_problem(heard, "pool_timeout");
    }
    assert_true(metric("db_client_connection_timeouts_total{pool=\"default\"}") == 1);
    set_gate(true);
    is_told(holder, "200");
}

static void a_lost_connection_is_told_to_all(void **state)
{
    int first = begin("/passed", 1), second = join("/passed");
    postgres_signal_backends(database, SIGTERM);
    free(heard_from(first, "503"));
    free(heard_from(second, "503"));
}

/* ---- Reload and end ---- */

static void after_a_reload_the_new_query_is_run(void **state)
{
    int first = begin("/passed", 1);
    weir_signal(weir, SIGHUP);
    json_decref(weir_await_event(weir, "service.reloaded", 1, 10 * slower()));
    int second = begin("/passed", 2);
    set_gate(true);
    is_told(first, "200");
    is_told(second, "200");
}

static void a_drain_waits_for_all_who_share(void **state)
{
    int first = begin("/passed", 1), second = join("/passed");
    weir_signal(weir, SIGTERM);
    json_decref(weir_await_event(weir, "service.draining", 1, 10 * slower()));
    set_gate(true);
    is_told(first, "200");
    is_told(second, "200");
    assert_int_equal(weir_await_exit(weir, 20), 0);
}

static void a_drain_that_takes_too_long_ends_the_run(void **state)
{
    int first = begin("/passed", 1), second = join("/passed");
    weir_signal(weir, SIGTERM);
    is_problem(heard_from(first, "503"), "draining");
    is_problem(heard_from(second, "503"), "draining");
    assert_int_equal(weir_await_exit(weir, 20), 0);
    assert_true(BECOMES(at_gate() == 0, 5));
}

/* ---- The world ---- */

static int sharing_start(void **state)
{
    items_start(state);
    postgres_sql(database, GATE);
    query_file("passed", "-- @route GET /passed\n-- @cache 60s\n-- @timeout 30s\n-- @optional a\n"
                         "-- @optional b\nselect pass() as at, :a::text as a, :b::text as b\n");
    query_file("asked", "-- @timeout 30s\nselect pass() as at\n");
    query_file("brief", "-- @cache 1s\n-- @timeout 30s\nselect pass() as at\n");
    query_file("fixed", "-- @route GET /fixed\n-- @cache 60s\n-- @timeout 30s\n"
                        "select pass() < '' as passed\n");
    query_file("large", "-- @cache 60s\n-- @timeout 30s\nselect repeat('x', 100) as word "
                        "from generate_series(1, 3000) where pass() > ''\n");
    query_file("failing", "-- @cache 60s\n-- @timeout 30s\n"
                          "select case when pass() > '' then shout() end as loud\n");
    query_file("missing", "-- @cache 60s\n-- @timeout 30s\n-- @returns row\n"
                          "select pass() as at where pass() < ''\n");
    query_file("hasty", "-- @cache 60s\n-- @timeout 400ms\nselect pass() as at\n");
    return 0;
}

static int serve_shut(const char *const *flags)
{
    set_gate(false);
    serve_ready(flags);
    return 0;
}

static int on_one_lane(void **state)
{
    return serve_shut((const char *const[]){"--pool-max", "8", "--lanes", "1", NULL});
}

static int on_two_lanes(void **state)
{
    return serve_shut((const char *const[]){"--pool-max", "8", "--lanes", "2", NULL});
}

static int on_one_connection(void **state)
{
    char patience[32];
    snprintf(patience, sizeof patience, "%.0fms", 1000 * slower());
    return serve_shut((const char *const[]){"--pool-max", "1", "--lanes", "1", "--acquire-timeout",
                                            patience, NULL});
}

static int in_a_hurry(void **state)
{
    return serve_shut((const char *const[]){"--lanes", "1", "--drain-timeout", "300ms", NULL});
}

#define one_lane(name)  cmocka_unit_test_setup_teardown(name, on_one_lane, stop)
#define two_lanes(name) cmocka_unit_test_setup_teardown(name, on_two_lanes, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        one_lane(identical_gets_run_their_query_once),
        two_lanes(each_lane_shares_by_itself),
        one_lane(other_values_are_another_run),
        one_lane(an_empty_text_and_null_are_two_values),
        one_lane(who_wants_a_run_of_its_own_has_it),
        one_lane(what_is_told_is_of_the_time_that_a_client_has_waited),
        one_lane(nobody_gets_what_is_older_than_may_be_kept),
        one_lane(a_client_that_knows_the_rows_is_told_304_among_others),
        one_lane(large_answers_are_shared_packed_or_not),
        one_lane(who_began_may_vanish),
        one_lane(who_joined_may_vanish),
        one_lane(a_run_that_nobody_waits_for_is_cancelled),
        two_lanes(clients_that_vanish_at_any_moment_leave_nothing_behind),
        one_lane(a_failure_is_told_to_all),
        one_lane(a_row_that_is_not_there_is_404_for_all),
        one_lane(a_query_that_takes_too_long_is_cancelled_once),
        cmocka_unit_test_setup_teardown(a_refusal_is_told_to_all_and_takes_one_place_in_the_queue,
                                        on_one_connection, stop),
        one_lane(a_lost_connection_is_told_to_all),
        one_lane(after_a_reload_the_new_query_is_run),
        cmocka_unit_test_setup_teardown(a_drain_waits_for_all_who_share, on_one_lane, stop_stopped),
        cmocka_unit_test_setup_teardown(a_drain_that_takes_too_long_ends_the_run, in_a_hurry,
                                        stop_stopped),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("http_sharing", tests, sharing_start, items_end);
}
