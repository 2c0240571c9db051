/* http_deadline.c: tests of how long a query may run: by its file, by its client, and at the server
 * when nobody is left to stop it. */
#include "../support/items.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int start(void **state)
{
    items_start(state);
    query_file("brief", "-- @timeout 500ms\nselect :s::float8 as slept from pg_sleep(:s)\n");
    query_file("limit", "-- @timeout 500ms\nselect current_setting('statement_timeout') as is\n");
    return 0;
}

static int serve_without_limits(void **state)
{
    serve_ready((const char *const[]){"--pool-max", "2", "--server-timeout", "off", NULL});
    return 0;
}

#define unlimited(name) cmocka_unit_test_setup_teardown(name, serve_without_limits, stop)

/* ---- The server's own limit ---- */

static void a_query_ends_at_the_server_though_the_program_was_killed(void **state)
{
    ask_beside(0, "/q/brief?s=60");
    assert_true(BECOMES(naps() == 1, 5));
    weir_signal(weir, SIGKILL);
    assert_int_equal(weir_await_exit(weir, 10), 128 + SIGKILL);
    assert_int_equal(answered(0), 0);
    assert_true(BECOMES(naps() == 0, 20));
}

static void the_programs_own_limit_comes_first(void **state)
{
    http_reply r = get("/q/brief?s=60");
    assert_problem(&r, 504, "query_timed_out");
    assert_string_equal(text(&r, "detail"), "The query was cancelled after 500 ms.");
    http_reply_free(&r);
    assert_true(BECOMES(naps() == 0, 5));
}

static void the_server_need_not_be_told(void **state)
{
    http_reply r = get("/q/limit");
    assert_status(&r, 200);
    assert_non_null(strstr(r.body, "\"is\":\"0\""));
    http_reply_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_query_ends_at_the_server_though_the_program_was_killed,
                                        serve_usually, stop_stopped),
        usual(the_programs_own_limit_comes_first),
        unlimited(the_server_need_not_be_told),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("http_deadline", tests, start, items_end);
}
