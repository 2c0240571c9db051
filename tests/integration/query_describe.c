/* query_describe.c: a folder of queries as a real server describes it, and values bound for it. */
#include "../support/expect.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../api/bind.h"
#include "../../api/bind_value.h"
#include "../support/postgres.h"
#include "../support/scratch.h"

static postgres_server *server;
static const char *const pools[] = {"default", NULL};

/* One file's text, what describing it comes to, and values to bind and run it with. */
typedef struct trial {
    const char *text;
    query_set *set;
    query_fault fault;
    int described;
    const char *body;
    bind_fault refused;
    int bound, ran;
    char answer[256];
} trial;

static void run_query(trial *t, weir_lease *lease)
{
    const query *q = query_set_at(t->set, 0);
    weir_scoped_result weir_result *result = NULL;
    bound b;
    t->bound = bind_request(q, NULL, NULL, 0, t->body, strlen(t->body), &b, &t->refused);
    if (t->bound != 0)
        return;
    t->ran = weir_query(lease, &q->read_only, &b.params, &result);
    bound_free(&b);
    if (t->ran == 0 && weir_result_rows(result) > 0)
        snprintf(t->answer, sizeof t->answer, "%s", weir_result_value(result, 0, 0));
    else if (t->ran == WEIR_EQUERY)
        snprintf(t->answer, sizeof t->answer, "%s", weir_lease_error(lease)->message);
}

/* Does `fn` with a lease from a pool of its own. */
static int with_lease(void (*fn)(weir_lease *lease, void *arg), void *arg)
{
    weir_pool *pool = NULL;
    weir_pool_options options = {.conninfo = postgres_conninfo(server), .max = 1};
    int status = weir_pool_open(NULL, &options, &pool, NULL);
    expect(status == 0);
    if (status != 0)
        return status;
    {
        weir_scoped_lease weir_lease *lease = NULL;
        status = weir_acquire(pool, NULL, &lease);
        expect(status == 0);
        if (status == 0)
            fn(lease, arg);
    }
    return weir_pool_close(pool);
}

static void try_on(weir_lease *lease, void *arg)
{
    trial *t = arg;
    t->described = query_set_describe(t->set, 0, lease, &t->fault);
    if (t->described == 0 && t->body)
        run_query(t, lease);
}

static int try(void *arg)
{
    return with_lease(try_on, arg);
}

/* The text becomes q.sql of a folder of its own; t->set stays for the caller to free. */
static void attempt(trial *t)
{
    char path[PATH_MAX], *folder = scratch_folder();
    snprintf(path, sizeof path, "%s/q.sql", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(t->text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    int status = query_set_read(folder, pools, &t->set, &t->fault);
    scratch_remove(folder);
    if (status != 0)
        fail_msg("%s", t->fault.message);
    weir_runtime_options roomy = {.stack_size = 1024 * 1024}; /* jansson recurses in a task here */
    assert_int_equal(run_expecting(&roomy, try, t), 0);
}

static void refuses(const char *text, uint32_t line, const char *part)
{
    trial t = {.text = text};
    attempt(&t);
    assert_int_equal(t.described, WEIR_EINVAL);
    assert_int_equal(t.fault.line, line);
    if (!strstr(t.fault.message, part))
        fail_msg("%s", t.fault.message);
    query_set_unref(t.set);
}

static void answers(const char *text, const char *body, const char *answer)
{
    trial t = {.text = text, .body = body};
    attempt(&t);
    if (t.described != 0)
        fail_msg("line %u: %s", t.fault.line, t.fault.message);
    if (t.bound != 0 || t.ran != 0)
        fail_msg("%s: %s%s", body, t.refused.message, t.answer);
    assert_string_equal(t.answer, answer);
    query_set_unref(t.set);
}

static void types_of_parameters_and_columns_come_from_the_server(void **state)
{
    trial t = {.text = "-- @default n 1\n"
                       "select o.oid as id, c.relname, :names::text[] as names\n"
                       "from pg_class c, (select 1::oid) o where c.oid = :oid limit :n"};
    attempt(&t);
    assert_int_equal(t.described, 0);
    const query *q = query_set_at(t.set, 0);
    assert_int_equal(q->params[0].type, 1009);
    assert_int_equal(q->params[0].shape->kind, SHAPE_ARRAY);
    assert_int_equal(q->params[1].type, 26);
    assert_int_equal(q->params[2].type, 20);
    assert_int_equal(q->column_count, 3);
    assert_string_equal(q->columns[1].name, "relname");
    assert_int_equal(q->columns[2].shape->element->oid, 25);
    query_set_unref(t.set);
}

static void faults_name_the_line_and_the_servers_words(void **state)
{
    refuses("-- what\n-- @returns row\n\nselect 'é',\n  relnam\nfrom pg_class", 5,
            "column \"relnam\" does not exist");
    refuses("select 1,\n\nfrom where", 3, "syntax error");
    refuses("select *\nfrom no_such_table", 2, "no_such_table");
    refuses("select 1 as a,\n1 as a", 1, "two columns");
    refuses("\nselect 'x' where :a is null", 2, ":a");
    refuses("-- @default n ten\nselect 1 limit :n", 1, "whole number");
    refuses("-- @returns row\ndelete from pg_class where false", 2, "no columns");
    refuses("select (array[1,2])[1 :hi]", 1, "hi");
}

static void bound_values_arrive_as_they_were_meant(void **state)
{
    answers("select :a::text || :b::int", "{\"a\":\"x'\\\"\\\\\",\"b\":7}", "x'\"\\7");
    answers("select :a::numeric", "{\"a\":0.1000000000000000000000001}",
            "0.1000000000000000000000001");
    answers("select (:a::text[])::text",
            "{\"a\":[\"a,b\",null,\"{\\\"\\\\}\",\"\",\"NULL\",\"1-2\"]}",
            "{\"a,b\",NULL,\"{\\\"\\\\}\",\"\",\"NULL\",1-2}");
    answers("select sum(x) from unnest(:a::int[]) x", "{\"a\":[[1,2],[3,null]]}", "6");
    answers("select :a::jsonb -> 'b' ->> 1", "{\"a\":{\"b\":[1, \"é\"]}}", "é");
    answers("select (:a::jsonb[])[2] ->> 'x'", "{\"a\":[1,{\"x\":\"y\"}]}", "y");
    answers("select array_length(:a::box[], 1)", "{\"a\":[\"(1,2),(3,4)\",\"(1,2),(3,4)\"]}", "2");
    answers("-- @optional a\nselect coalesce(:a::int, -1)", "{}", "-1");
    answers("select (array[1,2,3])[2 : :hi]::text", "{\"hi\":3}", "{2,3}");
    answers("select E'\\':x' || $$:y$$ || ':z' || :a::text", "{\"a\":\"!\"}", "':x:y:z!");
}

static void types_made_by_users_are_known(void **state)
{
    postgres_sql(server, "create type mood as enum ('fine'); create domain positive as int check "
                         "(value > 0); create type pair as (a int, b text)");
    answers("select :a::positive + 1", "{\"a\":1}", "2");
    answers("select (:a::mood[])[1]", "{\"a\":[\"fine\"]}", "fine");
    answers("select (:a::pair).b", "{\"a\":\"(1,x)\"}", "x");
    refuses("select 1,\n:a::nothing", 2, "nothing");
}

/* ---- The checks of values, against the server's own ---- */

static const struct {
    uint32_t oid;
    const char *name;
} checked[] = {{16, "bool"},      {20, "int8"},   {21, "int2"},    {23, "int4"},
               {26, "oid"},       {114, "json"},  {700, "float4"}, {701, "float8"},
               {1700, "numeric"}, {2950, "uuid"}, {3802, "jsonb"}};

static const char *const values[] = {
    "",
    " ",
    "0",
    "-0",
    "+1",
    "1",
    " 1 ",
    "\t1\n",
    "\v1\f",
    "01",
    "--1",
    "+-1",
    "- 1",
    "1-",
    "1 1",
    "32767",
    "32768",
    "-32768",
    "-32769",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "-4294967295",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999999999",
    "1.0",
    "1.",
    ".1",
    ".",
    "-.5",
    "1e5",
    "1E-5",
    "1e",
    "1e+",
    "1 e5",
    "e5",
    "1e400",
    "1e-400",
    "1e39",
    "1e-46",
    "1e308",
    "nan",
    "NaN",
    "-nan",
    "+NaN",
    "inf",
    "-Infinity",
    "+inf",
    "infinit",
    "infinity ",
    "nan ",
    "nanx",
    "1.2.3",
    "1,5",
    "$1",
    "1$",
    "abc",
    "t",
    "T",
    "tr",
    "true",
    "truex",
    "f",
    "fals",
    "y",
    "ye",
    "yes",
    "n",
    "no",
    "on",
    "of",
    "off",
    "o",
    "2",
    "10",
    "00",
    " true ",
    "t f",
    "null",
    "[]",
    "[1,]",
    "{}",
    "{\"a\":1}",
    "{\"a\":1,\"a\":2}",
    "{a:1}",
    "\"a\"",
    "\"a",
    "'a'",
    "\"\\u0041\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"\t\"",
    "1 2",
    "[1] ",
    "+1.0",
    "01.5",
    "-",
    "+",
    "tru e",
    "123e4567-e89b-12d3-a456-426614174000",
    "123E4567E89B12D3A456426614174000",
    "{123e4567-e89b-12d3-a456-426614174000}",
    "123e-4567-e89b-12d3-a456-4266-1417-4000",
    "{123e4567-e89b-12d3-a456-426614174000",
    "123e4567-e89b-12d3-a456-426614174000}",
    " 123e4567-e89b-12d3-a456-426614174000",
    "123e4567-e89b-12d3-a456-42661417400",
    "123e4567-e89b-12d3-a456-42661417400g",
    "123e4567e89b12d3a456426614174000-",
    "123e4567--e89b12d3a456426614174000",
    "0x1",
    "0x1p3",
    "0X1F",
    "0o17",
    "0b11",
    "1_000",
    "1__0",
};

typedef struct comparison {
    uint32_t compared, wrong, missed;
    char what[128];
} comparison;

static bool server_takes(weir_lease *lease, const char *type, const char *value)
{
    static const weir_statement statement = {.sql = "select takes($1, $2)"};
    const char *const both[] = {type, value};
    weir_scoped_result weir_result *result = NULL;
    int status = weir_query(lease, &statement, &(weir_params){.count = 2, .values = both}, &result);
    expect(status == 0);
    return status == 0 && weir_result_value(result, 0, 0)[0] == 't';
}

static void compare_on(weir_lease *lease, void *arg)
{
    comparison *c = arg;
    for (size_t t = 0; t < sizeof checked / sizeof *checked; t++) {
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            bool refused = value_problem(checked[t].oid, values[v]) != NULL;
            bool taken = server_takes(lease, checked[t].name, values[v]);
            c->compared++;
            c->missed += !refused && !taken;
            if (refused && taken && c->wrong++ == 0)
                snprintf(c->what, sizeof c->what, "%s: '%s'", checked[t].name, values[v]);
        }
    }
}

static int compare(void *arg)
{
    return with_lease(compare_on, arg);
}

static void no_value_is_refused_that_the_server_takes(void **state)
{
    comparison c = {0};
    postgres_sql(server,
                 "create function takes(t text, v text) returns bool language plpgsql as $$\n"
                 "begin execute format('select %L::%s', v, t); return true;\n"
                 "exception when others then return false; end $$");
    weir_runtime_options roomy = {.stack_size = 1024 * 1024};
    assert_int_equal(run_expecting(&roomy, compare, &c), 0);
    assert_int_equal(c.compared,
                     sizeof checked / sizeof *checked * (sizeof values / sizeof *values));
    if (c.wrong > 0)
        fail_msg("%u refused that the server takes, first %s", c.wrong, c.what);
    /* Left to the server: what later versions take, and JSON beyond what jansson can hold. */
    assert_in_range(c.missed, 0, 60);
}

static int start(void **state)
{
    server = postgres_start(NULL);
    return server ? 0 : -1;
}

static int stop(void **state)
{
    postgres_stop(server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_of_parameters_and_columns_come_from_the_server),
        cmocka_unit_test(faults_name_the_line_and_the_servers_words),
        cmocka_unit_test(bound_values_arrive_as_they_were_meant),
        cmocka_unit_test(types_made_by_users_are_known),
        cmocka_unit_test(no_value_is_refused_that_the_server_takes),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
