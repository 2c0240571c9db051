/* driver_stray.c: cancels that strike when what they were meant for is long over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "../support/driver_world.h"

/* Until this libpq a cancel request that the network has cut off cannot be told from one that the
 * server has heard. */
#ifdef LIBPQ_HAS_ASYNC_CANCEL
static const bool may_stray = false;
#else
static const bool may_stray = true;
#endif

typedef struct striker {
    char sql[64];
} striker;

static void strike_now(void *arg)
{
    striker *k = arg;
    postgres_sql(server, k->sql);
}

static int strike(void *arg)
{
    weir_sleep(WEIR_MS(100));
    return weir_work(strike_now, arg);
}

/* Takes the one connection, after a query on it was cancelled for good. */
static int take_after_cancel(world *w, weir_lease **lease)
{
    int r = take(w, lease);
    if (r < 0)
        return r;
    {
        weir_scoped_timeout(quick, WEIR_MS(50));
        ask(w, *lease, 0, "select pg_sleep(60)");
    }
    weir_release(*lease);
    *lease = NULL;
    return take(w, lease);
}

/* Asks, and has the session cancelled meanwhile, as a late request would. */
static void ask_under_strike(world *w, weir_lease *lease, int at, const char *sql)
{
    striker k;
    weir_task *task = NULL;
    uint64_t began_ns = weir_now();
    snprintf(k.sql, sizeof k.sql, "select pg_cancel_backend(%d)", weir_lease_backend_pid(lease));
    if (weir_spawn(strike, &k, &task) < 0)
        return;
    ask(w, lease, at, sql);
    w->number[at] = weir_now() - began_ns;
    weir_join(task, NULL);
}

static int struck_late(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take_after_cancel(w, &lease);
    if (r < 0)
        return r;
    ask_under_strike(w, lease, 1, "-- anew\nselect 7, pg_sleep(0.3)");
    return 0;
}

static void a_query_struck_by_the_cancel_of_another_is_asked_again(void **state)
{
    world w = {.options.max = 1};
    play(&w, struck_late);
    assert_int_equal(w.r[0], WEIR_ETIMEDOUT);
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
    assert_int_equal(w.r[1], may_stray ? 0 : WEIR_EQUERY);
    if (may_stray) {
        assert_string_equal(w.text[1], "7");
        assert_true(w.number[1] >= WEIR_MS(400)); /* it was struck, and begun anew */
    }
}

static int struck_under_settings(world *w)
{
    const weir_setting settings[] = {{"a.b", "set"}, {"role", "pg_monitor"}};
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take_after_cancel(w, &lease);
    if (r < 0)
        return r;
    weir_lease_settings(lease, settings, 2);
    ask_under_strike(w, lease, 1, "select current_user || current_setting('a.b'), pg_sleep(0.3)");
    weir_release(lease);
    lease = NULL;
    r = take(w, &lease);
    if (r == 0)
        ask(w, lease, 2, "select current_user || current_setting('a.b', true)");
    return r;
}

static void so_is_one_under_settings_and_under_the_same(void **state)
{
    world w = {.options.max = 1};
    play(&w, struck_under_settings);
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
    assert_int_equal(w.r[1], may_stray ? 0 : WEIR_EQUERY);
    if (may_stray)
        assert_string_equal(w.text[1], "pg_monitorset");
    assert_string_equal(w.text[2], "postgres");
}

static int struck_in_transaction(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take_after_cancel(w, &lease);
    if (r < 0)
        return r;
    ask(w, lease, 1, "begin");
    ask_under_strike(w, lease, 2, "select 7, pg_sleep(0.3)");
    return 0;
}

static void in_a_transaction_that_is_the_callers_to_do(void **state)
{
    world w = {.options.max = 1};
    play(&w, struck_in_transaction);
    assert_int_equal(w.r[2], WEIR_EQUERY);
    assert_string_equal(w.error[2].sqlstate, "57014");
    assert_int_equal(w.error[2].retryable, may_stray);
}

static int struck_on_the_way(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take_after_cancel(w, &lease);
    if (r < 0)
        return r;
    ask_under_strike(w, lease, 1, "call nap_after_commit()");
    return 0;
}

static void what_commits_on_the_way_is_not_done_twice(void **state)
{
    world w = {.options.max = 1};
    postgres_sql(server, "create table naps (n int);"
                         "create procedure nap_after_commit() language plpgsql as "
                         "'begin insert into naps values (1); commit; perform pg_sleep(0.3); end'");
    play(&w, struck_on_the_way);
    assert_int_equal(w.r[1], WEIR_EQUERY);
    assert_int_equal(postgres_number(server, "select count(*) from naps"), 1);
}

static int struck_on_purpose(world *w, weir_lease *lease)
{
    ask_under_strike(w, lease, 0, "select 7, pg_sleep(0.3)");
    return 0;
}

static void an_operators_cancel_is_obeyed(void **state)
{
    world w = {.options.max = 1};
    play_leased(&w, struck_on_purpose);
    assert_int_equal(w.r[0], WEIR_EQUERY);
    assert_string_equal(w.error[0].sqlstate, "57014");
    assert_false(w.error[0].retryable);
}

static int struck_by_timeout(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take_after_cancel(w, &lease);
    if (r < 0)
        return r;
    adhoc(w, lease, 1, "set statement_timeout = 100");
    ask(w, lease, 2, "select 7, pg_sleep(10)");
    return 0;
}

static void so_is_a_timeout_of_the_servers_own(void **state)
{
    world w = {.options.max = 1};
    play(&w, struck_by_timeout);
    assert_int_equal(w.r[2], WEIR_EQUERY);
    assert_string_equal(w.error[2].sqlstate, "57014");
    assert_false(w.error[2].retryable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_struck_by_the_cancel_of_another_is_asked_again),
        cmocka_unit_test(so_is_one_under_settings_and_under_the_same),
        cmocka_unit_test(in_a_transaction_that_is_the_callers_to_do),
        cmocka_unit_test(what_commits_on_the_way_is_not_done_twice),
        cmocka_unit_test(an_operators_cancel_is_obeyed),
        cmocka_unit_test(so_is_a_timeout_of_the_servers_own),
    };
    return cmocka_run_group_tests_name("driver_stray", tests, start_server, stop_server);
}
