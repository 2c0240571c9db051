/* accept.c: the form that a header Accept asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../api/accept.h"

static void asks_for(const char *accept, answer_form form)
{
    if (accept_form(accept) != form)
        fail_msg("%s: %d", accept ? accept : "none", accept_form(accept));
}

static void a_whole_answer_is_what_nobody_need_ask_for(void **state)
{
    asks_for(NULL, FORM_JSON);
    asks_for("", FORM_JSON);
    asks_for("*/*", FORM_JSON);
    asks_for("application/json", FORM_JSON);
    asks_for("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", FORM_JSON);
    asks_for("image/png", FORM_JSON);
}

static void a_stream_is_asked_for_by_name(void **state)
{
    asks_for("application/x-ndjson", FORM_NDJSON);
    asks_for("text/csv", FORM_CSV);
    asks_for("application/json; stream=1", FORM_ARRAY);
    asks_for("Application/JSON ;\tStream = 1", FORM_ARRAY);
    asks_for("TEXT/CSV;header=present", FORM_CSV);
    asks_for("application/json; stream=0", FORM_JSON);
    asks_for("application/json; stream", FORM_JSON);
    asks_for("text/csvx", FORM_JSON);
    asks_for("x-text/csv", FORM_JSON);
}

static void the_highest_quality_wins_and_of_equal_ones_the_first(void **state)
{
    asks_for("text/csv, application/x-ndjson", FORM_CSV);
    asks_for("text/csv;q=0.5, application/x-ndjson", FORM_NDJSON);
    asks_for("text/csv;q=0.5, application/x-ndjson;q=0.501", FORM_NDJSON);
    asks_for("*/*;q=0.1,text/csv;q=0.2", FORM_CSV);
    asks_for("application/json;q=0.9;stream=1, application/json;q=0.8", FORM_ARRAY);
    asks_for("text/csv;q=0", FORM_JSON);
    asks_for("text/csv;q=0.000", FORM_JSON);
}

static void what_makes_no_sense_does_no_harm(void **state)
{
    asks_for(",,;;==,", FORM_JSON);
    asks_for(";q=1", FORM_JSON);
    asks_for(", text/csv ,", FORM_CSV);
    asks_for("text/csv;;", FORM_CSV);
    asks_for("text/csv;q=", FORM_CSV);
    asks_for("text/csv;q=9999999999", FORM_CSV);
    asks_for("text/csv;q=1.99999999999999", FORM_CSV);
    asks_for("text/csv;q=-1", FORM_CSV);
    asks_for("   ", FORM_JSON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_answer_is_what_nobody_need_ask_for),
        cmocka_unit_test(a_stream_is_asked_for_by_name),
        cmocka_unit_test(the_highest_quality_wins_and_of_equal_ones_the_first),
        cmocka_unit_test(what_makes_no_sense_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
