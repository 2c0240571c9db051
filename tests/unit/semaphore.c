/* semaphore.c (test): permits are handed on in order, and none is lost. */
#include "../support/expect.h"

typedef struct worker {
    weir_semaphore *semaphore;
    int *at_once, *most;
    char *order;
    char name;
    int acquired;
} worker;

static int work(void *arg)
{
    worker *w = arg;
    w->acquired = weir_semaphore_acquire(w->semaphore);
    if (w->acquired < 0)
        return w->acquired;
    if (++*w->at_once > *w->most)
        *w->most = *w->at_once;
    w->order[strlen(w->order)] = w->name;
    int r = weir_sleep(WEIR_MS(1));
    --*w->at_once;
    weir_semaphore_release(w->semaphore);
    return r;
}

static int limit_to_two(void *arg)
{
    weir_semaphore semaphore = WEIR_SEMAPHORE(2);
    int at_once = 0, most = 0;
    char order[16] = "";
    worker workers[6];
    uint64_t start_ns = weir_now();
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    for (int i = 0; i < 6; i++) {
        workers[i] = (worker){&semaphore, &at_once, &most, order, (char)('a' + i), 0};
        expect(weir_group_spawn(&group, work, &workers[i]) == 0);
    }
    expect(weir_group_wait(&group) == 0);
    expect(most == 2);
    expect(strcmp(order, "abcdef") == 0);
    expect(semaphore.permits == 2);
    expect(weir_now() == start_ns + WEIR_MS(3));
    return 0;
}

static void at_most_so_many_run_at_once_first_come_first_served(void **state)
{
    run_virtually(limit_to_two, NULL);
}

static int acquire_and_keep(void *arg)
{
    return weir_semaphore_acquire(arg);
}

static int cancel_the_granted(void *arg)
{
    weir_semaphore semaphore = WEIR_SEMAPHORE(0);
    weir_task *first, *second;
    int result = 1;
    expect(weir_spawn(acquire_and_keep, &semaphore, &first) == 0);
    expect(weir_spawn(acquire_and_keep, &semaphore, &second) == 0);
    expect(weir_yield() == 0);
    weir_semaphore_release(&semaphore);
    weir_cancel(first);
    expect(weir_join(first, &result) == 0);
    expect(result == WEIR_ECANCELED);
    expect(weir_join(second, &result) == 0);
    expect(result == 0);
    expect(semaphore.permits == 0 && !semaphore.first);
    return 0;
}

static void a_permit_granted_to_a_cancelled_task_goes_to_the_next(void **state)
{
    run_virtually(cancel_the_granted, NULL);
}

static int give_up_in_the_middle(void *arg)
{
    weir_semaphore semaphore = WEIR_SEMAPHORE(0);
    weir_task *tasks[3];
    int result = 1;
    for (int i = 0; i < 3; i++)
        expect(weir_spawn(acquire_and_keep, &semaphore, &tasks[i]) == 0);
    expect(weir_yield() == 0);
    weir_cancel(tasks[1]);
    expect(weir_join(tasks[1], &result) == 0);
    expect(result == WEIR_ECANCELED);
    weir_semaphore_release(&semaphore);
    weir_semaphore_release(&semaphore);
    weir_semaphore_release(&semaphore);
    expect(weir_join(tasks[0], &result) == 0 && result == 0);
    expect(weir_join(tasks[2], &result) == 0 && result == 0);
    expect(semaphore.permits == 1);
    return 0;
}

static void a_waiter_that_gives_up_leaves_the_queue(void **state)
{
    run_virtually(give_up_in_the_middle, NULL);
}

static int wait_too_long(void *arg)
{
    weir_semaphore semaphore = WEIR_SEMAPHORE(0);
    uint64_t start_ns = weir_now();
    weir_scoped_timeout(quick, WEIR_MS(7));
    expect(weir_semaphore_acquire(&semaphore) == WEIR_ETIMEDOUT);
    expect(weir_now() == start_ns + WEIR_MS(7));
    weir_semaphore_release(&semaphore);
    expect(weir_semaphore_acquire(&semaphore) == WEIR_ETIMEDOUT);
    expect(semaphore.permits == 1);
    return 0;
}

static void a_waiter_is_refused_at_its_deadline(void **state)
{
    run_virtually(wait_too_long, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_most_so_many_run_at_once_first_come_first_served),
        cmocka_unit_test(a_permit_granted_to_a_cancelled_task_goes_to_the_next),
        cmocka_unit_test(a_waiter_that_gives_up_leaves_the_queue),
        cmocka_unit_test(a_waiter_is_refused_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
