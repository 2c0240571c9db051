/* driver_standby.c: a primary and its standby, told apart, measured, and changing places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/driver_world.h"

static postgres_server *primary, *standby;

static int start_both(void **state)
{
    primary = postgres_start("max_connections = 30");
    postgres_sql(primary, "create table notes (n int)");
    standby = postgres_start_standby(primary, NULL);
    server = primary;
    return 0;
}

static int stop_both(void **state)
{
    postgres_stop(standby);
    postgres_stop(primary);
    return 0;
}

static const char *both(bool primary_first, const char *more)
{
    static char conninfo[300];
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1,127.0.0.1 port=%u,%u user=postgres dbname=postgres %s",
             postgres_port(primary_first ? primary : standby),
             postgres_port(primary_first ? standby : primary), more);
    return conninfo;
}

static const char where_it_is[] =
    "select case when pg_is_in_recovery() then 'standby' else 'primary' end";

static int one_look(world *w)
{
    return take_and_ask(w, 0, where_it_is);
}

/* Where a pool with such options gets to. */
static world look(const char *conninfo, uint64_t max_lag_ns)
{
    world w = {.options = {.conninfo = conninfo, .max = 1, .max_lag_ns = max_lag_ns}};
    play(&w, one_look);
    assert_all_well(&w, 0, 0);
    return w;
}

/* ---- Who is who ---- */

static void read_write_finds_the_primary_whatever_the_order(void **state)
{
    for (int i = 0; i < 2; i++) {
        const char *const attributes[] = {"target_session_attrs=read-write",
                                          "target_session_attrs=primary"};
        for (int k = 0; k < 2; k++)
            assert_string_equal(look(both(i, attributes[k]), 0).text[0], "primary");
    }
}

static void prefer_standby_finds_the_standby_and_without_it_the_primary(void **state)
{
    for (int i = 0; i < 2; i++)
        assert_string_equal(look(both(i, "target_session_attrs=prefer-standby"), 0).text[0],
                            "standby");
    postgres_shut_down(standby);
    for (int i = 0; i < 2; i++)
        assert_string_equal(look(both(i, "target_session_attrs=prefer-standby"), 0).text[0],
                            "primary");
    postgres_bring_up(standby);
}

/* ---- How far behind ---- */

/* The standby has received what it does not replay: from now on it falls behind. */
static void hold_replay(void)
{
    postgres_catch_up(standby, primary);
    postgres_sql(standby, "select pg_wal_replay_pause()");
    postgres_await_true(standby, "select pg_get_wal_replay_pause_state() = 'paused'");
    postgres_sql(primary, "insert into notes values (1)");
    postgres_await_true(standby, "select pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()");
}

static void let_replay_go_on(void)
{
    postgres_sql(standby, "select pg_wal_replay_resume()");
    postgres_catch_up(standby, primary);
}

static void await_lag(const char *seconds)
{
    char sql[128];
    snprintf(sql, sizeof sql,
             "select now() - pg_last_xact_replay_timestamp() > interval '%s seconds'", seconds);
    postgres_await_true(standby, sql);
}

static void a_dial_passes_over_a_standby_too_far_behind(void **state)
{
    const char *prefer = "target_session_attrs=prefer-standby";
    /* The primary had nothing to do: however long ago, that is not behind. */
    postgres_sql(primary, "insert into notes values (1)");
    postgres_catch_up(standby, primary);
    await_lag("0.3");
    assert_string_equal(look(both(true, prefer), WEIR_MS(200)).text[0], "standby");

    hold_replay();
    await_lag("0.3");
    world in_order = look(both(false, ""), WEIR_MS(200));
    assert_string_equal(in_order.text[0], "primary");
    assert_int_equal(in_order.events[WEIR_CONNECTION_FAILED], 0);
    assert_string_equal(look(both(true, prefer), WEIR_MS(200)).text[0], "primary");
    assert_string_equal(look(both(true, prefer), WEIR_S(600)).text[0], "standby");
    assert_string_equal(look(both(true, prefer), WEIR_NEVER).text[0], "standby");
    let_replay_go_on();
    assert_string_equal(look(both(true, prefer), WEIR_MS(200)).text[0], "standby");
}

static void a_dial_that_finds_only_lagging_standbys_says_by_how_much(void **state)
{
    hold_replay();
    await_lag("0.3");
    world alone = {.options = {.conninfo = postgres_conninfo_tcp(standby),
                               .min = 1,
                               .max_lag_ns = WEIR_MS(200)}};
    play(&alone, first_dial);
    world refused = {.options = {.conninfo = both(false, "target_session_attrs=standby"),
                                 .min = 1,
                                 .max_lag_ns = WEIR_MS(200)}};
    play(&refused, first_dial);
    let_replay_go_on();

    assert_int_equal(alone.events[WEIR_CONNECTION_OPENED], 0);
    assert_true(alone.failed[WEIR_RETIRE_LAGGING] >= 1);
    assert_int_equal(alone.error[0].code, WEIR_ECONNECT);
    assert_memory_equal(alone.error[0].message, "the standby is ", 15);
    assert_true(strtod(alone.error[0].message + 15, NULL) > 0.3);
    assert_non_null(strstr(alone.error[0].message, "s behind its primary, 0.200 s is allowed"));

    assert_true(refused.failed[WEIR_RETIRE_CONNECT_FAILED] >= 1);
    assert_non_null(strstr(refused.error[0].message, "not in hot standby mode"));
    assert_non_null(strstr(refused.error[0].detail, "s behind its primary"));
}

static int falls_behind(world *w)
{
    int r = take_and_ask(w, 0, where_it_is);
    if (r < 0)
        return r;
    hold_replay();
    await_lag("0.3");
    r = take_and_ask(w, 1, where_it_is);
    let_replay_go_on();
    return r;
}

static void a_check_finds_a_standby_that_has_fallen_behind(void **state)
{
    world w = {.options = {.conninfo = both(true, "target_session_attrs=prefer-standby"),
                           .max = 1,
                           .validate_after_ns = 1,
                           .max_lag_ns = WEIR_MS(200)}};
    play(&w, falls_behind);
    assert_all_well(&w, 0, 1);
    assert_string_equal(w.text[0], "standby");
    assert_string_equal(w.text[1], "primary");
    assert_int_equal(w.retired[WEIR_RETIRE_LAGGING], 1);
}

static int stays_idle(world *w)
{
    int r = take_and_ask(w, 0, where_it_is);
    if (r < 0)
        return r;
    hold_replay();
    for (int i = 0; i < 1000 && !w->retired[WEIR_RETIRE_LAGGING]; i++)
        weir_sleep(WEIR_MS(10));
    let_replay_go_on();
    return 0;
}

static void a_keepalive_finds_it_too(void **state)
{
    world w = {.options = {.conninfo = postgres_conninfo_tcp(standby),
                           .max = 1,
                           .min = 1,
                           .keepalive_ns = WEIR_MS(50),
                           .max_lag_ns = WEIR_MS(200)}};
    play(&w, stays_idle);
    assert_all_well(&w, 0, 0);
    assert_true(w.retired[WEIR_RETIRE_LAGGING] >= 1);
}

/* ---- Changing places: the last test, for there is no way back ---- */

static const char write_and_say[] =
    "with w as (insert into notes values (2)) select current_setting('port')";

static int fails_over(world *w)
{
    int r = take_and_ask(w, 0, write_and_say);
    if (r < 0)
        return r;
    postgres_catch_up(standby, primary);
    postgres_shut_down(primary);
    for (int i = 0; i < 1000 && !w->events[WEIR_CONNECTION_FAILED]; i++)
        weir_sleep(WEIR_MS(5));
    postgres_promote(standby);
    server = standby;
    uint64_t promoted_ns = weir_now();
    r = take_and_ask(w, 1, write_and_say);
    w->number[1] = weir_now() - promoted_ns;
    return r;
}

static void after_a_failover_the_new_primary_is_found(void **state)
{
    world w = {
        .options = {.conninfo = both(true, "target_session_attrs=read-write"), .max = 3, .min = 1}};
    play(&w, fails_over);
    assert_all_well(&w, 0, 1);
    assert_int_equal(atoi(w.text[0]), postgres_port(primary));
    assert_int_equal(atoi(w.text[1]), postgres_port(standby));
    assert_true(w.events[WEIR_CONNECTION_FAILED] >= 1);
    print_message("written to the new primary %.0f ms after its promotion\n",
                  (double)w.number[1] / 1e6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_write_finds_the_primary_whatever_the_order),
        cmocka_unit_test(prefer_standby_finds_the_standby_and_without_it_the_primary),
        cmocka_unit_test(a_dial_passes_over_a_standby_too_far_behind),
        cmocka_unit_test(a_dial_that_finds_only_lagging_standbys_says_by_how_much),
        cmocka_unit_test(a_check_finds_a_standby_that_has_fallen_behind),
        cmocka_unit_test(a_keepalive_finds_it_too),
        cmocka_unit_test(after_a_failover_the_new_primary_is_found),
    };
    return cmocka_run_group_tests(tests, start_both, stop_both);
}
