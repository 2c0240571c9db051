/* scope.c (test): deadlines nest, and only shrink. */
#include "../support/expect.h"

static int sleep_under_a_deadline(void *arg)
{
    uint64_t start_ns = weir_now();
    weir_scoped_timeout(quick, WEIR_MS(50));
    expect(weir_sleep(WEIR_MS(20)) == 0);
    expect(weir_now() == start_ns + WEIR_MS(20));
    expect(weir_sleep(WEIR_MS(100)) == WEIR_ETIMEDOUT);
    expect(weir_now() == start_ns + WEIR_MS(50));
    expect(weir_sleep(0) == WEIR_ETIMEDOUT);
    expect(weir_yield() == WEIR_ETIMEDOUT);
    return 0;
}

static void a_wait_ends_exactly_at_its_deadline(void **state)
{
    run_virtually(sleep_under_a_deadline, NULL);
}

static int nest(void *arg)
{
    uint64_t start_ns = weir_now();
    expect(weir_deadline() == WEIR_NEVER);
    weir_scoped_timeout(outer, WEIR_MS(10));
    expect(weir_deadline() == start_ns + WEIR_MS(10));
    {
        weir_scoped_timeout(longer, WEIR_MS(100));
        expect(weir_deadline() == start_ns + WEIR_MS(10));
        weir_scoped_timeout(shorter, WEIR_MS(5));
        expect(weir_deadline() == start_ns + WEIR_MS(5));
        expect(weir_sleep(WEIR_S(1)) == WEIR_ETIMEDOUT);
        expect(weir_now() == start_ns + WEIR_MS(5));
    }
    expect(weir_deadline() == start_ns + WEIR_MS(10));
    expect(weir_sleep(WEIR_MS(1)) == 0);
    expect(weir_sleep(WEIR_S(1)) == WEIR_ETIMEDOUT);
    expect(weir_now() == start_ns + WEIR_MS(10));
    return 0;
}

static void an_inner_deadline_shrinks_and_never_extends_an_outer_one(void **state)
{
    run_virtually(nest, NULL);
}

static int enter_without_deadline(void *arg)
{
    weir_scope zero = {.label = "none"}, never = {.deadline_ns = WEIR_NEVER};
    weir_scope_enter(&zero);
    weir_scope_enter(&never);
    expect(weir_deadline() == WEIR_NEVER);
    weir_scope_leave(&never);
    weir_scope_leave(&zero);
    return weir_sleep(WEIR_S(1));
}

static void a_scope_without_a_deadline_changes_none(void **state)
{
    assert_int_equal(run_virtually(enter_without_deadline, NULL), 0);
}

static int deadline_of_another(void *arg)
{
    *(uint64_t *)arg = weir_deadline();
    return 0;
}

static int spawn_inside_a_scope(void *arg)
{
    uint64_t seen_ns = 0;
    weir_scoped_timeout(mine, WEIR_MS(5));
    weir_task *task;
    expect(weir_spawn(deadline_of_another, &seen_ns, &task) == 0);
    expect(weir_join(task, NULL) == 0);
    expect(seen_ns == WEIR_NEVER);
    return 0;
}

static void a_scope_holds_for_its_own_task_only(void **state)
{
    run_virtually(spawn_inside_a_scope, NULL);
}

static int sleep_past_a_cancel(void *arg)
{
    weir_scoped_timeout(quick, WEIR_MS(1));
    weir_cancel(weir_task_self());
    return weir_sleep(WEIR_MS(5));
}

static void cancelled_outranks_timed_out(void **state)
{
    assert_int_equal(run_virtually(sleep_past_a_cancel, NULL), WEIR_ECANCELED);
}

static int leave_in_the_wrong_order(void *arg)
{
    weir_scope outer = {0}, inner = {0};
    weir_scope_enter(&outer);
    weir_scope_enter(&inner);
    weir_scope_leave(&outer);
    return 0;
}

static void run_wrong_order(void)
{
    weir_run(NULL, leave_in_the_wrong_order, NULL);
}

static int forget_to_leave(void *arg)
{
    static weir_scope scope;
    weir_scope_enter(&scope);
    return 0;
}

static void run_forgetful(void)
{
    weir_run(NULL, forget_to_leave, NULL);
}

static void scopes_left_in_the_wrong_order_abort(void **state)
{
    assert_true(dies(run_wrong_order, SIGABRT, "another scope is the innermost"));
    assert_true(dies(run_forgetful, SIGABRT, "ended inside a scope"));
}

static void durations_saturate(void **state)
{
    assert_true(weir_after(WEIR_NEVER) == WEIR_NEVER);
    assert_true(weir_after(WEIR_NEVER - 1) == WEIR_NEVER);
    assert_true(weir_after(0) <= weir_now());
    assert_true(weir_deadline() == WEIR_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_ends_exactly_at_its_deadline),
        cmocka_unit_test(an_inner_deadline_shrinks_and_never_extends_an_outer_one),
        cmocka_unit_test(a_scope_without_a_deadline_changes_none),
        cmocka_unit_test(a_scope_holds_for_its_own_task_only),
        cmocka_unit_test(cancelled_outranks_timed_out),
        cmocka_unit_test(scopes_left_in_the_wrong_order_abort),
        cmocka_unit_test(durations_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
