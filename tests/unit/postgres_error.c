/* postgres_error.c: what the PostgreSQL driver makes of libpq's messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/postgres.h"

static void a_verbose_message_is_taken_apart(void **state)
{
    weir_error e;
    error_of_dial(&e, "connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  28P01: "
                      "password authentication failed for user \"x\"\n"
                      "LOCATION:  auth_failed, auth.c:334\n");
    assert_int_equal(e.code, WEIR_ECONNECT);
    assert_string_equal(e.sqlstate, "28P01");
    assert_string_equal(e.message, "connection to server at \"127.0.0.1\", port 5432 failed: "
                                   "FATAL:  password authentication failed for user \"x\"");
    assert_false(e.retryable);
}

static void the_severity_may_be_in_any_language(void **state)
{
    weir_error e;
    error_of_dial(&e, "FATALE:  53300: troppi client già connessi\nPOSIZIONE:  x, y.c:1");
    assert_string_equal(e.sqlstate, "53300");
    assert_string_equal(e.message, "FATALE:  troppi client già connessi");
    assert_true(e.retryable);
}

static void a_message_of_libpq_itself_becomes_one_line(void **state)
{
    weir_error e;
    error_of_dial(&e, "connection to server on socket \"/x/.s.PGSQL.1\" failed: No such file\n"
                      "\tIs the server running locally?\n");
    assert_string_equal(e.sqlstate, "");
    assert_string_equal(e.message, "connection to server on socket \"/x/.s.PGSQL.1\" failed: "
                                   "No such file Is the server running locally?");
    assert_true(e.retryable);
}

static void what_only_looks_like_a_state_is_none(void **state)
{
    static const char *const texts[] = {"a:  ABC", "a:  abcde: b", "a:  ABCDE:b", "a:  ABCDE",
                                        "",        ":  ",          ":  1234"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        weir_error e;
        error_of_dial(&e, texts[i]);
        assert_string_equal(e.sqlstate, "");
    }
}

static void text_is_cut_between_characters(void **state)
{
    char to[6];
    text_copy(to, sizeof to, "abcdé");
    assert_string_equal(to, "abcd");
    text_copy(to, sizeof to, "abcé");
    assert_string_equal(to, "abcé");
    text_copy(to, sizeof to, "ab€uro");
    assert_string_equal(to, "ab€");
    text_copy(to, sizeof to, "abc€uro");
    assert_string_equal(to, "abc");
    text_copy(to, sizeof to, "ab😀");
    assert_string_equal(to, "ab");
    text_copy(to, sizeof to, "a\n\tb\n\n");
    assert_string_equal(to, "a b");
    text_copy(to, sizeof to, NULL);
    assert_string_equal(to, "");
    text_copy(to, sizeof to, "\x80\x80\x80\x80\x80\x80\x80\x80");
    assert_int_equal(strlen(to), 5);
}

static void races_and_outages_are_worth_another_try(void **state)
{
    static const char *const yes[] = {"40001", "40P01", "55P03", "57P01",
                                      "57P03", "53300", "08006"};
    static const char *const no[] = {"", "23505", "22012", "08P01", "57014", "25006", "28P01"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        assert_true(error_is_retryable(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        assert_false(error_is_retryable(no[i]));
}

static void only_a_shutdown_ends_a_session_by_its_state(void **state)
{
    assert_int_equal(error_fate("57P01"), WEIR_RETIRE_SERVER_SHUTDOWN);
    assert_int_equal(error_fate("57P02"), WEIR_RETIRE_SERVER_SHUTDOWN);
    assert_int_equal(error_fate("57014"), WEIR_RETIRE_NOT);
    assert_int_equal(error_fate(""), WEIR_RETIRE_NOT);
}

static void a_tag_tells_whether_the_session_may_have_changed(void **state)
{
    static const char *const yes[] = {"SET",     "RESET",       "LISTEN",       "DECLARE CURSOR",
                                      "PREPARE", "LOAD",        "CREATE TABLE", "SELECT 5",
                                      "DO",      "DISCARD ALL", "CALL"};
    static const char *const no[] = {"", "INSERT 0 1", "UPDATE 3", "BEGIN", "COMMIT", "ROLLBACK"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        assert_true(tag_changes_session(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        assert_false(tag_changes_session(no[i]));
    assert_true(tag_changes_statements("DEALLOCATE ALL"));
    assert_true(tag_changes_statements("DISCARD ALL"));
    assert_false(tag_changes_statements("DISCARD TEMP"));
    assert_false(tag_changes_statements("SET"));
}

static void a_context_names_the_parameter_that_could_not_be_read(void **state)
{
    static const struct {
        const char *context;
        uint32_t parameter;
    } cases[] = {
        {NULL, 0},
        {"", 0},
        {"unnamed portal parameter $2", 2},
        {"unnamed portal parameter $12 = '...'", 12},
        {"JSON data, line 1: {$3\nunnamed portal parameter $1 = '{$3'", 1},
        {"PL/pgSQL function f() line 1\nSQL statement \"select\n$2\"", 0},
        {"JSON data, line 1: unnamed portal parameter $2", 0},
        {"unnamed portal parameter $", 0},
        {"\n\nunnamed portal parameter $4", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(error_parameter(cases[i].context), cases[i].parameter);
}

static void a_server_without_room_is_known_by_its_state_alone(void **state)
{
    assert_true(
        error_says_full("connection to server on socket \"/x\" failed: FATAL:  53300: sorry"));
    assert_true(error_says_full("server a failed: FATAL:  57P03: starting up\nLOCATION:  a, b.c:1\n"
                                "server b failed: FATAL:  53300: too many connections for role"));
    assert_false(error_says_full("server a failed: FATAL:  53400: a limit"));
    assert_false(error_says_full("server 53300 failed: Connection refused"));
    assert_false(error_says_full("out of memory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verbose_message_is_taken_apart),
        cmocka_unit_test(the_severity_may_be_in_any_language),
        cmocka_unit_test(a_message_of_libpq_itself_becomes_one_line),
        cmocka_unit_test(what_only_looks_like_a_state_is_none),
        cmocka_unit_test(a_server_without_room_is_known_by_its_state_alone),
        cmocka_unit_test(a_context_names_the_parameter_that_could_not_be_read),
        cmocka_unit_test(text_is_cut_between_characters),
        cmocka_unit_test(races_and_outages_are_worth_another_try),
        cmocka_unit_test(only_a_shutdown_ends_a_session_by_its_state),
        cmocka_unit_test(a_tag_tells_whether_the_session_may_have_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
