/* check.c: tests of `weir check`: all that is wrong in a folder, and what the server's plans warn
 * of. */
#include "../support/served.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static postgres_server *other; /* what the pool `reports` is over */
static char reports[512];      /* reports=… */

static int start_world(void **state)
{
    (void)state;
    database = postgres_start("autovacuum = off\n");
    other = postgres_start("autovacuum = off\n");
    snprintf(reports, sizeof reports, "reports=%s", postgres_conninfo(other));
    postgres_sql(database,
                 "create domain code as text not null;"
                 "create table big (id int primary key, owner int, name text);"
                 "insert into big select i, i % 100, 'n' || i from generate_series(1, 20000) i;"
                 "create table small (id int primary key, name text);"
                 "insert into small select i, 'n' || i from generate_series(1, 100) i;"
                 "create role reader; grant select on small to reader; analyze;");
    postgres_sql(other, "create table sales (id int); insert into sales select "
                        "generate_series(1, 30000); analyze");
    return 0;
}

static int end_world(void **state)
{
    (void)state;
    postgres_stop(other);
    postgres_stop(database);
    return 0;
}

static int make_folder(void **state)
{
    (void)state;
    folder = scratch_folder();
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

/* Runs it, with some further flags, to its end: `said` is all that it says of files, with the
 * folder's name left out; `sum` the last line. */
static void checks(const char *const *more, int code, const char *said, const char *sum)
{
    const char *arguments[12] = {"check", folder, "--database", postgres_conninfo(database)};
    for (size_t i = 0; more && more[i]; i++)
        arguments[4 + i] = more[i];
    weir_process *w = weir_start(arguments);
    int ended = weir_await_exit(w, 30);
    char told[16384] = "", last[1024] = "";
    char *copy = strdup(weir_output(w)), *at = copy, *line;
    size_t prefix = strlen(folder);
    while ((line = strsep(&at, "\n"))) {
        if (strncmp(line, folder, prefix) == 0 && line[prefix] == '/')
            strcat(strcat(told, line + prefix + 1), "\n");
        if (strstr(line, " warning") && strstr(line, " error") && !strchr(line, '/'))
            snprintf(last, sizeof last, "%s", line);
    }
    free(copy);
    bool as_expected = ended == code && strcmp(told, said) == 0 && strcmp(last, sum) == 0;
    if (!as_expected) /* longer than a message of cmocka's may be */
        fprintf(stderr, "%d, expected %d, \"%s\" and:\n%s\nin:\n%s", ended, code, sum, said,
                weir_output(w));
    weir_stop(w);
    assert_true(as_expected);
}

/* ---- What is wrong ---- */

static void all_faults_of_all_files_are_told_in_order(void **state)
{
    (void)state;
    query_file("a", "-- @rout GET /a\n-- @timeout soon\n-- @returns many\nselect 1\n");
    query_file("b", "-- Fine so far.\nselect 1,\n       missing_column\n");
    query_file("c", "-- @route GET /c/{id}\n-- @default limit 5\nselect 1 as x\n");
    query_file("d", "select 'open\n");
    query_file("e", "-- @default n many\n-- @default m none\nselect :n::int as n, :m::int as m\n");
    query_file("f", "-- @route GET /livez\nselect nonsense(1)\n");
    query_file("g", "-- @pool report\nselect 1\n");
    query_file("h", "select 1 as x\n");
    checks(NULL, 65,
           "a.sql:1: error: unknown annotation @rout: did you mean @route?\n"
           "a.sql:2: error: malformed @timeout: write -- @timeout 500ms (or 2s, 5m, 1h)\n"
           "a.sql:3: error: malformed @returns: write -- @returns rows, @returns row or @returns "
           "count\n"
           "b.sql:3: error: column \"missing_column\" does not exist [42703]\n"
           "c.sql:1: error: @route names id, but the SQL has no :id\n"
           "c.sql:2: error: @default names limit, but the SQL has no :limit\n"
           "d.sql:1: error: the string that begins here with ' is never closed\n"
           "e.sql:1: error: @default n: n must be a whole number from -2147483648 to 2147483647, "
           "not \"many\"\n"
           "e.sql:2: error: @default m: m must be a whole number from -2147483648 to 2147483647, "
           "not \"none\"\n"
           "f.sql:1: error: /livez is a path of the service itself: choose another\n"
           "f.sql:2: error: function nonsense(integer) does not exist [42883] No function matches "
           "the given name and argument types. You might need to add explicit type casts.\n"
           "g.sql:1: error: there is no pool \"report\", only \"default\"\n",
           "8 queries, 12 errors, 0 warnings");
}

static void an_annotation_of_a_parameter_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    query_file("a", "-- @default limit 5\n-- @optional nme\nselect :name::text as x\n");
    checks(NULL, 65,
           "a.sql:1: error: @default names limit, but the SQL has no :limit\n"
           "a.sql:2: error: @optional names nme, which is not in the SQL: did you mean name?\n",
           "1 query, 2 errors, 0 warnings");
}

static void faults_are_told_though_a_database_is_away(void **state)
{
    (void)state;
    query_file("a", "-- @rout GET /a\nselect 1\n");
    query_file("b", "select id from nowhere\n");
    query_file("c", "-- @pool lost\nselect 1\n");
    query_file("d", "-- @pool reports\nselect nothing from sales\n");
    checks((const char *const[]){"--pool", "lost=host=/nonexistent", "--pool", reports,
                                 "--connect-timeout", "300ms", NULL},
           65,
           "a.sql:1: error: unknown annotation @rout: did you mean @route?\n"
           "b.sql:1: error: relation \"nowhere\" does not exist [42P01]\n"
           "d.sql:2: error: column \"nothing\" does not exist [42703]\n",
           "4 queries, 3 errors, 0 warnings");
}

static void a_folder_without_faults_is_listed_and_fine(void **state)
{
    (void)state;
    query_file("a", "-- @route GET /a/{id}\nselect name from big where id = :id\n");
    query_file("b", "select name from small\n");
    query_file("c", "-- @returns count\ninsert into small values (:id, :name)\n");
    checks((const char *const[]){"--strict", NULL}, 0, "", "3 queries, 0 errors, 0 warnings");
}

/* ---- What is doubtful ---- */

static const char scan[] = "-- One owner's.\n-- @route GET /owned\nselect id, name from big\n"
                           "where owner = :owner limit 10\n";
#define SCANNED                                                                                    \
    "scan.sql:3: warning: reads all 20000 rows of public.big in sequence: an index may serve its " \
    "condition\n"

static void a_sequential_scan_of_a_big_table_is_warned_of(void **state)
{
    (void)state;
    query_file("scan", scan);
    query_file("key", "select name from big where id = :id\n");
    query_file("first", "select name from big limit 10\n");
    query_file("little", "select name from small where name = :name\n");
    query_file("sum", "select sum(owner) as owners from big\n");
    checks(NULL, 0, SCANNED "sum.sql:1: warning: reads all 20000 rows of public.big in sequence\n",
           "5 queries, 0 errors, 2 warnings");
    checks((const char *const[]){"--big-table", "20000", NULL}, 0, "",
           "5 queries, 0 errors, 0 warnings");
}

static void strict_makes_a_warning_fail(void **state)
{
    (void)state;
    query_file("scan", scan);
    checks((const char *const[]){"--strict", NULL}, 65, SCANNED, "1 query, 0 errors, 1 warning");
}

static void a_get_that_would_write_is_warned_of(void **state)
{
    (void)state;
    query_file("cte", "-- @route GET /cte\n"
                      "with gone as (delete from small where id = :id returning id)\n"
                      "select id from gone\n");
    query_file("lock", "-- A row.\n-- @route GET /lock\n"
                       "select id from small where id = :id for update\n");
    query_file("write", "-- @route GET /write\n-- @returns count\n"
                        "update small set name = 'x' where id = :id\n");
    query_file("post", "-- @route POST /post\n-- @returns count\ndelete from small where id = 1\n");
    query_file("named", "-- @returns count\ndelete from small where id = 1\n");
    query_file("word", "-- @route GET /word\nselect 'delete from small' as \"insert\"\n");
    checks(NULL, 0,
           "cte.sql:1: warning: the statement writes, but GET /cte runs read-only and will be "
           "refused: make its route a POST\n"
           "lock.sql:2: warning: the statement locks rows, but GET /lock runs read-only and will "
           "be refused: make its route a POST\n"
           "write.sql:1: warning: the statement writes, but GET /write runs read-only and will be "
           "refused: make its route a POST\n",
           "6 queries, 0 errors, 3 warnings");
    assert_int_equal(postgres_number(database, "select count(*) from small"), 100);
}

static void an_answer_without_a_limit_is_warned_of(void **state)
{
    (void)state;
    query_file("all", "select id, name from big order by id\n");
    query_file("bound", "select id, name from big order by id limit :limit\n");
    query_file("counted", "-- @returns row\nselect id from big order by id\n");
    query_file("inner", "select s.name from (select id, name from big order by id limit 5) s\n"
                        "order by s.name\n");
    query_file("made", "select g as n from generate_series(1, 50000) g\n");
    query_file("one_of", "select a.id, b.id as other from big a, (select id from small order by id "
                         "limit 5) b\norder by a.id, b.id\n");
    checks((const char *const[]){"--on-connect", "set enable_seqscan = off", NULL}, 0,
           "all.sql:1: warning: may answer with some 20000 rows, all at once: give it a limit\n"
           "made.sql:1: warning: may answer with some 50000 rows, all at once: give it a limit\n"
           "one_of.sql:1: warning: may answer with some 100000 rows, all at once: give it a "
           "limit\n",
           "6 queries, 0 errors, 3 warnings");
}

static void what_the_server_will_not_plan_is_warned_of(void **state)
{
    (void)state;
    query_file("secret", "select name from big where id = :id\n");
    query_file("strict_type", "select id from small where name = :name::code\n");
    query_file("utility", "-- @returns count\n-- @route POST /vacuum\nvacuum small\n");
    checks((const char *const[]){"--on-connect", "set role reader", NULL}, 0,
           "secret.sql:1: warning: the server does not plan it: permission denied for table big "
           "[42501]\n",
           "3 queries, 0 errors, 1 warning");
}

static void what_may_commit_under_a_role_is_warned_of(void **state)
{
    (void)state;
    postgres_sql(database, "create or replace procedure tidy() language sql as 'select 1'");
    query_file("free", "-- @route POST /free\ncall tidy()\n");
    query_file("mine", "-- @auth jwt\n-- @route POST /mine\n\ncall tidy()\n");
    checks((const char *const[]){"--jwt-secret", "the-quick-brown-fox-jumps-over-it", NULL}, 0,
           "mine.sql:4: warning: by itself it will be refused: CALL and DO may commit, which would "
           "end the role and claims of its JWT; /tx can run it\n",
           "2 queries, 0 errors, 1 warning");
}

static void each_query_is_planned_on_its_own_pool(void **state)
{
    (void)state;
    postgres_sql(database, "create table if not exists sales (id int)");
    query_file("here", "select id from sales where id = :id\n");
    query_file("there", "-- @pool reports\nselect id from sales where id = :id\n");
    checks((const char *const[]){"--pool", reports, NULL}, 0,
           "there.sql:2: warning: reads all 30000 rows of public.sales in sequence: an index may "
           "serve its condition\n",
           "2 queries, 0 errors, 1 warning");
}

#define test(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(all_faults_of_all_files_are_told_in_order),
        test(an_annotation_of_a_parameter_that_is_not_there_is_an_error),
        test(faults_are_told_though_a_database_is_away),
        test(a_folder_without_faults_is_listed_and_fine),
        test(a_sequential_scan_of_a_big_table_is_warned_of),
        test(strict_makes_a_warning_fail),
        test(a_get_that_would_write_is_warned_of),
        test(an_answer_without_a_limit_is_warned_of),
        test(what_the_server_will_not_plan_is_warned_of),
        test(what_may_commit_under_a_role_is_warned_of),
        test(each_query_is_planned_on_its_own_pool),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("check", tests, start_world, end_world);
}
