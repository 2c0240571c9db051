/* fake_pool.h: a pool on a server made of a script, in virtual time, for one test's task. */
#ifndef WEIR_TESTS_FAKE_POOL_H
#define WEIR_TESTS_FAKE_POOL_H

#include "expect.h"

/* In the task: opens a pool whose server is `fake`, and whose events go to `on_event` with `arg`.
 * Returns what weir_pool_open does. */
static inline int open_on_fake(weir_fake *fake, weir_pool_options *options,
                               void (*on_event)(void *arg, const weir_event *event), void *arg,
                               weir_pool **pool)
{
    options->driver = weir_fake_driver();
    options->driver_arg = fake;
    options->on_event = on_event;
    options->on_event_arg = arg;
    options->seed = 1;
    return weir_pool_open(NULL, options, pool, NULL);
}

/* Runs `fn` as a task with a fake server, the one given or a new one; asserts what was expected in
 * it, that it returned 0, and that it left no connection open. */
static inline void play_on_fake(weir_fake **fake, int (*fn)(void *arg), void *arg)
{
    if (!*fake)
        assert_int_equal(weir_fake_open(fake), 0);
    int r = run_virtually(fn, arg);
    weir_fake_counts counts = weir_fake_counted(*fake);
    weir_fake_close(*fake);
    *fake = NULL;
    assert_int_equal(r, 0);
    assert_int_equal(counts.open, 0);
}

#endif
