/* http_problems.c: tests of what is said of requests that cannot be answered. */
#include "../support/items.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int start(void **state)
{
    items_start(state);
    postgres_sql(database, "create table stamp (); create function stamp() returns void language "
                           "sql as 'insert into stamp default values'");
    query_file("stamp", "-- @route GET /stamp\nselect stamp()::text as stamped\n");
    return 0;
}

static void what_is_not_there_is_404_and_the_wrong_method_405(void **state)
{
    fails_with("GET", "/nowhere", NULL, 404, "not_found");
    fails_with("GET", "/q/nowhere", NULL, 404, "not_found");
    fails_with("GET", "/by/a/b/x", NULL, 404, "not_found");
    fails_with("OPTIONS", "/nowhere", NULL, 404, "not_found");
    fails_with("GET", "/sql", NULL, 405, "method_not_allowed");
    http_reply r = http_send(client, "PATCH", "/items/1", NULL, NULL);
    assert_problem(&r, 405, "method_not_allowed");
    assert_string_equal(http_header(&r, "Allow"), "GET, HEAD, PUT, DELETE, OPTIONS");
    http_reply_free(&r);
    r = http_send(client, "BREW", "/livez", NULL, NULL);
    assert_problem(&r, 405, "method_not_allowed");
    assert_string_equal(http_header(&r, "Allow"), "GET, HEAD, OPTIONS");
    http_reply_free(&r);
}

static void what_cannot_be_decoded_is_400(void **state)
{
    static const char *const bad[] = {
        "/q/%zz",        "/q/%00ping",    "/q/ping%ff", "/q/echo?a=%",      "/q/echo?a=%4",
        "/q/echo?a=%00", "/q/echo?a=%ff", "/q/echo?=1", "/q/echo?a=%C0%80", "/q/echo?%zz=1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        fails_with("GET", bad[i], NULL, 400, "bad_request");
    int fd = raw_dial(weir_port(weir)); /* and what is told of it is JSON all the same */
    say(fd, "GET /q/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n");
    char *heard = raw_hear(fd, "}\n", 1);
    json_t *told = json_loads(strstr(heard, "\r\n\r\n"), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(told, "instance")), "/q/??");
    json_decref(told);
    free(heard);
    close(fd);
}

static void a_bad_parameter_is_named_before_any_connection_is_taken(void **state)
{
    double granted = metric("weir_leases_granted_total{pool=\"default\"}");
    http_reply r = get("/items/seven");
    assert_problem(&r, 400, "bad_parameter");
    assert_string_equal(text(&r, "parameter"), "id");
    http_reply_free(&r);
    fails_with("GET", "/items?wrong=1", NULL, 400, "bad_parameter");
    fails_with("GET", "/items?n=1&n=2", NULL, 400, "bad_parameter");
    fails_with("POST", "/items", "{\"id\":", 400, "bad_parameter");
    fails_with("POST", "/items", "[1]", 400, "bad_parameter");
    assert_true(metric("weir_leases_granted_total{pool=\"default\"}") == granted);
}

static void a_value_that_only_the_server_can_judge_is_named_too(void **state)
{
    static const struct {
        const char *name, *bad, *code;
    } cases[] = {
        {"at", "yesterdayish", "22007"},   {"at", "2026-13-41", "22008"},
        {"every", "a%20while", "22007"},   {"host", "1.2.3.400", "22P02"},
        {"price", "dear", "22P02"},        {"span", "%5B2,1)", "22000"},
        {"day", "%0Atoday%20$1", "22007"},
    };
    static const char *const good[][2] = {{"at", "2026-01-01"}, {"every", "1h"},
                                          {"host", "::1"},      {"price", "1"},
                                          {"span", "%5B1,2)"},  {"day", "2026-01-01"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[512] = "/q/typed?";
        for (size_t p = 0; p < sizeof good / sizeof *good; p++) {
            bool is_bad = strcmp(good[p][0], cases[i].name) == 0;
            size_t length = strlen(path);
            snprintf(path + length, sizeof path - length, "%s=%s&", good[p][0],
                     is_bad ? cases[i].bad : good[p][1]);
        }
        http_reply r = get(path);
        assert_problem(&r, 400, cases[i].code);
        assert_string_equal(text(&r, "parameter"), cases[i].name);
        http_reply_free(&r);
    }
}

static void too_many_arguments_are_refused(void **state)
{
    char path[4096] = "/q/echo?a=1";
    for (int i = 0; i < 300; i++)
        strcat(path, "&_x=1");
    fails_with("GET", path, NULL, 400, "bad_request");
}

static void the_servers_errors_have_the_status_of_the_table(void **state)
{
    fails_with("POST", "/items", "{\"id\":1,\"name\":\"x\"}", 409, "23505");
    fails_with("POST", "/items", "{\"id\":901,\"name\":\"x\",\"parent\":5}", 409, "23503");
    fails_with("POST", "/items", "{\"id\":901}", 400, "23502");
    fails_with("POST", "/items", "{\"id\":901,\"name\":\"x\",\"price\":-1}", 400, "23514");
    fails_with("GET", "/q/forbidden", NULL, 403, "42501");
    fails_with("GET", "/q/code?c=40001", NULL, 409, "40001");
    fails_with("GET", "/q/code?c=22003", NULL, 400, "22003");
    fails_with("GET", "/q/code?c=53300", NULL, 503, "53300");
    fails_with("GET", "/q/code?c=XX001", NULL, 500, "XX001");
    http_reply r = get("/q/shout");
    assert_problem(&r, 400, "P0001");
    assert_string_equal(text(&r, "detail"), "too loud");
    assert_string_equal(text(&r, "hint"), "whisper");
    assert_null(json_object_get(r.json, "sql")); /* never, unless it may be exposed */
    http_reply_free(&r);
}

static const char *const rows_that_are_refused[] = {"{\"id\":987654}",
                                                    "{\"id\":987654,\"name\":\"x\",\"price\":-1}"};

static void a_refused_row_is_not_shown_but_a_refused_key_is(void **state)
{
    for (int i = 0; i < 2; i++) {
        http_reply r = http_send(client, "POST", "/items", rows_that_are_refused[i], NULL);
        assert_status(&r, 400);
        assert_true(*text(&r, "detail") && !strstr(text(&r, "detail"), "987654"));
        http_reply_free(&r);
    }
    http_reply r = http_send(client, "POST", "/items", "{\"id\":1,\"name\":\"x\"}", NULL);
    assert_problem(&r, 409, "23505");
    assert_non_null(strstr(text(&r, "detail"), "Key (id)=(1)"));
    http_reply_free(&r);
}

static void a_get_cannot_write_and_is_told_what_can(void **state)
{
    http_reply r = get("/q/add?id=902&name=x");
    assert_problem(&r, 405, "25006");
    assert_string_equal(http_header(&r, "Allow"), "POST, OPTIONS");
    assert_non_null(strstr(text(&r, "hint"), "ask by POST"));
    http_reply_free(&r);
    r = http_send(client, "POST", "/q/add", "{\"id\":902,\"name\":\"x\"}", NULL);
    assert_status(&r, 200);
    http_reply_free(&r);
    r = http_send(client, "DELETE", "/items/902", NULL, NULL);
    http_reply_free(&r);
}

/* A write that only the server can see: it is in a function. */
static void a_query_whose_route_is_a_get_cannot_write_by_its_name_either(void **state)
{
    static const char *const asked[][2] = {
        {"GET", "/stamp"}, {"HEAD", "/stamp"}, {"GET", "/q/stamp"}, {"POST", "/q/stamp"}};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        http_reply r = http_send(client, asked[i][0], asked[i][1], NULL, NULL);
        assert_status(&r, 405);
        assert_string_equal(http_header(&r, "Allow"), "OPTIONS");
        if (r.json) {
            assert_string_equal(text(&r, "code"), "25006");
            assert_non_null(strstr(text(&r, "hint"), "give its file another"));
        }
        http_reply_free(&r);
    }
    assert_int_equal(postgres_number(database, "select count(*) from stamp"), 0);
}

static void a_query_that_takes_too_long_is_504_and_the_connection_lives_on(void **state)
{
    http_reply r = get("/short");
    assert_problem(&r, 504, "query_timed_out");
    assert_true(r.seconds < 5 * slower());
    http_reply_free(&r);
    r = get("/q/ping");
    assert_status(&r, 200);
    http_reply_free(&r);
    assert_true(metric("weir_queries_cancelled_total{pool=\"default\"}") == 1);
}

static void a_statement_that_stops_working_is_a_500_and_recovers(void **state)
{
    http_reply r = get("/q/gone");
    assert_status(&r, 200);
    http_reply_free(&r);
    postgres_sql(database, "drop table vanishing");
    fails_with("GET", "/q/gone", NULL, 500, "42P01");
    postgres_sql(database, "create table vanishing (id int)");
    r = get("/q/gone");
    assert_status(&r, 200);
    http_reply_free(&r);
}

static void sql_is_shown_only_where_it_may_be(void **state)
{
    http_reply r = get("/q/shout"); /* this one runs with --expose-sql */
    assert_problem(&r, 400, "P0001");
    assert_non_null(strstr(text(&r, "sql"), "select shout()"));
    http_reply_free(&r);
    for (int i = 0; i < 2; i++) { /* and so are refused rows */
        r = http_send(client, "POST", "/items", rows_that_are_refused[i], NULL);
        assert_status(&r, 400);
        assert_non_null(strstr(text(&r, "detail"), "(987654, "));
        http_reply_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        usual(what_is_not_there_is_404_and_the_wrong_method_405),
        usual(what_cannot_be_decoded_is_400),
        usual(a_bad_parameter_is_named_before_any_connection_is_taken),
        usual(a_value_that_only_the_server_can_judge_is_named_too),
        usual(too_many_arguments_are_refused),
        usual(the_servers_errors_have_the_status_of_the_table),
        usual(a_refused_row_is_not_shown_but_a_refused_key_is),
        usual(a_get_cannot_write_and_is_told_what_can),
        usual(a_query_whose_route_is_a_get_cannot_write_by_its_name_either),
        usual(a_query_that_takes_too_long_is_504_and_the_connection_lives_on),
        usual(a_statement_that_stops_working_is_a_500_and_recovers),
        narrow(sql_is_shown_only_where_it_may_be),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("http_problems", tests, start, items_end);
}
