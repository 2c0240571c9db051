/* notes.c: notes of several owners, and queries over them, for tests of who sees which rows. */
#include "notes.h"

#include <stdio.h>
#include <string.h>

#include "jwt_mint.h"
#include "secret_files.h"

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

char *alice, *bob, *auditor, *expired;
static char *login;

int notes_start(void **state)
{
    database = postgres_start("max_connections = 40\n");
    postgres_sql(database, SCHEMA);
    folder = scratch_folder();
    secret_files_open();
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
    query_file("kept", "-- @auth jwt\n-- @route GET /kept\n-- @cache 5s\n-- @returns row\n"
                       "select who() as who, :tag::text as tag, pg_sleep(0.02)::text as slept\n");
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

int notes_end(void **state)
{
    scratch_remove(folder);
    secret_files_close();
    postgres_stop(database);
    free(login);
    free(alice);
    free(bob);
    free(auditor);
    free(expired);
    return 0;
}

void serve_notes(const char *keys_flag, const char *keys, const char *connections,
                 const char *lanes)
{
    weir =
        weir_serve(login, folder,
                   (const char *const[]){keys_flag, keys, "--client-token", NOTES_CLIENT, "--token",
                                         NOTES_OPERATOR, "--pool-max", connections, "--lanes",
                                         lanes, "--log-level", "info", "--acquire-timeout", "20s",
                                         "--shed-target", "off", "--query-timeout", "20s", NULL});
    if (!weir_await_ready(weir))
        fail_msg("not ready:\n%s", weir_output(weir));
    client = http_open(weir_port(weir));
}

const char *member_of(const json_t *row, const char *name)
{
    const char *value = json_string_value(json_object_get(row, name));
    return value ? value : "";
}

void is_answered_as(const char *path, const char *token, const char *who)
{
    http_reply r = send_as(token, "GET", path, NULL);
    assert_status(&r, 200);
    json_t *row = json_array_get(json_object_get(r.json, "rows"), 0);
    assert_string_equal(member_of(row, "who"), who);
    http_reply_free(&r);
}
