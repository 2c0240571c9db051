/* run.c: tests of a program whose runtime cannot have its threads. */
#include <uv.h>

#include "../support/expect.h"

/* In place of libuv's. */
int uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *arg)
{
    return UV_EAGAIN;
}

static int count(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static void what_cannot_start_is_not_run(void **state)
{
    weir_runtime_options two = {.lanes = 2}, one = {.lanes = 1};
    int runs = 0;
    assert_int_equal(weir_run(&two, count, &runs), WEIR_EIO);
    assert_int_equal(runs, 0);
    assert_int_equal(weir_run(&one, count, &runs), 0);
    assert_int_equal(runs, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_start_is_not_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
