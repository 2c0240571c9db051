/* sql_words.c: what a statement is seen to begin with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sql_words.h"

static bool begins_with_call(const char *sql)
{
    static const char *const words[] = {"do", "call", NULL};
    return sql_begins_with(sql, words);
}

static void the_first_word_is_found_behind_comments_and_spaces(void **state)
{
    static const char *const all[] = {
        "call p()",
        "CALL p()",
        "do 'begin end'",
        "do$$begin end$$",
        " \t\r\n\f\v;;call p()",
        "-- one\n--\r\ncall p()",
        "-- one\rcall p()",
        "/* one */ call p()",
        "/**/call p()",
        "/* one /* two */ select */ call p()",
        "-- /*\ncall p()",
        "/* -- */call/* */p()",
        "call\"p\"()",
        "((call",
        "do",
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!begins_with_call(all[i]))
            fail_msg("%s", all[i]);
}

static void no_other_word_is_taken_for_it(void **state)
{
    static const char *const all[] = {
        "",
        " ",
        "select call",
        "calls()",
        "call_me()",
        "call1",
        "cal",
        "-- call",
        "/* call p()",
        "/* one /* two */ call p()",
        "/*/ call p()",
        "/",
        "-",
        "- call",
        "'call'",
        "\"call\"",
        "\xc3\xa9 call",
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (begins_with_call(all[i]))
            fail_msg("%s", all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_word_is_found_behind_comments_and_spaces),
        cmocka_unit_test(no_other_word_is_taken_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
