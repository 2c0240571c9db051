/* work.c (test): blocking calls run beside the lane and are waited for. */
#include "../support/expect.h"

#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#define THREADS "1" /* of libuv's pool: so that one call can keep others from beginning */

typedef struct call {
    sem_t begun, may_end;
    bool on_a_lane;
    bool ended;
} call;

static call new_call(void)
{
    call c = {0};
    sem_init(&c.begun, 0, 0);
    sem_init(&c.may_end, 0, 0);
    return c;
}

/* Where it never began, as when a deadline was faster, the test fails and does not hang. */
static void await_begin(call *c)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    expect(sem_timedwait(&c->begun, &until) == 0);
}

static void block(void *arg)
{
    call *c = arg;
    c->on_a_lane = weir_lane_self() || weir_task_self();
    sem_post(&c->begun);
    sem_wait(&c->may_end);
    c->ended = true;
}

static int work(void *arg)
{
    return weir_work(block, arg);
}

/* A task in which the call has begun. */
static weir_task *begin(int (*fn)(void *arg), call *c)
{
    weir_task *task = NULL;
    expect(weir_spawn(fn, c, &task) == 0);
    expect(weir_yield() == 0);
    await_begin(c);
    return task;
}

static void end(weir_task *task, call *c)
{
    int result = 1;
    sem_post(&c->may_end);
    expect(weir_join(task, &result) == 0);
    expect(result == 0);
    expect(c->ended);
}

static int keep_running_meanwhile(void *arg)
{
    call c = new_call();
    weir_task *task = begin(work, &c);
    end(task, &c);
    expect(!c.on_a_lane);
    return 0;
}

static void a_lane_goes_on_while_a_call_blocks(void **state)
{
    run_expecting(NULL, keep_running_meanwhile, NULL);
}

static int cancel_running(void *arg)
{
    call c = new_call();
    weir_task *task = begin(work, &c);
    weir_cancel(task);
    expect(weir_yield() == 0);
    expect(!c.ended);
    end(task, &c);
    return 0;
}

static void a_call_that_runs_is_waited_for_past_cancellation(void **state)
{
    run_expecting(NULL, cancel_running, NULL);
}

static int work_in_haste(void *arg)
{
    weir_scoped_timeout(haste, WEIR_MS(200)); /* time enough to begin on any machine */
    return weir_work(block, arg);
}

static int time_out_running(void *arg)
{
    call c = new_call();
    weir_task *task = begin(work_in_haste, &c);
    expect(weir_sleep(WEIR_MS(250)) == 0);
    end(task, &c);
    return 0;
}

static void a_call_that_runs_is_waited_for_past_its_deadline(void **state)
{
    run_expecting(NULL, time_out_running, NULL);
}

static int withdraw_two(void *arg)
{
    call first = new_call(), second = new_call(), third = new_call();
    weir_task *running = begin(work, &first);
    weir_task *cancelled, *late;
    int result = 1;
    expect(weir_spawn(work, &second, &cancelled) == 0);
    expect(weir_spawn(work_in_haste, &third, &late) == 0);
    expect(weir_yield() == 0);
    weir_cancel(cancelled);
    expect(weir_join(cancelled, &result) == 0);
    expect(result == WEIR_ECANCELED);
    expect(weir_join(late, &result) == 0);
    expect(result == WEIR_ETIMEDOUT);
    end(running, &first);
    expect(!second.ended && !third.ended);
    return 0;
}

static void a_call_that_has_not_begun_is_withdrawn(void **state)
{
    run_expecting(NULL, withdraw_two, NULL);
}

static void nap(void *arg)
{
    usleep(2000);
}

static int work_beside_a_timer(void *arg)
{
    uint64_t start_ns = weir_now();
    weir_scoped_timeout(soon, 1);
    expect(weir_work(nap, NULL) == 0);
    expect(weir_now() == start_ns);
    return 0;
}

static void virtual_time_stands_still_while_a_call_runs(void **state)
{
    run_virtually(work_beside_a_timer, NULL);
}

static void a_call_outside_a_task_says_so(void **state)
{
    assert_int_equal(weir_work(nap, NULL), WEIR_ENOTASK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lane_goes_on_while_a_call_blocks),
        cmocka_unit_test(a_call_that_runs_is_waited_for_past_cancellation),
        cmocka_unit_test(a_call_that_runs_is_waited_for_past_its_deadline),
        cmocka_unit_test(a_call_that_has_not_begun_is_withdrawn),
        cmocka_unit_test(virtual_time_stands_still_while_a_call_runs),
        cmocka_unit_test(a_call_outside_a_task_says_so),
    };
    setenv("UV_THREADPOOL_SIZE", THREADS, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
