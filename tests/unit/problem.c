/* problem.c: tests of the status table and of how a problem is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "../../api/problem.h"

static json_t *told(const problem *p)
{
    buffer out = {0};
    problem_open(&out, p);
    buffer_char(&out, '}');
    json_error_t error;
    json_t *object = json_loadb(out.data, out.length, JSON_REJECT_DUPLICATES, &error);
    if (!object)
        fail_msg("%s in %.*s", error.text, (int)out.length, out.data);
    buffer_free(&out);
    return object;
}

static const char *text(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void each_sqlstate_has_the_status_of_the_table(void **state)
{
    static const struct {
        const char *sqlstate;
        int status;
    } expected[] = {
        {"22P02", 400}, {"22003", 400}, {"22012", 400}, {"23502", 400}, {"23514", 400},
        {"P0001", 400}, {"42501", 403}, {"23503", 409}, {"23505", 409}, {"23P01", 409},
        {"40001", 409}, {"40P01", 409}, {"55P03", 409}, {"57014", 504}, {"57P01", 503},
        {"57P02", 503}, {"57P03", 503}, {"53300", 503}, {"08006", 503}, {"25006", 405},
        {"42P01", 500}, {"42703", 500}, {"XX000", 500}, {"P0002", 500}, {"", 500},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        int status = problem_status(problem_of_sqlstate(expected[i].sqlstate, true));
        if (status != expected[i].status)
            fail_msg("%s gives %d, not %d", expected[i].sqlstate, status, expected[i].status);
    }
}

static void a_write_refused_as_one_is_the_servers_condition_unless_the_request_only_reads(void **s)
{
    assert_int_equal(problem_of_sqlstate("25006", true), PROBLEM_READ_ONLY);
    assert_int_equal(problem_of_sqlstate("25006", false), PROBLEM_DATABASE_DOWN);
}

static void every_problem_has_an_error_status_and_a_word_of_its_own(void **state)
{
    for (int a = 0; a < PROBLEM_COUNT; a++) {
        assert_in_range(problem_status((problem_kind)a), 400, 599);
        assert_true(strlen(problem_word((problem_kind)a)) < 24); /* the room in a request */
        assert_true(*problem_title((problem_kind)a) && *problem_meaning((problem_kind)a));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(problem_word((problem_kind)a), problem_word((problem_kind)b));
    }
}

static void a_problem_tells_everything_it_knows(void **state)
{
    json_t *o = told(&(problem){.kind = PROBLEM_CONFLICT,
                                .code = "23505",
                                .detail = "a \"quoted\" detail\n",
                                .hint = "a hint",
                                .parameter = "id",
                                .sql = "select 1",
                                .instance = "/x",
                                .request_id = "r1",
                                .retryable = true});
    assert_string_equal(text(o, "type"), "/problems/conflict");
    assert_string_equal(text(o, "title"), problem_title(PROBLEM_CONFLICT));
    assert_int_equal(json_integer_value(json_object_get(o, "status")), 409);
    assert_string_equal(text(o, "detail"), "a \"quoted\" detail\n");
    assert_string_equal(text(o, "instance"), "/x");
    assert_string_equal(text(o, "code"), "23505");
    assert_string_equal(text(o, "hint"), "a hint");
    assert_string_equal(text(o, "parameter"), "id");
    assert_string_equal(text(o, "sql"), "select 1");
    assert_string_equal(text(o, "request_id"), "r1");
    assert_true(json_is_true(json_object_get(o, "retryable")));
    json_decref(o);
}

static void what_a_problem_does_not_know_it_does_not_mention(void **state)
{
    json_t *o = told(&(problem){.kind = PROBLEM_NOT_FOUND, .hint = "", .code = ""});
    assert_string_equal(text(o, "code"), "not_found"); /* the word, where there is no SQLSTATE */
    assert_null(json_object_get(o, "hint"));
    assert_null(json_object_get(o, "sql"));
    assert_null(json_object_get(o, "detail"));
    assert_true(json_is_false(json_object_get(o, "retryable")));
    json_decref(o);
}

static void bytes_that_are_no_text_still_make_valid_json(void **state)
{
    json_t *o = told(&(problem){
        .kind = PROBLEM_BAD_REQUEST, .instance = "/a\xff\"\xc3", .detail = "cut \xe2\x82"});
    assert_string_equal(text(o, "instance"), "/a?\"?");
    assert_memory_equal(text(o, "detail"), "cut ", 4);
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sqlstate_has_the_status_of_the_table),
        cmocka_unit_test(
            a_write_refused_as_one_is_the_servers_condition_unless_the_request_only_reads),
        cmocka_unit_test(every_problem_has_an_error_status_and_a_word_of_its_own),
        cmocka_unit_test(a_problem_tells_everything_it_knows),
        cmocka_unit_test(bytes_that_are_no_text_still_make_valid_json),
        cmocka_unit_test(what_a_problem_does_not_know_it_does_not_mention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
