/* query.c: what a file's annotations make of its query, and which are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../api/query.h"

static query *parsed(const char *text)
{
    query *q = NULL;
    query_fault fault = {0};
    if (query_parse("orders.sql", text, strlen(text), &q, &fault) != 0)
        fail_msg("%s:%u: %s\n%s", fault.file, fault.line, fault.message, text);
    return q;
}

static void refused_bytes(const char *text, size_t length, uint32_t line, const char *part)
{
    query *q = NULL;
    query_fault fault = {0};
    if (query_parse("orders.sql", text, length, &q, &fault) != WEIR_EINVAL)
        fail_msg("taken: %s", text);
    if (!strstr(fault.message, part) || fault.line != line)
        fail_msg("line %u: %s\n%s", fault.line, fault.message, text);
    assert_string_equal(fault.file, "orders.sql");
    assert_null(q);
}

static void refused(const char *text, uint32_t line, const char *part)
{
    refused_bytes(text, strlen(text), line, part);
}

static void a_bare_statement_needs_no_annotation(void **state)
{
    query *q = parsed("select 1");
    assert_string_equal(q->name, "orders");
    assert_string_equal(q->file, "orders.sql");
    assert_string_equal(q->named_path, "/q/orders");
    assert_string_equal(q->description, "");
    assert_false(q->routed);
    assert_null(q->path);
    assert_null(q->pool);
    assert_int_equal(q->method, METHOD_GET);
    assert_int_equal(q->returns, RETURNS_ROWS);
    assert_int_equal(q->timeout_ns, 0);
    assert_int_equal(q->param_count, 0);
    assert_string_equal(q->statement.sql, "select 1");
    assert_false(q->statement.read_only);
    assert_ptr_equal(q->read_only.sql, q->statement.sql);
    assert_true(q->read_only.read_only);
    query_free(q);
}

static void a_query_only_reads_when_asked_by_get_or_when_its_route_is_one(void **state)
{
    static const struct {
        const char *sql;
        bool by_get, by_post;
    } cases[] = {{"select 1", true, false},
                 {"-- @route POST /orders\nselect 1", true, false},
                 {"-- @route GET /orders\nselect 1", true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        query *q = parsed(cases[i].sql);
        assert_int_equal(query_statement(q, METHOD_GET)->read_only, cases[i].by_get);
        assert_int_equal(query_statement(q, METHOD_POST)->read_only, cases[i].by_post);
        query_free(q);
    }
}

static void every_annotation_is_read(void **state)
{
    query *q = parsed("-- The latest orders\n"
                      "--   of one customer.\n"
                      "--\n"
                      "-- Newest first.\n"
                      "\n"
                      "-- @route PATCH /customers/{customer_id}/orders\r\n"
                      "--@returns\tcount  \n"
                      "  -- @timeout 1.5s\n"
                      "-- @default limit 20\n"
                      "-- @default :state 'it''s  open '\n"
                      "-- @default tail a b\n"
                      "-- @optional since\n"
                      "-- @pool default\n"
                      "select :customer_id, :limit, :state, :since, :tail;\n");
    assert_string_equal(q->description, "The latest orders\n  of one customer.\n\nNewest first.");
    assert_true(q->routed);
    assert_int_equal(q->method, METHOD_PATCH);
    assert_string_equal(q->path, "/customers/{customer_id}/orders");
    assert_int_equal(q->route_line, 6);
    assert_int_equal(q->returns, RETURNS_COUNT);
    assert_int_equal(q->timeout_ns, WEIR_MS(1500));
    assert_string_equal(q->pool, "default");
    assert_int_equal(q->param_count, 5);
    assert_true(q->params[0].in_path);
    assert_string_equal(q->params[1].name, "limit");
    assert_string_equal(q->params[1].fallback, "20");
    assert_int_equal(q->params[1].fallback_line, 9);
    assert_string_equal(q->params[2].fallback, "it's  open ");
    assert_false(q->params[2].optional);
    assert_true(q->params[3].optional);
    assert_null(q->params[3].fallback);
    assert_string_equal(q->params[4].fallback, "a b");
    assert_string_equal(q->statement.sql, "\n\n\n\n\n\n\n\n\n\n\n\n\nselect $1, $2, $3, $4, $5 \n");
    query_free(q);
}

static void a_cache_is_private_unless_it_is_said_to_be_public(void **state)
{
    query *q = parsed("-- @cache 5s\nselect 1");
    assert_string_equal(q->cache_control, "private, max-age=5");
    query_free(q);
    q = parsed("-- @route GET /a\n-- @cache 2m public\nselect 1");
    assert_string_equal(q->cache_control, "public, max-age=120");
    query_free(q);
    q = parsed("select 1");
    assert_null(q->cache_control);
    query_free(q);
}

static void what_must_be_shown_is_said_or_left_open(void **state)
{
    static const char *const texts[] = {"-- @auth none\nselect 1", "-- @auth token\nselect 1",
                                        "-- @auth jwt\nselect 1"};
    for (int i = 0; i < 3; i++) {
        query *q = parsed(texts[i]);
        assert_int_equal(q->auth, AUTH_NONE + i);
        assert_int_equal(q->auth_line, 1);
        query_free(q);
    }
    query *q = parsed("select 1");
    assert_int_equal(q->auth_line, 0);
    query_free(q);
}

static void a_default_may_be_empty_and_a_byte_order_mark_is_skipped(void **state)
{
    query *q = parsed("\xef\xbb\xbf-- @default a ''\nselect :a");
    assert_string_equal(q->params[0].fallback, "");
    query_free(q);
}

static void an_unknown_annotation_is_refused_with_the_nearest(void **state)
{
    refused("-- x\n-- @rout GET /a\nselect 1", 2, "@route?");
    refused("-- @tiemout 1s\nselect 1", 1, "@timeout?");
    refused("-- @return row\nselect 1", 1, "@returns?");
    refused("-- @Route GET /a\nselect 1", 1, "@route?");
    refused("-- @owner me\nselect 1", 1, "there are @route");
}

static void a_malformed_annotation_is_refused_with_what_to_write(void **state)
{
    refused("-- @route\nselect 1", 1, "@route GET /path");
    refused("-- @route GET\nselect 1", 1, "@route GET /path");
    refused("-- @route GET /a b\nselect 1", 1, "@route GET /path");
    refused("-- @route get /a\nselect 1", 1, "GET, POST");
    refused("-- @route HEAD /a\nselect 1", 1, "GET, POST");
    refused("-- @returns\nselect 1", 1, "@returns row");
    refused("-- @returns one\nselect 1", 1, "@returns row");
    refused("-- @timeout\nselect 1", 1, "500ms");
    refused("-- @auth\nselect 1", 1, "@auth none, @auth token or @auth jwt");
    refused("-- @auth JWT\nselect 1", 1, "@auth none, @auth token or @auth jwt");
    refused("-- @auth jwt token\nselect 1", 1, "@auth none, @auth token or @auth jwt");
    refused("-- @timeout 5\nselect 1", 1, "500ms");
    refused("-- @timeout 0\nselect 1", 1, "longer");
    refused("-- @default\nselect :a", 1, "@default NAME VALUE");
    refused("-- @default a\nselect :a", 1, "@default NAME VALUE");
    refused("-- @default a 'b\nselect :a", 1, "@default NAME VALUE");
    refused("-- @default a 'b' c\nselect :a", 1, "@default NAME VALUE");
    refused("-- @optional\nselect :a", 1, "@optional NAME");
    refused("-- @optional a b\nselect :a, :b", 1, "@optional NAME");
    refused("-- @pool\nselect 1", 1, "@pool NAME");
    refused("-- @pool a b\nselect 1", 1, "@pool NAME");
    refused("-- @cache\nselect 1", 1, "@cache 5s");
    refused("-- @cache 5\nselect 1", 1, "@cache 5s");
    refused("-- @cache 5s shared\nselect 1", 1, "@cache 5s");
    refused("-- @cache 500ms\nselect 1", 1, "whole seconds");
    refused("-- @cache 0s\nselect 1", 1, "whole seconds");
    refused("-- @route POST /a\n-- @cache 5s\nselect 1", 2, "of POST");
}

static void a_repeated_annotation_is_refused(void **state)
{
    refused("-- @route GET /a\n-- @route GET /b\nselect 1", 2, "second @route");
    refused("-- @returns row\n-- @returns row\nselect 1", 2, "second @returns");
    refused("-- @timeout 1s\n\n-- @timeout 1s\nselect 1", 3, "second @timeout");
    refused("-- @default a 1\n-- @default a 1\nselect :a", 2, "line 1");
    refused("-- @default a 1\n-- @optional a\nselect :a", 2, "line 1");
}

static void annotations_must_name_parameters_of_the_sql(void **state)
{
    refused("-- @default limt 1\nselect :limit", 1, "did you mean limit?");
    refused("-- @optional b\nselect :a", 1, "no :b");
    refused("-- @route GET /a/{order_id}\nselect :oder_id", 1, "did you mean oder_id?");
    refused("-- @route GET /a/{id}\n-- @default id 1\nselect :id", 2, "no effect");
    refused("-- @route GET /a/{id}\n-- @optional id\nselect :id", 2, "no effect");
}

static void a_path_that_no_request_can_have_is_refused(void **state)
{
    refused("-- @route GET a\nselect 1", 1, "begins with /");
    refused("-- @route GET /a//b\nselect 1", 1, "no //");
    refused("-- @route GET /a/\nselect 1", 1, "no slash at the end");
    refused("-- @route GET /a/../b\nselect 1", 1, "..");
    refused("-- @route GET /a{id}\nselect :id", 1, "whole segment");
    refused("-- @route GET /{}\nselect :id", 1, "name of a parameter");
    refused("-- @route GET /{1a}\nselect :a", 1, "name of a parameter");
    refused("-- @route GET /{a}/{a}\nselect :a", 1, "name of its own");
    refused("-- @route GET /a%20b\nselect 1", 1, "plainly");
    refused("-- @route GET /a?b\nselect 1", 1, "plainly");
}

static void a_late_annotation_is_refused(void **state)
{
    refused("select 1\n-- @returns row", 2, "move this line");
    refused("/* about */\n-- @returns row\nselect 1", 2, "move this line");
}

static void a_file_that_is_no_text_is_refused_at_its_line(void **state)
{
    refused_bytes("select 1\n\0", 10, 2, "NUL");
    refused_bytes("-- \xff\nselect 1", 13, 1, "0xff");
    refused_bytes("select\n\n'\xed\xa0\x80'", 13, 3, "not UTF-8");
    refused_bytes("select '\xc3", 9, 1, "not UTF-8");
    refused("", 0, "no SQL");
    refused("-- only this\n", 0, "no SQL");
    refused("-- a comment\rselect 1;\nselect 2", 2, "second statement");
}

static void a_fault_in_the_sql_has_the_line_of_the_file(void **state)
{
    refused("-- @returns row\n\n-- x\nselect\n$1", 5, ":name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bare_statement_needs_no_annotation),
        cmocka_unit_test(a_query_only_reads_when_asked_by_get_or_when_its_route_is_one),
        cmocka_unit_test(every_annotation_is_read),
        cmocka_unit_test(a_cache_is_private_unless_it_is_said_to_be_public),
        cmocka_unit_test(what_must_be_shown_is_said_or_left_open),
        cmocka_unit_test(a_default_may_be_empty_and_a_byte_order_mark_is_skipped),
        cmocka_unit_test(an_unknown_annotation_is_refused_with_the_nearest),
        cmocka_unit_test(a_malformed_annotation_is_refused_with_what_to_write),
        cmocka_unit_test(a_repeated_annotation_is_refused),
        cmocka_unit_test(annotations_must_name_parameters_of_the_sql),
        cmocka_unit_test(a_path_that_no_request_can_have_is_refused),
        cmocka_unit_test(a_late_annotation_is_refused),
        cmocka_unit_test(a_file_that_is_no_text_is_refused_at_its_line),
        cmocka_unit_test(a_fault_in_the_sql_has_the_line_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
