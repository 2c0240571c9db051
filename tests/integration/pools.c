/* pools.c: tests of several pools in one service, each over a PostgreSQL of its own. */
#include "../support/served.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static postgres_server *other; /* what the pool `reports` is over */
static char reports[512];      /* reports=… */

#define PORT "select current_setting('port')::int as port\n"

static int start_world(void **state)
{
    database = postgres_start(NULL);
    other = postgres_start(NULL);
    snprintf(reports, sizeof reports, "reports=%s", postgres_conninfo(other));
    /* Both have the type, under different numbers. */
    postgres_sql(database, "create type pair as (a int, b text)");
    postgres_sql(other, "create type filler as enum ('x'); create type pair as (c bool, d text[]);"
                        "create table sales (id int)");
    return 0;
}

static int end_world(void **state)
{
    postgres_stop(other);
    postgres_stop(database);
    return 0;
}

static int make_folder(void **state)
{
    folder = scratch_folder();
    query_file("here", PORT);
    query_file("there", "-- @pool reports\n" PORT);
    return 0;
}

static void serve_both(void)
{
    serve_ready((const char *const[]){"--pool", reports, "--pool-size", "reports=3:1", "--lanes",
                                      "2", "--token", "let-me", "--acquire-timeout", "500ms",
                                      NULL});
}

static int end(void **state)
{
    if (postgres_is_down(other)) /* a test that failed half-way */
        postgres_bring_up(other);
    int code = weir ? stop(state) : 0;
    scratch_remove(folder);
    return code;
}

static long first(const http_reply *r, const char *column)
{
    return (long)json_integer_value(
        json_object_get(json_array_get(json_object_get(r->json, "rows"), 0), column));
}

/* ---- Who runs where ---- */

static void each_query_runs_on_the_pool_it_names(void **state)
{
    serve_both();
    http_reply r = get("/q/here");
    assert_status(&r, 200);
    assert_int_equal(first(&r, "port"), postgres_port(database));
    assert_string_equal(json_string_value(member(&r, "pool", "name")), "default");
    http_reply_free(&r);
    r = get("/q/there");
    assert_status(&r, 200);
    assert_int_equal(first(&r, "port"), postgres_port(other));
    assert_string_equal(json_string_value(member(&r, "pool", "name")), "reports");
    assert_int_equal(json_integer_value(member(&r, "pool", "max")), 3);
    http_reply_free(&r);
    r = get("/");
    assert_non_null(strstr(r.body, "Runs on the pool <code>reports</code>."));
    http_reply_free(&r);
    const char *const asks[] = {"Accept: application/json", NULL};
    r = http_send(client, "GET", "/", NULL, asks);
    const json_t *there = json_array_get(json_object_get(r.json, "queries"), 1);
    assert_string_equal(json_string_value(json_object_get(there, "pool")), "reports");
    http_reply_free(&r);
}

static void types_are_those_of_the_querys_own_database(void **state)
{
    query_file("pair", "select (1, 'x')::pair as p\n");
    query_file("pair2",
               "-- @pool reports\nselect (true, array['x', 'y'])::pair as p, 'x'::filler as "
               "f\n");
    serve_both();
    http_reply r = get("/q/pair");
    assert_non_null(strstr(r.body, "{\"p\":{\"a\":1,\"b\":\"x\"}}"));
    http_reply_free(&r);
    r = get("/q/pair2");
    assert_non_null(strstr(r.body, "{\"p\":{\"c\":true,\"d\":[\"x\",\"y\"]},\"f\":\"x\"}"));
    http_reply_free(&r);
}

/* ---- What is wrong is known at the start ---- */

static void ends_with(const char *const *arguments, int code, const char *said)
{
    weir_process *w = weir_start(arguments);
    int ended = weir_await_exit(w, 20);
    if (ended != code || !strstr(weir_output(w), said))
        fail_msg("%d, expected %d and \"%s\" in:\n%s", ended, code, said, weir_output(w));
    weir_stop(w);
}

static void a_pool_that_is_not_there_is_named_with_those_that_are(void **state)
{
    char said[PATH_MAX + 100];
    query_file("lost", "-- A query.\n-- @pool report\nselect 1\n");
    snprintf(said, sizeof said,
             "%s/lost.sql:2: there is no pool \"report\", only \"default\" and \"reports\"",
             folder);
    ends_with((const char *const[]){"serve", "--queries", folder, "--pool", reports, NULL}, 65,
              said);
    snprintf(said, sizeof said,
             "%s/lost.sql:2: error: there is no pool \"report\", only \"default\" and \"reports\"",
             folder);
    ends_with((const char *const[]){"check", folder, "--pool", reports, NULL}, 65, said);
}

static void a_query_must_fit_its_own_database(void **state)
{
    char said[PATH_MAX + 100];
    query_file("sales", "-- @pool reports\nselect id from sales\n");
    const char *const good[] = {"check",  folder,  "--database", postgres_conninfo(database),
                                "--pool", reports, NULL};
    ends_with(good, 0, "3 queries");
    query_file("sales", "select id from sales\n"); /* is on the other one only */
    snprintf(said, sizeof said, "%s/sales.sql:1: error: relation \"sales\" does not exist", folder);
    ends_with(good, 65, said);
    ends_with((const char *const[]){"check", folder, "--database", postgres_conninfo(database),
                                    "--pool", "reports=host=/nonexistent", "--connect-timeout",
                                    "300ms", NULL},
              65, said);
    unlink(strcat(strcpy((char[PATH_MAX]){0}, folder), "/sales.sql"));
    ends_with((const char *const[]){"check", folder, "--database", postgres_conninfo(database),
                                    "--pool", "reports=host=/nonexistent", "--connect-timeout",
                                    "300ms", NULL},
              69, "the database of pool \"reports\" cannot be asked");
}

static void a_wrong_url_is_a_wrong_flag(void **state)
{
    ends_with((const char *const[]){"serve", "--queries", folder, "--pool",
                                    "reports=postgres://joe:s3cret@db/x?nonsense=1", NULL},
              64, "weir: --pool reports: ");
    ends_with((const char *const[]){"serve", "--queries", folder, "--pool-size", "replica=4", NULL},
              64, "weir: --pool-size replica: there is no --pool of that name");
}

/* ---- When one of them is away ---- */

static void the_start_waits_for_all_of_them(void **state)
{
    postgres_shut_down(other);
    serve_unready((const char *const[]){"--pool", reports, NULL});
    json_t *waiting = weir_await_event(weir, "service.waiting", 1, 20);
    assert_string_equal(json_string_value(json_object_get(waiting, "pool")), "reports");
    json_decref(waiting);
    assert_int_equal(http_status(weir_port(weir), "/readyz"), 503);
    postgres_bring_up(other);
    assert_true(weir_await_ready(weir));
    assert_int_equal(http_status(weir_port(weir), "/q/there"), 200);
}

static void one_that_goes_away_fails_its_own_queries_only(void **state)
{
    serve_both();
    postgres_shut_down(other);
    assert_true(BECOMES(http_status(weir_port(weir), "/q/there") == 503, 5));
    http_reply r = get("/q/there");
    assert_problem(&r, 503, "database_unavailable");
    assert_string_equal(json_string_value(member(&r, "pool", "name")), "reports");
    assert_string_equal(json_string_value(member(&r, "pool", "verdict")), "connecting");
    http_reply_free(&r);
    r = get("/q/here");
    assert_status(&r, 200);
    http_reply_free(&r);
    assert_int_equal(http_status(weir_port(weir), "/readyz"), 200);
    r = get("/readyz?verbose");
    assert_status(&r, 200);
    assert_non_null(strstr(r.body, "{\"name\":\"pool\",\"pool\":\"reports\",\"passed\":false,"));
    http_reply_free(&r);
    r = post_as("let-me", "/reload"); /* all queries or none */
    assert_problem(&r, 503, "database_unavailable");
    assert_non_null(strstr(text(&r, "detail"), "pool \"reports\": "));
    http_reply_free(&r);
    postgres_bring_up(other);
    assert_true(BECOMES(http_status(weir_port(weir), "/q/there") == 200, 5));
}

/* ---- Operators ---- */

static void each_pool_is_shown_and_controlled_by_its_name(void **state)
{
    serve_both();
    http_reply r = get("/pool");
    assert_string_equal(text(&r, "name"), "default");
    assert_string_equal(json_string_value(json_array_get(json_object_get(r.json, "pools"), 1)),
                        "reports");
    http_reply_free(&r);
    r = get("/pool?name=reports");
    assert_string_equal(text(&r, "name"), "reports");
    assert_int_equal(json_integer_value(json_object_get(r.json, "min")), 1);
    http_reply_free(&r);
    fails_with("GET", "/pool?name=nowhere", NULL, 404, "not_found");

    r = post_as("let-me", "/pool/pause?name=reports");
    assert_status(&r, 200);
    assert_string_equal(text(&r, "name"), "reports");
    http_reply_free(&r);
    assert_int_equal(http_status(weir_port(weir), "/q/here"), 200);
    assert_int_equal(http_status(weir_port(weir), "/q/there"), 503);
    assert_true(metric("weir_pool_paused{pool=\"reports\"}") == 1);
    assert_true(metric("weir_pool_paused{pool=\"default\"}") == 0);
    r = post_as("let-me", "/pool/resume?name=reports");
    http_reply_free(&r);
    r = post_as("let-me", "/pool/resize?name=reports&max=9");
    assert_int_equal(json_integer_value(json_object_get(r.json, "max")), 9);
    http_reply_free(&r);
    assert_int_equal(http_status(weir_port(weir), "/q/there"), 200);
    assert_int_equal(pool("max"), 10);
    assert_true(metric("db_client_connection_max{pool=\"reports\"}") == 9);
    assert_true(metric("db_client_operation_duration_seconds_count{pool=\"reports\",query=\"there\""
                       "}") == 1);
    assert_true(metric("db_client_operation_duration_seconds_count{pool=\"default\",query=\"here\""
                       "}") == 1);
}

static void a_replica_serves_reads_until_it_is_gone(void **state)
{
    postgres_server *standby = postgres_start_standby(database, NULL);
    char replica[512];
    snprintf(replica, sizeof replica,
             "replica=host=%s,%s port=%u,%u user=postgres dbname=postgres "
             "target_session_attrs=prefer-standby",
             postgres_socket_folder(database), postgres_socket_folder(standby),
             postgres_port(database), postgres_port(standby));
    query_file("there", "-- @pool replica\nselect current_setting('port')::int as port\n");
    serve_ready((const char *const[]){"--pool", replica, "--replica-lag", "10s",
                                      "--acquire-timeout", "2s", NULL});
    http_reply r = get("/q/there");
    assert_status(&r, 200);
    assert_int_equal(first(&r, "port"), postgres_port(standby));
    http_reply_free(&r);
    postgres_stop(standby);
    assert_true(BECOMES(http_status(weir_port(weir), "/q/there") == 200, 5));
    r = get("/q/there");
    assert_int_equal(first(&r, "port"), postgres_port(database));
    http_reply_free(&r);
}

#define test(name) cmocka_unit_test_setup_teardown(name, make_folder, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(each_query_runs_on_the_pool_it_names),
        test(types_are_those_of_the_querys_own_database),
        test(a_pool_that_is_not_there_is_named_with_those_that_are),
        test(a_query_must_fit_its_own_database),
        test(a_wrong_url_is_a_wrong_flag),
        test(the_start_waits_for_all_of_them),
        test(one_that_goes_away_fails_its_own_queries_only),
        test(each_pool_is_shown_and_controlled_by_its_name),
        test(a_replica_serves_reads_until_it_is_gone),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("pools", tests, start_world, end_world);
}
