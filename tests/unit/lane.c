/* lane.c (test): jobs, posts, hooks and timers of lanes, on their own loops and on a caller's. */
#include "lane.h"

#include "../support/expect.h"

#include <stdlib.h>

/* ---- Jobs and hooks ---- */

typedef struct letter {
    weir_job job;
    char name;
    char *text;
    weir_runtime *stop;
    struct letter *then;
} letter;

static void write_letter(weir_job *job)
{
    letter *l = (letter *)job;
    expect(!weir_task_self());
    l->text[strlen(l->text)] = l->name;
    if (l->then)
        weir_lane_push(weir_lane_self(), &l->then->job);
    if (l->stop)
        weir_runtime_stop(l->stop);
}

static void jobs_run_in_order_and_never_inside_the_push(void **state)
{
    char text[8] = "";
    weir_runtime *runtime;
    assert_int_equal(weir_runtime_open(NULL, &runtime), 0);
    weir_lane *lane = weir_runtime_lane(runtime, 0);
    letter c = {{0, write_letter}, 'c', text, runtime, NULL};
    letter a = {{0, write_letter}, 'a', text, NULL, &c}, b = {{0, write_letter}, 'b', text, 0, 0};
    weir_lane_push(lane, &a.job);
    weir_lane_push(lane, &b.job);
    assert_string_equal(text, "");
    assert_int_equal(weir_runtime_run(runtime), 0);
    assert_string_equal(text, "abc");
    weir_runtime_close(runtime);
    assert_expectations();
}

typedef struct tally {
    weir_hook hook;
    letter *push_once;
    int times;
    bool leave;
} tally;

static void count_up(weir_hook *hook)
{
    tally *t = (tally *)hook;
    t->times++;
    letter *l = t->push_once;
    t->push_once = NULL;
    if (l)
        weir_lane_push(weir_lane_self(), &l->job);
    if (t->leave)
        weir_lane_unhook(weir_lane_self(), hook);
}

static void hooks_run_when_the_queue_is_empty_and_may_fill_it_again(void **state)
{
    char text[8] = "";
    weir_runtime *runtime;
    assert_int_equal(weir_runtime_open(NULL, &runtime), 0);
    weir_lane *lane = weir_runtime_lane(runtime, 0);
    letter b = {{0, write_letter}, 'b', text, runtime, NULL};
    letter a = {{0, write_letter}, 'a', text, NULL, NULL};
    tally pushing = {.hook.run = count_up, .push_once = &b};
    tally leaving = {.hook.run = count_up, .leave = true};
    tally staying = {.hook.run = count_up};
    weir_lane_hook(lane, &pushing.hook);
    weir_lane_hook(lane, &leaving.hook);
    weir_lane_hook(lane, &staying.hook);
    weir_lane_push(lane, &a.job);
    assert_int_equal(weir_runtime_run(runtime), 0);
    assert_string_equal(text, "ab");
    assert_int_equal(leaving.times, 1);
    assert_true(pushing.times >= 2);
    assert_int_equal(staying.times, pushing.times);
    weir_lane_unhook(lane, &pushing.hook);
    weir_lane_unhook(lane, &staying.hook);
    weir_runtime_close(runtime);
    assert_expectations();
}

/* ---- Timers ---- */

typedef struct alarm_clock {
    weir_timer timer;
    uint64_t at_ns, rang_ns;
} alarm_clock;

static void ring(weir_timer *timer)
{
    ((alarm_clock *)timer)->rang_ns = weir_now();
}

static int set_alarms(void *arg)
{
    alarm_clock clocks[50] = {0};
    for (int i = 0; i < 50; i++) {
        clocks[i].at_ns = weir_after(WEIR_US(137) * (uint64_t)(i * 7 % 50));
        weir_timer_start(&clocks[i].timer, clocks[i].at_ns, ring);
    }
    expect(weir_sleep(WEIR_MS(12)) == 0);
    for (int i = 0; i < 50; i++) {
        expect(clocks[i].rang_ns >= clocks[i].at_ns);
        expect(!clocks[i].timer.armed);
    }
    return 0;
}

static void a_timer_never_fires_early(void **state)
{
    run_expecting(NULL, set_alarms, NULL);
}

static int move_and_stop(void *arg)
{
    alarm_clock moved = {0}, stopped = {0}, kept = {0};
    uint64_t start_ns = weir_now();
    weir_timer_start(&moved.timer, start_ns + WEIR_MS(1), ring);
    weir_timer_start(&stopped.timer, start_ns + WEIR_MS(2), ring);
    weir_timer_start(&kept.timer, start_ns + WEIR_MS(3), ring);
    weir_timer_start(&moved.timer, start_ns + WEIR_MS(4), ring);
    weir_timer_stop(&stopped.timer);
    weir_timer_stop(&stopped.timer);
    expect(weir_sleep(WEIR_MS(10)) == 0);
    expect(moved.rang_ns == start_ns + WEIR_MS(4));
    expect(kept.rang_ns == start_ns + WEIR_MS(3));
    expect(stopped.rang_ns == 0);
    return 0;
}

static void a_timer_can_be_moved_and_stopped(void **state)
{
    run_virtually(move_and_stop, NULL);
}

static uint64_t sleep_after_work(void)
{
    uint64_t start_ns = weir_now();
    while (weir_now() < start_ns + WEIR_MS(400))
        ;
    uint64_t asleep_ns = weir_now();
    expect(weir_sleep(WEIR_MS(20)) == 0);
    return weir_now() - asleep_ns;
}

/* A machine that is busy may be late now and then, but not each time. */
static int work_then_sleep(void *arg)
{
    for (int i = 0; i < 20; i++)
        if (sleep_after_work() < WEIR_MS(220))
            return 0;
    expect(false);
    return 0;
}

static void a_timer_is_no_later_for_the_work_done_before_it(void **state)
{
    run_expecting(NULL, work_then_sleep, NULL);
}

/* ---- A caller's loop ---- */

static int sleep_5ms(void *arg)
{
    *(int *)arg = weir_sleep(WEIR_MS(5));
    return 0;
}

static weir_runtime *open_on(uv_loop_t *loop)
{
    weir_runtime_options options = {.loop = loop};
    weir_runtime *runtime = NULL;
    assert_int_equal(uv_loop_init(loop), 0);
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    return runtime;
}

static void close_on(uv_loop_t *loop, weir_runtime *runtime)
{
    weir_runtime_close(runtime);
    assert_int_equal(uv_run(loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(loop), 0);
    assert_null(weir_lane_self());
    assert_expectations();
}

static void a_callers_loop_returns_when_no_task_is_left(void **state)
{
    uv_loop_t loop;
    weir_runtime *runtime = open_on(&loop);
    int slept = 1;
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0); /* nothing to do */
    assert_int_equal(weir_spawn(sleep_5ms, &slept, NULL), 0);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(slept, 0);
    assert_int_equal(slept, 0);
    close_on(&loop, runtime);
}

static void ignore(uv_timer_t *timer) {}

static void a_post_reaches_a_callers_loop_that_something_holds(void **state)
{
    uv_loop_t loop;
    weir_runtime *runtime = open_on(&loop);
    int slept = 1;
    uv_timer_t holder;
    uv_timer_init(&loop, &holder);
    uv_timer_start(&holder, ignore, 3600 * 1000, 0);
    assert_int_equal(weir_spawn_on(weir_runtime_lane(runtime, 0), sleep_5ms, &slept), 0);
    while (slept == 1)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(slept, 0);
    uv_close((uv_handle_t *)&holder, NULL);
    close_on(&loop, runtime);
}

static void an_armed_timer_holds_a_callers_loop_and_a_stopped_one_does_not(void **state)
{
    uv_loop_t loop;
    weir_runtime *runtime = open_on(&loop);
    alarm_clock near = {0}, far = {0};
    weir_timer_start(&far.timer, weir_after(WEIR_S(3600)), ring);
    weir_timer_start(&near.timer, weir_after(WEIR_MS(2)), ring);
    weir_timer_stop(&far.timer);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_true(near.rang_ns > 0);
    assert_true(far.rang_ns == 0);
    close_on(&loop, runtime);
}

static int wait_for_cancel(void *arg)
{
    *(int *)arg = weir_sleep(WEIR_S(3600));
    return 0;
}

static void closing_on_a_callers_loop_cancels_the_tasks_left(void **state)
{
    uv_loop_t loop;
    weir_runtime *runtime = open_on(&loop);
    int slept = 1;
    assert_int_equal(weir_spawn(wait_for_cancel, &slept, NULL), 0);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(slept, 1);
    close_on(&loop, runtime);
    assert_int_equal(slept, WEIR_ECANCELED);
}

static int close_runtime(void *arg)
{
    weir_runtime_close(arg);
    return 0;
}

static void a_runtime_on_a_callers_loop_can_be_closed_from_its_task(void **state)
{
    uv_loop_t loop;
    weir_runtime *runtime = open_on(&loop);
    assert_int_equal(weir_spawn(close_runtime, runtime, NULL), 0);
    close_on(&loop, NULL);
}

typedef struct treadmill {
    weir_job job;
    uint64_t rounds;
    bool stop;
} treadmill;

static void tread(weir_job *job)
{
    treadmill *t = (treadmill *)job;
    t->rounds++;
    if (!t->stop)
        weir_lane_push(weir_lane_self(), job);
}

static void step_off(uv_timer_t *timer)
{
    ((treadmill *)timer->data)->stop = true;
    uv_close((uv_handle_t *)timer, NULL);
}

static void a_busy_run_queue_leaves_the_loop_its_turn(void **state)
{
    uv_loop_t loop;
    weir_runtime *runtime = open_on(&loop);
    treadmill t = {.job.run = tread};
    uv_timer_t timer = {.data = &t};
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, step_off, 2, 0);
    weir_lane_push(weir_runtime_lane(runtime, 0), &t.job);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_true(t.rounds > 1000);
    close_on(&loop, runtime);
}

/* ---- Several lanes ---- */

static int count_me(void *arg)
{
    expect(weir_task_self());
    (void)weir_yield();
    atomic_fetch_add((atomic_int *)arg, 1 << 8 * weir_lane_index(weir_lane_self()));
    return 0;
}

static int spawn_everywhere(void *arg)
{
    weir_runtime *runtime = weir_lane_self()->runtime;
    for (uint32_t i = 0; i < 3; i++)
        for (int n = 0; n < 10; n++)
            expect(weir_spawn_on(weir_runtime_lane(runtime, i), count_me, arg) == 0);
    while (atomic_load((atomic_int *)arg) != 0x0a0a0a)
        expect(weir_sleep(WEIR_MS(1)) == 0);
    return 0;
}

static void tasks_can_be_started_on_every_lane(void **state)
{
    weir_runtime_options options = {.lanes = 3};
    atomic_int counts = 0;
    run_expecting(&options, spawn_everywhere, &counts);
}

/* A job that travels round the lanes. */
typedef struct traveller {
    weir_job job;
    weir_runtime *runtime;
    uint32_t stops, most;
    atomic_uint *arrived;
} traveller;

static void travel(weir_job *job)
{
    traveller *t = (traveller *)job;
    expect(weir_lane_index(weir_lane_self()) == t->stops % weir_runtime_lanes(t->runtime));
    if (++t->stops < t->most)
        weir_lane_post(weir_runtime_lane(t->runtime, t->stops % weir_runtime_lanes(t->runtime)),
                       job);
    else if (atomic_fetch_add(t->arrived, 1) == 7)
        weir_runtime_stop(t->runtime);
}

static void jobs_travel_between_lanes(void **state)
{
    weir_runtime_options options = {.lanes = 3};
    weir_runtime *runtime;
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    traveller all[8];
    atomic_uint arrived = 0;
    for (int i = 0; i < 8; i++) {
        all[i] = (traveller){{0, travel}, runtime, 0, 500, &arrived};
        weir_lane_post(weir_runtime_lane(runtime, 0), &all[i].job);
    }
    assert_int_equal(weir_runtime_run(runtime), 0);
    assert_int_equal(atomic_load(&arrived), 8);
    weir_runtime_close(runtime);
    assert_expectations();
}

static int sleep_long(void *arg)
{
    atomic_int *seen = arg;
    atomic_fetch_add(seen, 1);
    expect(weir_sleep(WEIR_S(3600)) == WEIR_ECANCELED);
    atomic_fetch_add(seen, 16);
    return 0;
}

static int leave_them_behind(void *arg)
{
    weir_runtime *runtime = weir_lane_self()->runtime;
    for (uint32_t i = 0; i < 2; i++)
        expect(weir_spawn_on(weir_runtime_lane(runtime, i), sleep_long, arg) == 0);
    while (atomic_load((atomic_int *)arg) != 2)
        expect(weir_sleep(WEIR_MS(1)) == 0);
    return 9;
}

static void closing_cancels_the_tasks_left_on_every_lane(void **state)
{
    weir_runtime_options options = {.lanes = 2};
    atomic_int seen = 0;
    assert_int_equal(run_expecting(&options, leave_them_behind, &seen), 9);
    assert_int_equal(atomic_load(&seen), 2 + 2 * 16);
}

static void a_runtime_can_be_run_again_and_stopped_before_it_runs(void **state)
{
    weir_runtime *runtime;
    weir_runtime_options options = {.lanes = 2};
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    for (int i = 0; i < 3; i++) {
        weir_runtime_stop(runtime);
        assert_int_equal(weir_runtime_run(runtime), 0);
    }
    weir_runtime_close(runtime);
}

/* ---- Without memory for stacks ---- */

#define MORE_THAN_THERE_IS ((size_t)1 << 47)

static void without_a_stack_no_task_starts(void **state)
{
    weir_runtime_options options = {.stack_size = MORE_THAN_THERE_IS};
    assert_int_equal(weir_run(&options, close_runtime, NULL), WEIR_ENOMEM);
    options.stack_size = SIZE_MAX - 1;
    assert_int_equal(weir_run(&options, close_runtime, NULL), WEIR_EINVAL);
}

static void shrink_stacks(weir_timer *timer)
{
    weir_lane_self()->stacks.size = (size_t)256 * 1024;
}

static int stop_runtime(void *arg)
{
    weir_runtime_stop(arg);
    return 0;
}

static void a_task_sent_to_a_lane_waits_for_a_stack(void **state)
{
    weir_runtime_options options = {.stack_size = MORE_THAN_THERE_IS, .virtual_time = true};
    weir_runtime *runtime;
    weir_timer later = {0};
    assert_int_equal(weir_runtime_open(&options, &runtime), 0);
    uint64_t from_ns = weir_now();
    weir_timer_start(&later, from_ns + WEIR_MS(35), shrink_stacks);
    assert_int_equal(weir_spawn_on(weir_runtime_lane(runtime, 0), stop_runtime, runtime), 0);
    assert_int_equal(weir_runtime_run(runtime), 0);
    assert_true(weir_now() == from_ns + WEIR_MS(40));
    weir_runtime_close(runtime);
}

static void options_that_contradict_each_other_are_refused(void **state)
{
    uv_loop_t loop;
    weir_runtime *runtime = NULL;
    weir_runtime_options two_on_one = {.lanes = 2, .loop = &loop};
    weir_runtime_options virtual_lanes = {.lanes = 2, .virtual_time = true};
    weir_runtime_options virtual_loop = {.loop = &loop, .virtual_time = true};
    assert_int_equal(weir_runtime_open(&two_on_one, &runtime), WEIR_EINVAL);
    assert_int_equal(weir_runtime_open(&virtual_lanes, &runtime), WEIR_EINVAL);
    assert_int_equal(weir_runtime_open(&virtual_loop, &runtime), WEIR_EINVAL);
    assert_int_equal(weir_run(&virtual_loop, count_me, NULL), WEIR_EINVAL);
    assert_null(runtime);
    weir_runtime_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_in_order_and_never_inside_the_push),
        cmocka_unit_test(hooks_run_when_the_queue_is_empty_and_may_fill_it_again),
        cmocka_unit_test(a_timer_never_fires_early),
        cmocka_unit_test(a_timer_can_be_moved_and_stopped),
        cmocka_unit_test(a_timer_is_no_later_for_the_work_done_before_it),
        cmocka_unit_test(a_callers_loop_returns_when_no_task_is_left),
        cmocka_unit_test(a_post_reaches_a_callers_loop_that_something_holds),
        cmocka_unit_test(an_armed_timer_holds_a_callers_loop_and_a_stopped_one_does_not),
        cmocka_unit_test(closing_on_a_callers_loop_cancels_the_tasks_left),
        cmocka_unit_test(a_runtime_on_a_callers_loop_can_be_closed_from_its_task),
        cmocka_unit_test(a_busy_run_queue_leaves_the_loop_its_turn),
        cmocka_unit_test(tasks_can_be_started_on_every_lane),
        cmocka_unit_test(jobs_travel_between_lanes),
        cmocka_unit_test(closing_cancels_the_tasks_left_on_every_lane),
        cmocka_unit_test(a_runtime_can_be_run_again_and_stopped_before_it_runs),
        cmocka_unit_test(without_a_stack_no_task_starts),
        cmocka_unit_test(a_task_sent_to_a_lane_waits_for_a_stack),
        cmocka_unit_test(options_that_contradict_each_other_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
