/* adhoc.c: tests of SQL that comes with a request. */
#include "../support/items.h"
#include "../support/results.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TOKEN "open-sesame"

/* One connection, so that what one request leaves behind the next would see. */
static int serve(void **state)
{
    char other[512];
    snprintf(other, sizeof other, "other=%s", postgres_conninfo(database));
    serve_ready((const char *const[]){"--pool-max", "1", "--lanes", "1", "--batch-max", "20",
                                      "--token", TOKEN, "--pool", other, "--body-max", "64k",
                                      NULL});
    return 0;
}

static int serve_apart(void **state)
{
    serve_ready((const char *const[]){"--admin-listen", "127.0.0.1:0", "--token", TOKEN, NULL});
    return 0;
}

#define served(name) cmocka_unit_test_setup_teardown(name, serve, stop)

static http_reply send_with(const char *authorization, const char *body)
{
    const char *const headers[] = {authorization, NULL};
    return http_send(client, "POST", "/sql", body, headers);
}

static http_reply sql(const char *body)
{
    return send_with("Authorization: Bearer " TOKEN, body);
}

static json_t *cell(const http_reply *r, const char *column)
{
    json_t *row = json_array_get(json_object_get(r->json, "rows"), 0);
    return json_object_get(row, column);
}

/* ---- Who may ---- */

static void only_an_operator_may(void **state)
{
    http_reply r = send_with(NULL, "{\"sql\":\"select 1\"}");
    assert_problem(&r, 401, "unauthorized");
    assert_non_null(http_header(&r, "WWW-Authenticate"));
    http_reply_free(&r);
    const char *wrong = "Authorization: Bearer wrong";
    assert_refused(send_with(wrong, "{\"sql\":\"select 1\"}"), 401, "unauthorized");
    assert_refused(send_with(wrong, "{"), 401, "unauthorized"); /* the body is not looked at */
}

static void nobody_may_while_there_is_no_token(void **state)
{
    assert_refused(sql("{\"sql\":\"select 1\"}"), 403, "no_token_set");
}

static void it_is_with_what_is_for_operators(void **state)
{
    assert_refused(sql("{\"sql\":\"select 1\"}"), 404, "not_found");
    const char *const headers[] = {"Authorization: Bearer " TOKEN, NULL};
    json_t *started = weir_await_event(weir, "service.started", 1, 5);
    http_client *admin =
        http_open((uint16_t)json_integer_value(json_object_get(started, "admin_port")));
    json_decref(started);
    assert_answered(http_send(admin, "POST", "/sql", "{\"sql\":\"select 1 as one\"}", headers),
                    200);
    http_close(admin);
}

/* ---- What it answers ---- */

static void one_statement_is_answered_as_a_query_is(void **state)
{
    http_reply r = sql("{\"sql\":\"select id, name from item where id = any(:ids) and name like "
                       ":like\",\"params\":{\"ids\":[1,2,11],\"like\":\"item 1%\"}}");
    assert_status(&r, 200);
    assert_memory_equal(r.body,
                        "{\"rows\":[{\"id\":1,\"name\":\"item 1\"},{\"id\":11,\"name\":\"item "
                        "11\"}],\"count\":2,\"pool\":{",
                        75);
    assert_non_null(http_header(&r, "Server-Timing"));
    http_reply_free(&r);
    r = sql("{\"sql\":\"update item set price = price where id < :n\",\"params\":{\"n\":4}}");
    assert_memory_equal(r.body, "{\"count\":3,", 11);
    http_reply_free(&r);
    assert_refused(sql("{\"sql\":\"-- @returns row\\nselect 1 as one where false\"}"), 404,
                   "row_not_found");
    r = sql("{\"sql\":\"select 7 as seven\",\"pool\":\"other\"}");
    assert_string_equal(json_string_value(member(&r, "pool", "name")), "other");
    http_reply_free(&r);
}

static void values_are_bound_by_the_types_the_server_tells(void **state)
{
    http_reply r =
        sql("{\"sql\":\"select :n::numeric as n, :j::jsonb as j, :a::text[] as a, :b::bool as b, "
            ":z::text as z\",\"params\":{\"n\":0.10,\"j\":{\"k\":[1, 2]},\"a\":[\"x,y\",null],"
            "\"b\":true,\"z\":null}}");
    assert_status(&r, 200);
    assert_non_null(strstr(r.body, "{\"n\":0.10,\"j\":{\"k\": [1, 2]},\"a\":[\"x,y\",null],"
                                   "\"b\":true,\"z\":null}"));
    http_reply_free(&r);
    r = sql("{\"sql\":\"select 'it''s :not' as a, '1'::int as b, :c::text as c\",\"params\":"
            "{\"c\":\"'; drop table item; --\"}}");
    assert_status(&r, 200);
    assert_string_equal(json_string_value(cell(&r, "a")), "it's :not");
    assert_string_equal(json_string_value(cell(&r, "c")), "'; drop table item; --");
    http_reply_free(&r);
}

static void several_run_in_order_on_one_connection(void **state)
{
    http_reply r = sql("{\"queries\":[{\"sql\":\"create temp table mine (a int)\"},"
                       "{\"sql\":\"insert into mine values (:a), (2)\",\"params\":{\"a\":1}},"
                       "{\"sql\":\"select sum(a) as sum from mine\"}]}");
    assert_status(&r, 200);
    assert_int_equal(count_at(&r, 1), 2);
    json_t *row = first_row(&r, 2);
    assert_int_equal(json_integer_value(json_object_get(row, "sum")), 3);
    assert_non_null(member(&r, "pool", "wait_ms"));
    http_reply_free(&r);
}

static void the_first_failure_ends_several(void **state)
{
    http_reply r = sql("{\"queries\":[{\"sql\":\"select 1\"},{\"sql\":\"select * from nowhere\"},"
                       "{\"sql\":\"delete from item\"}]}");
    assert_status(&r, 200);
    assert_int_equal(status_at(&r, 0), 200);
    assert_int_equal(status_at(&r, 1), 400);
    assert_int_equal(status_at(&r, 2), 424);
    assert_string_equal(problem_at(&r, 1, "code"), "42P01");
    assert_int_equal(number(&r, "failed"), 2);
    http_reply_free(&r);
    assert_true(postgres_number(database, "select count(*) from item") > 0);
}

static void what_the_server_refuses_is_the_senders_fault(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *code;
    } cases[] = {
        {"{\"sql\":\"selct 1\"}", 400, "42601"},
        {"{\"sql\":\"select * from nowhere\"}", 400, "42P01"},
        {"{\"sql\":\"select 1 / 0\"}", 400, "22012"},
        {"{\"sql\":\"select nothing(:a)\",\"params\":{\"a\":1}}", 400, "42883"},
        {"{\"sql\":\"insert into item (id, name) values (1, 'x')\"}", 409, "23505"},
        {"{\"sql\":\"delete from item\",\"read_only\":true}", 400, "25006"},
        {"{\"sql\":\"copy item to stdout\"}", 400, "0A000"},
        {"{\"sql\":\"vacuum item\",\"read_only\":false}", 200, ""},
        {"{\"sql\":\"select pg_sleep(20)\",\"timeout\":\"100ms\"}", 504, "query_timed_out"},
        {"{\"sql\":\"-- @timeout 100ms\\nselect pg_sleep(20)\"}", 504, "query_timed_out"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_reply r = sql(cases[i].body);
        assert_status(&r, cases[i].status);
        assert_string_equal(text(&r, "code"), cases[i].code);
        http_reply_free(&r);
    }
}

static void two_columns_of_one_name_are_refused_before_anything_is_done(void **state)
{
    static const char *const twice[] = {
        "select a.*, b.* from item a join item b using (id)", "select 1, 2",
        "insert into item (id, name) values (800, 'n') returning id, name, id",
        "insert into item (id, name) values (800, :n) returning id, name, id"};
    for (size_t i = 0; i < sizeof twice / sizeof *twice; i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"sql\":\"%s\"%s}", twice[i],
                 strchr(twice[i], ':') ? ",\"params\":{\"n\":\"n\"}" : "");
        http_reply r = sql(body);
        assert_problem(&r, 400, "bad_parameter");
        assert_string_equal(text(&r, "parameter"), "sql");
        assert_non_null(strstr(text(&r, "detail"), "two columns are called"));
        http_reply_free(&r);
    }
    fails_with("GET", "/items/800", NULL, 404, "row_not_found");
    http_reply r = sql("{\"queries\":[{\"sql\":\"select 1 as one\"},{\"sql\":\"select 1, 2\"},"
                       "{\"sql\":\"select 3 as three\"}]}");
    assert_int_equal(status_at(&r, 0), 200);
    assert_string_equal(problem_at(&r, 1, "parameter"), "queries.1.sql");
    assert_string_equal(problem_at(&r, 2, "code"), "not_run");
    http_reply_free(&r);
    assert_answered(sql("{\"sql\":\"-- @returns count\\nselect 1, 2\"}"), 200);
}

/* ---- What it leaves behind ---- */

static void a_connection_comes_back_clean(void **state)
{
    static const char *const dirt[] = {
        "set search_path = nowhere",
        "set lock_timeout = 1234",
        "create temp table item (a int)",
        "select pg_advisory_lock(7)",
        "listen news",
        "set default_transaction_read_only = on",
        "set role nobody_much",
        "begin",
    };
    for (size_t i = 0; i < sizeof dirt / sizeof *dirt; i++) {
        char body[128];
        snprintf(body, sizeof body, "{\"sql\":\"%s\"}", dirt[i]);
        assert_answered(sql(body), 200);
        http_reply r = http_send(client, "PUT", "/items/10", "{\"name\":\"clean\"}", NULL);
        assert_status(&r, 200);
        assert_int_equal(number(&r, "count"), 2);
        http_reply_free(&r);
    }
    http_reply r = sql("{\"sql\":\"select current_setting('lock_timeout') as t, "
                       "(select count(*) from pg_locks where locktype = 'advisory') as locks, "
                       "(select count(*) from pg_listening_channels()) as channels\"}");
    assert_string_equal(json_string_value(cell(&r, "t")), "0");
    assert_int_equal(json_integer_value(cell(&r, "locks")), 0);
    assert_int_equal(json_integer_value(cell(&r, "channels")), 0);
    http_reply_free(&r);
}

#define BEGUN "{\"queries\":[{\"sql\":\"begin\"},{\"sql\":\"delete from item where id = 49\"}"

static void what_is_left_uncommitted_is_undone(void **state)
{
    assert_answered(sql(BEGUN "]}"), 200);
    assert_answered(get("/items/49"), 200);
    assert_answered(sql(BEGUN ",{\"sql\":\"commit\"}]}"), 200);
    fails_with("GET", "/items/49", NULL, 404, "row_not_found");
}

static void a_client_that_goes_away_cancels_its_sql(void **state)
{
    const char *body = "{\"queries\":[{\"sql\":\"select pg_sleep(20)\"},{\"sql\":\"select 1\"}]}";
    int fd = post_beside("/sql", "Authorization: Bearer " TOKEN "\r\n", body);
    assert_true(BECOMES(naps() == 1, 5));
    raw_vanish(fd, true);
    assert_true(BECOMES(naps() == 0, 5));
    assert_true(BECOMES(pool("in_use") == 0, 5));
}

/* ---- What it does not take ---- */

static void what_is_malformed_is_refused_by_name(void **state)
{
    static const malformed cases[] = {
        {"[]", "bad_parameter", "", "must be an object"},
        {"null", "bad_request", "", "not a JSON object"},
        {"{\"sql\":\"select 1\"", "bad_request", "", "line 1"},
        {"{}", "bad_parameter", "sql", "missing"},
        {"{\"sql\":null}", "bad_parameter", "sql", "missing"},
        {"{\"sql\":7}", "bad_parameter", "sql", "a string"},
        {"{\"sql\":[\"select 1\"]}", "bad_parameter", "sql", "a string"},
        {"{\"sql\":\"\"}", "bad_parameter", "sql", "no SQL"},
        {"{\"sql\":\"select 1; select 2\"}", "bad_parameter", "sql", "second statement"},
        {"{\"sql\":\"select '\"}", "bad_parameter", "sql", "never closed"},
        {"{\"sql\":\"select $1\"}", "bad_parameter", "sql", "$1"},
        {"{\"sql\":\"-- @timout 1s\\nselect 1\"}", "bad_parameter", "sql", "mean @timeout"},
        {"{\"sql\":\"-- @pool other\\nselect 1\"}", "bad_parameter", "sql", "names the pool"},
        {"{\"sql\":\"select 1\",\"sql\":\"select 2\"}", "bad_request", "sql", "twice"},
        {"{\"sql\":\"select '\\u0000'\"}", "bad_request", "", "NUL"},
        {"{\"sql\":\"select '\xff'\"}", "bad_request", "", "decode byte 0xff"},
        {"{\"sql\":\"select 1\",\"param\":{}}", "bad_parameter", "param", "mean params"},
        {"{\"sql\":\"select 1\",\"params\":[1]}", "bad_parameter", "params", "an object"},
        {"{\"sql\":\"select 1\",\"params\":{\"a\":1}}", "bad_parameter", "a", "unknown"},
        {"{\"sql\":\"select :a::int\"}", "bad_parameter", "a", "missing"},
        {"{\"sql\":\"select :a::int\",\"params\":{\"a\":\"x\"}}", "bad_parameter", "a", "whole"},
        {"{\"sql\":\"select :a::int\",\"params\":{\"a\":99999999999}}", "bad_parameter", "a",
         "whole"},
        {"{\"sql\":\"select :a::int\",\"params\":{\"a\":{}}}", "bad_parameter", "a", "an object"},
        {"{\"sql\":\"select :a::int\",\"params\":{\"a\":1e999}}", "bad_request", "", "too large"},
        {"{\"sql\":\"select 1\",\"read_only\":1}", "bad_parameter", "read_only", "true or false"},
        {"{\"sql\":\"select 1\",\"timeout\":\"soon\"}", "bad_parameter", "timeout", "250ms"},
        {"{\"sql\":\"select 1\",\"queries\":[]}", "bad_parameter", "sql", "beside queries"},
        {"{\"params\":{},\"queries\":[]}", "bad_parameter", "params", "beside queries"},
        {"{\"queries\":[]}", "bad_parameter", "queries", "one query"},
        {"{\"queries\":{}}", "bad_parameter", "queries", "an array"},
        {"{\"queries\":[\"select 1\"]}", "bad_parameter", "queries.0", "an object"},
        {"{\"queries\":[{\"sql\":\"select 1\"},{}]}", "bad_parameter", "queries.1.sql", "missing"},
        {"{\"queries\":[{\"sql\":\"select 1\"},{\"sql\":\";\"}]}", "bad_parameter", "queries.1.sql",
         "no SQL"},
    };
    assert_malformed(cases, sizeof cases / sizeof *cases, sql);
    http_reply r = sql("{\"sql\":\"select 1\",\"pool\":\"nowhere\"}");
    assert_problem(&r, 404, "not_found");
    assert_string_equal(text(&r, "parameter"), "pool");
    http_reply_free(&r);
}

static void what_is_too_much_is_refused(void **state)
{
    static const bulky cases[] = {
        {"{\"queries\":[{\"sql\":\"select 1\"}", ",{\"sql\":\"select 1\"}", 19, "]}", 200, "", ""},
        {"{\"queries\":[{\"sql\":\"select 1\"}", ",{\"sql\":\"select 1\"}", 20, "]}", 400,
         "bad_parameter", ""},
        {"{\"sql\":\"select 1", " ", 70000, "\"}", 413, "body_too_large", ""},
        {"{\"sql\":\"select ", "(", 30000, "\"}", 400, "42601", ""},
        {"{\"sql\":", "[", 10000, "", 400, "bad_request", ""},
        {"{\"sql\":\"select :j::jsonb\",\"params\":{\"j\":", "[", 3000, "", 400, "bad_request", ""},
        {"{\"sql\":\"select :a", ", :a", 5000, "\",\"params\":{\"a\":1}}", 400, "54011", ""},
        {"{\"sql\":\"select :", "long", 5000, "\"}", 400, "bad_parameter", ""},
    };
    assert_bulky(cases, sizeof cases / sizeof *cases, sql);
}

static void deeply_nested_json_is_a_value_like_any_other(void **state)
{
    char *open = repeated(
        "{\"sql\":\"select :j::jsonb is not null as good\",\"params\":{\"j\":", "[", 1000, "");
    char *body = repeated(open, "]", 1000, "}}");
    assert_answered(sql(body), 200);
    free(open);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        served(only_an_operator_may),
        usual(nobody_may_while_there_is_no_token),
        cmocka_unit_test_setup_teardown(it_is_with_what_is_for_operators, serve_apart, stop),
        served(one_statement_is_answered_as_a_query_is),
        served(values_are_bound_by_the_types_the_server_tells),
        served(several_run_in_order_on_one_connection),
        served(the_first_failure_ends_several),
        served(what_the_server_refuses_is_the_senders_fault),
        served(two_columns_of_one_name_are_refused_before_anything_is_done),
        served(a_connection_comes_back_clean),
        served(what_is_left_uncommitted_is_undone),
        served(a_client_that_goes_away_cancels_its_sql),
        served(what_is_malformed_is_refused_by_name),
        served(what_is_too_much_is_refused),
        served(deeply_nested_json_is_a_value_like_any_other),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("adhoc", tests, items_start, items_end);
}
