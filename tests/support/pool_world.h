/* pool_world.h: a pool on a fake server, and what the tasks of one test have seen of it. */
#ifndef WEIR_TESTS_POOL_WORLD_H
#define WEIR_TESTS_POOL_WORLD_H

#include "fake_pool.h"

/* The tasks record, the main stack asserts. */
typedef struct world {
    weir_fake *fake;
    weir_pool *pool;
    weir_pool_options options;
    int (*body)(struct world *w);
    int closed;
    int r[8];
    uint64_t at_ns[8];
    uint32_t order[8], ordered;
    weir_pool_stats stats;
    weir_fake_counts counts;
    weir_timings timings;
    weir_error error;
    char text[128];
    uint32_t events[WEIR_EVENT_COUNT];
} world;

static inline void count_event(void *arg, const weir_event *event)
{
    world *w = arg;
    w->events[event->kind]++;
}

static inline int run_body(void *arg)
{
    world *w = arg;
    int r = open_on_fake(w->fake, &w->options, count_event, w, &w->pool);
    if (r < 0)
        return r;
    r = w->body(w);
    weir_pool_stats_read(w->pool, &w->stats);
    w->closed = weir_pool_close(w->pool);
    w->counts = weir_fake_counted(w->fake);
    return r;
}

/* Runs `body` as a task; afterwards no connection may be left open. */
static inline void play(world *w, int (*body)(world *w))
{
    w->body = body;
    play_on_fake(&w->fake, run_body, w);
    assert_int_equal(w->closed, 0);
    assert_int_equal(w->stats.in_use, 0);
    assert_int_equal(w->stats.waiting, 0);
}

/* A body, and part of others: takes a lease within a second, and gives it back. */
static inline int take_one(world *w)
{
    uint64_t asked_ns = weir_now();
    weir_scoped_lease weir_lease *lease = NULL;
    weir_scope scope = {.deadline_ns = weir_after(WEIR_S(1)), .timings = &w->timings};
    w->r[0] = weir_acquire(w->pool, &scope, &lease);
    w->at_ns[0] = weir_now() - asked_ns;
    weir_pool_connect_error(w->pool, &w->error);
    return 0;
}

#endif
