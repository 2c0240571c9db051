/* driver.c: the PostgreSQL driver as a task sees it, through a pool, on a real server. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/postgres.h"
#include "weir.h"

static postgres_server *server;

/* One test's pool, and what its task has seen: the task records, the main stack asserts. */
typedef struct world {
    weir_pool *pool;
    weir_pool_options options;
    int (*body)(struct world *w);
    int opened, closed, body_result;
    int r[24];
    weir_error error[24];
    char text[24][256];
    uint64_t number[24];
    uint64_t connection[8];
    uint32_t events[WEIR_EVENT_COUNT];
    uint32_t retired[WEIR_RETIRE_REASON_COUNT];
    char notice[256];
    weir_timings timings;
} world;

static void on_event(void *arg, const weir_event *event)
{
    world *w = arg;
    w->events[event->kind]++;
    if (event->kind == WEIR_CONNECTION_RETIRED)
        w->retired[event->reason]++;
    if (event->kind == WEIR_SERVER_NOTICE)
        snprintf(w->notice, sizeof w->notice, "%s %s", event->sqlstate, event->message);
}

static int run_body(void *arg)
{
    world *w = arg;
    w->opened = weir_pool_open(NULL, &w->options, &w->pool, NULL);
    if (w->opened < 0)
        return w->opened;
    w->body_result = w->body(w);
    w->closed = weir_pool_close(w->pool);
    return 0;
}

/* A backend takes a moment to see that its client has gone. */
static int backends_left(void)
{
    int left = postgres_backends(server);
    for (int i = 0; left > 0 && i < 500; i++) {
        usleep(10000);
        left = postgres_backends(server);
    }
    return left;
}

static void play(world *w, int (*body)(world *w))
{
    w->body = body;
    if (!w->options.conninfo)
        w->options.conninfo = postgres_conninfo(server);
    w->options.on_event = on_event;
    w->options.on_event_arg = w;
    int r = weir_run(NULL, run_body, w);
    assert_int_equal(r, 0);
    assert_int_equal(w->opened, 0);
    assert_int_equal(w->body_result, 0);
    assert_int_equal(w->closed, 0);
    assert_int_equal(backends_left(), 0);
}

/* ---- What bodies say ---- */

/* Takes a lease within five seconds. */
static int take(world *w, weir_lease **lease)
{
    weir_scope scope = {.deadline_ns = weir_after(WEIR_S(5)), .timings = &w->timings};
    return weir_acquire(w->pool, &scope, lease);
}

/* Runs a statement; the first value of its result goes to text[at], rows affected to number[at]. */
static void say(world *w, weir_lease *lease, int at, const weir_statement *statement,
                uint32_t count, const char *const *values)
{
    weir_scoped_result weir_result *result = NULL;
    w->r[at] = weir_query(lease, statement, &(weir_params){count, values}, &result);
    w->error[at] = *weir_lease_error(lease);
    if (w->r[at] < 0)
        return;
    w->number[at] = weir_result_affected(result);
    if (weir_result_rows(result) == 0)
        return;
    bool null = weir_result_is_null(result, 0, 0);
    snprintf(w->text[at], sizeof w->text[at], "%s", null ? "∅" : weir_result_value(result, 0, 0));
}

static void ask(world *w, weir_lease *lease, int at, const char *sql)
{
    say(w, lease, at, &(weir_statement){.sql = sql}, 0, NULL);
}

static void read_only(world *w, weir_lease *lease, int at, const char *sql)
{
    say(w, lease, at, &(weir_statement){.sql = sql, .read_only = true}, 0, NULL);
}

static void adhoc(world *w, weir_lease *lease, int at, const char *sql)
{
    say(w, lease, at, &(weir_statement){.sql = sql, .adhoc = true}, 0, NULL);
}

static void assert_all_well(const world *w, int from, int to)
{
    for (int i = from; i <= to; i++)
        if (w->r[i] != 0)
            fail_msg("step %d: %s [%s] %s", i, weir_strerror(w->r[i]), w->error[i].sqlstate,
                     w->error[i].message);
}

/* ---- Values ---- */

static int values(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    weir_scoped_result weir_result *result = NULL;
    weir_statement statement = {.sql = "select $1::int + 1 as n, $2::text, null::bool from "
                                       "generate_series(1, 3)"};
    const char *const v[] = {"41", NULL};
    w->r[0] = weir_query(lease, &statement, &(weir_params){2, v}, &result);
    if (w->r[0] < 0)
        return w->r[0];
    w->number[0] = weir_result_rows(result);
    w->number[1] = weir_result_columns(result);
    w->number[2] = weir_result_column_type(result, 0);
    w->number[3] = weir_result_is_null(result, 1, 1);
    w->number[4] = weir_result_is_null(result, 2, 2);
    w->number[5] = weir_result_length(result, 2, 0);
    w->number[6] = (uint64_t)weir_lease_backend_pid(lease);
    snprintf(w->text[0], sizeof w->text[0], "%s", weir_result_value(result, 2, 0));
    snprintf(w->text[1], sizeof w->text[1], "%s", weir_result_column_name(result, 0));
    ask(w, lease, 9, "select pg_backend_pid()");
    return 0;
}

static void parameters_and_nulls_go_there_and_back(void **state)
{
    world w = {.pool = NULL};
    play(&w, values);
    assert_int_equal(w.number[0], 3);
    assert_int_equal(w.number[1], 3);
    assert_int_equal(w.number[2], 23);
    assert_int_equal(w.number[3], 1);
    assert_int_equal(w.number[4], 1);
    assert_int_equal(w.number[5], 2);
    assert_string_equal(w.text[0], "42");
    assert_string_equal(w.text[1], "n");
    assert_int_equal(strtoul(w.text[9], NULL, 10), w.number[6]);
    assert_int_not_equal(w.timings.sent_ns, 0);
    assert_true(w.timings.answered_ns >= w.timings.sent_ns);
}

static int large_values(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    size_t size = 8u << 20;
    char *text = malloc(size + 1);
    memset(text, 'x', size);
    text[size] = '\0';
    const char *const v[] = {text};
    weir_scoped_result weir_result *result = NULL;
    w->r[0] = weir_query(lease, &(weir_statement){.sql = "select $1::text || repeat('y', 1000000)"},
                         &(weir_params){1, v}, &result);
    w->number[0] = w->r[0] < 0 ? 0 : weir_result_length(result, 0, 0);
    free(text);
    return 0;
}

static void megabytes_pass_in_both_directions(void **state)
{
    world w = {.pool = NULL};
    play(&w, large_values);
    assert_int_equal(w.r[0], 0);
    assert_int_equal(w.number[0], (8u << 20) + 1000000);
}

static int descriptions(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    for (int i = 0; i < 2; i++) {
        weir_scoped_result weir_result *result = NULL;
        weir_statement statement = {.sql = "select $1::int8 as a, $2::text as b", .adhoc = i == 1};
        w->r[i] = weir_describe(lease, &statement, &result);
        if (w->r[i] < 0)
            return w->r[i];
        w->number[4 * i] = weir_result_parameters(result);
        w->number[4 * i + 1] = weir_result_parameter_type(result, 0);
        w->number[4 * i + 2] = weir_result_columns(result);
        w->number[4 * i + 3] = weir_result_column_type(result, 1);
    }
    weir_result *none = NULL;
    w->r[2] = weir_describe(lease, &(weir_statement){.sql = "selec 1"}, &none);
    w->error[2] = *weir_lease_error(lease);
    ask(w, lease, 9, "select count(*) from pg_prepared_statements");
    return 0;
}

static void a_statement_is_described_without_being_run(void **state)
{
    world w = {.pool = NULL};
    play(&w, descriptions);
    for (int i = 0; i < 8; i += 4) {
        assert_int_equal(w.number[i], 2);
        assert_int_equal(w.number[i + 1], 20);
        assert_int_equal(w.number[i + 2], 2);
        assert_int_equal(w.number[i + 3], 25);
    }
    assert_int_equal(w.r[2], WEIR_EQUERY);
    assert_string_equal(w.error[2].sqlstate, "42601");
    assert_int_equal(w.error[2].position, 1);
    assert_string_equal(w.text[9], "2"); /* the first description's, and this */
}

/* ---- Errors ---- */

static int errors(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    ask(w, lease, 0,
        "do $$ begin raise exception 'no such luck' using errcode = 'P1234', detail = 'a detail', "
        "hint = 'a hint'; end $$");
    ask(w, lease, 1, "select 1 / 0");
    ask(w, lease, 2, "select $1::int");
    ask(w, lease, 3, "");
    adhoc(w, lease, 4, "select 1; select 2");
    ask(w, lease, 5, "do $$ begin raise exception 'again' using errcode = '40001'; end $$");
    ask(w, lease, 6, "select 'still usable'");
    return 0;
}

static void a_failed_query_says_why_and_leaves_the_connection_usable(void **state)
{
    world w = {.pool = NULL};
    play(&w, errors);
    for (int i = 0; i < 6; i++)
        assert_int_equal(w.r[i], WEIR_EQUERY);
    assert_string_equal(w.error[0].sqlstate, "P1234");
    assert_string_equal(w.error[0].message, "no such luck");
    assert_string_equal(w.error[0].detail, "a detail");
    assert_string_equal(w.error[0].hint, "a hint");
    assert_false(w.error[0].retryable);
    assert_string_equal(w.error[1].sqlstate, "22012");
    assert_string_equal(w.error[2].sqlstate, "08P01");
    assert_string_equal(w.error[3].message, "the query is empty");
    assert_string_equal(w.error[4].sqlstate, "42601");
    assert_true(w.error[5].retryable);
    assert_string_equal(w.text[6], "still usable");
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
}

static int copies(world *w)
{
    static const char *const sql[] = {"copy (select 1) to stdout", "copy pg_class from stdin"};
    for (int i = 0; i < 4; i++) {
        weir_scoped_lease weir_lease *lease = NULL;
        int r = take(w, &lease);
        if (r < 0)
            return r;
        (i < 2 ? adhoc : ask)(w, lease, i, sql[i % 2]);
    }
    return 0;
}

static void copy_is_refused(void **state)
{
    world w = {.pool = NULL};
    play(&w, copies);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(w.r[i], WEIR_EQUERY);
        assert_string_equal(w.error[i].sqlstate, i % 2 ? w.error[i].sqlstate : "0A000");
    }
    assert_int_equal(w.events[WEIR_POOL_CLOSED], 1);
}

static int notices(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    ask(w, lease, 0, "do $$ begin raise warning 'mind the gap'; end $$");
    return 0;
}

static void a_notice_reaches_the_pools_events(void **state)
{
    world w = {.pool = NULL};
    play(&w, notices);
    assert_int_equal(w.r[0], 0);
    assert_string_equal(w.notice, "01000 mind the gap");
}

/* ---- Prepared statements ---- */

static int many_statements(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    char sql[64];
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 10; i++) {
            snprintf(sql, sizeof sql, "select %d", i);
            ask(w, lease, 0, sql);
            if (w->r[0] < 0 || atoi(w->text[0]) != i)
                return -100 - i;
        }
    ask(w, lease, 1, "select count(*) from pg_prepared_statements");
    ask(w, lease, 2,
        "select string_agg(statement, ';' order by prepare_time) from "
        "pg_prepared_statements");
    return 0;
}

static void the_least_recently_used_statement_makes_room(void **state)
{
    world w = {.options.statements_max = 4};
    play(&w, many_statements);
    assert_string_equal(w.text[1], "4");
    assert_non_null(strstr(w.text[2], "select 9;select count(*)"));
    assert_null(strstr(w.text[2], "select 7"));
}

static int same_statement(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    for (int i = 0; i < 3; i++) {
        char sql[] = "select name from pg_prepared_statements where statement like 'select name%'";
        ask(w, lease, i, sql); /* the same text at whatever address */
        memset(sql, '!', sizeof sql - 1);
    }
    ask(w, lease, 3, "select count(*) from pg_prepared_statements");
    return 0;
}

static void a_statement_is_prepared_once_and_known_by_its_text(void **state)
{
    world w = {.pool = NULL};
    play(&w, same_statement);
    assert_all_well(&w, 0, 3);
    assert_string_equal(w.text[0], w.text[2]);
    assert_string_equal(w.text[3], "2");
}

static int altered_table(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    static const char sql[] = "select * from altered";
    ask(w, lease, 0, "create table altered (a text)");
    ask(w, lease, 1, "insert into altered values ('one')");
    ask(w, lease, 2, sql);
    ask(w, lease, 3, "alter table altered alter column a type text[] using array[a]");
    ask(w, lease, 4, sql); /* prepared anew, unseen */
    ask(w, lease, 5, "alter table altered alter column a type text using a[1]");
    ask(w, lease, 6, "begin");
    ask(w, lease, 7, sql); /* cannot be: the transaction has failed */
    ask(w, lease, 8, "rollback");
    ask(w, lease, 9, sql);
    ask(w, lease, 10, "deallocate all");
    ask(w, lease, 11, sql);
    ask(w, lease, 12, "drop table altered");
    ask(w, lease, 13, sql);
    return 0;
}

static void a_statement_overtaken_by_ddl_is_prepared_anew(void **state)
{
    world w = {.pool = NULL};
    play(&w, altered_table);
    assert_all_well(&w, 0, 6);
    assert_string_equal(w.text[2], "one");
    assert_string_equal(w.text[4], "{one}");
    assert_int_equal(w.r[7], WEIR_EQUERY);
    assert_string_equal(w.error[7].sqlstate, "0A000");
    assert_true(w.error[7].retryable);
    assert_all_well(&w, 8, 12);
    assert_string_equal(w.text[9], "one");
    assert_string_equal(w.text[11], "one");
    assert_string_equal(w.error[13].sqlstate, "42P01");
}

static int name_clash(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    adhoc(w, lease, 0, "prepare weir_1 as select 'theirs'");
    ask(w, lease, 1, "select 'ours'");
    ask(w, lease, 2, "select 'ours'");
    return 0;
}

static void a_name_taken_by_someone_else_is_passed_over(void **state)
{
    world w = {.pool = NULL};
    play(&w, name_clash);
    assert_all_well(&w, 0, 2);
    assert_string_equal(w.text[1], "ours");
    assert_string_equal(w.text[2], "ours");
}

/* ---- Read-only ---- */

static int modes(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    ask(w, lease, 0, "create table modes (a int)");
    read_only(w, lease, 1, "insert into modes values (1)");
    ask(w, lease, 2, "insert into modes values (2)");
    read_only(w, lease, 3, "insert into modes values (3)");
    read_only(w, lease, 4, "select string_agg(a::text, ',') from modes");
    read_only(w, lease, 5, "select no_such_column");
    read_only(w, lease, 6, "insert into modes values (6)");
    adhoc(w, lease, 7, "set default_transaction_read_only = off");
    read_only(w, lease, 8, "insert into modes values (8)");
    read_only(w, lease, 9, "select set_config('default_transaction_read_only', 'off', false)");
    read_only(w, lease, 10, "insert into modes values (10)");
    ask(w, lease, 11, "begin");
    ask(w, lease, 12, "insert into modes values (12)");
    read_only(w, lease, 13, "select 1");
    ask(w, lease, 14, "commit");
    ask(w, lease, 15, "vacuum modes"); /* may not share its flight's transaction */
    read_only(w, lease, 16, "select string_agg(a::text, ',') from modes");
    ask(w, lease, 17, "drop table modes");
    return 0;
}

static void a_read_only_statement_cannot_write(void **state)
{
    world w = {.pool = NULL};
    play(&w, modes);
    static const int writes[] = {1, 3, 6, 8, 10};
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) {
        assert_int_equal(w.r[writes[i]], WEIR_EQUERY);
        assert_string_equal(w.error[writes[i]].sqlstate, "25006");
    }
    assert_string_equal(w.text[4], "2");
    assert_string_equal(w.error[5].sqlstate, "42703");
    assert_all_well(&w, 11, 17);
    assert_string_equal(w.text[16], "2,12");
}

/* ---- Between leases ---- */

static int left_open(world *w)
{
    for (int i = 0; i < 2; i++) {
        weir_scoped_lease weir_lease *lease = NULL;
        int r = take(w, &lease);
        if (r < 0)
            return r;
        if (i == 0) {
            ask(w, lease, 0, "create table left_open (a int)");
            ask(w, lease, 1, "begin");
            ask(w, lease, 2, "insert into left_open values (1)");
        } else {
            ask(w, lease, 3, "select count(*) from left_open");
            ask(w, lease, 4, "drop table left_open");
        }
    }
    return 0;
}

static void a_transaction_left_open_is_rolled_back(void **state)
{
    world w = {.options.max = 1};
    play(&w, left_open);
    assert_all_well(&w, 0, 4);
    assert_string_equal(w.text[3], "0");
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

static int lost_under_query(world *w)
{
    for (int i = 0; i < 4; i++) {
        weir_scoped_lease weir_lease *lease = NULL;
        int r = take(w, &lease);
        if (r < 0)
            return r;
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
    }
    return 0;
}

static void a_connection_lost_under_a_query_fails_it_and_goes(void **state)
{
    world w = {.options.max = 1};
    play(&w, lost_under_query);
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
    w.body = killed;
    w.options.conninfo = postgres_conninfo(server);
    int r = weir_run(NULL, run_body, &w);
    postgres_bring_up(server);
    assert_int_equal(r, 0);
    assert_int_equal(w.r[1], WEIR_ELOST);
    assert_false(w.error[1].retryable);
    assert_int_equal(w.r[2], WEIR_ELOST);
}

static int slept_on(world *w)
{
    for (int i = 0; i < 2; i++) {
        weir_scoped_lease weir_lease *lease = NULL;
        int r = take(w, &lease);
        if (r < 0)
            return r;
        w->connection[i] = weir_lease_connection(lease);
        weir_release(lease);
        lease = NULL;
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

/* ---- Dialling ---- */

static int failing_dial(world *w)
{
    weir_scope scope = {.deadline_ns = weir_after(WEIR_MS(400))};
    weir_lease *lease = NULL;
    w->r[0] = weir_acquire(w->pool, &scope, &lease);
    weir_release(lease);
    weir_pool_connect_error(w->pool, &w->error[0]);
    return 0;
}

static void a_dial_that_fails_says_why(void **state)
{
    char refused[128], unknown[128], no_database[256];
    snprintf(refused, sizeof refused, "host=127.0.0.1 port=1 user=postgres password=sesame");
    snprintf(unknown, sizeof unknown, "host=no-such-host.invalid user=postgres password=sesame");
    snprintf(no_database, sizeof no_database, "%s dbname=nowhere", postgres_conninfo(server));
    const struct {
        const char *conninfo, *sqlstate, *says;
        bool retryable;
    } cases[] = {
        {refused, "", "Connection refused", true},
        {unknown, "", "could not look up host \"no-such-host.invalid\"", true},
        {no_database, "3D000", "database \"nowhere\" does not exist", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world w = {.options.conninfo = cases[i].conninfo};
        play(&w, failing_dial);
        assert_true(w.r[0] == WEIR_ECONNECT || w.r[0] == WEIR_ETIMEDOUT);
        assert_int_equal(w.error[0].code, WEIR_ECONNECT);
        assert_string_equal(w.error[0].sqlstate, cases[i].sqlstate);
        assert_non_null(strstr(w.error[0].message, cases[i].says));
        assert_null(strstr(w.error[0].message, "sesame"));
        assert_int_equal(w.error[0].retryable, cases[i].retryable);
    }
}

static void a_wrong_password_is_named_and_not_shown(void **state)
{
    postgres_server *strict = postgres_start("password_encryption = 'scram-sha-256'");
    postgres_sql(strict, "create role guest login password 'right'");
    char path[256];
    snprintf(path, sizeof path, "%s/pg_hba.conf", postgres_data_folder(strict));
    FILE *hba = fopen(path, "w");
    assert_non_null(hba);
    fputs("local all postgres trust\nlocal all all scram-sha-256\nhost all all all scram-sha-256\n",
          hba);
    fclose(hba);
    postgres_sql(strict, "select pg_reload_conf()");
    const char *const passwords[] = {"wrong", "right"};
    for (int i = 0; i < 2; i++) {
        char conninfo[300];
        snprintf(conninfo, sizeof conninfo,
                 "host=127.0.0.1 port=%u user=guest password=%s dbname=postgres",
                 postgres_port(strict), passwords[i]);
        world w = {.options.conninfo = conninfo};
        play(&w, failing_dial);
        if (i == 1) {
            assert_int_equal(w.r[0], 0);
            continue;
        }
        assert_string_equal(w.error[0].sqlstate, "28P01");
        assert_non_null(strstr(w.error[0].message, "password authentication failed"));
        assert_null(strstr(w.error[0].message, "wrong"));
        assert_null(strstr(w.error[0].message, "auth.c"));
        assert_false(w.error[0].retryable);
    }
    postgres_stop(strict);
}

static int one_query(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    ask(w, lease, 0,
        "select current_setting('application_name') || ' ' || "
        "current_setting('work_mem') || ' ' || current_setting('datestyle')");
    return 0;
}

static void a_dead_host_among_several_is_passed_over(void **state)
{
    char several[400];
    const char *const lists[] = {
        "host=127.0.0.1,127.0.0.1 port=1,%u",
        "host=no-such-host.invalid,localhost port=%u",
        "host=localhost,localhost port=1,%u target_session_attrs=read-write",
        "host=localhost hostaddr=127.0.0.1 port=%u target_session_attrs=primary",
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        char format[300];
        snprintf(format, sizeof format, "%s user=postgres dbname=postgres", lists[i]);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(several, sizeof several, format, postgres_port(server));
#pragma GCC diagnostic pop
        world w = {.options.conninfo = several};
        play(&w, one_query);
        assert_all_well(&w, 0, 0);
    }
}

static int silent_listener(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, size) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) != 0)
        fail();
    *port = ntohs(a.sin_port);
    return fd;
}

static void a_host_that_never_answers_does_not_hide_the_next(void **state)
{
    uint16_t silent;
    int fd = silent_listener(&silent);
    char conninfo[200];
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1,127.0.0.1 port=%u,%u user=postgres dbname=postgres", silent,
             postgres_port(server));
    world w = {.options = {.conninfo = conninfo, .connect_timeout_ns = WEIR_MS(100)}};
    play(&w, one_query);
    close(fd);
    assert_all_well(&w, 0, 0);
    assert_true(w.events[WEIR_CONNECTION_FAILED] >= 1);
}

static void no_session_has_the_attributes_asked_for(void **state)
{
    char conninfo[300];
    snprintf(conninfo, sizeof conninfo, "%s target_session_attrs=standby",
             postgres_conninfo(server));
    world w = {.options.conninfo = conninfo};
    play(&w, failing_dial);
    assert_true(w.r[0] < 0);
    assert_non_null(strstr(w.error[0].message, "standby"));
}

static void the_users_own_settings_are_kept(void **state)
{
    char conninfo[400];
    snprintf(conninfo, sizeof conninfo,
             "%s application_name=mine options='-c work_mem=7MB -c datestyle=german'",
             postgres_conninfo(server));
    world w = {.options.conninfo = conninfo};
    play(&w, one_query);
    assert_string_equal(w.text[0], "mine 7MB ISO, DMY");
}

static void the_environment_and_service_files_are_honoured(void **state)
{
    char port[16], path[] = "/tmp/weir-service-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    dprintf(fd,
            "[shop]\nhost=localhost\nport=%u\nuser=postgres\ndbname=postgres\n"
            "application_name=served\n",
            postgres_port(server));
    close(fd);
    setenv("PGSERVICEFILE", path, 1);
    world w = {.options.conninfo = "service=shop"};
    play(&w, one_query);
    unsetenv("PGSERVICEFILE");
    unlink(path);
    assert_memory_equal(w.text[0], "served ", 7);

    snprintf(port, sizeof port, "%u", postgres_port(server));
    setenv("PGHOST", "localhost", 1);
    setenv("PGPORT", port, 1);
    setenv("PGUSER", "postgres", 1);
    setenv("PGDATABASE", "postgres", 1);
    world v = {.options.conninfo = ""};
    play(&v, one_query);
    unsetenv("PGHOST");
    unsetenv("PGPORT");
    unsetenv("PGUSER");
    unsetenv("PGDATABASE");
    assert_memory_equal(v.text[0], "weir ", 5);
}

/* ---- Running it ---- */

static int start_server(void **state)
{
    server = postgres_start("max_connections = 30");
    return 0;
}

static int stop_server(void **state)
{
    postgres_stop(server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_and_nulls_go_there_and_back),
        cmocka_unit_test(megabytes_pass_in_both_directions),
        cmocka_unit_test(a_statement_is_described_without_being_run),
        cmocka_unit_test(a_failed_query_says_why_and_leaves_the_connection_usable),
        cmocka_unit_test(copy_is_refused),
        cmocka_unit_test(a_notice_reaches_the_pools_events),
        cmocka_unit_test(the_least_recently_used_statement_makes_room),
        cmocka_unit_test(a_statement_is_prepared_once_and_known_by_its_text),
        cmocka_unit_test(a_statement_overtaken_by_ddl_is_prepared_anew),
        cmocka_unit_test(a_name_taken_by_someone_else_is_passed_over),
        cmocka_unit_test(a_read_only_statement_cannot_write),
        cmocka_unit_test(a_transaction_left_open_is_rolled_back),
        cmocka_unit_test(a_session_changed_by_ad_hoc_sql_is_cleaned),
        cmocka_unit_test(a_query_past_its_deadline_is_stopped_and_the_next_is_not),
        cmocka_unit_test(a_late_cancel_never_hits_the_next_query),
        cmocka_unit_test(a_stopped_query_leaves_no_transaction_behind),
        cmocka_unit_test(a_connection_is_closed_under_its_cancel_request),
        cmocka_unit_test(an_idle_connection_the_server_ends_is_noticed_at_once),
        cmocka_unit_test(a_connection_lost_under_a_query_fails_it_and_goes),
        cmocka_unit_test(a_write_of_unknown_fate_is_not_called_retryable),
        cmocka_unit_test(a_connection_long_idle_is_checked_and_kept),
        cmocka_unit_test(connections_move_between_lanes_and_answers_stay_with_their_askers),
        cmocka_unit_test(a_dial_that_fails_says_why),
        cmocka_unit_test(a_wrong_password_is_named_and_not_shown),
        cmocka_unit_test(a_dead_host_among_several_is_passed_over),
        cmocka_unit_test(a_host_that_never_answers_does_not_hide_the_next),
        cmocka_unit_test(no_session_has_the_attributes_asked_for),
        cmocka_unit_test(the_users_own_settings_are_kept),
        cmocka_unit_test(the_environment_and_service_files_are_honoured),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
