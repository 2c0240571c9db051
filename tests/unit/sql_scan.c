/* sql_scan.c: where a statement has parameters, and which texts are no statement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../api/sql_scan.h"

/* Scans `sql` and compares the rewritten text, and the names joined by spaces. */
static void scans(const char *sql, const char *rewritten, const char *names)
{
    sql_text scanned;
    query_fault fault = {0};
    char joined[256] = "";
    int status = sql_scan(sql, strlen(sql), 1, &scanned, &fault);
    if (status != 0)
        fail_msg("%s: line %u: %s", sql, fault.line, fault.message);
    for (uint32_t i = 0; i < scanned.count; i++) {
        strcat(joined, i > 0 ? " " : "");
        strcat(joined, scanned.names[i]);
    }
    assert_string_equal(scanned.sql, rewritten);
    assert_string_equal(joined, names);
    sql_text_free(&scanned);
}

static void same(const char *sql)
{
    scans(sql, sql, "");
}

static void refused(const char *sql, uint32_t line, const char *part)
{
    sql_text scanned;
    query_fault fault = {0};
    if (sql_scan(sql, strlen(sql), 1, &scanned, &fault) != WEIR_EINVAL)
        fail_msg("taken: %s", sql);
    if (!strstr(fault.message, part) || fault.line != line)
        fail_msg("%s: line %u: %s", sql, fault.line, fault.message);
}

static void names_become_numbers_in_the_order_they_appear(void **state)
{
    scans("select :a, :b, :a", "select $1, $2, $1", "a b");
    scans("select :_x1,:É", "select $1,$2", "_x1 É");
    scans("select :a::int, :b ::text", "select $1::int, $2 ::text", "a b");
    scans("select x:::a", "select x::$1", "a");
    scans("select :a+:b-:c", "select $1+$2-$3", "a b c");
    scans("select * from t where a=:a and b=any(:b)", "select * from t where a=$1 and b=any($2)",
          "a b");
    scans("select :abc, :ab, :abcd", "select $1, $2, $3", "abc ab abcd");
}

static void a_parameter_that_touches_a_word_is_kept_apart_from_it(void **state)
{
    scans("select 1 limit:n", "select 1 limit $1", "n");
    scans("select:a", "select $1", "a");
    scans("select 1:a", "select 1 $1", "a");
    scans("select a$:b", "select a$ $1", "b");
}

static void strings_names_and_comments_hold_no_parameters(void **state)
{
    same("select ':a', 'it''s :b', ':c\\'");
    same("select 'a'\n  ':b' -- :c");
    same("select E'\\':a', e'\\\\', E'a''\\':b'");
    same("select E'a' -- :x\n '\\':b'");
    same("select U&'\\0441:a' UESCAPE '!', U&\":b\", N':c', B'01', x':d'");
    same("select \":a\", \"say \"\":b\"\"\"");
    same("select $$:a$$, $t$ :b $$ $x$ :c$t$, $é$:d$é$");
    same("select 1 -- :a '\n, 2 /* :b ' /* :c */ \" :d */, 3");
    same("select 1 --:a");
    same("select 1 +/* :a */ 2, 1 *-- :b\n 2");
    same("select a$tag$b, a$1 from x$$, y$$");
}

static void what_follows_a_string_or_a_comment_is_seen_again(void **state)
{
    scans("select 'a' :b", "select 'a' $1", "b");
    scans("select 'a\\', :b, ''", "select 'a\\', $1, ''", "b");
    scans("select E'\\'', :b", "select E'\\'', $1", "b");
    scans("select type'\\', :b", "select type'\\', $1", "b");
    scans("select \"\"\"\", :b", "select \"\"\"\", $1", "b");
    scans("select $a$ $b$ $a$, :b", "select $a$ $b$ $a$, $1", "b");
    scans("select /*/ :a */ :b", "select /*/ :a */ $1", "b");
    scans("select -- x\r:b", "select -- x\r$1", "b");
    scans("select '' '\\', :a", "select '' '\\', $1", "a");
}

static void casts_assignments_and_slices_are_no_parameters(void **state)
{
    same("select '1'::int, x::text[]");
    same("select f(a := 1, b:=2)");
    same("select a[1:2], a[:2], a[1:], a[:], a[lo : hi], a[lo: hi]");
    same("select a ? b, a @> b, '{}'::jsonb #>> x");
    scans("select a[1 : :hi], a[:lo : 2], f(:x)", "select a[1 : $1], a[$2 : 2], f($3)", "hi lo x");
    refused("select\na[lo:hi]", 2, "space after the colon");
    refused("select a[f(x):hi]", 1, "space after the colon");
    refused("select a[:lo:hi]", 1, "space after the colon");
    scans("select a[1], x:y", "select a[1], x $1", "y");
}

static void a_statement_ends_once(void **state)
{
    scans("select 1;", "select 1 ", "");
    scans("select 1 ;;\n -- done\n/* really */ ; ", "select 1   \n -- done\n/* really */   ", "");
    scans("select 1 -;-- x", "select 1 - -- x", "");
    scans(";select 1", " select 1", "");
    refused("select 1;\n\nselect 2", 3, "second statement");
    refused("select 1; :x", 1, "second statement");
    same("select ';', \";\", $$;$$ /* ; */");
}

static void a_text_without_sql_is_refused(void **state)
{
    refused("", 0, "no SQL");
    refused(" \n ;; ", 0, "no SQL");
    refused("/* select 1 */ -- select 2", 0, "no SQL");
}

static void what_is_not_closed_is_reported_where_it_begins(void **state)
{
    refused("select\n 'a\n\n", 2, "string");
    refused("select\n 'a''", 2, "string");
    refused("select E'\\'", 1, "string");
    refused("select E'\\", 1, "string");
    refused("select 'a'\n\n 'b", 1, "string");
    refused("select\n\n\"a\n", 3, "name");
    refused("select \"a\"\"", 1, "name");
    refused("select 1\n/* /* */\n", 2, "comment");
    refused("select\n$a$ $b$\n$a $", 2, "$a$");
    refused("select $$", 1, "$$");
}

static void numbered_and_quoted_parameters_are_refused(void **state)
{
    refused("select\n$1", 2, ":name");
    refused("select :a, $2", 1, ":name");
    refused("select :'a'", 1, "without quotes");
    refused("select :\"a\"", 1, "without quotes");
    same("select '$1', \"$1\", $x$ $1 $x$ -- $1");
}

static void lines_stay_where_they_were(void **state)
{
    sql_text scanned;
    query_fault fault = {0};
    const char sql[] = "select 'a\nb',\n:c";
    assert_int_equal(sql_scan(sql, sizeof sql - 1, 4, &scanned, &fault), 0);
    assert_string_equal(scanned.sql, "\n\n\nselect 'a\nb',\n$1");
    sql_text_free(&scanned);
    assert_int_equal(sql_scan("\n'", 2, 4, &scanned, &fault), WEIR_EINVAL);
    assert_int_equal(fault.line, 5);
}

static void a_late_annotation_is_refused_and_a_late_comment_is_not(void **state)
{
    refused("select 1\n  -- @route GET /x", 2, "move this line");
    refused("/* x */\n--@optional a\nselect 1", 2, "move this line");
    same("select 1 -- @home");
    same("select 1\n-- @ home\n-- to: a@b");
    same("select 'x\n-- @route', /*\n-- @route */ 2");
}

static void a_statement_has_a_bounded_number_of_parameters(void **state)
{
    char sql[8192] = "select :p0";
    char name[80];
    for (int i = 1; i <= SQL_PARAMS_MAX; i++) {
        sql_text scanned;
        query_fault fault = {0};
        sprintf(name, ",:p%d,:p0", i);
        strcat(sql, name);
        int status = sql_scan(sql, strlen(sql), 1, &scanned, &fault);
        assert_int_equal(status, i < SQL_PARAMS_MAX ? 0 : WEIR_EINVAL);
        if (status == 0)
            sql_text_free(&scanned);
    }
    snprintf(name, sizeof name, "select :%064d", 0);
    name[8] = 'a';
    refused(name, 1, "at most 63");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_become_numbers_in_the_order_they_appear),
        cmocka_unit_test(a_parameter_that_touches_a_word_is_kept_apart_from_it),
        cmocka_unit_test(strings_names_and_comments_hold_no_parameters),
        cmocka_unit_test(what_follows_a_string_or_a_comment_is_seen_again),
        cmocka_unit_test(casts_assignments_and_slices_are_no_parameters),
        cmocka_unit_test(a_statement_ends_once),
        cmocka_unit_test(a_text_without_sql_is_refused),
        cmocka_unit_test(what_is_not_closed_is_reported_where_it_begins),
        cmocka_unit_test(numbered_and_quoted_parameters_are_refused),
        cmocka_unit_test(lines_stay_where_they_were),
        cmocka_unit_test(a_late_annotation_is_refused_and_a_late_comment_is_not),
        cmocka_unit_test(a_statement_has_a_bounded_number_of_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
