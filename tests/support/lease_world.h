/* lease_world.h: one lease of a pool on a fake server, and what its holder has seen. */
#ifndef WEIR_TESTS_LEASE_WORLD_H
#define WEIR_TESTS_LEASE_WORLD_H

#include "fake_pool.h"

/* Tasks expect; the main stack asserts. */
typedef struct world {
    weir_fake *fake;
    weir_pool *pool;
    weir_pool_options options;   /* max 0: one connection */
    weir_fake_step step;         /* the answer to what is scripted */
    const weir_statement *first; /* runs before the body; NULL: nothing */
    int (*body)(struct world *w, weir_lease *lease);
    weir_lease *lease; /* given back behind the body */
    int error;         /* what the body returned */
    weir_error why;    /* and its lease says */
    char text[64];     /* for the body to note something */
    weir_pool_stats stats;
    weir_fake_counts counts;
} world;

static inline int run_body(void *arg)
{
    world *w = arg;
    if (open_on_fake(w->fake, &w->options, NULL, NULL, &w->pool) < 0)
        return -1;
    expect(weir_acquire(w->pool, NULL, &w->lease) == 0);
    expect(!w->first || weir_query(w->lease, w->first, NULL, NULL) == 0);
    w->error = w->body(w, w->lease);
    w->why = *weir_lease_error(w->lease);
    weir_release(w->lease);
    weir_sleep(WEIR_S(10)); /* whatever the pool still has to do */
    weir_pool_stats_read(w->pool, &w->stats);
    int r = weir_pool_close(w->pool);
    w->counts = weir_fake_counted(w->fake);
    return r;
}

/* Runs `body` with a lease, as a task, on a server that answers `scripted` by `step`; afterwards no
 * connection may be left open. */
static inline weir_fake_counts play_scripted(world *w, const weir_statement *scripted,
                                             int (*body)(world *w, weir_lease *lease))
{
    assert_int_equal(weir_fake_open(&w->fake), 0);
    assert_int_equal(weir_fake_answer(w->fake, scripted->sql, 0, &w->step), 0);
    if (!w->options.max)
        w->options.max = 1;
    w->body = body;
    play_on_fake(&w->fake, run_body, w);
    assert_int_equal(w->stats.in_use, 0);
    return w->counts;
}

#endif
