/* driver_limit.c: for how long the server itself would let a query run, on a real server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/driver_world.h"

#define LIMIT "select current_setting('statement_timeout')"

/* Within that time, or with WEIR_NEVER without an end. */
static void ask_within(world *w, weir_lease *lease, int at, const char *sql, uint64_t duration_ns)
{
    weir_scoped_timeout(limit, duration_ns);
    ask(w, lease, at, sql);
}

static void assert_texts(const world *w, const char *const *texts)
{
    for (int i = 0; texts[i]; i++) {
        assert_all_well(w, i, i);
        if (strcmp(w->text[i], texts[i]) != 0)
            fail_msg("step %d: %s, not %s", i, w->text[i], texts[i]);
    }
}

/* ---- How long it is ---- */

static int ask_with_deadlines(world *w, weir_lease *lease)
{
    static const uint64_t deadlines[] = {WEIR_NEVER, WEIR_MS(500), WEIR_S(5),  WEIR_MS(500),
                                         WEIR_S(20), WEIR_S(5),    WEIR_S(60), WEIR_MS(500),
                                         WEIR_NEVER, WEIR_S(5)};
    for (int i = 0; i < 10; i++)
        ask_within(w, lease, i, LIMIT, deadlines[i]);
    return 0;
}

static void a_query_runs_under_a_limit_somewhat_beyond_its_deadline(void **state)
{
    world w = {.options = {.max = 1}};
    play_leased(&w, ask_with_deadlines);
    assert_texts(
        &w, (const char *[]){"0", "2s", "8s", "8s", "32s", "32s", "64s", "2s", "0", "8s", NULL});
}

static void a_shorter_one_of_the_sessions_own_is_left_as_it_is(void **state)
{
    char conninfo[512];
    snprintf(conninfo, sizeof conninfo, "%s options='-c statement_timeout=3s'",
             postgres_conninfo(server));
    world w = {.options = {.max = 1, .conninfo = conninfo}};
    play_leased(&w, ask_with_deadlines);
    assert_texts(
        &w, (const char *[]){"3s", "2s", "3s", "3s", "3s", "3s", "3s", "3s", "3s", "3s", NULL});
    world v = {.options = {.max = 1, .on_connect = "set statement_timeout = 1500"}};
    play_leased(&v, ask_with_deadlines);
    for (int i = 0; i < 10; i++)
        assert_string_equal(v.text[i], "1500ms");
}

static void a_pool_may_leave_it_to_itself(void **state)
{
    world w = {.options = {.max = 1, .no_server_timeout = true}};
    play_leased(&w, ask_with_deadlines);
    for (int i = 0; i < 10; i++)
        assert_string_equal(w.text[i], "0");
}

/* ---- What it costs ---- */

/* Each transaction of a session has the next number. */
#define NUMBER                                                                                     \
    "select split_part(virtualtransaction, '/', 2) from pg_locks"                                  \
    " where pid = pg_backend_pid() and locktype = 'virtualxid'"

static int ask_anew(world *w, weir_lease *lease, int turn)
{
    ask_within(w, lease, turn, NUMBER, turn % 2 ? WEIR_S(5) : WEIR_MS(700));
    return 0;
}

static void mostly_nothing_is_sent_for_it(void **state)
{
    world w = {.options = {.max = 1}};
    play_turns(&w, 12, ask_anew);
    assert_all_well(&w, 0, 11);
    for (int i = 2; i < 12; i++)
        assert_int_equal(atoi(w.text[i]), atoi(w.text[i - 1]) + 1);
}

/* ---- Transactions ---- */

static int ask_in_transactions(world *w, weir_lease *lease)
{
    ask_within(w, lease, 0, "begin isolation level serializable", WEIR_MS(500));
    ask_within(w, lease, 1, LIMIT, WEIR_MS(500));
    ask_within(w, lease, 2, LIMIT, WEIR_S(60));
    ask_within(w, lease, 3, LIMIT, WEIR_MS(500));
    ask_within(w, lease, 4, "savepoint here", WEIR_S(5));
    ask_within(w, lease, 5, LIMIT, WEIR_NEVER);
    ask_within(w, lease, 20, "select 1/0", WEIR_NEVER);
    ask_within(w, lease, 6, "rollback to here", WEIR_NEVER);
    ask_within(w, lease, 7, LIMIT, WEIR_NEVER);
    ask_within(w, lease, 8, "commit and chain", WEIR_NEVER);
    ask_within(w, lease, 9, LIMIT, WEIR_S(5));
    ask_within(w, lease, 10, "commit", WEIR_S(5));
    ask_within(w, lease, 11, LIMIT, WEIR_MS(500));
    ask_within(w, lease, 12, "begin", WEIR_NEVER);
    ask_within(w, lease, 13, LIMIT, WEIR_MS(500));
    ask_within(w, lease, 14, "commit", WEIR_MS(500));
    return 0;
}

static void in_a_transaction_it_only_grows_and_goes_with_it(void **state)
{
    world w = {.options = {.max = 1}};
    play_leased(&w, ask_in_transactions);
    assert_texts(&w, (const char *[]){"", "2s", "64s", "64s", "", "0", "", "0", "", "8s", "", "2s",
                                      "", "0", "", NULL});
    assert_string_equal(w.error[20].sqlstate, "22012");
}

static int leave_open(world *w, weir_lease *lease, int turn)
{
    if (turn == 0) {
        ask_within(w, lease, 0, "begin", WEIR_MS(500));
        ask_within(w, lease, 1, LIMIT, WEIR_S(60));
    } else {
        ask_within(w, lease, 2, LIMIT, WEIR_S(20));
    }
    return 0;
}

static void so_it_does_where_the_pool_rolls_back(void **state)
{
    world w = {.options = {.max = 1}};
    play_turns(&w, 2, leave_open);
    assert_texts(&w, (const char *[]){"", "64s", "32s", NULL});
}

/* ---- Others who set it ---- */

static int overrule(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    ask_within(w, lease, 0, "set statement_timeout = '7s'", WEIR_S(5));
    ask_within(w, lease, 1, LIMIT, WEIR_MS(500));
    weir_release(lease);
    lease = NULL;
    if ((r = take(w, &lease)) < 0)
        return r;
    ask_within(w, lease, 2, LIMIT, WEIR_MS(500));
    ask_within(w, lease, 3, "select set_config('statement_timeout', '9s', false)", WEIR_S(5));
    ask_within(w, lease, 4, LIMIT, WEIR_MS(500));
    weir_release(lease);
    lease = NULL;
    if ((r = take(w, &lease)) < 0)
        return r;
    ask_within(w, lease, 5, LIMIT, WEIR_S(5));
    ask_within(w, lease, 6, "reset all", WEIR_S(5));
    ask_within(w, lease, 7, LIMIT, WEIR_S(5));
    {
        weir_scoped_timeout(limit, WEIR_MS(500));
        adhoc(w, lease, 8, "set search_path = public");
        adhoc(w, lease, 9, LIMIT);
    }
    ask_within(w, lease, 10, LIMIT, WEIR_NEVER);
    return 0;
}

static void a_limit_of_the_callers_own_holds_until_the_lease_ends(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, overrule);
    assert_texts(&w,
                 (const char *[]){"", "7s", "2s", "9s", "9s", "8s", "", "8s", "", "2s", "0", NULL});
}

/* The first of two rows; the stream is closed at its end. */
static void stream_limit(world *w, weir_lease *lease, int at)
{
    weir_statement statement = {.sql = LIMIT " from generate_series(1, 2)"};
    weir_scoped_timeout(limit, WEIR_S(5));
    weir_scoped_stream weir_stream *stream = NULL;
    w->r[at] = weir_stream_open(lease, &statement, NULL, &stream);
    while (w->r[at] == 0) {
        weir_scoped_result weir_result *rows = NULL;
        w->r[at] = weir_stream_next(stream, &rows);
        if (!rows)
            break;
        snprintf(w->text[at], sizeof w->text[at], "%s", weir_result_value(rows, 0, 0));
    }
}

static int ask_among_streams(world *w, weir_lease *lease)
{
    stream_limit(w, lease, 0); /* prepared in its flight */
    stream_limit(w, lease, 1); /* and by itself */
    ask_within(w, lease, 2, LIMIT, WEIR_S(5));
    stream_limit(w, lease, 3);
    stream_limit(w, lease, 4);
    ask_within(w, lease, 5, LIMIT, WEIR_MS(500));
    return 0;
}

/* Its reader decides how long that takes. */
static void a_stream_has_none(void **state)
{
    world w = {.options = {.max = 1}};
    play_leased(&w, ask_among_streams);
    assert_texts(&w, (const char *[]){"0", "0", "8s", "0", "0", "2s", NULL});
    world v = {.options = {.max = 1, .on_connect = "set statement_timeout = '7s'"}};
    play_leased(&v, ask_among_streams);
    assert_texts(&v, (const char *[]){"7s", "7s", "7s", "7s", "7s", "7s", NULL});
}

static int run_by_itself(world *w, weir_lease *lease, int turn)
{
    ask_within(w, lease, turn, turn % 2 ? "call commits()" : "vacuum",
               turn < 2 ? WEIR_MS(5000) : WEIR_S(500));
    return 0;
}

static void what_cannot_run_in_a_transaction_runs_behind_it(void **state)
{
    world w = {.options = {.max = 1}};
    postgres_sql(server, "create procedure commits() language plpgsql as 'begin commit; end'");
    play_turns(&w, 4, run_by_itself);
    assert_all_well(&w, 0, 3);
}

static int sleep_in_vain(world *w, weir_lease *lease)
{
    ask_within(w, lease, 0, "select pg_sleep(60)", WEIR_MS(200));
    return 0;
}

static void the_pools_own_deadline_comes_first(void **state)
{
    world w = {.options = {.max = 1}};
    play_leased(&w, sleep_in_vain);
    assert_int_equal(w.r[0], WEIR_ETIMEDOUT);
    assert_int_equal(w.events[WEIR_QUERY_CANCELLED], 1);
    assert_int_equal(w.events[WEIR_QUERY_FAILED], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_runs_under_a_limit_somewhat_beyond_its_deadline),
        cmocka_unit_test(a_shorter_one_of_the_sessions_own_is_left_as_it_is),
        cmocka_unit_test(a_pool_may_leave_it_to_itself),
        cmocka_unit_test(mostly_nothing_is_sent_for_it),
        cmocka_unit_test(in_a_transaction_it_only_grows_and_goes_with_it),
        cmocka_unit_test(so_it_does_where_the_pool_rolls_back),
        cmocka_unit_test(a_limit_of_the_callers_own_holds_until_the_lease_ends),
        cmocka_unit_test(a_stream_has_none),
        cmocka_unit_test(what_cannot_run_in_a_transaction_runs_behind_it),
        cmocka_unit_test(the_pools_own_deadline_comes_first),
    };
    return cmocka_run_group_tests_name("driver_limit", tests, start_server, stop_server);
}
