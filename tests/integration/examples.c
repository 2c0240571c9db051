/* examples.c: the programs of tests/examples do what they show, linked with either library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libgen.h>
#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/postgres.h"

static postgres_server *server;

/* ---- Running one ---- */

typedef struct outcome {
    int status; /* exit code, or 128 and the signal */
    char said[8192];
} outcome;

/* This program's own folder has the examples' beside it. */
static void path_of(const char *example, char path[PATH_MAX])
{
    char own[PATH_MAX - 256];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    assert_true(length > 0);
    own[length] = '\0';
    snprintf(path, PATH_MAX, "%s/../examples/%s", dirname(own), example);
}

static outcome run(const char *example)
{
    char path[PATH_MAX], command[PATH_MAX + 256];
    path_of(example, path);
    /* A program that hangs is a failure, not a hanging test. */
    snprintf(command, sizeof command, "timeout -k 5 60 '%s' '%s' 2>&1", path,
             postgres_conninfo(server));
    outcome o = {0};
    FILE *program = popen(command, "r");
    assert_non_null(program);
    size_t length = fread(o.said, 1, sizeof o.said - 1, program);
    o.said[length] = '\0';
    int status = pclose(program);
    o.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return o;
}

static void expect_said(const char *example, const char *words)
{
    outcome o = run(example);
    assert_string_equal(o.said, words);
    assert_int_equal(o.status, 0);
}

static void expect_from_both(const char *example, const char *words)
{
    char shared[64];
    snprintf(shared, sizeof shared, "%s-shared", example);
    expect_said(example, words);
    expect_said(shared, words);
    assert_int_equal(postgres_backends(server), 0);
}

/* ---- Tests ---- */

static void scoped_acquire_gives_up_at_its_deadline(void **state)
{
    (void)state;
    expect_from_both("scoped_acquire", "Hello, world\n"
                                       "in a hurry: timed_out\n"
                                       "Hello, patience\n");
}

static void gather_runs_three_at_once_and_stops_the_rest_when_one_fails(void **state)
{
    (void)state;
    expect_from_both("gather", "sum 5050\n"
                               "most 100\n"
                               "count 7\n"
                               "at once, on three connections\n"
                               "most: division by zero\n"
                               "one fails: query_failed\n");
}

static void transaction_retry_loses_no_addition(void **state)
{
    (void)state;
    expect_from_both("transaction_retry", "4 additions, some tried again\n"
                                          "balance 4\n");
}

static void cancel_stops_the_query_at_the_server(void **state)
{
    (void)state;
    expect_from_both("cancel", "cancelled\n"
                               "the next query runs at once\n"
                               "still running: 0\n");
}

static void own_loop_asks_by_callbacks_while_its_clock_ticks(void **state)
{
    (void)state;
    expect_from_both("own_loop", "2 squared is 4\n"
                                 "3 squared is 9\n"
                                 "4 squared is 16\n"
                                 "and the clock went on ticking\n");
}

static void several_pools_go_where_they_are_sent(void **state)
{
    (void)state;
    expect_from_both("several_pools", "primary: reading and writing\n"
                                      "replica: reading only\n");
}

static void handler_test_passes(void **state)
{
    (void)state;
    static const char *const builds[] = {"handler_test", "handler_test-shared"};
    for (int i = 0; i < 2; i++) {
        outcome o = run(builds[i]);
        assert_int_equal(o.status, 0);
        assert_non_null(strstr(o.said, "[  PASSED  ] 4 test(s)."));
    }
}

static int start(void **state)
{
    (void)state;
    server = postgres_start(NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    postgres_stop(server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scoped_acquire_gives_up_at_its_deadline),
        cmocka_unit_test(gather_runs_three_at_once_and_stops_the_rest_when_one_fails),
        cmocka_unit_test(transaction_retry_loses_no_addition),
        cmocka_unit_test(cancel_stops_the_query_at_the_server),
        cmocka_unit_test(own_loop_asks_by_callbacks_while_its_clock_ticks),
        cmocka_unit_test(several_pools_go_where_they_are_sent),
        cmocka_unit_test(handler_test_passes),
    };
    return cmocka_run_group_tests_name("examples", tests, start, stop);
}
