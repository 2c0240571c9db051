/* transaction.c: tests of several queries in one transaction. */
#include "../support/items.h"
#include "../support/results.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SCHEMA                                                                                     \
    "create sequence tries;"                                                                       \
    "create function collide(times int, c text) returns bigint language plpgsql as $$ declare t "  \
    "bigint := nextval('tries'); begin if t <= times then raise exception 'collided' using "       \
    "errcode = c; end if; return t; end $$;"                                                       \
    "create table late (id int references parent deferrable initially deferred);"                  \
    "create table parcel (id int, owner int); insert into parcel values (1, 42);"

static int start(void **state)
{
    items_start(state);
    postgres_sql(database, SCHEMA);
    query_file("collide", "select collide(:times, :code) as t\n");
    query_file("bump", "-- @returns count\nupdate item set price = :price::int + 1 where id = "
                       ":id\n");
    query_file("price", "-- @returns row\nselect price, name from item where id = :id\n");
    query_file("reprice", "-- @route GET /reprice\n-- @returns count\n"
                          "update item set price = price + 1 where id = 41\n");
    query_file("parcels", "select * from parcel\n");
    query_file("late", "-- @returns count\ninsert into late values (:id)\n");
    query_file("how", "-- @returns row\nselect current_setting('transaction_isolation') as level, "
                      "current_setting('transaction_read_only') as read_only, "
                      "current_setting('transaction_deferrable') as deferrable\n");
    query_file("away", "-- @pool other\nselect 1 as one\n");
    query_file("end", "/* a /* nested */ -- comment */ -- more\n commit\n");
    query_file("undo", "rollback\n");
    query_file("old_end", "/**/ -- a carriage return ends a comment, too\rcommit\n");
    query_file("ending", "select 1 as ending\n");
    return 0;
}

static int serve(void **state)
{
    char other[512];
    snprintf(other, sizeof other, "other=%s", postgres_conninfo(database));
    serve_ready((const char *const[]){"--pool-max", "3", "--lanes", "1", "--batch-max", "20",
                                      "--pool", other, "--body-max", "64k", NULL});
    postgres_sql(database, "alter sequence tries restart");
    return 0;
}

#define served(name) cmocka_unit_test_setup_teardown(name, serve, stop)

static http_reply transaction(const char *body)
{
    return http_send(client, "POST", "/tx", body, NULL);
}

static json_t *in_row(const http_reply *r, size_t index, const char *name)
{
    return json_object_get(json_object_get(result(r, index), "row"), name);
}

/* ---- What it does ---- */

static void steps_see_what_earlier_ones_did_and_use_their_values(void **state)
{
    http_reply r =
        transaction("{\"queries\":[{\"query\":\"add\",\"params\":{\"id\":900,\"name\":\"a\\\"b\"}},"
                    "{\"query\":\"item\",\"params\":{\"id\":{\"$ref\":\"0.row.id\"}}},"
                    "{\"query\":\"items\",\"params\":{\"n\":3}},"
                    "{\"query\":\"item\",\"params\":{\"id\":{\"$ref\":\"2.rows.2.id\"}}},"
                    "{\"query\":\"rename\",\"params\":{\"id\":{ \"$ref\" : \"2.count\" },\"name\":"
                    "{\"$ref\":\"0.row.name\"}}},"
                    "{\"query\":\"item\",\"params\":{\"id\":{\"$ref\":\"4.count\"}}}]}");
    assert_status(&r, 200);
    assert_string_equal(json_string_value(in_row(&r, 1, "name")), "a\"b");
    assert_int_equal(json_integer_value(in_row(&r, 3, "id")), 3);
    assert_int_equal(count_at(&r, 4), 2);
    assert_int_equal(json_integer_value(in_row(&r, 5, "id")), 2);
    assert_null(json_object_get(result(&r, 0), "pool"));
    assert_true(json_number_value(member(&r, "pool", "connection")) > 0);
    assert_int_equal(number(&r, "attempts"), 1);
    http_reply_free(&r);
    r = get("/items/4");
    assert_string_equal(json_string_value(member(&r, "row", "name")), "a\"b");
    http_reply_free(&r);
    r = http_send(client, "DELETE", "/items/900", NULL, NULL);
    http_reply_free(&r);
}

static void a_reference_to_null_is_null(void **state)
{
    http_reply r = transaction("{\"queries\":[{\"query\":\"echo\",\"params\":{\"b\":\"x\"}},"
                               "{\"query\":\"echo\",\"params\":{\"a\":{\"$ref\":\"0.rows.0.a\"},"
                               "\"b\":{\"$ref\":\"0.rows.0.b\"}}}]}");
    assert_status(&r, 200);
    json_t *row = first_row(&r, 1);
    assert_true(json_is_null(json_object_get(row, "a")));
    assert_string_equal(json_string_value(json_object_get(row, "b")), "x");
    http_reply_free(&r);
}

static void a_transaction_is_what_it_was_asked_to_be(void **state)
{
    static const struct {
        const char *asked, *level, *read_only, *deferrable;
    } cases[] = {
        {"", "read committed", "off", "off"},
        {",\"isolation\":\"repeatable read\"", "repeatable read", "off", "off"},
        {",\"isolation\":\"serializable\",\"read_only\":true,\"deferrable\":true", "serializable",
         "on", "on"},
        {",\"isolation\":null,\"read_only\":false", "read committed", "off", "off"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"queries\":[{\"query\":\"how\"}]%s}", cases[i].asked);
        http_reply r = transaction(body);
        assert_status(&r, 200);
        assert_string_equal(json_string_value(in_row(&r, 0, "level")), cases[i].level);
        assert_string_equal(json_string_value(in_row(&r, 0, "read_only")), cases[i].read_only);
        assert_string_equal(json_string_value(in_row(&r, 0, "deferrable")), cases[i].deferrable);
        http_reply_free(&r);
    }
}

#define OWNER_OF_PARCEL                                                                            \
    "{\"queries\":[{\"query\":\"parcels\"},"                                                       \
    "{\"query\":\"echo\",\"params\":{\"b\":{\"$ref\":\"0.rows.0.owner\"}}}]}"

/* The queries are those of before, and not read again. */
static void a_reference_follows_its_column_through_ddl(void **state)
{
    http_reply r = transaction(OWNER_OF_PARCEL);
    assert_string_equal(json_string_value(json_object_get(first_row(&r, 1), "b")), "42");
    http_reply_free(&r);
    postgres_sql(database, "alter table parcel drop column id, add column price int default 7");
    r = transaction(OWNER_OF_PARCEL);
    assert_status(&r, 200);
    assert_string_equal(json_string_value(json_object_get(first_row(&r, 1), "b")), "42");
    http_reply_free(&r);
    postgres_sql(database, "alter table parcel drop column owner");
    r = transaction(OWNER_OF_PARCEL);
    assert_problem(&r, 500, "internal_error");
    assert_non_null(strstr(text(&r, "detail"), "b refers to owner of step 0, which"));
    assert_int_equal(number(&r, "step"), 1);
    assert_string_equal(text(&r, "query"), "echo");
    http_reply_free(&r);
}

/* ---- When something fails ---- */

static void an_error_undoes_all_and_names_the_step(void **state)
{
#define ADD "{\"queries\":[{\"query\":\"add\",\"params\":{\"id\":901,\"name\":\"n\"}},"
    static const struct {
        const char *body;
        int status;
        const char *code, *query;
    } cases[] = {
        {ADD "{\"query\":\"shout\"}]}", 400, "P0001", "shout"},
        {ADD "{\"query\":\"item\",\"params\":{\"id\":7000}}]}", 404, "row_not_found", "item"},
        {ADD "{\"query\":\"add\",\"params\":{\"id\":901,\"name\":\"n\"}}]}", 409, "23505", "add"},
        {ADD "{\"query\":\"items\",\"params\":{\"n\":\"x\"}}]}", 400, "bad_parameter", "items"},
        {ADD "{\"query\":\"typed\",\"params\":{\"at\":{\"$ref\":\"0.row.name\"},\"every\":null,"
             "\"host\":null,\"price\":null,\"span\":null,\"day\":null}}]}",
         400, "22007", "typed"},
        {ADD "{\"query\":\"short\"}]}", 504, "query_timed_out", "short"},
        {ADD "{\"query\":\"forbidden\"}]}", 403, "42501", "forbidden"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_reply r = transaction(cases[i].body);
        assert_problem(&r, cases[i].status, cases[i].code);
        assert_int_equal(number(&r, "step"), 1);
        assert_string_equal(text(&r, "query"), cases[i].query);
        http_reply_free(&r);
        fails_with("GET", "/items/901", NULL, 404, "row_not_found");
    }
    assert_true(BECOMES(pool("in_use") == 0, 5));
}

static void a_row_that_is_not_there_cannot_be_referred_to(void **state)
{
    http_reply r = transaction("{\"queries\":[{\"query\":\"items\",\"params\":{\"n\":1}},"
                               "{\"query\":\"item\",\"params\":{\"id\":{\"$ref\":\"0.rows.1.id\"}}"
                               "}]}");
    assert_problem(&r, 404, "row_not_found");
    assert_string_equal(text(&r, "detail"), "id refers to row 1 of step 0, which found 1.");
    assert_int_equal(number(&r, "step"), 1);
    http_reply_free(&r);
}

static void what_fails_at_the_commit_says_so(void **state)
{
    http_reply r = transaction("{\"queries\":[{\"query\":\"late\",\"params\":{\"id\":77}}]}");
    assert_problem(&r, 409, "23503");
    assert_string_equal(text(&r, "step"), "commit");
    http_reply_free(&r);
}

static void a_read_only_transaction_does_not_write(void **state)
{
    http_reply r = transaction("{\"queries\":[{\"query\":\"rename\",\"params\":{\"id\":1,\"name\":"
                               "\"x\"}}],\"read_only\":true}");
    assert_problem(&r, 400, "25006");
    assert_string_equal(text(&r, "parameter"), "read_only");
    assert_int_equal(number(&r, "step"), 0);
    http_reply_free(&r);
    assert_answered(
        transaction("{\"queries\":[{\"query\":\"rename\",\"params\":{\"id\":1,\"name\":\"x\"}}]}"),
        200);
}

static void whether_a_step_may_write_is_for_the_transaction_to_say(void **state)
{
    http_reply r = transaction("{\"queries\":[{\"query\":\"reprice\"}],\"read_only\":true}");
    assert_problem(&r, 400, "25006");
    http_reply_free(&r);
    r = transaction("{\"queries\":[{\"query\":\"reprice\"}]}");
    assert_status(&r, 200);
    assert_int_equal(count_at(&r, 0), 1);
    http_reply_free(&r);
}

static void a_lost_connection_has_changed_nothing(void **state)
{
    int fd = post_beside("/tx", NULL, ADD "{\"query\":\"nap\",\"params\":{\"s\":20}}]}");
    assert_true(BECOMES(naps() == 1, 5));
    postgres_sql(database, "select pg_terminate_backend(pid) from pg_stat_activity where query "
                           "like '%pg_sleep(%' and pid <> pg_backend_pid()");
    char *heard = raw_hear(fd, "\"step\":1", 1);
    assert_non_null(strstr(heard, "nothing was changed"));
    assert_non_null(strstr(heard, "\"retryable\":true"));
    free(heard);
    close(fd);
    fails_with("GET", "/items/901", NULL, 404, "row_not_found");
}

/* ---- Collisions ---- */

static void a_collision_is_tried_again(void **state)
{
    static const char *const codes[] = {"40001", "40P01"};
    for (size_t i = 0; i < 2; i++) {
        char body[256];
        postgres_sql(database, "alter sequence tries restart");
        snprintf(body, sizeof body,
                 "{\"queries\":[{\"query\":\"add\",\"params\":{\"id\":902,\"name\":\"n\"}},"
                 "{\"query\":\"collide\",\"params\":{\"times\":2,\"code\":\"%s\"}},"
                 "{\"query\":\"remove\",\"params\":{\"id\":902}}]}",
                 codes[i]);
        http_reply r = transaction(body);
        assert_status(&r, 200);
        assert_int_equal(number(&r, "attempts"), 3);
        assert_int_equal(count_at(&r, 2), 1);
        http_reply_free(&r);
    }
}

static void collisions_without_end_end_at_the_deadline(void **state)
{
    http_reply r = transaction("{\"queries\":[{\"query\":\"collide\",\"params\":{\"times\":1000000,"
                               "\"code\":\"40001\"}}],\"timeout\":\"400ms\"}");
    assert_problem(&r, 409, "40001");
    assert_true(json_is_true(json_object_get(r.json, "retryable")));
    assert_true(number(&r, "attempts") > 2);
    assert_true(r.seconds < 4);
    http_reply_free(&r);
}

/* Reads, waits, and writes what it has read and one more. */
#define ADD_ONE                                                                                    \
    "{\"isolation\":\"repeatable read\",\"queries\":["                                             \
    "{\"query\":\"price\",\"params\":{\"id\":40}},"                                                \
    "{\"query\":\"nap\",\"params\":{\"s\":0.1}},"                                                  \
    "{\"query\":\"bump\",\"params\":{\"id\":40,\"price\":{\"$ref\":\"0.row.price\"}}}]}"

static void no_update_is_lost_between_transactions(void **state)
{
    enum { ADDERS = 3 };
    int fds[ADDERS], attempts = 0;
    for (int i = 0; i < ADDERS; i++)
        fds[i] = post_beside("/tx", NULL, ADD_ONE);
    for (int i = 0; i < ADDERS; i++) {
        char *heard = raw_hear(fds[i], "\"waiting\":", 1);
        const char *at = strstr(heard, "\"attempts\":");
        assert_non_null(strstr(heard, "HTTP/1.1 200"));
        attempts += at ? atoi(at + 11) : 0;
        free(heard);
        close(fds[i]);
    }
    assert_true(attempts > ADDERS);
    assert_int_equal(postgres_number(database, "select price from item where id = 40"),
                     40 + ADDERS);
}

/* ---- Its end ---- */

static void a_client_that_goes_away_undoes_the_transaction(void **state)
{
    int fd = post_beside("/tx", NULL, ADD "{\"query\":\"nap\",\"params\":{\"s\":20}}]}");
    assert_true(BECOMES(naps() == 1, 5));
    raw_vanish(fd, true);
    assert_true(BECOMES(naps() == 0, 5));
    assert_true(BECOMES(pool("in_use") == 0, 5));
    fails_with("GET", "/items/901", NULL, 404, "row_not_found");
}

static void a_transaction_has_a_limit_of_time(void **state)
{
    http_reply r = transaction("{\"queries\":[{\"query\":\"ping\"},{\"query\":\"nap\",\"params\":"
                               "{\"s\":5}}],\"timeout\":\"200ms\"}");
    assert_problem(&r, 504, "query_timed_out");
    assert_int_equal(number(&r, "step"), 1);
    assert_true(r.seconds < 4);
    http_reply_free(&r);
}

/* ---- What it does not take ---- */

#define PING "{\"query\":\"ping\"}"

static void what_is_malformed_is_refused_by_name(void **state)
{
    static const malformed cases[] = {
        {"[" PING "]", "bad_parameter", "", "must be an object"},
        {"7", "bad_request", "", "not a JSON object"},
        {"{\"queries\":[" PING "]", "bad_request", "", "line 1"},
        {"{}", "bad_parameter", "queries", "missing"},
        {"{\"queries\":null}", "bad_parameter", "queries", "missing"},
        {"{\"queries\":{}}", "bad_parameter", "queries", "must be an array"},
        {"{\"queries\":[]}", "bad_parameter", "queries", "one query"},
        {"{\"queries\":[7]}", "bad_parameter", "queries.0", "an object"},
        {"{\"queries\":[" PING ",{}]}", "bad_parameter", "queries.1.query", "missing"},
        {"{\"queries\":[{\"query\":[]}]}", "bad_parameter", "queries.0.query", "a string"},
        {"{\"queries\":[{\"query\":\"ping\",\"params\":7}]}", "bad_parameter", "queries.0.params",
         "an object"},
        {"{\"queries\":[{\"query\":\"ping\",\"timeout\":\"1s\"}]}", "bad_parameter",
         "queries.0.timeout", "means nothing"},
        {"{\"queries\":[" PING "],\"queries\":[]}", "bad_request", "queries", "twice"},
        {"{\"queries\":[" PING "],\"quries\":[]}", "bad_parameter", "quries", "mean queries"},
        {"{\"queries\":[" PING "],\"isolation\":7}", "bad_parameter", "isolation", "a string"},
        {"{\"queries\":[" PING "],\"isolation\":\"none; drop\"}", "bad_parameter", "isolation",
         "serializable"},
        {"{\"queries\":[" PING "],\"read_only\":\"yes\"}", "bad_parameter", "read_only",
         "true or false"},
        {"{\"queries\":[" PING "],\"deferrable\":true}", "bad_parameter", "deferrable",
         "serializable"},
        {"{\"queries\":[" PING "],\"timeout\":1e999}", "bad_request", "", "too large"},
        {"{\"queries\":[" PING "],\"timeout\":1}", "bad_parameter", "timeout", "a string"},
        {"{\"queries\":[" PING "],\"timeout\":\"1 s\"}", "bad_parameter", "timeout", "250ms"},
        {"{\"queries\":[{\"query\":\"pi\\u0000\"}]}", "bad_request", "", "NUL"},
        {"{\"queries\":[{\"query\":\"\xff\"}]}", "bad_request", "", "decode byte 0xff"},
        {"{\"queries\":[{\"query\":\"item\"}]}", "bad_parameter", "id", "missing"},
        {"{\"queries\":[{\"query\":\"item\",\"params\":{\"id\":\"x\"}}]}", "bad_parameter", "id",
         "whole number"},
        {"{\"queries\":[{\"query\":\"item\",\"params\":{\"id\":1,\"x\":2}}]}", "bad_parameter", "x",
         "unknown"},
        {"{\"queries\":[" PING ",{\"query\":\"away\"}]}", "bad_parameter", "queries.1.query",
         "one database"},
        {"{\"queries\":[{\"query\":\"end\"}]}", "bad_parameter", "queries.0.query",
         "ends transactions"},
        {"{\"queries\":[{\"query\":\"old_end\"}]}", "bad_parameter", "queries.0.query",
         "begins or ends transactions itself"},
        {"{\"queries\":[{\"query\":\"undo\"}]}", "bad_parameter", "queries.0.query",
         "ends transactions"},
#define REF(text)                                                                                  \
    "{\"queries\":[" PING ",{\"query\":\"echo\",\"params\":{\"a\":{\"$ref\":" text "}}}]}"
        {REF("\"0\""), "bad_parameter", "a", "no reference"},
        {REF("\"\""), "bad_parameter", "a", "no reference"},
        {REF("\"x.rows.0.one\""), "bad_parameter", "a", "no reference"},
        {REF("\"-1.rows.0.one\""), "bad_parameter", "a", "no reference"},
        {REF("\"0.rows.one\""), "bad_parameter", "a", "no reference"},
        {REF("\"0.rows.0.\""), "bad_parameter", "a", "no reference"},
        {REF("\"0.rows.99999999999999999999.one\""), "bad_parameter", "a", "no reference"},
        {REF("\"0.row.one\""), "bad_parameter", "a", "rows.0.column or count"},
        {REF("\"0.rows.0.two\""), "bad_parameter", "a", "no such column"},
        {REF("\"1.rows.0.a\""), "bad_parameter", "a", "not an earlier one"},
        {REF("\"7.rows.0.a\""), "bad_parameter", "a", "not an earlier one"},
    };
    assert_malformed(cases, sizeof cases / sizeof *cases, transaction);
    http_reply r = transaction("{\"queries\":[" PING ",{\"query\":\"nope\"}]}");
    assert_problem(&r, 404, "query_not_found");
    assert_string_equal(text(&r, "parameter"), "queries.1.query");
    http_reply_free(&r);
    r = http_send(client, "POST", "/tx?fail=fast", "{\"queries\":[" PING "]}", NULL);
    assert_problem(&r, 400, "bad_parameter");
    assert_string_equal(text(&r, "parameter"), "fail");
    http_reply_free(&r);
}

static void what_is_too_much_is_refused(void **state)
{
    static const bulky cases[] = {
        {"{\"queries\":[" PING, "," PING, 19, "]}", 200, "", ""},
        {"{\"queries\":[" PING, "," PING, 20, "]}", 400, "bad_parameter", ""},
        {"{\"queries\":[", " ", 70000, PING "]}", 413, "body_too_large", ""},
        {"{\"queries\":", "[", 10000, "", 400, "bad_request", ""},
        {"{\"queries\":", "{\"a\":", 10000, "", 400, "bad_request", ""},
        {"{\"queries\":[{\"query\":\"", "long", 10000, "\"}]}", 404, "query_not_found", ""},
        {"{\"queries\":[" PING ",{\"query\":\"echo\",\"params\":{\"a\":{\"$ref\":\"0.rows.0.",
         "long", 10000, "\"}}}]}", 400, "bad_parameter", ""},
        {"{\"", "queries", 9000, "\":1}", 400, "bad_parameter", ""},
    };
    assert_bulky(cases, sizeof cases / sizeof *cases, transaction);
}

static void what_only_looks_like_a_reference_is_a_value(void **state)
{
    assert_answered(transaction("{\"queries\":[{\"query\":\"ending\"}," PING "]}"), 200);
    http_reply r =
        transaction("{\"queries\":[" PING ",{\"query\":\"echo\",\"params\":{\"a\":{\"$ref\":7}}}"
                    "]}");
    assert_problem(&r, 400, "bad_parameter");
    assert_non_null(strstr(text(&r, "detail"), "not an object"));
    http_reply_free(&r);
    r = transaction("{\"queries\":[" PING ",{\"query\":\"echo\",\"params\":{\"a\":"
                    "\"{\\\"$ref\\\":\\\"0.rows.0.one\\\"}\"}}]}");
    json_t *row = first_row(&r, 1);
    assert_string_equal(json_string_value(json_object_get(row, "a")),
                        "{\"$ref\":\"0.rows.0.one\"}");
    http_reply_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        served(steps_see_what_earlier_ones_did_and_use_their_values),
        served(a_reference_to_null_is_null),
        served(a_reference_follows_its_column_through_ddl),
        served(a_transaction_is_what_it_was_asked_to_be),
        served(an_error_undoes_all_and_names_the_step),
        served(a_row_that_is_not_there_cannot_be_referred_to),
        served(what_fails_at_the_commit_says_so),
        served(a_read_only_transaction_does_not_write),
        served(whether_a_step_may_write_is_for_the_transaction_to_say),
        served(a_lost_connection_has_changed_nothing),
        served(a_collision_is_tried_again),
        served(collisions_without_end_end_at_the_deadline),
        served(no_update_is_lost_between_transactions),
        served(a_client_that_goes_away_undoes_the_transaction),
        served(a_transaction_has_a_limit_of_time),
        served(what_is_malformed_is_refused_by_name),
        served(what_is_too_much_is_refused),
        served(what_only_looks_like_a_reference_is_a_value),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("transaction", tests, start, items_end);
}
