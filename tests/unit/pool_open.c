/* pool_open.c: on which stack a pool is opened. */
#include "driver.h"

#include "../support/expect.h"

static int opened, opened_on_a_task;

static int note_stack(weir_pool *pool, const weir_pool_options *options, void **driver_pool,
                      weir_error *why)
{
    opened++;
    opened_on_a_task += weir_task_self() != NULL;
    return weir_fake_driver()->open(pool, options, driver_pool, why);
}

static weir_driver noting;

static int open_one(weir_fake *fake, weir_pool **pool)
{
    weir_pool_options options = {.driver = &noting, .driver_arg = fake, .max = 1};
    return weir_pool_open(NULL, &options, pool, NULL);
}

static int open_and_close(void *arg)
{
    weir_pool *pool = NULL;
    int r = open_one(arg, &pool);
    return r < 0 ? r : weir_pool_close(pool);
}

static int open_with_no_time_left(void *arg)
{
    weir_pool *pool = NULL;
    int r;
    {
        weir_scoped_timeout(none, 0);
        r = open_one(arg, &pool);
    }
    return r < 0 ? r : weir_pool_close(pool);
}

static void open_in(int (*body)(void *arg))
{
    weir_fake *fake;
    noting = *weir_fake_driver();
    noting.open = note_stack;
    opened = opened_on_a_task = 0;
    assert_int_equal(weir_fake_open(&fake), 0);
    assert_int_equal(run_virtually(body, fake), 0);
    weir_fake_close(fake);
    assert_int_equal(opened, 1);
    assert_int_equal(opened_on_a_task, 0);
}

/* Which is small, while a driver may read files and look names up. */
static void a_task_does_not_open_a_pool_on_its_own_stack(void **state)
{
    open_in(open_and_close);
}

static void its_deadline_keeps_no_task_from_opening_a_pool(void **state)
{
    open_in(open_with_no_time_left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_does_not_open_a_pool_on_its_own_stack),
        cmocka_unit_test(its_deadline_keeps_no_task_from_opening_a_pool),
    };
    return cmocka_run_group_tests_name("pool_open", tests, NULL, NULL);
}
