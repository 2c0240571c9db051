/* task.c (test): tasks start, wait, are cancelled and joined, and end. */
#include "../support/expect.h"

#include <stdlib.h>

#include "task.h"

/* What happened, in order, as letters. */
typedef struct diary {
    char text[64];
    size_t length;
} diary;

static void note(diary *d, char letter)
{
    if (d->length < sizeof d->text - 1)
        d->text[d->length++] = letter;
}

/* ---- Start and end ---- */

static int note_b_twice(void *arg)
{
    note(arg, 'b');
    weir_yield();
    note(arg, 'b');
    return 7;
}

static int spawn_and_join(void *arg)
{
    weir_task *task;
    expect(weir_spawn(note_b_twice, arg, &task) == 0);
    note(arg, 'a');
    int result = 0;
    expect(weir_join(task, &result) == 0);
    expect(result == 7);
    note(arg, 'c');
    return 3;
}

static void a_task_first_runs_after_its_spawner_suspends(void **state)
{
    diary d = {0};
    assert_int_equal(run_expecting(NULL, spawn_and_join, &d), 3);
    assert_string_equal(d.text, "abbc");
}

static int join_late(void *arg)
{
    weir_task *task;
    expect(weir_spawn(note_b_twice, arg, &task) == 0);
    expect(weir_sleep(WEIR_MS(1)) == 0);
    note(arg, 'a');
    int result = 0;
    expect(weir_join(task, &result) == 0);
    expect(result == 7);
    return 0;
}

static void a_task_that_has_ended_can_still_be_joined(void **state)
{
    diary d = {0};
    run_virtually(join_late, &d);
    assert_string_equal(d.text, "bba");
}

static int detach_thrice(void *arg)
{
    weir_task *fresh, *running, *ended;
    expect(weir_spawn(note_b_twice, arg, &ended) == 0);
    expect(weir_sleep(1) == 0);
    weir_detach(ended);
    expect(weir_spawn(note_b_twice, arg, &running) == 0);
    expect(weir_yield() == 0);
    weir_detach(running);
    expect(weir_spawn(note_b_twice, arg, &fresh) == 0);
    weir_detach(fresh);
    return weir_sleep(1);
}

static void a_task_can_be_detached_before_during_and_after_its_run(void **state)
{
    diary d = {0};
    assert_int_equal(run_virtually(detach_thrice, &d), 0);
    assert_string_equal(d.text, "bbbbbb");
}

static int return_self(void *arg)
{
    *(weir_task **)arg = weir_task_self();
    return 0;
}

static int compare_selves(void *arg)
{
    weir_task *task, *seen = NULL, *self = weir_task_self();
    expect(self);
    expect(weir_spawn(return_self, &seen, &task) == 0);
    expect(weir_join(task, NULL) == 0);
    expect(seen == task);
    expect(weir_task_self() == self);
    return 0;
}

static void each_task_knows_itself(void **state)
{
    assert_null(weir_task_self());
    run_expecting(NULL, compare_selves, NULL);
    assert_null(weir_task_self());
}

static void suspending_calls_outside_a_task_say_so(void **state)
{
    weir_wait wait = {0};
    assert_int_equal(weir_yield(), WEIR_ENOTASK);
    assert_int_equal(weir_sleep(1), WEIR_ENOTASK);
    assert_int_equal(weir_defer(free, NULL), WEIR_ENOTASK);
    assert_int_equal(task_wait(&wait, WEIR_NEVER, NULL), WEIR_ENOTASK);
    assert_int_equal(task_wait_firmly(&wait, NULL), WEIR_ENOTASK);
    assert_int_equal(weir_spawn(note_b_twice, NULL, NULL), WEIR_EINVAL);
}

/* ---- Cancellation ---- */

static int sleep_until_cancelled(void *arg)
{
    int *outcomes = arg;
    outcomes[0] = weir_sleep(WEIR_S(3600));
    outcomes[1] = weir_yield();
    outcomes[2] = weir_sleep(0);
    outcomes[3] = weir_task_cancelled();
    return 5;
}

static void expect_cancelled(const int *outcomes)
{
    for (int i = 0; i < 3; i++)
        expect(outcomes[i] == WEIR_ECANCELED);
    expect(outcomes[3] == 1);
}

static int cancel_a_sleeper(void *arg)
{
    int outcomes[4] = {0}, result = 0;
    weir_task *task;
    expect(weir_spawn(sleep_until_cancelled, outcomes, &task) == 0);
    uint64_t before_ns = weir_now();
    expect(weir_sleep(WEIR_MS(2)) == 0);
    weir_cancel(task);
    weir_cancel(task);
    expect(weir_join(task, &result) == 0);
    expect(weir_now() == before_ns + WEIR_MS(2));
    expect(result == 5);
    expect_cancelled(outcomes);
    return 0;
}

static void a_cancelled_wait_ends_at_once_and_so_does_every_later_one(void **state)
{
    run_virtually(cancel_a_sleeper, NULL);
}

static int cancel_before_it_runs(void *arg)
{
    int outcomes[4] = {0}, result = 0;
    weir_task *task;
    expect(weir_spawn(sleep_until_cancelled, outcomes, &task) == 0);
    weir_cancel(task);
    expect(weir_join(task, &result) == 0);
    expect(result == 5);
    expect_cancelled(outcomes);
    return 0;
}

static void a_task_cancelled_before_its_first_run_still_runs(void **state)
{
    run_virtually(cancel_before_it_runs, NULL);
}

static int cancel_after_its_end(void *arg)
{
    weir_task *task;
    int result = 0;
    expect(weir_spawn(note_b_twice, arg, &task) == 0);
    expect(weir_sleep(1) == 0);
    weir_cancel(task);
    expect(weir_join(task, &result) == 0);
    expect(result == 7);
    return 0;
}

static void cancelling_a_task_that_has_ended_changes_nothing(void **state)
{
    diary d = {0};
    run_virtually(cancel_after_its_end, &d);
}

static int cancel_self(void *arg)
{
    weir_cancel(weir_task_self());
    expect(weir_yield() == WEIR_ECANCELED);
    return 0;
}

static void a_task_can_cancel_itself(void **state)
{
    run_virtually(cancel_self, NULL);
}

static void note_z(char **d)
{
    note((diary *)*d, 'z');
}

static int hold_something(void *arg)
{
    weir_cleanup(note_z) char *held = arg;
    note(arg, 'a');
    int r = weir_sleep(WEIR_S(1));
    note(arg, 'b');
    return held ? r : 0;
}

static int cancel_a_holder(void *arg)
{
    weir_task *task;
    int result = 0;
    expect(weir_spawn(hold_something, arg, &task) == 0);
    expect(weir_yield() == 0);
    weir_cancel(task);
    expect(weir_join(task, &result) == 0);
    expect(result == WEIR_ECANCELED);
    return 0;
}

static void a_cancelled_task_runs_its_cleanups(void **state)
{
    diary d = {0};
    run_virtually(cancel_a_holder, &d);
    assert_string_equal(d.text, "abz");
}

/* ---- Join cut short ---- */

static int join_other(void *arg)
{
    return weir_join(arg, NULL);
}

static int sleep_a_second(void *arg)
{
    return weir_sleep(WEIR_S(1));
}

static int cancel_a_joiner(void *arg)
{
    weir_task *sleeping, *joining;
    int result = 0;
    expect(weir_spawn(sleep_a_second, NULL, &sleeping) == 0);
    expect(weir_spawn(join_other, sleeping, &joining) == 0);
    expect(weir_yield() == 0);
    weir_cancel(joining);
    expect(weir_join(joining, &result) == 0);
    expect(result == WEIR_ECANCELED);
    {
        weir_scoped_timeout(quick, WEIR_MS(10));
        expect(weir_join(sleeping, NULL) == WEIR_ETIMEDOUT);
    }
    expect(weir_join(sleeping, &result) == 0);
    expect(result == 0);
    return 0;
}

static void a_join_cut_short_leaves_the_handle_with_its_owner(void **state)
{
    run_virtually(cancel_a_joiner, NULL);
}

/* ---- Deferred calls ---- */

static void note_x(void *arg)
{
    note(arg, 'x');
}

static void sleep_and_note_y(void *arg)
{
    expect(weir_sleep(1) == 0);
    note(arg, 'y');
}

static int defer_two(void *arg)
{
    expect(weir_defer(note_x, arg) == 0);
    expect(weir_defer(sleep_and_note_y, arg) == 0);
    note(arg, 'a');
    return 4;
}

static void deferred_calls_run_at_the_end_last_first(void **state)
{
    diary d = {0};
    assert_int_equal(run_virtually(defer_two, &d), 4);
    assert_string_equal(d.text, "ayx");
}

/* ---- How a wait ends ---- */

static int abandoned;

static void count_abandoned(weir_wait *wait)
{
    abandoned++;
    expect(!weir_task_self());
}

static int wait_for_it(void *arg)
{
    weir_wait *wait = arg;
    return task_wait(wait, WEIR_NEVER, NULL);
}

static int end_then_cancel(void *arg)
{
    weir_wait wait = {.abandon = count_abandoned};
    weir_task *task;
    int result = 0;
    expect(weir_spawn(wait_for_it, &wait, &task) == 0);
    expect(weir_yield() == 0);
    wait_end(&wait, 42);
    weir_cancel(task);
    expect(weir_join(task, &result) == 0);
    expect(result == WEIR_ECANCELED);
    expect(abandoned == 0);
    return 0;
}

static void cancellation_outranks_an_ordinary_end_not_yet_seen(void **state)
{
    abandoned = 0;
    run_virtually(end_then_cancel, NULL);
}

static int wait_a_millisecond(void *arg)
{
    weir_wait *wait = arg;
    return task_wait(wait, weir_after(WEIR_MS(1)), NULL);
}

/* Runs on the loop's stack before the timers of the same moment that were set after it. */
static weir_wait *ended_by_timer;
static void end_it(weir_timer *timer)
{
    if (!ended_by_timer->ended)
        wait_end(ended_by_timer, 42);
}

static int end_at_the_deadline(void *arg)
{
    weir_wait wait = {.abandon = count_abandoned};
    weir_timer before = {0};
    weir_task *task;
    int result = 0;
    ended_by_timer = &wait;
    expect(weir_spawn(wait_a_millisecond, &wait, &task) == 0);
    weir_timer_start(&before, weir_after(WEIR_MS(1)), end_it);
    expect(weir_join(task, &result) == 0);
    expect(result == WEIR_ETIMEDOUT);
    weir_timer_stop(&before);
    return 0;
}

static void a_deadline_outranks_an_ordinary_end_of_the_same_moment(void **state)
{
    run_virtually(end_at_the_deadline, NULL);
}

static int time_out_then_cancel(void *arg)
{
    weir_wait wait = {.abandon = count_abandoned};
    weir_task *task;
    int result = 0;
    expect(weir_spawn(wait_a_millisecond, &wait, &task) == 0);
    expect(weir_sleep(WEIR_MS(1)) == 0);
    weir_cancel(task);
    expect(weir_join(task, &result) == 0);
    expect(result == WEIR_ECANCELED || result == WEIR_ETIMEDOUT);
    expect(abandoned == 1);
    return 0;
}

static void a_wait_is_abandoned_once_whatever_comes_together(void **state)
{
    abandoned = 0;
    run_virtually(time_out_then_cancel, NULL);
}

static int wait_firmly(void *arg)
{
    weir_scoped_timeout(quick, WEIR_MS(1));
    return task_wait_firmly(arg, NULL);
}

static int hold_firm(void *arg)
{
    weir_wait wait = {.abandon = count_abandoned};
    weir_task *task;
    int result = 0;
    expect(weir_spawn(wait_firmly, &wait, &task) == 0);
    expect(weir_sleep(WEIR_MS(5)) == 0);
    weir_cancel(task);
    expect(weir_sleep(WEIR_MS(5)) == 0);
    expect(!wait.ended);
    wait_end(&wait, 42);
    expect(weir_join(task, &result) == 0);
    expect(result == 42);
    expect(abandoned == 0);
    return 0;
}

static void a_firm_wait_is_blind_to_deadline_and_cancellation(void **state)
{
    abandoned = 0;
    run_virtually(hold_firm, NULL);
}

static int end_twice(void *arg)
{
    weir_wait wait = {0};
    expect(weir_spawn(wait_for_it, &wait, NULL) == 0);
    expect(weir_yield() == 0);
    wait_end(&wait, 0);
    wait_end(&wait, 0);
    return 0;
}

static void run_end_twice(void)
{
    weir_run(NULL, end_twice, NULL);
}

static void ending_a_wait_twice_aborts_and_says_so(void **state)
{
    assert_true(dies(run_end_twice, SIGABRT, "a wait was ended twice"));
}

static int begun_on_the_loops_stack;

static void look_where_we_are(weir_wait *wait)
{
    begun_on_the_loops_stack = weir_task_self() == NULL && weir_lane_self() != NULL;
    wait_end(wait, 9);
}

static int begin_somewhere(void *arg)
{
    weir_wait wait = {0};
    return task_wait(&wait, WEIR_NEVER, look_where_we_are);
}

static void a_wait_begins_on_the_loops_own_stack(void **state)
{
    assert_int_equal(run_virtually(begin_somewhere, NULL), 9);
    assert_true(begun_on_the_loops_stack);
}

/* ---- Fairness ---- */

static int note_letter_thrice(void *arg)
{
    void **pair = arg;
    for (int i = 0; i < 3; i++) {
        note(pair[0], *(char *)pair[1]);
        weir_yield();
    }
    return 0;
}

static int spawn_three(void *arg)
{
    char letters[] = "abc";
    void *pairs[3][2];
    weir_task *tasks[3];
    for (int i = 0; i < 3; i++) {
        pairs[i][0] = arg;
        pairs[i][1] = &letters[i];
        expect(weir_spawn(note_letter_thrice, pairs[i], &tasks[i]) == 0);
    }
    for (int i = 0; i < 3; i++)
        expect(weir_join(tasks[i], NULL) == 0);
    return 0;
}

static void a_yield_lets_every_other_task_run_once(void **state)
{
    diary d = {0};
    run_expecting(NULL, spawn_three, &d);
    assert_string_equal(d.text, "abcabcabc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_first_runs_after_its_spawner_suspends),
        cmocka_unit_test(a_task_that_has_ended_can_still_be_joined),
        cmocka_unit_test(a_task_can_be_detached_before_during_and_after_its_run),
        cmocka_unit_test(each_task_knows_itself),
        cmocka_unit_test(suspending_calls_outside_a_task_say_so),
        cmocka_unit_test(a_cancelled_wait_ends_at_once_and_so_does_every_later_one),
        cmocka_unit_test(a_task_cancelled_before_its_first_run_still_runs),
        cmocka_unit_test(cancelling_a_task_that_has_ended_changes_nothing),
        cmocka_unit_test(a_task_can_cancel_itself),
        cmocka_unit_test(a_cancelled_task_runs_its_cleanups),
        cmocka_unit_test(a_join_cut_short_leaves_the_handle_with_its_owner),
        cmocka_unit_test(deferred_calls_run_at_the_end_last_first),
        cmocka_unit_test(cancellation_outranks_an_ordinary_end_not_yet_seen),
        cmocka_unit_test(a_deadline_outranks_an_ordinary_end_of_the_same_moment),
        cmocka_unit_test(a_wait_is_abandoned_once_whatever_comes_together),
        cmocka_unit_test(a_firm_wait_is_blind_to_deadline_and_cancellation),
        cmocka_unit_test(ending_a_wait_twice_aborts_and_says_so),
        cmocka_unit_test(a_wait_begins_on_the_loops_own_stack),
        cmocka_unit_test(a_yield_lets_every_other_task_run_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
