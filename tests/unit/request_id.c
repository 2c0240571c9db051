/* request_id.c: tests of the names that requests are called by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "../../api/request_id.h"

static id_source source;

static int open_source(void **state)
{
    id_source_open(&source);
    return 0;
}

static void a_sound_id_is_taken_over(void **state)
{
    char longest[REQUEST_ID_MAX + 1], id[REQUEST_ID_MAX + 1];
    memset(longest, 'a', REQUEST_ID_MAX);
    longest[REQUEST_ID_MAX] = '\0';
    const char *sound[] = {"1", "req-42_A.b:c+d/e=f@g~h", longest};
    for (size_t i = 0; i < 3; i++) {
        request_id_choose(sound[i], &source, id);
        assert_string_equal(id, sound[i]);
    }
}

static void an_unsound_id_is_replaced(void **state)
{
    char over[REQUEST_ID_MAX + 2], id[REQUEST_ID_MAX + 1];
    memset(over, 'a', sizeof over - 1);
    over[sizeof over - 1] = '\0';
    const char *unsound[] = {
        NULL,  "",         " ",     "a b", "a\"b", "a\nb", "a\r\nSet-Cookie: x",
        "<b>", "\xc3\xa4", "a\x7f", over};
    for (size_t i = 0; i < sizeof unsound / sizeof *unsound; i++) {
        request_id_choose(unsound[i], &source, id);
        assert_int_equal(strlen(id), 32);
        assert_int_equal(strspn(id, "0123456789abcdef"), 32);
    }
}

static void ids_made_differ(void **state)
{
    enum { COUNT = 2000 };
    static char ids[COUNT][REQUEST_ID_MAX + 1];
    for (int i = 0; i < COUNT; i++) {
        request_id_choose(NULL, &source, ids[i]);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ids[i], ids[j]);
    }
}

#define SOUND "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void a_valid_traceparent_is_taken_over(void **state)
{
    char out[TRACEPARENT_SIZE + 1];
    traceparent_choose(SOUND, &source, out);
    assert_string_equal(out, SOUND);
}

static void an_invalid_traceparent_is_replaced_by_a_valid_one(void **state)
{
    const char *invalid[] = {
        NULL,
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        SOUND "0",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
    };
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        char out[TRACEPARENT_SIZE + 1] = "";
        traceparent_choose(invalid[i], &source, out);
        assert_true(traceparent_valid(out));
        assert_true(!invalid[i] || strcmp(out, invalid[i]) != 0);
        assert_memory_equal(out, "00-", 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_id_is_taken_over),
        cmocka_unit_test(an_unsound_id_is_replaced),
        cmocka_unit_test(ids_made_differ),
        cmocka_unit_test(a_valid_traceparent_is_taken_over),
        cmocka_unit_test(an_invalid_traceparent_is_replaced_by_a_valid_one),
    };
    return cmocka_run_group_tests(tests, open_source, NULL);
}
