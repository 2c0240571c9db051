/* log.c: tests of the log: its lines, its bound, its end. */
#include "../../service/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int ends[2];

static void open_log(log_format format, weir_level level, size_t capacity)
{
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const log_options options = {
        .fd = ends[1], .format = format, .level = level, .capacity = capacity};
    assert_int_equal(log_open(&options), 0);
}

/* Everything written until the log was closed. */
static char *close_and_read(void)
{
    static char text[1 << 20];
    size_t length = 0;
    log_close();
    close(ends[1]);
    for (ssize_t got; (got = read(ends[0], text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)got;
    text[length] = '\0';
    close(ends[0]);
    return text;
}

static void a_line_is_one_json_object(void **state)
{
    (void)state;
    open_log(LOG_JSON, WEIR_INFO, 0);
    log_say(WEIR_WARN, "pool.opened", "said \"hi\"\n", field_text("label", "tab\there"),
            field_uint("port", 8080), field_ms("duration_ms", 1234567), field_text("gone", NULL));
    json_t *line = json_loads(close_and_read(), 0, NULL);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(line, "event")), "pool.opened");
    assert_string_equal(json_string_value(json_object_get(line, "msg")), "said \"hi\"\n");
    assert_string_equal(json_string_value(json_object_get(line, "label")), "tab\there");
    assert_int_equal(json_integer_value(json_object_get(line, "port")), 8080);
    assert_true(json_real_value(json_object_get(line, "duration_ms")) == 1.234);
    assert_null(json_object_get(line, "gone"));
    const char *ts = json_string_value(json_object_get(line, "ts"));
    assert_int_equal(strlen(ts), strlen("2026-01-02T03:04:05.678Z"));
    assert_int_equal(ts[10], 'T');
    assert_int_equal(ts[23], 'Z');
    json_decref(line);
}

static void bytes_that_are_no_utf8_still_make_valid_json(void **state)
{
    (void)state;
    open_log(LOG_JSON, WEIR_INFO, 0);
    log_say(WEIR_INFO, "e", "a\xff\xc3(\xe2\x82\xac\xf0\x9f", field_text("half", "\xe2\x82"));
    json_t *line = json_loads(close_and_read(), 0, NULL);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "msg")),
                        "a\xef\xbf\xbd\xef\xbf\xbd(\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbd");
    json_decref(line);
}

static void a_line_too_long_is_cut_and_stays_valid(void **state)
{
    (void)state;
    static char lengthy[5000];
    for (size_t length = 3900; length < 4200; length++) {
        open_log(LOG_JSON, WEIR_INFO, 0);
        memset(lengthy, length % 2 ? '"' : 'x', length);
        lengthy[length] = '\0';
        log_say(WEIR_INFO, "e", lengthy, field_text("after", lengthy), field_uint("n", 1));
        log_say(WEIR_INFO, "e", "short", field_text("after", lengthy), field_uint("n", 1));
        char *first = close_and_read(), *second = strchr(first, '\n') + 1;
        for (char *text = first; text; text = text == first ? second : NULL) {
            json_t *line = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
            assert_non_null(line);
            json_decref(line);
        }
    }
}

static void text_reads_as_one_line(void **state)
{
    (void)state;
    open_log(LOG_TEXT, WEIR_INFO, 0);
    log_say(WEIR_INFO, "service.ready", "serving", field_uint("port", 80),
            field_text("route", "/a b"), field_text("code", "57014"));
    char *text = close_and_read();
    assert_non_null(
        strstr(text, " info  service.ready        serving  port=80  route=\"/a b\"  code=57014\n"));
}

static void lines_below_the_level_are_left_out(void **state)
{
    (void)state;
    open_log(LOG_JSON, WEIR_WARN, 0);
    assert_false(log_wants(WEIR_INFO));
    assert_true(log_wants(WEIR_ERROR));
    log_say(WEIR_INFO, "e", "not this");
    log_line(WEIR_DEBUG, "e", "nor this", NULL, 0);
    log_say(WEIR_ERROR, "e", "but this");
    char *text = close_and_read();
    assert_null(strstr(text, "not this"));
    assert_null(strstr(text, "nor this"));
    assert_non_null(strstr(text, "but this"));
}

static void a_reader_that_stands_still_blocks_nobody_and_loses_counted_lines(void **state)
{
    (void)state;
    enum { LINES = 20000 };
    uint64_t before = log_dropped();
    open_log(LOG_JSON, WEIR_INFO, 8192);
    /* Far more than pipe and ring hold together; this loop ends only because nothing waits. */
    for (int i = 0; i < LINES; i++)
        log_say(WEIR_INFO, "e", "a line of some length to fill pipe and ring", field_uint("i", i));
    uint64_t dropped = log_dropped() - before;
    assert_true(dropped > 0);

    uint64_t written = 0, told = 0;
    FILE *in = fdopen(ends[0], "r");
    char *text = NULL;
    size_t size = 0;
    while (written + told < LINES && getline(&text, &size, in) > 0) {
        json_t *line = json_loads(text, 0, NULL);
        assert_non_null(line);
        if (strcmp(json_string_value(json_object_get(line, "event")), "log.dropped") == 0)
            told += (uint64_t)json_integer_value(json_object_get(line, "lines"));
        else
            written++;
        json_decref(line);
    }
    assert_int_equal(told, dropped);
    assert_int_equal(written + told, LINES);
    free(text);
    log_close();
    fclose(in);
    close(ends[1]);
}

static void *say_many(void *arg)
{
    for (int i = 0; i < 500; i++)
        log_say(WEIR_INFO, "e", "from a thread", field_uint("thread", (uint64_t)(uintptr_t)arg));
    return NULL;
}

static void threads_do_not_tear_each_others_lines(void **state)
{
    (void)state;
    pthread_t threads[4];
    open_log(LOG_JSON, WEIR_INFO, 1 << 20);
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, say_many, (void *)i), 0);
    FILE *in = fdopen(ends[0], "r");
    char *text = NULL;
    size_t size = 0;
    for (int lines = 0; lines < 2000; lines++) {
        assert_true(getline(&text, &size, in) > 0);
        json_t *line = json_loads(text, 0, NULL);
        assert_non_null(line);
        json_decref(line);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    free(text);
    log_close();
    fclose(in);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_one_json_object),
        cmocka_unit_test(bytes_that_are_no_utf8_still_make_valid_json),
        cmocka_unit_test(a_line_too_long_is_cut_and_stays_valid),
        cmocka_unit_test(text_reads_as_one_line),
        cmocka_unit_test(lines_below_the_level_are_left_out),
        cmocka_unit_test(a_reader_that_stands_still_blocks_nobody_and_loses_counted_lines),
        cmocka_unit_test(threads_do_not_tear_each_others_lines),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
