/* items.c: a table of items and the queries over it, for the tests of HTTP. */
#include "items.h"

#include <stdio.h>

#define SCHEMA                                                                                     \
    "create table parent (id int primary key);"                                                    \
    "create table item (id int primary key, name text not null, price int check (price > 0),"      \
    " parent int references parent);"                                                              \
    "insert into item select g, 'item ' || g, g from generate_series(1, 50) g;"                    \
    "do $$ begin create role nobody_much; exception when duplicate_object then null; end $$;"      \
    "create table secret (id int);"                                                                \
    "create function shout() returns int language plpgsql as $$ begin raise 'too loud' using "     \
    "hint = 'whisper'; end $$;"                                                                    \
    "create function as_nobody() returns bigint language plpgsql security definer as $$ begin "    \
    "return (select count(*) from secret); end $$; alter function as_nobody() owner to "           \
    "nobody_much;"                                                                                 \
    "create function code(c text) returns int language plpgsql as $$ begin raise exception "       \
    "'raised' using errcode = c; end $$;"

/* A test may have dropped it, and failed then. */
static void mend(void)
{
    postgres_sql(database,
                 "set client_min_messages = error; create table if not exists vanishing (id int)");
}

int items_start(void **state)
{
    database = postgres_start("max_connections = 40\n");
    postgres_sql(database, SCHEMA);
    mend();
    folder = scratch_folder();
    query_file("ping", "-- Says <hello> & more.\nselect 1 as one, 'hi' as word\n");
    query_file("echo", "-- @optional a\n-- @optional b\nselect :a::text as a, :b::text as b\n");
    query_file("item",
               "-- @route GET /items/{id}\n-- @returns row\nselect id, name from item where id = "
               ":id\n");
    query_file("items",
               "-- @route GET /items\n-- @default n 3\nselect id from item order by id limit "
               ":n\n");
    query_file("add",
               "-- @route POST /items\n-- @returns row\n-- @optional price\n-- @optional parent\n"
               "-- @optional name\n"
               "insert into item (id, name, price, parent) values (:id, :name, :price, :parent) "
               "returning id, name\n");
    query_file("rename",
               "-- @route PUT /items/{id}\n-- @returns count\nupdate item set name = :name "
               "where id >= :id and id < :id + 2\n");
    query_file("remove",
               "-- @route DELETE /items/{id}\n-- @returns count\ndelete from item where id = "
               ":id\n");
    query_file("typed",
               "select :at::timestamptz as at, :every::interval as every, :host::inet as host, "
               ":price::money as price, :span::int4range as span, :day::date as day\n");
    query_file("greet", "-- Greets `<who>` with `care.\n-- @default who it's <you> & `me`\n"
                        "select :who::text as greeted\n");
    query_file("named", "-- @route GET /by/{name}/x\nselect :name::text as name\n");
    query_file("nap", "-- @route GET /nap\n-- @timeout 30s\nselect :s::float8 as slept from "
                      "pg_sleep(:s)\n");
    query_file("short",
               "-- @route GET /short\n-- @timeout 150ms\nselect pg_sleep(20)::text as slept\n");
    query_file("shout", "select shout() as loud\n");
    query_file("forbidden", "select as_nobody() as n\n");
    query_file("code", "select code(:c) as n\n");
    query_file("big", "select repeat('x', 1000) as x from generate_series(1, :n::int)\n");
    query_file("gone", "select * from vanishing\n");
    return 0;
}

int items_end(void **state)
{
    scratch_remove(folder);
    postgres_stop(database);
    return 0;
}

int serve_usually(void **state)
{
    mend();
    serve_ready(
        (const char *const[]){"--pool-max", "4", "--lanes", "2", "--log-level", "info", NULL});
    return 0;
}

int serve_narrowly(void **state)
{
    char patience[32];
    mend();
    snprintf(patience, sizeof patience, "%.0fms", ACQUIRE_MS * slower());
    serve_ready((const char *const[]){"--pool-max", "1", "--queue-max", "2", "--acquire-timeout",
                                      patience, "--lanes", "1", "--body-max", "64k", "--expose-sql",
                                      NULL});
    return 0;
}

void hold(double times)
{
    char path[64];
    snprintf(path, sizeof path, "/nap?s=%.3f", ACQUIRE_MS / 1000.0 * times * slower());
    ask_beside(0, path);
    assert_true(BECOMES(naps() == 1, 5));
}
