/* auth_rows.c: tests of who sees which rows: the role and claims of a JWT, and row-level security.
 */
#include "../support/served.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "../support/jwt_mint.h"

#define CLIENT "client-one"
#define NDJSON "Accept: application/x-ndjson"

/* Each owner sees its own notes; who connects sees them all. */
#define SCHEMA                                                                                     \
    "create role web; create role auditor bypassrls; create role weir_login login;"                \
    "create role not_granted; grant web, auditor to weir_login;"                                   \
    "create table note (id int generated always as identity, owner text, body text);"              \
    "insert into note (owner, body) select o, o || ' ' || n from (values ('alice'), ('bob')) "     \
    "v(o), generate_series(1, 200) n;"                                                             \
    "alter table note enable row level security;"                                                  \
    "create policy own on note using"                                                              \
    " (owner = current_setting('request.jwt.claims', true)::json->>'sub');"                        \
    "create policy everything on note to weir_login using (true);"                                 \
    "grant select, insert, delete on note to web, auditor, weir_login;"                            \
    "create function who() returns text language sql stable as $$ select current_user || ' ' || "  \
    "coalesce(nullif(current_setting('request.jwt.claims', true), '')::json->>'sub', '-') $$"

static char *secrets, *secret_path, *login;
static char *alice, *bob, *auditor, *expired;

static void secret_file(const char *text)
{
    FILE *f = fopen(secret_path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static int world_start(void **state)
{
    database = postgres_start("max_connections = 40\n");
    postgres_sql(database, SCHEMA);
    folder = scratch_folder();
    secrets = scratch_folder();
    assert_true(asprintf(&secret_path, "%s/secret", secrets) > 0);
    assert_true(asprintf(&login, "%s user=weir_login", postgres_conninfo(database)) > 0);
    query_file("notes", "-- @auth jwt\n-- @route GET /notes\n"
                        "select owner, body, who() as who from note order by id\n");
    query_file("write", "-- @auth jwt\n-- @route POST /notes\n-- @returns row\n"
                        "insert into note (owner, body) values (:owner, :body) returning id\n");
    query_file("drop_mine", "-- @auth jwt\n-- @route DELETE /notes\n-- @returns count\n"
                            "delete from note where body = :body\n");
    query_file("who", "-- @auth none\n-- @route GET /who\nselect who() as who\n");
    query_file("me", "-- @auth jwt\n-- @route GET /me\n-- @returns row\n"
                     "select who() as who, :tag::text as tag\n");
    query_file("nap", "-- @auth jwt\n-- @route GET /nap\n-- @timeout 200ms\n"
                      "select who() as who, pg_sleep(60)::text as slept\n");
    query_file("wrong", "-- @auth jwt\n-- @route GET /wrong\nselect 1 / (:n::int) as x\n");
    query_file("ours", "-- @auth token\n-- @route GET /ours\nselect who() as who\n");
    alice = mint_usual(",\"sub\":\"alice\",\"role\":\"web\"");
    bob = mint_usual(",\"sub\":\"bob\",\"role\":\"web\"");
    auditor = mint_usual(",\"sub\":\"carol\",\"role\":\"auditor\"");
    expired = mint_hs256("{\"alg\":\"HS256\"}", "{\"exp\":1,\"sub\":\"alice\",\"role\":\"web\"}",
                         MINT_SECRET, strlen(MINT_SECRET));
    return 0;
}

static int world_end(void **state)
{
    scratch_remove(folder);
    scratch_remove(secrets);
    postgres_stop(database);
    free(secret_path);
    free(login);
    free(alice);
    free(bob);
    free(auditor);
    free(expired);
    return 0;
}

static void serve_with(const char *connections, const char *lanes)
{
    secret_file(MINT_SECRET);
    weir = weir_serve(login, folder,
                      (const char *const[]){"--jwt-secret-file", secret_path, "--client-token",
                                            CLIENT, "--pool-max", connections, "--lanes", lanes,
                                            "--log-level", "info", "--acquire-timeout", "20s",
                                            "--token", "operators-own", NULL});
    if (!weir_await_ready(weir))
        fail_msg("not ready:\n%s", weir_output(weir));
    client = http_open(weir_port(weir));
}

/* All requests meet on one connection. */
static int serve_on_one(void **state)
{
    serve_with("1", "1");
    return 0;
}

static int serve_on_some(void **state)
{
    serve_with("6", "2");
    return 0;
}

static const char *member_of(const json_t *row, const char *name)
{
    const char *value = json_string_value(json_object_get(row, name));
    return value ? value : "";
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

static void is(const char *path, const char *token, const char *who)
{
    http_reply r = send_as(token, "GET", path, NULL);
    assert_status(&r, 200);
    assert_string_equal(member_of(json_array_get(json_object_get(r.json, "rows"), 0), "who"), who);
    http_reply_free(&r);
}

#define NOBODY "weir_login -"

static void each_sees_its_own_rows_on_one_connection(void **state)
{
    for (int i = 0; i < 5; i++) {
        sees(alice, "alice", 200, "web alice");
        is("/who", NULL, NOBODY);
        sees(bob, "bob", 200, "web bob");
        is("/who", alice, NOBODY); /* who need not say who it is does not */
        sees(auditor, NULL, 400, "auditor carol");
        is("/ours", CLIENT, NOBODY);
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
        is("/who", NULL, NOBODY);
    }
    http_reply r = send_as(nobody, "GET", "/me?tag=x", NULL);
    assert_problem(&r, 403, "42501");
    assert_string_equal(text(&r, "type"), "/problems/role_refused");
    http_reply_free(&r);
    is("/who", NULL, NOBODY);
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
    is("/who", NULL, NOBODY);
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
    is("/who", NULL, NOBODY);
    r = send_as(bob, "POST", "/tx",
                "{\"queries\":[{\"query\":\"write\",\"params\":{\"owner\":\"bob\",\"body\":\"x\"}},"
                "{\"query\":\"write\",\"params\":{\"owner\":\"alice\",\"body\":\"x\"}}]}");
    assert_problem(&r, 403, "42501");
    assert_int_equal(json_integer_value(json_object_get(r.json, "step")), 1);
    http_reply_free(&r);
    is("/who", NULL, NOBODY);
    sees(bob, "bob", 200, "web bob");
    char *nobody = mint_usual(",\"role\":\"not_granted\"");
    r = send_as(nobody, "POST", "/tx",
                "{\"queries\":[{\"query\":\"me\",\"params\":{\"tag\":\"\"}}]}");
    assert_problem(&r, 403, "42501");
    assert_string_equal(text(&r, "type"), "/problems/role_refused");
    http_reply_free(&r);
    free(nobody);
}

/* ---- Many at once ---- */

enum { CROWD = 25, ROUNDS = 20 };

/* Results of the threads; asserted on by the test. */
static atomic_int crossed, failed, refused_rightly, asked_in_all;

static void note(const http_reply *r, const char *who, const char *tag)
{
    atomic_fetch_add(&asked_in_all, 1);
    const json_t *row = json_object_get(r->json, "row");
    if (r->status != 200)
        atomic_fetch_add(&failed, 1);
    else if (strcmp(member_of(row, "who"), who) != 0 || strcmp(member_of(row, "tag"), tag) != 0)
        atomic_fetch_add(&crossed, 1);
}

static void note_refusal(const http_reply *r, const char *code)
{
    atomic_fetch_add(&asked_in_all, 1);
    atomic_fetch_add(
        r->status == 401 && strcmp(text(r, "code"), code) == 0 ? &refused_rightly : &failed, 1);
}

static http_reply ask(http_client *own, const char *token, const char *path)
{
    char authorization[1024];
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", token ? token : "");
    const char *const headers[] = {token ? authorization : NULL, NULL};
    return http_send(own, "GET", path, NULL, headers);
}

static void *one_of_the_crowd(void *arg)
{
    int number = (int)(intptr_t)arg;
    http_client *own = http_open(weir_port(weir));
    for (int i = 0; i < ROUNDS; i++) {
        char tag[32], path[64];
        int kind = (number + i) % 5;
        snprintf(tag, sizeof tag, "%d.%d", number, i);
        snprintf(path, sizeof path, "/me?tag=%s", tag);
        const char *const tokens[] = {alice, bob, auditor, expired, NULL};
        http_reply r = ask(own, tokens[kind], path);
        if (kind < 3)
            note(&r, kind == 0 ? "web alice" : kind == 1 ? "web bob" : "auditor carol", tag);
        else
            note_refusal(&r, kind == 3 ? "token_expired" : "token_missing");
        http_reply_free(&r);
    }
    http_close(own);
    return NULL;
}

static void crowd(pthread_t threads[CROWD])
{
    atomic_store(&crossed, 0);
    atomic_store(&failed, 0);
    atomic_store(&refused_rightly, 0);
    atomic_store(&asked_in_all, 0);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, one_of_the_crowd, (void *)(intptr_t)i),
                         0);
}

static void crowd_ends(pthread_t threads[CROWD])
{
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&crossed), 0);
    assert_int_equal(atomic_load(&failed), 0);
    assert_int_equal(atomic_load(&refused_rightly), CROWD * ROUNDS * 2 / 5);
    assert_int_equal(atomic_load(&asked_in_all), CROWD * ROUNDS);
}

static void five_hundred_requests_of_many_never_cross(void **state)
{
    pthread_t threads[CROWD];
    crowd(threads);
    crowd_ends(threads);
    is("/who", NULL, NOBODY);
}

/* Tokens, keys and queries are read again and again meanwhile. */
static void keys_change_under_load_and_nobody_notices(void **state)
{
    pthread_t threads[CROWD];
    crowd(threads);
    for (int i = 0; i < 10; i++) {
        http_reply r = post_as("operators-own", "/reload");
        assert_status(&r, 200);
        http_reply_free(&r);
    }
    crowd_ends(threads);
}

#define one(name)  cmocka_unit_test_setup_teardown(name, serve_on_one, stop)
#define some(name) cmocka_unit_test_setup_teardown(name, serve_on_some, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        one(each_sees_its_own_rows_on_one_connection),
        one(what_is_written_is_checked_too),
        one(nothing_is_left_for_the_next_however_it_ends),
        one(a_stream_is_its_askers_too),
        one(a_batch_is_each_askers_and_a_transaction_all_of_it),
        one(five_hundred_requests_of_many_never_cross),
        some(five_hundred_requests_of_many_never_cross),
        some(keys_change_under_load_and_nobody_notices),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("auth_rows", tests, world_start, world_end);
}
