/* group.c (test): members end together, by their own will or by the first failure. */
#include "../support/expect.h"

typedef struct member {
    uint64_t sleep_ns;
    int result; /* returned after an undisturbed sleep */
    int slept;
    bool ended;
} member;

static int live(void *arg)
{
    member *m = arg;
    m->slept = weir_sleep(m->sleep_ns);
    m->ended = true;
    return m->slept < 0 ? m->slept : m->result;
}

static int gather(void *arg)
{
    member a = {.sleep_ns = WEIR_MS(3)}, b = {.sleep_ns = WEIR_MS(1), .result = 5};
    uint64_t start_ns = weir_now();
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_CANCEL_REST);
    expect(weir_group_wait(&group) == 0);
    expect(weir_group_spawn(&group, live, &a) == 0);
    expect(weir_group_spawn(&group, live, &b) == 0);
    expect(weir_group_wait(&group) == 0);
    expect(weir_now() == start_ns + WEIR_MS(3));
    expect(a.ended && b.ended);
    expect(weir_group_wait(&group) == 0);
    return 0;
}

static void a_group_waits_for_all_its_members(void **state)
{
    run_virtually(gather, NULL);
}

static int fail_one(void *arg)
{
    weir_group_policy policy = *(weir_group_policy *)arg;
    member a = {.sleep_ns = WEIR_MS(9)}, b = {.sleep_ns = WEIR_MS(1), .result = WEIR_EQUERY},
           c = {.sleep_ns = WEIR_MS(5), .result = WEIR_ELOST};
    bool rest = policy == WEIR_GROUP_CANCEL_REST;
    uint64_t start_ns = weir_now();
    weir_scoped_group group = WEIR_GROUP(policy);
    expect(weir_group_spawn(&group, live, &a) == 0);
    expect(weir_group_spawn(&group, live, &b) == 0);
    expect(weir_group_spawn(&group, live, &c) == 0);
    expect(weir_group_wait(&group) == WEIR_EQUERY);
    expect(weir_now() == start_ns + (rest ? WEIR_MS(1) : WEIR_MS(9)));
    expect(a.ended && b.ended && c.ended);
    expect(a.slept == (rest ? WEIR_ECANCELED : 0));
    expect(weir_group_spawn(&group, live, &a) == (rest ? WEIR_ECANCELED : 0));
    return 0;
}

static void the_first_failure_cancels_the_rest(void **state)
{
    weir_group_policy policy = WEIR_GROUP_CANCEL_REST;
    run_virtually(fail_one, &policy);
}

static void collecting_lets_all_run_to_their_end(void **state)
{
    weir_group_policy policy = WEIR_GROUP_COLLECT_ALL;
    run_virtually(fail_one, &policy);
}

static int wait_in_haste(void *arg)
{
    member a = {.sleep_ns = WEIR_S(9)};
    uint64_t start_ns = weir_now();
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    expect(weir_group_spawn(&group, live, &a) == 0);
    weir_scoped_timeout(haste, WEIR_MS(2));
    expect(weir_group_wait(&group) == WEIR_ETIMEDOUT);
    expect(weir_now() == start_ns + WEIR_MS(2));
    expect(a.ended && a.slept == WEIR_ECANCELED);
    return 0;
}

static void a_wait_cut_short_cancels_the_members_and_waits_for_them(void **state)
{
    run_virtually(wait_in_haste, NULL);
}

static int own_a_group(void *arg)
{
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    expect(weir_group_spawn(&group, live, arg) == 0);
    return weir_group_wait(&group);
}

static int cancel_the_owner(void *arg)
{
    member a = {.sleep_ns = WEIR_S(9)};
    weir_task *owner;
    int result = 0;
    expect(weir_spawn(own_a_group, &a, &owner) == 0);
    expect(weir_sleep(1) == 0);
    weir_cancel(owner);
    expect(weir_join(owner, &result) == 0);
    expect(result == WEIR_ECANCELED);
    expect(a.ended && a.slept == WEIR_ECANCELED);
    return 0;
}

static void cancelling_the_waiter_cancels_the_members(void **state)
{
    run_virtually(cancel_the_owner, NULL);
}

static int leave_early(void *arg)
{
    member a = {.sleep_ns = WEIR_S(9)}, b = a;
    {
        weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_CANCEL_REST);
        expect(weir_group_spawn(&group, live, &a) == 0);
        expect(weir_yield() == 0);
        expect(weir_group_spawn(&group, live, &b) == 0);
    }
    expect(a.ended && a.slept == WEIR_ECANCELED);
    expect(b.ended && b.slept == WEIR_ECANCELED);
    return 0;
}

static void a_scope_left_early_leaves_no_member_behind(void **state)
{
    run_virtually(leave_early, NULL);
}

static int leave_when_cancelled(void *arg)
{
    member a = {.sleep_ns = WEIR_S(9)};
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_CANCEL_REST);
    expect(weir_group_spawn(&group, live, &a) == 0);
    weir_cancel(weir_task_self());
    weir_scoped_timeout(past, 0);
    weir_group_leave(&group);
    expect(a.ended);
    return 0;
}

static void leaving_waits_even_when_cancelled_and_too_late(void **state)
{
    run_virtually(leave_when_cancelled, NULL);
}

static int take_time_to_clean_up(void *arg)
{
    bool *cleaned = arg;
    (void)weir_sleep(WEIR_S(9));
    {
        /* A cancelled task may still own tasks that take their time. */
        member inner = {.sleep_ns = 1};
        weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
        (void)weir_group_spawn(&group, live, &inner);
    }
    *cleaned = true;
    return WEIR_ECANCELED;
}

static int cancel_group(void *arg)
{
    bool cleaned = false;
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    expect(weir_group_spawn(&group, take_time_to_clean_up, &cleaned) == 0);
    expect(weir_yield() == 0);
    weir_group_cancel(&group);
    expect(weir_group_spawn(&group, live, NULL) == WEIR_ECANCELED);
    expect(weir_group_wait(&group) == WEIR_ECANCELED);
    expect(cleaned);
    return 0;
}

static void a_cancelled_group_takes_no_member_and_waits_for_cleanups(void **state)
{
    run_virtually(cancel_group, NULL);
}

static void a_group_outside_a_task_says_so(void **state)
{
    weir_group group = WEIR_GROUP(WEIR_GROUP_CANCEL_REST);
    assert_int_equal(weir_group_spawn(&group, live, NULL), WEIR_ENOTASK);
    assert_int_equal(weir_group_wait(&group), WEIR_ENOTASK);
    weir_group_leave(&group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_waits_for_all_its_members),
        cmocka_unit_test(the_first_failure_cancels_the_rest),
        cmocka_unit_test(collecting_lets_all_run_to_their_end),
        cmocka_unit_test(a_wait_cut_short_cancels_the_members_and_waits_for_them),
        cmocka_unit_test(cancelling_the_waiter_cancels_the_members),
        cmocka_unit_test(a_scope_left_early_leaves_no_member_behind),
        cmocka_unit_test(leaving_waits_even_when_cancelled_and_too_late),
        cmocka_unit_test(a_cancelled_group_takes_no_member_and_waits_for_cleanups),
        cmocka_unit_test(a_group_outside_a_task_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
