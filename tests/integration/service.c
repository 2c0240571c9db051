/* service.c: tests of the program weir over a real PostgreSQL: its start, its reload, its end. */
#include "../support/fresh.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* ---- Start ---- */

static void a_request_is_answered_from_the_database(void **state)
{
    query_file("echo", ECHO);
    serve_ready(NULL);
    http_reply reply = get("/q/echo?token=hello");
    assert_int_equal(reply.status, 200);
    const json_t *row = json_array_get(json_object_get(reply.json, "rows"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "token")), "hello");
    http_reply_free(&reply);
    assert_int_equal(http_status(weir_port(weir), "/readyz"), 200);
    assert_int_equal(http_status(weir_port(weir), "/livez"), 200);
}

static void several_lanes_serve_one_port(void **state)
{
    query_file("echo", ECHO);
    serve_ready((const char *const[]){"--lanes", "3", NULL});
    for (int i = 0; i < 30; i++)
        assert_int_equal(http_status(weir_port(weir), "/q/echo?token=x"), 200);
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 10), 0);
}

static void a_database_that_comes_later_is_waited_for(void **state)
{
    query_file("echo", ECHO);
    postgres_shut_down(database);
    serve_unready(NULL);
    json_t *waiting = weir_await_event(weir, "service.waiting", 1, 20);
    assert_non_null(waiting);
    assert_true(strlen(json_string_value(json_object_get(waiting, "reason"))) > 10);
    json_decref(waiting);
    assert_int_equal(http_status(weir_port(weir), "/livez"), 200);
    assert_int_equal(http_status(weir_port(weir), "/readyz"), 503);
    assert_int_equal(http_status(weir_port(weir), "/q/echo?token=x"), 503);

    postgres_bring_up(database);
    json_t *ready = weir_await_event(weir, "service.ready", 1, 2 * slower());
    assert_non_null(ready);
    json_decref(ready);
    assert_int_equal(http_status(weir_port(weir), "/readyz"), 200);
    assert_int_equal(http_status(weir_port(weir), "/q/echo?token=x"), 200);
    assert_int_equal(weir_events(weir, "service.waiting"), 1);
}

static void waiting_for_the_database_ends_with_sigterm(void **state)
{
    query_file("echo", ECHO);
    postgres_shut_down(database);
    serve_unready(NULL);
    json_decref(weir_await_event(weir, "service.waiting", 1, 20));
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 5), 0);
    postgres_bring_up(database);
}

/* Runs weir to its end and checks its exit code and a piece of what it says. */
static void ends_with(const char *const *arguments, int code, const char *said)
{
    weir = weir_start(arguments);
    assert_int_equal(weir_await_exit(weir, 20), code);
    if (!strstr(weir_output(weir), said))
        fail_msg("expected \"%s\" in:\n%s", said, weir_output(weir));
    weir_stop(weir);
    weir = NULL;
}

static void a_file_that_does_not_prepare_stops_the_start(void **state)
{
    query_file("good", ECHO);
    query_file("wrong", "-- Fine so far.\nselect 1,\n       missing_column\n");
    serve_unready(NULL);
    assert_int_equal(weir_await_exit(weir, 20), 65);
    json_t *line = weir_await_event(weir, "service.start_failed", 1, 1);
    assert_non_null(line);
    assert_non_null(strstr(json_string_value(json_object_get(line, "file")), "/wrong.sql"));
    assert_int_equal(json_integer_value(json_object_get(line, "line")), 3);
    assert_non_null(strstr(json_string_value(json_object_get(line, "msg")), "missing_column"));
    json_decref(line);
}

static void a_file_that_does_not_parse_stops_the_start(void **state)
{
    char said[PATH_MAX];
    query_file("wrong", "-- A query.\n-- @rout GET /x\nselect 1\n");
    snprintf(said, sizeof said, "weir: %s/wrong.sql:2: ", folder);
    ends_with((const char *const[]){"serve", "--queries", folder, NULL}, 65, said);
}

static void what_cannot_be_served_is_said_in_one_line(void **state)
{
    char listen[32];
    query_file("echo", ECHO);
    ends_with((const char *const[]){"serve", "--pool-mx", "3", NULL}, 64,
              "did you mean --pool-max");
    ends_with((const char *const[]){"serve", "--query-timeout", "5", NULL}, 64, "--query-timeout");
    ends_with((const char *const[]){"serve", "--queries", folder, "--listen", "nowhere", NULL}, 64,
              "nowhere");
    ends_with((const char *const[]){"serve", "--queries", folder, "--database",
                                    "postgres://joe:s3cret@db/x?nonsense=1", NULL},
              64, "--database: ");
    ends_with((const char *const[]){"serve", "--queries", "/nonexistent", NULL}, 65,
              "/nonexistent");
    ends_with((const char *const[]){"sreve", NULL}, 64, "did you mean serve");
    ends_with((const char *const[]){"version", NULL}, 0, "weir 0.");

    serve_unready(NULL);
    snprintf(listen, sizeof listen, "127.0.0.1:%u", weir_port(weir));
    weir_process *first = weir;
    ends_with((const char *const[]){"serve", "--queries", folder, "--listen", listen, NULL}, 69,
              listen);
    weir = first;
}

static void check_tells_what_would_be_served(void **state)
{
    char said[PATH_MAX];
    query_file("echo", ECHO);
    query_file("nap", NAP);
    const char *const good[] = {"check", folder, "--database", postgres_conninfo(database), NULL};
    ends_with(good, 0, "2 queries");
    ends_with(good, 0, "/nap");
    ends_with((const char *const[]){"check", folder, "--database", "host=/nonexistent",
                                    "--connect-timeout", "300ms", NULL},
              69, "the database cannot be asked");
    query_file("wrong", "select nonsense(:x)\n");
    snprintf(said, sizeof said, "%s/wrong.sql:1: error: ", folder);
    ends_with(good, 65, said);
}

static void a_password_is_never_in_the_log(void **state)
{
    char conninfo[256];
    query_file("echo", ECHO);
    snprintf(conninfo, sizeof conninfo, "%s password=s3cret", postgres_conninfo(database));
    weir = weir_serve(conninfo, folder, NULL);
    assert_true(weir_await_ready(weir));
    postgres_shut_down(database);
    assert_int_equal(http_status(weir_port(weir), "/q/echo?token=x"), 503);
    postgres_bring_up(database);
    assert_null(strstr(weir_output(weir), "s3cret"));
    assert_non_null(strstr(weir_output(weir), "password=***"));
}

static void what_is_to_run_on_connect_runs_before_any_query(void **state)
{
    query_file("greeting", "select current_setting('app.greeting') as greeting\n");
    serve_ready((const char *const[]){"--on-connect",
                                      "set app.greeting = 'hello'; set work_mem = '8MB'",
                                      "--host-order", "random", NULL});
    http_reply reply = get("/q/greeting");
    assert_non_null(strstr(reply.body, "[{\"greeting\":\"hello\"}]"));
    http_reply_free(&reply);
    weir_stop(weir);

    serve_unready((const char *const[]){"--on-connect", "set nonsense", NULL});
    json_t *waiting = weir_await_event(weir, "service.waiting", 1, 20);
    const char *reason = json_string_value(json_object_get(waiting, "reason"));
    assert_true(reason && strstr(reason, "syntax error"));
    json_decref(waiting);
}

/* ---- Reload ---- */

static void sighup_takes_new_queries(void **state)
{
    query_file("echo", ECHO);
    serve_ready((const char *const[]){"--lanes", "3", NULL});
    assert_int_equal(http_status(weir_port(weir), "/q/fresh"), 404);
    query_file("fresh", "select 1 as one\n");
    weir_signal(weir, SIGHUP);
    json_t *line = weir_await_event(weir, "service.reloaded", 1, 10);
    assert_int_equal(json_integer_value(json_object_get(line, "queries")), 2);
    json_decref(line);
    for (int i = 0; i < 20; i++) /* whichever lane takes it */
        assert_int_equal(http_status(weir_port(weir), "/q/fresh"), 200);
}

static void sighup_with_a_wrong_file_changes_nothing(void **state)
{
    query_file("echo", ECHO);
    serve_ready(NULL);
    query_file("fresh", "select 1 as one\n");
    query_file("wrong", "select 1 as one,\n  from nowhere\n");
    weir_signal(weir, SIGHUP);
    json_t *line = weir_await_event(weir, "service.reload_failed", 1, 10);
    assert_non_null(line);
    assert_non_null(strstr(json_string_value(json_object_get(line, "file")), "/wrong.sql"));
    json_decref(line);
    assert_int_equal(http_status(weir_port(weir), "/q/fresh"), 404);
    assert_int_equal(http_status(weir_port(weir), "/q/echo?token=x"), 200);
    assert_int_equal(weir_events(weir, "service.reloaded"), 0);

    query_file("wrong", "select 1 as one\n");
    weir_signal(weir, SIGHUP);
    json_decref(weir_await_event(weir, "service.reloaded", 1, 10));
    assert_int_equal(http_status(weir_port(weir), "/q/fresh"), 200);
}

/* ---- The end ---- */

static void sigterm_lets_a_running_request_finish(void **state)
{
    query_file("nap", NAP);
    query_file("echo", ECHO);
    serve_ready(NULL);
    uint16_t port = weir_port(weir);
    ask_beside(0, "/nap?seconds=1.5");
    assert_true(BECOMES(naps() == 1, 10));
    weir_signal(weir, SIGTERM);
    json_decref(weir_await_event(weir, "service.draining", 1, 10));
    assert_false(is_answered(0));
    assert_int_equal(http_status(port, "/q/echo?token=x"), 503);
    assert_int_equal(http_status(port, "/readyz"), 503);
    assert_int_equal(answered(0), 200);
    assert_int_equal(weir_await_exit(weir, 10), 0);
    assert_int_equal(weir_events(weir, "service.cancelling"), 0);
}

static void the_drain_timeout_cancels_what_still_runs(void **state)
{
    query_file("nap", NAP);
    serve_ready((const char *const[]){"--drain-timeout", "300ms", NULL});
    ask_beside(0, "/nap?seconds=25");
    assert_true(BECOMES(naps() == 1, 10));
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 5 * slower()), 0);
    assert_int_equal(answered(0), 503);
    assert_int_equal(weir_events(weir, "service.cancelling"), 1);
    assert_true(BECOMES(naps() == 0, 5));
}

static void a_second_sigint_ends_it_at_once(void **state)
{
    query_file("nap", NAP);
    serve_ready(NULL);
    ask_beside(0, "/nap?seconds=5");
    assert_true(BECOMES(naps() == 1, 10));
    weir_signal(weir, SIGINT);
    json_decref(weir_await_event(weir, "service.draining", 1, 10));
    weir_signal(weir, SIGINT);
    assert_int_equal(weir_await_exit(weir, 2 * slower()), 130);
    assert_int_equal(answered(0), 0);
    postgres_sql(database, "select pg_terminate_backend(pid) from pg_stat_activity "
                           "where pid <> pg_backend_pid() and backend_type = 'client backend'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fresh(a_request_is_answered_from_the_database),
        fresh(several_lanes_serve_one_port),
        fresh(a_database_that_comes_later_is_waited_for),
        fresh(waiting_for_the_database_ends_with_sigterm),
        fresh(a_file_that_does_not_prepare_stops_the_start),
        fresh(a_file_that_does_not_parse_stops_the_start),
        fresh(what_cannot_be_served_is_said_in_one_line),
        fresh(check_tells_what_would_be_served),
        fresh(a_password_is_never_in_the_log),
        fresh(what_is_to_run_on_connect_runs_before_any_query),
        fresh(sighup_takes_new_queries),
        fresh(sighup_with_a_wrong_file_changes_nothing),
        fresh(sigterm_lets_a_running_request_finish),
        fresh(the_drain_timeout_cancels_what_still_runs),
        fresh(a_second_sigint_ends_it_at_once),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("service", tests, fresh_start, fresh_end);
}
