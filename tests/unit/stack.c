/* stack.c (test): stacks are reused, measured, and guarded. */
#include "stack.h"

#include <alloca.h>

#include "../support/expect.h"

#define TOUCHED ((size_t)40 * 1024)

static int touch(void *arg)
{
    /* Of a size known only now: what a compiler can size, a sanitizer may place elsewhere. */
    static volatile size_t size = TOUCHED;
    volatile char *bytes = alloca(size);
    for (size_t i = 0; i < TOUCHED; i += 512)
        bytes[i] = 1;
    *(size_t *)arg += bytes[0];
    return 0;
}

static int run_touch(void *arg)
{
    weir_task *task;
    size_t touched = 0;
    expect(weir_spawn(touch, &touched, &task) == 0);
    expect(weir_join(task, NULL) == 0);
    *(size_t *)arg = weir_stack_high_water();
    return 0;
}

static void the_high_water_mark_is_what_the_deepest_task_used(void **state)
{
    size_t most = 0;
    weir_runtime_options options = {.stack_size = 256 * 1024};
    run_expecting(&options, run_touch, &most);
    assert_in_range(most, TOUCHED, TOUCHED + 32 * 1024);
}

static void stacks_come_back_last_in_first_out_up_to_a_bound(void **state)
{
    stack_cache cache;
    stack_cache_open(&cache, 1, 2);
    stack *a = stack_take(&cache), *b = stack_take(&cache), *c = stack_take(&cache);
    assert_true(a && b && c);
    stack_give(&cache, a);
    stack_give(&cache, b);
    stack_give(&cache, c);
    assert_int_equal(cache.count, 2);
    assert_true(stack_high_water(&cache) > 0);
    assert_ptr_equal(stack_take(&cache), b);
    assert_ptr_equal(stack_take(&cache), a);
    assert_int_equal(cache.count, 0);
    stack_give(&cache, a);
    stack_give(&cache, b);
    stack_cache_close(&cache);
}

static void suspend_twice(void *arg)
{
    fiber **f = arg;
    fiber_suspend(*f);
    fiber_suspend(*f);
}

static void a_fiber_runs_one_function_after_the_other(void **state)
{
    stack_cache cache;
    stack_cache_open(&cache, 64 * 1024, 1);
    stack *s = stack_take(&cache);
    fiber *f = &s->fiber;
    for (int i = 0; i < 3; i++) {
        assert_true(fiber_waits(f));
        fiber_call(f, suspend_twice, &f);
        assert_false(fiber_waits(f));
        fiber_resume(f);
        assert_false(fiber_waits(f));
        fiber_resume(f);
        assert_true(fiber_waits(f));
    }
    stack_give(&cache, s);
    stack_cache_close(&cache);
}

static void the_stack_is_as_large_as_asked_for(void **state)
{
    stack_cache cache;
    stack_cache_open(&cache, 100 * 1024 + 1, 1);
    stack *s = stack_take(&cache);
    assert_in_range(s->fiber.size, 98 * 1024, 104 * 1024);
    memset(s->fiber.low, 0, 64 * 1024); /* all of it may be written */
    stack_give(&cache, s);
    stack_cache_close(&cache);
}

/* The depth is a parameter and the result used, so that no compiler makes a loop of it. */
static int dive(volatile char *above, int depth)
{
    volatile char here[512];
    here[0] = (char)depth;
    if (depth < 1000000)
        return dive(here, depth + 1) + here[0] + (above ? above[0] : 0);
    return 0;
}

static int dive_deep(void *arg)
{
    return dive(NULL, 0);
}

static void overflow(void)
{
    weir_run(NULL, dive_deep, NULL);
}

static void an_overflow_crashes_at_the_guard(void **state)
{
    assert_true(dies(overflow, SIGSEGV, NULL));
}

static int write_below(void *arg)
{
    stack_cache cache;
    stack_cache_open(&cache, 64 * 1024, 1);
    stack *s = stack_take(&cache);
    *(volatile char *)(s->fiber.low - 1) = 1;
    return 0;
}

static void touch_the_guard(void)
{
    write_below(NULL);
}

static void the_page_below_a_stack_belongs_to_nobody(void **state)
{
    assert_true(dies(touch_the_guard, SIGSEGV, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_high_water_mark_is_what_the_deepest_task_used),
        cmocka_unit_test(stacks_come_back_last_in_first_out_up_to_a_bound),
        cmocka_unit_test(a_fiber_runs_one_function_after_the_other),
        cmocka_unit_test(the_stack_is_as_large_as_asked_for),
        cmocka_unit_test(an_overflow_crashes_at_the_guard),
        cmocka_unit_test(the_page_below_a_stack_belongs_to_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
