/* auth_rows.c: tests of who sees which rows: the role and claims of a JWT, and row-level security.
 */
#include "../support/jwt_mint.h"
#include "../support/notes.h"
#include "../support/secret_files.h"

#include <stdio.h>
#include <string.h>

#define NDJSON "Accept: application/x-ndjson"

/* All requests meet on one connection. */
static int serve_on_one(void **state)
{
    secret_file("secret", MINT_SECRET);
    serve_notes("--jwt-secret-file", secret_path("secret"), "1", "1");
    return 0;
}

/* The owner of all rows that are seen, and how many they are. */
static void sees(const char *token, const char *owner, size_t count, const char *who)
{
    http_reply r = send_as(token, "GET", "/notes", NULL);
    assert_status(&r, 200);
    json_t *rows = json_object_get(r.json, "rows"), *row;
    size_t i;
    assert_int_equal(json_array_size(rows), count);
    json_array_foreach(rows, i, row)
    {
        if (owner)
            assert_string_equal(member_of(row, "owner"), owner);
        assert_string_equal(member_of(row, "who"), who);
    }
    http_reply_free(&r);
}

static void each_sees_its_own_rows_on_one_connection(void **state)
{
    for (int i = 0; i < 5; i++) {
        sees(alice, "alice", 200, "web alice");
        is_answered_as("/who", NULL, NOBODY);
        sees(bob, "bob", 200, "web bob");
        is_answered_as("/who", alice, NOBODY); /* who need not say who it is does not */
        sees(auditor, NULL, 400, "auditor carol");
        is_answered_as("/ours", NOTES_CLIENT, NOBODY);
    }
    assert_int_equal(metric("weir_connections_opened_total{pool=\"default\"}"), 1);
}

static void what_is_written_is_checked_too(void **state)
{
    http_reply r = send_as(alice, "POST", "/notes", "{\"owner\":\"alice\",\"body\":\"new\"}");
    assert_status(&r, 200);
    http_reply_free(&r);
    r = send_as(alice, "POST", "/notes", "{\"owner\":\"bob\",\"body\":\"new\"}");
    assert_problem(&r, 403, "42501");
    assert_string_equal(text(&r, "type"), "/problems/forbidden");
    http_reply_free(&r);
    r = send_as(bob, "DELETE", "/notes?body=new", NULL);
    assert_int_equal(json_integer_value(json_object_get(r.json, "count")), 0);
    http_reply_free(&r);
    r = send_as(alice, "DELETE", "/notes?body=new", NULL);
    assert_int_equal(json_integer_value(json_object_get(r.json, "count")), 1);
    http_reply_free(&r);
}

static void nothing_is_left_for_the_next_however_it_ends(void **state)
{
    const char *const ends[] = {"/wrong?n=0", "/wrong?n=1", "/nap"};
    char *nobody = mint_usual(",\"role\":\"not_granted\"");
    for (int i = 0; i < 9; i++) {
        http_reply r = send_as(i % 2 ? alice : bob, "GET", ends[i % 3], NULL);
        assert_int_not_equal(r.status, 0);
        http_reply_free(&r);
        is_answered_as("/who", NULL, NOBODY);
    }
    http_reply r = send_as(nobody, "GET", "/me?tag=x", NULL);
    assert_problem(&r, 403, "42501");
    assert_string_equal(text(&r, "type"), "/problems/role_refused");
    http_reply_free(&r);
    is_answered_as("/who", NULL, NOBODY);
    free(nobody);
}

static void a_stream_is_its_askers_too(void **state)
{
    char *authorization;
    assert_true(asprintf(&authorization, "Authorization: Bearer %s", bob) > 0);
    const char *const headers[] = {authorization, NDJSON, NULL};
    http_reply r = http_send(client, "GET", "/notes", NULL, headers);
    assert_status(&r, 200);
    assert_int_equal(raw_count(r.body, "\n"), 200);
    assert_int_equal(raw_count(r.body, "\"who\":\"web bob\""), 200);
    http_reply_free(&r);
    is_answered_as("/who", NULL, NOBODY);
    const char *const late[] = {NDJSON, NULL};
    r = http_send(client, "GET", "/notes", NULL, late);
    assert_problem(&r, 401, "token_missing");
    http_reply_free(&r);
    free(authorization);
}

static void a_batch_is_each_askers_and_a_transaction_all_of_it(void **state)
{
    http_reply r = send_as(bob, "POST", "/batch",
                           "[{\"query\":\"me\",\"params\":{\"tag\":\"a\"}},{\"query\":\"who\"}]");
    assert_status(&r, 200);
    assert_int_equal(raw_count(r.body, "\"who\":\"web bob\""), 1);
    assert_int_equal(raw_count(r.body, "\"who\":\"" NOBODY "\""), 1);
    http_reply_free(&r);
    r = send_as(bob, "POST", "/tx",
                "{\"queries\":[{\"query\":\"who\"},{\"query\":\"me\",\"params\":{\"tag\":\"a\"}},"
                "{\"query\":\"write\",\"params\":{\"owner\":\"bob\",\"body\":\"tx\"}},"
                "{\"query\":\"drop_mine\",\"params\":{\"body\":\"tx\"}}]}");
    assert_status(&r, 200);
    assert_int_equal(raw_count(r.body, "\"who\":\"web bob\""), 2);
    http_reply_free(&r);
    is_answered_as("/who", NULL, NOBODY);
    r = send_as(bob, "POST", "/tx",
                "{\"queries\":[{\"query\":\"write\",\"params\":{\"owner\":\"bob\",\"body\":\"x\"}},"
                "{\"query\":\"write\",\"params\":{\"owner\":\"alice\",\"body\":\"x\"}}]}");
    assert_problem(&r, 403, "42501");
    assert_int_equal(json_integer_value(json_object_get(r.json, "step")), 1);
    http_reply_free(&r);
    is_answered_as("/who", NULL, NOBODY);
    sees(bob, "bob", 200, "web bob");
    char *nobody = mint_usual(",\"role\":\"not_granted\"");
    r = send_as(nobody, "POST", "/tx",
                "{\"queries\":[{\"query\":\"me\",\"params\":{\"tag\":\"\"}}]}");
    assert_problem(&r, 403, "42501");
    assert_string_equal(text(&r, "type"), "/problems/role_refused");
    http_reply_free(&r);
    free(nobody);
}

#define one(name) cmocka_unit_test_setup_teardown(name, serve_on_one, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        one(each_sees_its_own_rows_on_one_connection),
        one(what_is_written_is_checked_too),
        one(nothing_is_left_for_the_next_however_it_ends),
        one(a_stream_is_its_askers_too),
        one(a_batch_is_each_askers_and_a_transaction_all_of_it),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("auth_rows", tests, notes_start, notes_end);
}
