/* virtual_time.c (test): time stands still while anything can run, and then jumps. */
#include <uv.h>

#include "../support/expect.h"

static int sleep_a_year(void *arg)
{
    uint64_t start_ns = weir_now(), real_ns = uv_hrtime();
    for (uint64_t day = 1; day <= 365; day++) {
        expect(weir_sleep(WEIR_S(86400)) == 0);
        expect(weir_now() == start_ns + day * WEIR_S(86400));
    }
    expect(uv_hrtime() - real_ns < WEIR_S(60));
    return 0;
}

static void sleeping_takes_exactly_its_time_and_no_real_time(void **state)
{
    run_virtually(sleep_a_year, NULL);
}

static int stay_busy(void *arg)
{
    uint64_t start_ns = weir_now();
    weir_scoped_timeout(soon, 1);
    for (int i = 0; i < 5000; i++)
        expect(weir_yield() == 0);
    expect(weir_now() == start_ns);
    expect(weir_sleep(1) == WEIR_ETIMEDOUT);
    return 0;
}

static void time_stands_still_while_tasks_run(void **state)
{
    run_virtually(stay_busy, NULL);
}

/* A byte that goes to and fro between callbacks of the loop, with no task concerned. */
typedef struct echo {
    uv_poll_t poll;
    int in, out, left;
    uint64_t done_ns;
} echo;

static void send_back(uv_poll_t *poll, int status, int events)
{
    echo *e = poll->data;
    char byte;
    expect(read(e->in, &byte, 1) == 1);
    if (--e->left > 0)
        expect(write(e->out, &byte, 1) == 1);
    else
        e->done_ns = weir_now();
}

static int wait_beside_loop_events(void *arg)
{
    int pipes[2];
    expect(pipe(pipes) == 0);
    echo e = {.in = pipes[0], .out = pipes[1], .left = 100, .poll.data = &e};
    uint64_t start_ns = weir_now();
    expect(uv_poll_init(weir_lane_loop(weir_lane_self()), &e.poll, e.in) == 0);
    expect(uv_poll_start(&e.poll, UV_READABLE, send_back) == 0);
    expect(write(e.out, "x", 1) == 1);
    expect(weir_sleep(1) == 0);
    expect(e.done_ns == start_ns);
    uv_close((uv_handle_t *)&e.poll, NULL);
    expect(weir_sleep(1) == 0); /* the loop forgets the handle before this stack does */
    close(pipes[0]);
    close(pipes[1]);
    return 0;
}

static void time_stands_still_while_the_loop_has_events(void **state)
{
    run_virtually(wait_beside_loop_events, NULL);
}

static int end(void *arg)
{
    weir_runtime_stop(arg);
    return 0;
}

static void spawn_soon(void *arg)
{
    weir_runtime *runtime = arg;
    usleep(3000);
    (void)weir_spawn_on(weir_runtime_lane(runtime, 0), end, runtime);
}

static void with_nothing_left_it_waits_for_posts(void **state)
{
    weir_runtime_options options = {.virtual_time = true};
    weir_runtime *runtime;
    uv_thread_t thread;
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    uint64_t start_ns = weir_now();
    assert_int_equal(uv_thread_create(&thread, spawn_soon, runtime), 0);
    assert_int_equal(weir_runtime_run(runtime), 0);
    uv_thread_join(&thread);
    assert_true(weir_now() == start_ns);
    weir_runtime_close(runtime);
}

static int note_time(void *arg)
{
    int r = weir_sleep(WEIR_MS(5));
    *(uint64_t *)arg = weir_now();
    return r;
}

static int wake_many_at_once(void *arg)
{
    uint64_t times[20], start_ns = weir_now();
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    for (int i = 0; i < 20; i++)
        expect(weir_group_spawn(&group, note_time, &times[i]) == 0);
    expect(weir_group_wait(&group) == 0);
    for (int i = 0; i < 20; i++)
        expect(times[i] == start_ns + WEIR_MS(5));
    return 0;
}

static void timers_of_one_moment_fire_in_that_moment(void **state)
{
    run_virtually(wake_many_at_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleeping_takes_exactly_its_time_and_no_real_time),
        cmocka_unit_test(time_stands_still_while_tasks_run),
        cmocka_unit_test(time_stands_still_while_the_loop_has_events),
        cmocka_unit_test(with_nothing_left_it_waits_for_posts),
        cmocka_unit_test(timers_of_one_moment_fire_in_that_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
