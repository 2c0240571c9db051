/* drain_delay.c: tests of --drain-delay: a service that is told to stop says so before it does. */
#include "../support/served.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define DELAY_S (1.5 * slower())

static void serve_delayed(void)
{
    char delay[32];
    snprintf(delay, sizeof delay, "%.0fms", DELAY_S * 1000);
    serve_ready((const char *const[]){"--drain-delay", delay, "--token", "sesame", NULL});
}

static bool says_no(void)
{
    return http_status(weir_port(weir), "/readyz") == 503;
}

/* It has been told to stop at `told`: it says so, serves until the delay is over, and then ends. */
static void serves_on(double told)
{
    assert_true(BECOMES(says_no(), DELAY_S / 2));
    int answered_late = 0;
    while (now() - told < DELAY_S * 2 / 3) {
        http_reply r = get("/q/one");
        assert_status(&r, 200);
        assert_string_equal(http_header(&r, "Connection"), "close");
        http_reply_free(&r);
        answered_late++;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* its log is read further down */
    }
    assert_true(answered_late > 0);
    assert_int_equal(http_status(weir_port(weir), "/livez"), 200);
    assert_int_equal(weir_events(weir, "service.draining"), 0);
    assert_int_equal(weir_await_exit(weir, DELAY_S + 20), 0);
    assert_true(now() - told >= DELAY_S);
    assert_int_equal(weir_events(weir, "service.leaving"), 1);
    assert_int_equal(weir_events(weir, "service.draining"), 1);
}

static void one_that_is_told_to_stop_is_not_ready_and_serves_on(void **state)
{
    serve_delayed();
    double told = now();
    weir_signal(weir, SIGTERM);
    serves_on(told);
}

static void so_does_one_that_an_operator_drains(void **state)
{
    serve_delayed();
    double told = now();
    http_reply r = post_as("sesame", "/pool/drain");
    assert_status(&r, 202);
    http_reply_free(&r);
    serves_on(told);
}

static void a_request_that_comes_at_the_end_of_the_delay_is_answered(void **state)
{
    serve_delayed();
    weir_signal(weir, SIGTERM);
    assert_true(BECOMES(says_no(), DELAY_S / 2));
    ask_beside(0, "/nap?seconds=3");
    assert_int_equal(answered(0), 200);
    assert_int_equal(weir_await_exit(weir, DELAY_S + 20), 0);
}

static void a_second_interrupt_ends_it_at_once(void **state)
{
    serve_ready((const char *const[]){"--drain-delay", "1m", NULL});
    weir_signal(weir, SIGINT);
    assert_true(BECOMES(says_no(), 5));
    weir_signal(weir, SIGINT);
    assert_int_equal(weir_await_exit(weir, 10), 130);
}

static void one_that_was_never_ready_does_not_wait(void **state)
{
    postgres_shut_down(database);
    serve_unready((const char *const[]){"--drain-delay", "1m", NULL});
    json_decref(weir_await_event(weir, "service.started", 1, 20));
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 20), 0);
}

static int open_world(void **state)
{
    database = postgres_start(NULL);
    folder = scratch_folder();
    query_file("one", "select 1 as one\n");
    query_file("nap", "-- @route GET /nap\nselect 1 as one from pg_sleep(:seconds::float8)\n");
    return 0;
}

static int close_world(void **state)
{
    scratch_remove(folder);
    postgres_stop(database);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_that_is_told_to_stop_is_not_ready_and_serves_on,
                                  stop_stopped),
        cmocka_unit_test_teardown(so_does_one_that_an_operator_drains, stop_stopped),
        cmocka_unit_test_teardown(a_request_that_comes_at_the_end_of_the_delay_is_answered,
                                  stop_stopped),
        cmocka_unit_test_teardown(a_second_interrupt_ends_it_at_once, stop_stopped),
        cmocka_unit_test_teardown(one_that_was_never_ready_does_not_wait, stop_stopped),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
