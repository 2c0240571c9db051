/* driver_greeting.c: what options.on_connect does to the sessions of the PostgreSQL driver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../support/driver_world.h"

/* ---- It holds ---- */

static int dirty_twice(world *w, weir_lease *lease, int i)
{
    w->connection[i] = weir_lease_connection(lease);
    ask(w, lease, i,
        "select current_setting('search_path') || ' ' || current_setting('work_mem') || ' ' || "
        "current_setting('statement_timeout')");
    adhoc(w, lease, 3 + 2 * i, "set search_path = nowhere");
    adhoc(w, lease, 4 + 2 * i, "set statement_timeout = 1234");
    if (i == 1) { /* and out of a failed transaction */
        ask(w, lease, 10, "begin");
        ask(w, lease, 11, "select 1 / 0");
    }
    return 0;
}

static void what_it_sets_survives_a_dirty_lease(void **state)
{
    world w = {.options = {.max = 1,
                           .on_connect = "set search_path = shop, public; set work_mem = '7MB' "
                                         "-- as long as the session"}};
    play_turns(&w, 3, dirty_twice);
    assert_all_well(&w, 0, 10);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(w.text[i], "shop, public 7MB 0");
        assert_int_equal(w.connection[i], w.connection[0]);
    }
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
    assert_int_equal(w.events[WEIR_SERVER_NOTICE], 0);
}

static int dirty_once(world *w, weir_lease *lease, int i)
{
    if (i == 0)
        adhoc(w, lease, 0, "set work_mem = '8MB'");
    else /* the reset is through, and nothing else has been sent */
        w->number[1] = (uint64_t)postgres_number(
            server, "select count(*) from pg_stat_activity where query like "
                    "'SET SESSION%DISCARD%; set work_mem = ''7MB'''");
    return 0;
}

static void it_goes_in_one_message_with_the_reset(void **state)
{
    world w = {.options = {.max = 1, .on_connect = "set work_mem = '7MB'"}};
    play_turns(&w, 2, dirty_once);
    assert_all_well(&w, 0, 0);
    assert_int_equal(w.number[1], 1);
}

static int uses_what_is_there(world *w, weir_lease *lease, int i)
{
    w->connection[i] = weir_lease_connection(lease);
    ask(w, lease, 10 * i, "select count(*) from scratch");
    ask(w, lease, 10 * i + 1, "insert into scratch values (1)");
    adhoc(w, lease, 10 * i + 2, "execute answer");
    ask(w, lease, 10 * i + 3, "select pg_listening_channels()");
    ask(w, lease, 10 * i + 4, "select current_user");
    return 0;
}

static void it_may_make_tables_statements_and_roles(void **state)
{
    world w = {.options = {.max = 1,
                           .on_connect =
                               "create temp table scratch (a int); select 1;"
                               "prepare answer as select 42; listen news;"
                               "grant all on scratch to pg_monitor; set role pg_monitor"}};
    play_turns(&w, 2, uses_what_is_there);
    for (int i = 0; i < 2; i++) {
        assert_all_well(&w, 10 * i, 10 * i + 4);
        assert_string_equal(w.text[10 * i], "0");
        assert_string_equal(w.text[10 * i + 2], "42");
        assert_string_equal(w.text[10 * i + 3], "news");
        assert_string_equal(w.text[10 * i + 4], "pg_monitor");
    }
    assert_int_equal(w.connection[0], w.connection[1]);
}

static int writes(world *w)
{
    for (int i = 0; i < 2; i++) {
        int r = take_and_ask(w, i, "create table unwanted ()");
        if (r < 0)
            return r;
    }
    return 0;
}

static void sessions_it_makes_read_only_stay_so(void **state)
{
    world w = {.options = {.max = 1, .on_connect = "set default_transaction_read_only = on"}};
    play(&w, writes);
    assert_string_equal(w.error[0].sqlstate, "25006");
    assert_string_equal(w.error[1].sqlstate, "25006");
}

/* ---- It fails ---- */

static void a_dial_fails_with_what_the_server_says_of_it(void **state)
{
    const struct {
        const char *sql, *sqlstate, *says;
    } cases[] = {
        {"set work_mem = '7MB'; select * from missing", "42P01",
         "relation \"missing\" does not exist"},
        {"set wrok_mem = 1", "42704", "unrecognized configuration parameter \"wrok_mem\""},
        {"selec", "42601", "syntax error"},
        {"begin; select 1", "", "on_connect leaves a transaction open"},
        {"copy pg_class to stdout", "0A000", "COPY is not supported"},
        {"set datestyle = german", "", "on_connect sets DateStyle to German, DMY"},
        {"set client_encoding = latin1", "", "on_connect sets client_encoding to LATIN1"},
        {"select pg_terminate_backend(pg_backend_pid())", "57P01", "terminating connection"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world w = {.options = {.min = 1, .on_connect = cases[i].sql}};
        play(&w, first_dial);
        assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 0);
        assert_true(w.failed[WEIR_RETIRE_CONNECT_FAILED] >= 1);
        assert_int_equal(w.error[0].code, WEIR_ECONNECT);
        assert_string_equal(w.error[0].sqlstate, cases[i].sqlstate);
        assert_non_null(strstr(w.error[0].message, cases[i].says));
    }
}

static int fails_later(world *w)
{
    weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    adhoc(w, lease, 0, "drop table needed");
    weir_release(lease);
    for (int i = 0; i < 1000 && !w->events[WEIR_CONNECTION_FAILED]; i++)
        weir_sleep(WEIR_MS(5));
    return 0;
}

static void a_session_it_fails_for_later_is_replaced(void **state)
{
    postgres_sql(server, "create table needed ()");
    world w = {.options = {.max = 1, .min = 1, .on_connect = "select from needed"}};
    play(&w, fails_later);
    assert_all_well(&w, 0, 0);
    assert_int_equal(w.retired[WEIR_RETIRE_DIRTY], 1);
    assert_true(w.failed[WEIR_RETIRE_CONNECT_FAILED] >= 1);
}

static int stuck(world *w)
{
    first_dial(w);
    for (int i = 0; i < 500 && w->number[0] == 0; i++) {
        w->number[0] = 0 == postgres_number(server, "select count(*) from pg_stat_activity where "
                                                    "query = 'select pg_sleep(63)'");
        weir_sleep(WEIR_MS(10));
    }
    return 0;
}

static void the_connect_timeout_covers_it_and_the_server_stops(void **state)
{
    world w = {.options = {.max = 1,
                           .min = 1,
                           .backoff_base_ns = WEIR_S(600),
                           .backoff_max_ns = WEIR_S(600),
                           .connect_timeout_ns = WEIR_MS(300),
                           .on_connect = "select pg_sleep(63)"}};
    play(&w, stuck);
    assert_true(w.failed[WEIR_RETIRE_CONNECT_TIMEOUT] >= 1);
    assert_non_null(strstr(w.error[0].message, "no answer"));
    assert_string_equal(w.error[0].detail, "on_connect has not come to its end");
    assert_int_equal(w.number[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_sets_survives_a_dirty_lease),
        cmocka_unit_test(it_goes_in_one_message_with_the_reset),
        cmocka_unit_test(it_may_make_tables_statements_and_roles),
        cmocka_unit_test(sessions_it_makes_read_only_stay_so),
        cmocka_unit_test(a_dial_fails_with_what_the_server_says_of_it),
        cmocka_unit_test(a_session_it_fails_for_later_is_replaced),
        cmocka_unit_test(the_connect_timeout_covers_it_and_the_server_stops),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
