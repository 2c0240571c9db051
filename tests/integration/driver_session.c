/* driver_session.c: sessions of the PostgreSQL driver from lease to lease: cleaned, cancelled,
 * lost. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "../support/driver_world.h"

/* ---- Between leases ---- */

static int left_open(world *w, weir_lease *lease, int i)
{
    if (i == 0) {
        ask(w, lease, 0, "create table left_open (a int)");
        ask(w, lease, 1, "begin");
        ask(w, lease, 2, "insert into left_open values (1)");
    } else {
        ask(w, lease, 3, "select count(*) from left_open");
        ask(w, lease, 4, "drop table left_open");
    }
    return 0;
}

static void a_transaction_left_open_is_rolled_back(void **state)
{
    world w = {.options.max = 1};
    play_turns(&w, 2, left_open);
    assert_all_well(&w, 0, 4);
    assert_string_equal(w.text[3], "0");
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
}

static int changed_by_function(world *w, weir_lease *lease, int i)
{
    if (i == 0) {
        ask(w, lease, 0, "select set_config('statement_timeout', '12345', false)");
        ask(w, lease, 1, "select pg_try_advisory_lock(8)");
    } else {
        ask(w, lease, 2,
            "select current_setting('statement_timeout') || ' ' || (select count(*) from "
            "pg_locks where locktype = 'advisory')");
    }
    return 0;
}

static void what_a_function_changes_in_the_session_ends_with_the_lease(void **state)
{
    world w = {.options.max = 1};
    play_turns(&w, 2, changed_by_function);
    assert_all_well(&w, 0, 2);
    assert_string_equal(w.text[2], "0 0");
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
}

static int changed_by_procedure(world *w, weir_lease *lease, int i)
{
    static const char *const calls[] = {"call untidy()", "/* one that answers */ CALL answers(1)"};
    if (i > 0)
        ask(w, lease, 2 * i - 1,
            "select current_setting('work_mem') || ' ' || (select count(*) from pg_locks where "
            "locktype = 'advisory')");
    if (i < 2)
        ask(w, lease, 2 * i, calls[i]);
    return 0;
}

static void what_a_procedure_changes_in_the_session_ends_with_the_lease(void **state)
{
    world w = {.options.max = 1};
    postgres_sql(server, "create procedure untidy() language plpgsql as $$ begin "
                         "perform set_config('work_mem', '77MB', false); "
                         "perform pg_advisory_lock(9); end $$");
    postgres_sql(server, "create procedure answers(inout a int) language plpgsql as $$ begin "
                         "call untidy(); end $$");
    play_turns(&w, 3, changed_by_procedure);
    assert_all_well(&w, 0, 3);
    assert_string_equal(w.text[1], "4MB 0");
    assert_string_equal(w.text[3], "4MB 0");
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
}

static int changed_session(world *w)
{
    weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    ask(w, lease, 0, "select 1");
    adhoc(w, lease, 1, "set datestyle = 'SQL, DMY'");
    adhoc(w, lease, 2, "set statement_timeout = 12345");
    adhoc(w, lease, 3, "create temp table mine (a int)");
    adhoc(w, lease, 4, "select pg_advisory_lock(7)");
    adhoc(w, lease, 5, "listen news");
    adhoc(w, lease, 6, "declare c cursor with hold for select 1");
    adhoc(w, lease, 7, "set role pg_monitor");
    adhoc(w, lease, 8, "prepare theirs as select 1");
    w->number[0] = (uint64_t)weir_lease_backend_pid(lease);
    read_only(w, lease, 9, "select 1");
    adhoc(w, lease, 10, "begin");
    ask(w, lease, 11, "select 1 / 0");
    weir_release(lease);
    lease = NULL;
    r = take(w, &lease);
    if (r < 0)
        return r;
    w->number[1] = (uint64_t)weir_lease_backend_pid(lease);
    ask(w, lease, 12,
        "select current_setting('datestyle') || ' ' || "
        "current_setting('statement_timeout') || ' ' || current_user || ' ' || "
        "current_setting('client_encoding') || ' ' || "
        "current_setting('application_name') || ' ' || "
        "current_setting('default_transaction_read_only')");
    ask(w, lease, 13,
        "select (select count(*) from pg_cursors where name = 'c') || ' ' || (select count(*) from "
        "pg_listening_channels()) || ' ' || (select count(*) from pg_locks where locktype = "
        "'advisory') || ' ' || (select count(*) from pg_class where relname = 'mine') || ' ' || "
        "(select count(*) from pg_prepared_statements where name = 'theirs')");
    weir_release(lease);
    return 0;
}

static void a_session_changed_by_ad_hoc_sql_is_cleaned(void **state)
{
    world w = {.options.max = 1};
    play(&w, changed_session);
    assert_all_well(&w, 0, 10);
    assert_all_well(&w, 12, 13);
    assert_int_equal(w.number[0], w.number[1]);
    assert_string_equal(w.text[12], "ISO, MDY 0 postgres UTF8 weir off");
    assert_string_equal(w.text[13], "0 0 0 0 0");
}

/* ---- Cancelling ---- */

static int too_slow(world *w)
{
    weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    w->number[0] = (uint64_t)weir_lease_backend_pid(lease);
    {
        weir_scoped_timeout(quick, WEIR_MS(100));
        ask(w, lease, 0, "select pg_sleep(60)");
    }
    ask(w, lease, 1, "select 1");
    weir_release(lease);
    for (int i = 0; i < 20; i++) {
        lease = NULL;
        r = take(w, &lease);
        if (r < 0)
            return r;
        w->number[1] = (uint64_t)weir_lease_backend_pid(lease);
        ask(w, lease, 2, "select pg_sleep(0.01)");
        weir_release(lease);
        if (w->r[2] < 0)
            break;
    }
    return 0;
}

static void a_query_past_its_deadline_is_stopped_and_the_next_is_not(void **state)
{
    world w = {.options.max = 1};
    play(&w, too_slow);
    assert_int_equal(w.r[0], WEIR_ETIMEDOUT);
    assert_int_equal(w.r[1], WEIR_ESPENT);
    assert_all_well(&w, 2, 2);
    assert_int_equal(w.number[0], w.number[1]);
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
}

/* Deadlines that fall around the moment of the answer, or before the server has begun. */
static int close_calls(world *w)
{
    for (int i = 0; i < 150; i++) {
        weir_lease *lease = NULL;
        int r = take(w, &lease);
        if (r < 0)
            return r;
        char sql[64];
        snprintf(sql, sizeof sql, "select %d, pg_sleep(%d)", i % 10, i % 5 == 4 ? 60 : 0);
        {
            weir_scoped_timeout(quick, WEIR_US(20) * (uint64_t)(i % 13 + 1));
            ask(w, lease, 0, sql);
        }
        if (w->r[0] == 0 && atoi(w->text[0]) != i % 10)
            return -200 - i;
        weir_release(lease);
        lease = NULL;
        r = take(w, &lease);
        if (r < 0)
            return r;
        snprintf(sql, sizeof sql, "select %d::text", i);
        ask(w, lease, 1, sql);
        weir_release(lease);
        if (w->r[1] < 0 || atoi(w->text[1]) != i)
            return -1000 - i;
    }
    return 0;
}

static void a_late_cancel_never_hits_the_next_query(void **state)
{
    world w = {.options = {.max = 1, .statements_max = 5}};
    play(&w, close_calls);
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
}

static int stopped_in_transaction(world *w)
{
    weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    ask(w, lease, 0, "begin");
    ask(w, lease, 1, "select pg_advisory_xact_lock(11)");
    {
        weir_scoped_timeout(quick, WEIR_MS(50));
        ask(w, lease, 2, "select pg_sleep(60)");
    }
    weir_release(lease);
    lease = NULL;
    r = take(w, &lease);
    if (r < 0)
        return r;
    ask(w, lease, 3, "select count(*) from pg_locks where locktype = 'advisory'");
    weir_release(lease);
    return 0;
}

static void a_stopped_query_leaves_no_transaction_behind(void **state)
{
    world w = {.options.max = 1};
    play(&w, stopped_in_transaction);
    assert_int_equal(w.r[2], WEIR_ETIMEDOUT);
    assert_string_equal(w.text[3], "0");
}

static int sleeper(void *arg)
{
    world *w = arg;
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    weir_result *result = NULL;
    r = weir_query(lease, &(weir_statement){.sql = "select pg_sleep(61)"}, NULL, &result);
    weir_result_free(result);
    return r;
}

/* The pool gives the quarantined connection no time at all: the request outlives the session. */
static int closed_while_cancelling(world *w)
{
    weir_task *task = NULL;
    int r = weir_spawn(sleeper, w, &task);
    if (r < 0)
        return r;
    weir_sleep(WEIR_MS(100));
    weir_cancel(task);
    weir_join(task, &w->r[0]);
    weir_sleep(WEIR_MS(20));
    return 0;
}

static void a_connection_is_closed_under_its_cancel_request(void **state)
{
    world w = {.options = {.max = 1, .cancel_grace_ns = 1}};
    play(&w, closed_while_cancelling);
    assert_int_equal(w.r[0], WEIR_ECANCELED);
    assert_int_equal(w.retired[WEIR_RETIRE_CANCELLED] + w.retired[WEIR_RETIRE_DRAINED], 1);
}

/* The lease is taken from its holder while its query runs: the connection is closed at once. */
static int held_too_long(world *w)
{
    {
        weir_scoped_lease weir_lease *lease = NULL;
        int r = take(w, &lease);
        if (r < 0)
            return r;
        ask(w, lease, 0, "select pg_sleep(64)");
    }
    uint64_t since_ns = weir_now();
    while (postgres_number(server, "select count(*) from pg_stat_activity where query = 'select "
                                   "pg_sleep(64)'") &&
           weir_now() - since_ns < WEIR_S(20))
        weir_sleep(WEIR_MS(5));
    w->number[1] = weir_now() - since_ns;
    return take_and_ask(w, 2, "select 1");
}

static void a_query_whose_connection_is_reclaimed_is_stopped_at_the_server(void **state)
{
    world w = {.options = {.max = 1, .leak_after_ns = WEIR_MS(200), .reclaim_leaked = true}};
    play(&w, held_too_long);
    assert_int_equal(w.r[0], WEIR_ERECLAIMED);
    assert_true(w.number[1] < WEIR_S(10));
    assert_all_well(&w, 2, 2);
    assert_int_equal(w.retired[WEIR_RETIRE_LEAKED], 1);
}

/* ---- What is told of it ---- */

static void note_transaction(world *w, int at)
{
    weir_lease_info info = {.transaction = "none"};
    weir_pool_leases(w->pool, &info, 1);
    snprintf(w->text[at], sizeof w->text[at], "%s", info.transaction);
}

static int transacts(world *w)
{
    weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    const char *const steps[] = {"select 1", "begin", "select 1 / 0", "rollback"};
    for (int i = 0; i < 4; i++) {
        ask(w, lease, 10 + i, steps[i]);
        note_transaction(w, i);
    }
    weir_release(lease);

    weir_task *task = NULL;
    r = weir_spawn(sleeper, w, &task);
    if (r < 0)
        return r;
    for (int i = 0; i < 1000 && strcmp(w->text[4], "active") != 0; i++) {
        weir_sleep(WEIR_MS(5));
        note_transaction(w, 4);
    }
    weir_cancel(task);
    return weir_join(task, &w->r[0]);
}

static void what_a_lease_s_transaction_is_at_is_told(void **state)
{
    world w = {.options.max = 1};
    play(&w, transacts);
    assert_string_equal(w.text[0], "idle");
    assert_string_equal(w.text[1], "open");
    assert_string_equal(w.text[2], "failed");
    assert_string_equal(w.text[3], "idle");
    assert_string_equal(w.text[4], "active");
}

typedef struct onlooker {
    int seen, right;
} onlooker;

static bool look_at_native(void *arg, const weir_session *session)
{
    onlooker *o = arg;
    const PGconn *pg = session->native;
    o->seen++;
    o->right += PQbackendPID(pg) == session->backend_pid && PQserverVersion(pg) >= 130000 &&
                PQtransactionStatus(pg) == PQTRANS_IDLE;
    return true;
}

static int one_question(world *w)
{
    return take_and_ask(w, 0, "select 1");
}

static void hooks_are_shown_the_connection_of_libpq(void **state)
{
    onlooker o = {0, 0};
    world w = {.options = {.max = 1,
                           .hooks = {.arg = &o,
                                     .on_connect = look_at_native,
                                     .before_acquire = look_at_native,
                                     .after_release = look_at_native}}};
    play(&w, one_question);
    assert_int_equal(o.seen, 3);
    assert_int_equal(o.right, 3);
}

/* ---- Loss ---- */

static int terminated_idle(world *w)
{
    weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    w->number[0] = weir_lease_connection(lease);
    weir_release(lease);
    w->number[2] = (uint64_t)postgres_signal_backends(server, SIGTERM);
    for (int i = 0; i < 500 && !w->events[WEIR_CONNECTION_RETIRED]; i++)
        weir_sleep(WEIR_MS(10));
    lease = NULL;
    r = take(w, &lease);
    if (r < 0)
        return r;
    w->number[1] = weir_lease_connection(lease);
    ask(w, lease, 0, "select 1");
    weir_release(lease);
    return 0;
}

static void an_idle_connection_the_server_ends_is_noticed_at_once(void **state)
{
    world w = {.options.max = 1};
    play(&w, terminated_idle);
    assert_int_equal(w.number[2], 1);
    assert_int_equal(w.retired[WEIR_RETIRE_SERVER_SHUTDOWN], 1);
    assert_all_well(&w, 0, 0);
    assert_int_not_equal(w.number[0], w.number[1]);
}

static int lost_under_query(world *w, weir_lease *lease, int i)
{
    if (i < 2)
        say(w, lease, i,
            &(weir_statement){.sql = "select pg_terminate_backend(pg_backend_pid())",
                              .read_only = i == 1},
            0, NULL);
    if (i == 2) { /* between two queries of one lease */
        w->number[0] = (uint64_t)postgres_signal_backends(server, SIGTERM);
        weir_sleep(WEIR_MS(50));
        ask(w, lease, 2, "select 2");
    }
    if (i == 3)
        ask(w, lease, 3, "select 3");
    return 0;
}

static void a_connection_lost_under_a_query_fails_it_and_goes(void **state)
{
    world w = {.options.max = 1};
    play_turns(&w, 4, lost_under_query);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(w.r[i], WEIR_ELOST);
        assert_string_equal(w.error[i].sqlstate, "57P01");
        assert_true(w.error[i].retryable);
    }
    assert_int_equal(w.number[0], 1);
    assert_all_well(&w, 3, 3);
    assert_int_equal(w.retired[WEIR_RETIRE_SERVER_SHUTDOWN], 3);
}

static int killed(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    ask(w, lease, 0, "select 1");
    postgres_kill(server);
    ask(w, lease, 1, "insert into nowhere values (1)");
    read_only(w, lease, 2, "select 1");
    return 0;
}

static void a_write_of_unknown_fate_is_not_called_retryable(void **state)
{
    world w = {.options.max = 1};
    int r = play_through(&w, killed);
    postgres_bring_up(server);
    assert_int_equal(r, 0);
    assert_int_equal(w.r[1], WEIR_ELOST);
    assert_false(w.error[1].retryable);
    assert_int_equal(w.r[2], WEIR_ELOST);
}

static int strike(void *arg)
{
    uint64_t until_ns = weir_after(WEIR_S(5));
    while (postgres_number(server, "select count(*) from pg_stat_activity"
                                   " where wait_event = 'PgSleep'") == 0 &&
           weir_now() < until_ns)
        weir_sleep(WEIR_MS(10));
    return postgres_signal_backends(server, SIGQUIT);
}

static int warned(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    weir_spawn(strike, NULL, NULL);
    ask(w, lease, 0, "create table unknown_fate as select 1 as n from pg_sleep(60)");
    return 0;
}

static void not_even_where_the_servers_last_words_are_a_warning(void **state)
{
    world w = {.options.max = 1};
    int r = play_through(&w, warned);
    postgres_kill(server); /* it would begin anew by itself, at a time that nobody can tell */
    postgres_bring_up(server);
    assert_int_equal(r, 0);
    assert_int_equal(w.r[0], WEIR_ELOST);
    assert_memory_equal(w.error[0].sqlstate, "57P0", 4);
    assert_false(w.error[0].retryable);
}

static int slept_on(world *w)
{
    for (int i = 0; i < 2; i++) {
        weir_lease *lease = NULL;
        int r = take(w, &lease);
        if (r < 0)
            return r;
        w->connection[i] = weir_lease_connection(lease);
        weir_release(lease);
        weir_sleep(WEIR_MS(20));
    }
    return 0;
}

static void a_connection_long_idle_is_checked_and_kept(void **state)
{
    world w = {.options = {.max = 1, .validate_after_ns = 1}};
    play(&w, slept_on);
    assert_int_equal(w.connection[0], w.connection[1]);
}

/* ---- Lanes ---- */

typedef struct visitor {
    world *w;
    int lane, runs, wrong;
    atomic_int *left;
} visitor;

static int visit(void *arg)
{
    visitor *v = arg;
    char sql[64];
    for (int i = 0; i < 200; i++) {
        weir_scoped_lease weir_lease *lease = NULL;
        weir_scoped_result weir_result *result = NULL;
        weir_scope scope = {.deadline_ns = weir_after(WEIR_S(20))};
        int n = v->lane * 1000 + i % 7;
        snprintf(sql, sizeof sql, "select %d::text", n);
        if (weir_acquire(v->w->pool, &scope, &lease) == 0 &&
            weir_query(lease, &(weir_statement){.sql = sql}, NULL, &result) == 0 &&
            atoi(weir_result_value(result, 0, 0)) == n)
            v->runs++;
        else
            v->wrong++;
    }
    atomic_fetch_sub(v->left, 1);
    return 0;
}

typedef struct tour {
    world *w;
    visitor visitors[6];
    weir_runtime *runtime;
    int opened, closed;
} tour;

static int tour_all(void *arg)
{
    tour *t = arg;
    atomic_int left = 6;
    t->opened = weir_pool_open(t->runtime, &t->w->options, &t->w->pool, NULL);
    for (int i = 0; i < 6; i++) {
        t->visitors[i] = (visitor){.w = t->w, .lane = i % 3, .left = &left};
        weir_spawn_on(weir_runtime_lane(t->runtime, (uint32_t)i % 3), visit, &t->visitors[i]);
    }
    while (atomic_load(&left) > 0)
        weir_sleep(WEIR_MS(5));
    t->closed = weir_pool_close(t->w->pool);
    weir_runtime_stop(t->runtime);
    return 0;
}

static void connections_move_between_lanes_and_answers_stay_with_their_askers(void **state)
{
    world w = {.options = {.conninfo = postgres_conninfo(server), .max = 2}};
    tour t = {.w = &w};
    assert_int_equal(weir_runtime_open(&(weir_runtime_options){.lanes = 3}, &t.runtime), 0);
    assert_int_equal(weir_spawn_on(weir_runtime_lane(t.runtime, 0), tour_all, &t), 0);
    assert_int_equal(weir_runtime_run(t.runtime), 0);
    weir_runtime_close(t.runtime);
    assert_int_equal(t.opened, 0);
    assert_int_equal(t.closed, 0);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(t.visitors[i].wrong, 0);
        assert_int_equal(t.visitors[i].runs, 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_left_open_is_rolled_back),
        cmocka_unit_test(what_a_function_changes_in_the_session_ends_with_the_lease),
        cmocka_unit_test(what_a_procedure_changes_in_the_session_ends_with_the_lease),
        cmocka_unit_test(a_session_changed_by_ad_hoc_sql_is_cleaned),
        cmocka_unit_test(a_query_past_its_deadline_is_stopped_and_the_next_is_not),
        cmocka_unit_test(a_late_cancel_never_hits_the_next_query),
        cmocka_unit_test(a_stopped_query_leaves_no_transaction_behind),
        cmocka_unit_test(a_connection_is_closed_under_its_cancel_request),
        cmocka_unit_test(a_query_whose_connection_is_reclaimed_is_stopped_at_the_server),
        cmocka_unit_test(what_a_lease_s_transaction_is_at_is_told),
        cmocka_unit_test(hooks_are_shown_the_connection_of_libpq),
        cmocka_unit_test(an_idle_connection_the_server_ends_is_noticed_at_once),
        cmocka_unit_test(a_connection_lost_under_a_query_fails_it_and_goes),
        cmocka_unit_test(a_write_of_unknown_fate_is_not_called_retryable),
        cmocka_unit_test(not_even_where_the_servers_last_words_are_a_warning),
        cmocka_unit_test(a_connection_long_idle_is_checked_and_kept),
        cmocka_unit_test(connections_move_between_lanes_and_answers_stay_with_their_askers),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
