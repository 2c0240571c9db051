/* driver_settings.c: queries that run under settings of their lease, on a real server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../support/driver_world.h"

/* Who sees which rows, by the claims of a role that has no right to more. */
#define SCHEMA                                                                                     \
    "create role web; create role nobody_else;"                                                    \
    "create table notes (owner text, body text);"                                                  \
    "insert into notes select o, o || ' ' || n from (values ('alice'), ('bob')) v(o),"             \
    " generate_series(1, 3) n;"                                                                    \
    "alter table notes enable row level security;"                                                 \
    "create policy own on notes using"                                                             \
    " (owner = current_setting('request.jwt.claims', true)::json->>'sub');"                        \
    "grant select, insert on notes to web;"                                                        \
    "create table greetings (at timestamptz default now());"                                       \
    "create procedure commits() language plpgsql as 'begin commit; end';"                          \
    "create procedure is_quiet() language plpgsql as 'begin end'"

static const weir_setting alice[] = {{"request.jwt.claims", "{\"sub\":\"alice\"}"},
                                     {"role", "web"}};
static const weir_setting bob[] = {{"request.jwt.claims", "{\"sub\":\"bob\"}"}, {"role", "web"}};
static const weir_setting nobody[] = {{"role", "no\"such'role"}};

#define OWNERS "select string_agg(distinct owner, ',') || ' ' || count(*) from notes"
#define WHO                                                                                        \
    "select current_user || ' ' || coalesce(current_setting('request.jwt.claims', true), '')"
#define AS_ALICE "web {\"sub\":\"alice\"}"
#define AS_BOB   "web {\"sub\":\"bob\"}"
#define AS_SELF  "postgres "

static int start_with_roles(void **state)
{
    int r = start_server(state);
    postgres_sql(server, SCHEMA);
    return r;
}

static void as(weir_lease *lease, const weir_setting *settings)
{
    weir_lease_settings(lease, settings, settings == nobody ? 1 : settings ? 2 : 0);
}

/* With a lease of its own. */
static int ask_as(world *w, const weir_setting *settings, int at, const char *sql)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    as(lease, settings);
    ask(w, lease, at, sql);
    return 0;
}

/* ---- Rows ---- */

static int ask_in_turn(world *w)
{
    for (int i = 0; i < 9; i += 3) { /* prepared, known, known */
        int r = ask_as(w, alice, i, OWNERS);
        if (r < 0)
            return r;
        ask_as(w, bob, i + 1, OWNERS);
        ask_as(w, NULL, i + 2, OWNERS);
    }
    ask_as(w, NULL, 9, WHO);
    ask_as(w, NULL, 10, "select count(*) from greetings");
    return 0;
}

static void each_sees_its_own_rows_and_the_next_none_of_it(void **state)
{
    world w = {.options = {.max = 1, .on_connect = "insert into greetings default values"}};
    play(&w, ask_in_turn);
    assert_all_well(&w, 0, 10);
    for (int i = 0; i < 9; i += 3) {
        assert_string_equal(w.text[i], "alice 3");
        assert_string_equal(w.text[i + 1], "bob 3");
        assert_string_equal(w.text[i + 2], "alice,bob 6");
    }
    assert_string_equal(w.text[9], AS_SELF);
    assert_string_equal(w.text[10], "1"); /* the session has never had to be reset */
}

static int ask_in_all_ways(world *w, weir_lease *lease)
{
    as(lease, alice);
    ask(w, lease, 0, WHO);
    read_only(w, lease, 1, WHO);
    read_only(w, lease, 2, WHO);
    read_only(w, lease, 3, "insert into notes values ('alice', 'more')");
    adhoc(w, lease, 4, WHO);
    ask(w, lease, 5, WHO);
    as(lease, bob);
    ask(w, lease, 6, WHO);
    as(lease, NULL);
    ask(w, lease, 7, WHO);
    weir_scoped_result weir_result *columns = NULL;
    as(lease, nobody);
    w->r[8] = weir_describe(lease, &(weir_statement){.sql = WHO}, &columns);
    return 0;
}

static void settings_hold_for_every_kind_of_query_until_others_are_given(void **state)
{
    world w = {.options = {.max = 1}};
    play_leased(&w, ask_in_all_ways);
    for (int i = 0; i < 6; i++)
        if (i != 3)
            assert_string_equal(w.text[i], AS_ALICE);
    assert_string_equal(w.error[3].sqlstate, "25006");
    assert_false(w.error[3].setting);
    assert_string_equal(w.text[6], AS_BOB);
    assert_string_equal(w.text[7], AS_SELF);
    assert_int_equal(w.r[8], 0);
}

static int deallocate(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    as(lease, alice);
    ask(w, lease, 0, WHO);
    adhoc(w, lease, 1, "deallocate all");
    ask(w, lease, 2, WHO);
    adhoc(w, lease, 3, "deallocate weir_set_2");
    adhoc(w, lease, 4, "prepare weir_set_1 as select pg_catalog.set_config($1, $2, true)");
    weir_lease_settings(lease, alice, 1);
    ask(w, lease, 5, "select current_setting('request.jwt.claims')");
    weir_release(lease);
    lease = NULL;
    ask_as(w, bob, 6, WHO);
    ask_as(w, NULL, 7, WHO);
    return 0;
}

static void statements_closed_or_made_beside_us_do_no_harm(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, deallocate);
    assert_all_well(&w, 0, 7);
    assert_string_equal(w.text[2], AS_ALICE);
    assert_string_equal(w.text[5], "{\"sub\":\"alice\"}");
    assert_string_equal(w.text[6], AS_BOB);
    assert_string_equal(w.text[7], AS_SELF);
}

/* ---- Refusals ---- */

static int be_refused(world *w, weir_lease *lease)
{
    for (int i = 0; i < 2; i++) { /* prepared in the same flight, and known */
        weir_lease_settings(lease, nobody, 1);
        ask(w, lease, i, "insert into notes values ('nobody', 'nothing')");
    }
    weir_lease_settings(lease, (weir_setting[]){{"work_mem", "much"}}, 1);
    ask(w, lease, 2, "select 1");
    weir_lease_settings(lease, (weir_setting[]){{"no_such_setting", "1"}}, 1);
    ask(w, lease, 3, "select 1");
    weir_lease_settings(lease, (weir_setting[]){{"a.b", "\xff"}}, 1);
    ask(w, lease, 4, "select 1");
    as(lease, alice);
    ask(w, lease, 5, "select nonsense");
    ask(w, lease, 6, "select 1/0");
    ask(w, lease, 7, "select at from greetings");
    as(lease, NULL);
    ask(w, lease, 8, "select count(*) from notes where owner = 'nobody'");
    return 0;
}

static void a_setting_that_is_refused_is_told_as_such_and_the_query_does_not_run(void **state)
{
    static const char *const states[] = {"22023", "22023", "22023", "42704",
                                         "22021", "42703", "22012", "42501"};
    world w = {.options = {.max = 1}};
    play_leased(&w, be_refused);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(w.r[i], WEIR_EQUERY);
        assert_string_equal(w.error[i].sqlstate, states[i]);
        assert_int_equal(w.error[i].setting, i < 5);
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(w.error[i].parameter + w.error[i].position, 0);
    assert_int_equal(w.error[5].position, 8);
    assert_string_equal(w.text[8], "0");
}

static int ask_the_impossible(world *w, weir_lease *lease)
{
    as(lease, alice);
    ask(w, lease, 0, "vacuum");
    ask(w, lease, 1, "call commits()");
    ask(w, lease, 2, "-- one\n /* two /* three */ */ do 'begin commit; end'");
    ask(w, lease, 3, "begin");
    ask(w, lease, 4, "call is_quiet()");
    ask(w, lease, 5, "call commits()");
    ask(w, lease, 6, "rollback");
    as(lease, NULL);
    ask(w, lease, 7, "call commits()");
    return 0;
}

static void what_would_outlive_the_settings_is_refused(void **state)
{
    world w = {.options = {.max = 1}};
    play_leased(&w, ask_the_impossible);
    assert_string_equal(w.error[0].sqlstate, "25001");
    assert_non_null(strstr(w.error[0].hint, "settings"));
    for (int i = 1; i < 3; i++) {
        assert_string_equal(w.error[i].sqlstate, "0A000");
        assert_non_null(strstr(w.error[i].hint, "transaction"));
    }
    assert_all_well(&w, 3, 4);
    assert_string_equal(w.error[5].sqlstate, "2D000");
    assert_all_well(&w, 6, 7);
}

/* ---- Transactions ---- */

static int ask_in_transactions(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    as(lease, alice);
    ask(w, lease, 20, WHO); /* their end is that of this query */
    ask(w, lease, 0, "/* as strict as can be */ begin isolation level serializable");
    ask(w, lease, 1, "select current_setting('transaction_isolation')");
    ask(w, lease, 2, WHO);
    ask(w, lease, 3, "savepoint here");
    as(lease, bob);
    ask(w, lease, 4, WHO);
    ask(w, lease, 5, "select 1/0");
    ask(w, lease, 6, "rollback to here");
    ask(w, lease, 7, WHO);
    ask(w, lease, 8, "commit and chain");
    ask(w, lease, 9, WHO);
    ask(w, lease, 10, "select 1/0");
    ask(w, lease, 11, "rollback and chain");
    ask(w, lease, 12, WHO);
    ask(w, lease, 13, "commit");
    as(lease, NULL);
    ask(w, lease, 14, "begin");
    ask(w, lease, 15, WHO);
    ask(w, lease, 16, "commit");
    as(lease, alice);
    ask(w, lease, 17, "start transaction read only");
    ask(w, lease, 18, WHO);
    weir_release(lease);
    lease = NULL;
    return ask_as(w, NULL, 19, WHO);
}

static void in_a_transaction_of_the_callers_they_hold_until_its_end(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, ask_in_transactions);
    for (int i = 0; i < 20; i++)
        if (i != 5 && i != 10)
            assert_all_well(&w, i, i);
    assert_string_equal(w.text[1], "serializable");
    assert_string_equal(w.text[2], AS_ALICE);
    assert_string_equal(w.text[4], AS_BOB);
    assert_string_equal(w.text[7], AS_BOB);
    assert_string_equal(w.text[9], AS_BOB);
    assert_string_equal(w.text[12], AS_BOB);
    assert_string_equal(w.text[15], AS_SELF);
    assert_string_equal(w.text[18], AS_ALICE);
    assert_string_equal(w.text[19], AS_SELF);
}

/* ---- Streams and early ends ---- */

static int read_rows(weir_lease *lease, const char *sql, uint32_t batches, world *w)
{
    weir_statement statement = {.sql = sql, .read_only = true};
    weir_scoped_stream weir_stream *stream = NULL;
    int r = weir_stream_open(lease, &statement, NULL, &stream);
    for (; r == 0 && batches > 0; batches--) {
        weir_scoped_result weir_result *rows = NULL;
        r = weir_stream_next(stream, &rows);
        if (r < 0 || !rows)
            break;
        w->number[0]++;
        for (uint32_t i = 0; i < weir_result_rows(rows); i++, w->number[1]++)
            w->number[2] += strcmp(weir_result_value(rows, i, 0), AS_ALICE) == 0;
    }
    return r;
}

#define WHO_OFTEN WHO " from generate_series(1, 20000)"

static int stream_as_alice(world *w)
{
    for (int i = 0; i < 3; i++) {
        weir_scoped_lease weir_lease *lease = NULL;
        int r = take(w, &lease);
        if (r < 0)
            return r;
        as(lease, alice);
        w->r[i] = read_rows(lease, WHO_OFTEN, i == 2 ? 2 : UINT32_MAX, w);
        if (i == 1)
            w->number[3] = w->number[0];
    }
    ask_as(w, NULL, 4, WHO);
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    w->r[5] = read_rows(lease, "select 1", UINT32_MAX, w); /* not in a flight of several steps */
    w->r[6] = read_rows(lease, "select 1", UINT32_MAX, w);
    as(lease, bob);
    ask(w, lease, 7, WHO);
    return 0;
}

static void streams_run_under_them_and_one_cut_midway_leaves_none(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, stream_as_alice);
    assert_all_well(&w, 0, 7);
    assert_int_equal(w.number[2], w.number[1] - 2);
    assert_true(w.number[1] > 40000);
    assert_true(w.number[3] > 10); /* in batches */
    assert_string_equal(w.text[4], AS_SELF);
    assert_string_equal(w.text[7], AS_BOB);
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
}

static int sleep_as_alice(void *arg)
{
    world *w = arg;
    return ask_as(w, alice, 0, "select pg_sleep(60)");
}

static int be_cut_short(world *w)
{
    {
        weir_scoped_timeout(quick, WEIR_MS(100));
        sleep_as_alice(w);
    }
    ask_as(w, NULL, 1, WHO);
    weir_task *task = NULL;
    if (weir_spawn(sleep_as_alice, w, &task) < 0)
        return -1;
    weir_sleep(WEIR_MS(50));
    weir_cancel(task);
    weir_join(task, NULL);
    ask_as(w, NULL, 2, WHO);
    ask_as(w, bob, 3, WHO);
    return 0;
}

static void a_query_cut_short_leaves_none_for_the_next(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, be_cut_short);
    assert_int_equal(w.r[0], WEIR_ECANCELED);
    assert_int_equal(w.events[WEIR_QUERY_CANCELLED], 2);
    assert_all_well(&w, 1, 3);
    assert_string_equal(w.text[1], AS_SELF);
    assert_string_equal(w.text[2], AS_SELF);
    assert_string_equal(w.text[3], AS_BOB);
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sees_its_own_rows_and_the_next_none_of_it),
        cmocka_unit_test(settings_hold_for_every_kind_of_query_until_others_are_given),
        cmocka_unit_test(statements_closed_or_made_beside_us_do_no_harm),
        cmocka_unit_test(a_setting_that_is_refused_is_told_as_such_and_the_query_does_not_run),
        cmocka_unit_test(what_would_outlive_the_settings_is_refused),
        cmocka_unit_test(in_a_transaction_of_the_callers_they_hold_until_its_end),
        cmocka_unit_test(streams_run_under_them_and_one_cut_midway_leaves_none),
        cmocka_unit_test(a_query_cut_short_leaves_none_for_the_next),
    };
    return cmocka_run_group_tests_name("driver_settings", tests, start_with_roles, stop_server);
}
