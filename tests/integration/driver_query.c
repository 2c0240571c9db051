/* driver_query.c: queries through the PostgreSQL driver, on a real server. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "../support/driver_world.h"

/* ---- Values ---- */

static int values(world *w, weir_lease *lease)
{
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
    play_leased(&w, values);
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

static int large_values(world *w, weir_lease *lease)
{
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
    play_leased(&w, large_values);
    assert_int_equal(w.r[0], 0);
    assert_int_equal(w.number[0], (8u << 20) + 1000000);
}

static int limited_answers(world *w, weir_lease *lease)
{
    weir_scoped_result weir_result *small = NULL, *large = NULL;
    weir_statement kilobyte = {.sql = "select repeat('x', 1000)"};
    weir_statement megabytes = {.sql = "select repeat('x', 1000) from generate_series(1, 20000)"};
    weir_lease_limit(lease, 2u << 20);
    w->r[0] = weir_query(lease, &kilobyte, NULL, &small);
    w->r[1] = weir_query(lease, &megabytes, NULL, &large);
    w->error[1] = *weir_lease_error(lease);
    w->r[2] = weir_query(lease, &kilobyte, NULL, NULL);
    return 0;
}

static int limited_and_then_not(world *w)
{
    weir_lease *lease = NULL;
    w->body_result = take(w, &lease);
    limited_answers(w, lease);
    weir_release(lease);
    return take_and_ask(w, 3,
                        "select sum(length(x)) from (select repeat('x', 1000) x from "
                        "generate_series(1, 5000)) t");
}

static void an_answer_beyond_its_limit_is_stopped_at_the_server(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, limited_and_then_not);
    assert_int_equal(w.r[0], 0);
    assert_int_equal(w.r[1], WEIR_ETOOLARGE);
    assert_int_equal(w.error[1].code, WEIR_ETOOLARGE);
    assert_int_equal(w.r[2], WEIR_ESPENT);
    assert_string_equal(w.text[3], "5000000");
    assert_int_equal(w.events[WEIR_QUERY_CANCELLED], 1);
}

/* Slightly too large, so that its end may have come in with what is too much of it. */
static int exceed_by(world *w, int bytes)
{
    char sql[96];
    snprintf(sql, sizeof sql, "select repeat('x', 1000) from generate_series(1, %d)",
             ((1 << 20) + bytes) / 1011);
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    weir_lease_limit(lease, 1 << 20);
    weir_scoped_result weir_result *result = NULL;
    w->number[0] += weir_query(lease, &(weir_statement){.sql = sql}, NULL, &result) < 0;
    return 0;
}

static int exceed_by_more_and_more(world *w)
{
    for (int i = 0; i < 60; i++) {
        int r = exceed_by(w, i * 4096);
        if (r == 0)
            r = take_and_ask(w, i > 0, "select pg_backend_pid()");
        if (r < 0 || strcmp(w->text[i > 0], w->text[0]) != 0)
            return -1;
    }
    return 0;
}

static void one_whose_end_has_come_leaves_the_connection_usable_at_once(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, exceed_by_more_and_more);
    assert_true(w.number[0] > 0);
    assert_int_equal(w.retired[WEIR_RETIRE_CANCELLED], 0);
}

static int descriptions(world *w, weir_lease *lease)
{
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
    play_leased(&w, descriptions);
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

static int errors(world *w, weir_lease *lease)
{
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
    play_leased(&w, errors);
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

static int copies(world *w, weir_lease *lease, int i)
{
    static const char *const sql[] = {"copy (select 1) to stdout", "copy pg_class from stdin"};
    (i < 2 ? adhoc : ask)(w, lease, i, sql[i % 2]);
    return 0;
}

static void copy_is_refused(void **state)
{
    world w = {.pool = NULL};
    play_turns(&w, 4, copies);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(w.r[i], WEIR_EQUERY);
        assert_string_equal(w.error[i].sqlstate, i % 2 ? w.error[i].sqlstate : "0A000");
    }
    assert_int_equal(w.events[WEIR_POOL_CLOSED], 1);
}

static int notices(world *w, weir_lease *lease)
{
    ask(w, lease, 0, "do $$ begin raise warning 'mind the gap'; end $$");
    return 0;
}

static void a_notice_reaches_the_pools_events(void **state)
{
    world w = {.pool = NULL};
    play_leased(&w, notices);
    assert_int_equal(w.r[0], 0);
    assert_string_equal(w.notice, "01000 mind the gap");
}

/* ---- An answer for which there is no memory ---- */

static bool no_memory;

WEIR_PUBLIC void *PQresultAlloc(PGresult *result, size_t size)
{
    void *(*libpqs_own)(PGresult *, size_t) =
        (void *(*)(PGresult *, size_t))dlsym(RTLD_NEXT, "PQresultAlloc");
    return no_memory ? NULL : libpqs_own(result, size);
}

static int without_memory(world *w, weir_lease *lease)
{
    weir_statement insert = {.sql = "insert into carried_out values (1)"};
    weir_stream *stream = NULL;
    ask(w, lease, 0, "create table carried_out (n int)");
    no_memory = true;
    ask(w, lease, 1, insert.sql);
    w->r[2] = weir_stream_open(lease, &insert, NULL, &stream);
    w->error[2] = *weir_lease_error(lease);
    w->r[3] = weir_describe(lease, &insert, NULL);
    w->error[3] = *weir_lease_error(lease);
    no_memory = false;
    ask(w, lease, 4, "select count(*) from carried_out");
    return 0;
}

static void an_answer_without_memory_for_it_is_not_called_a_refusal(void **state)
{
    world w = {.options = {.max = 1}};
    play_leased(&w, without_memory);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(w.r[i], WEIR_ENOMEM);
        assert_int_equal(w.error[i].code, WEIR_ENOMEM);
        assert_false(w.error[i].retryable);
    }
    assert_string_equal(w.error[1].message, "out of memory: the statement was carried out");
    assert_string_equal(w.error[2].message, "out of memory: the statement was carried out");
    assert_string_equal(w.error[3].message, "out of memory");
    assert_string_equal(w.text[4], "2");
}

/* ---- Prepared statements ---- */

static int many_statements(world *w, weir_lease *lease)
{
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
    play_leased(&w, many_statements);
    assert_string_equal(w.text[1], "4");
    assert_non_null(strstr(w.text[2], "select 9;select count(*)"));
    assert_null(strstr(w.text[2], "select 7"));
}

static int same_statement(world *w, weir_lease *lease)
{
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
    play_leased(&w, same_statement);
    assert_all_well(&w, 0, 3);
    assert_string_equal(w.text[0], w.text[2]);
    assert_string_equal(w.text[3], "2");
}

static int altered_table(world *w, weir_lease *lease)
{
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
    play_leased(&w, altered_table);
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

static int name_clash(world *w, weir_lease *lease)
{
    adhoc(w, lease, 0, "prepare weir_1 as select 'theirs'");
    ask(w, lease, 1, "select 'ours'");
    ask(w, lease, 2, "select 'ours'");
    return 0;
}

static void a_name_taken_by_someone_else_is_passed_over(void **state)
{
    world w = {.pool = NULL};
    play_leased(&w, name_clash);
    assert_all_well(&w, 0, 2);
    assert_string_equal(w.text[1], "ours");
    assert_string_equal(w.text[2], "ours");
}

/* ---- Read-only ---- */

static int modes(world *w, weir_lease *lease)
{
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
    play_leased(&w, modes);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_and_nulls_go_there_and_back),
        cmocka_unit_test(megabytes_pass_in_both_directions),
        cmocka_unit_test(an_answer_beyond_its_limit_is_stopped_at_the_server),
        cmocka_unit_test(one_whose_end_has_come_leaves_the_connection_usable_at_once),
        cmocka_unit_test(a_statement_is_described_without_being_run),
        cmocka_unit_test(a_failed_query_says_why_and_leaves_the_connection_usable),
        cmocka_unit_test(an_answer_without_memory_for_it_is_not_called_a_refusal),
        cmocka_unit_test(copy_is_refused),
        cmocka_unit_test(a_notice_reaches_the_pools_events),
        cmocka_unit_test(the_least_recently_used_statement_makes_room),
        cmocka_unit_test(a_statement_is_prepared_once_and_known_by_its_text),
        cmocka_unit_test(a_statement_overtaken_by_ddl_is_prepared_anew),
        cmocka_unit_test(a_name_taken_by_someone_else_is_passed_over),
        cmocka_unit_test(a_read_only_statement_cannot_write),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
