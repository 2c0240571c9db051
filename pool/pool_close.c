/* pool_close.c: how a pool comes to its end: drained, left by its lanes, handed back and freed. */
#include <assert.h>
#include <stdlib.h>

#include "fatal.h"
#include "pool.h"

/* To whoever closes it, if anyone does at the moment. */
static void hand_back(weir_job *job)
{
    weir_pool *pool = weir_container(job, weir_pool, closed_job);
    if (pool->closer) {
        wait_end(pool->closer, 0);
        return; /* who waits frees it */
    }
    if (!pool->closed)
        return; /* who waited has given up; the next weir_pool_close frees it */
    void (*closed)(void *) = pool->closed;
    void *arg = pool->closed_arg;
    pool_free(pool);
    closed(arg);
}

/* Its closer's lane alone changes and may simply read it. */
static void set_life(weir_pool *pool, pool_life life)
{
    pthread_mutex_lock(&pool->lock);
    pool->life = life;
    pthread_mutex_unlock(&pool->lock);
}

static void pool_ends(weir_job *job)
{
    weir_pool *pool = weir_container(job, weir_pool, closed_job);
    pool_emit(pool, &(weir_event){.kind = WEIR_POOL_CLOSED});
    set_life(pool, POOL_GONE);
    hand_back(job);
}

void pool_leave(pool_lane *here)
{
    weir_pool *pool = here->pool;

    if (here->left) /* and refused one more take since */
        return;
    here->left = true;
    weir_timer_stop(&here->timer);
    here->armed_ns = 0; /* never again */
    while (here->spare) {
        weir_lease *lease = here->spare;
        here->spare = lease->next;
        free(lease);
    }
    pthread_mutex_lock(&pool->lock);
    bool last = --pool->lanes_left == 0;
    pthread_mutex_unlock(&pool->lock);
    if (last) {
        pool->closed_job.run = pool_ends;
        pool_hand(pool->closer_lane, &pool->closed_job);
    }
}

/* Refusals may still be on their way to takers of this lane: it leaves after the last of them. */
static void lane_leaves(weir_job *job)
{
    pool_lane *here = weir_container(job, pool_lane, leave);
    here->leaving = true;
    if (here->guests == 0)
        pool_leave(here);
}

void pool_drained(weir_pool *pool)
{
    for (uint32_t i = 0; i < pool->lane_count; i++) {
        pool->lanes[i].leave.run = lane_leaves;
        pool_hand(weir_runtime_lane(pool->runtime, i), &pool->lanes[i].leave);
    }
}

/* ---- Asking for it ---- */

static void begin_drain(weir_pool *pool)
{
    if (pool->closed || pool->closer)
        fatal("a pool is closed by two at once");
    if (pool->life != POOL_OPEN) {
        assert(pool->closer_lane == weir_lane_self());
        return;
    }
    set_life(pool, POOL_DRAINING);
    pool->closer_lane = weir_lane_self();
    pool->lanes_left = pool->lane_count;
    pool_emit(pool, &(weir_event){.kind = WEIR_POOL_DRAINING});
    pool_step(pool, &(event){.kind = EVENT_DRAIN}, NULL);
}

typedef struct closing {
    weir_wait wait;
    weir_pool *pool;
} closing;

static void close_begins(weir_wait *wait)
{
    weir_container(wait, closing, wait)->pool->closer = wait;
}

static void close_given_up(weir_wait *wait)
{
    weir_container(wait, closing, wait)->pool->closer = NULL;
}

int weir_pool_close(weir_pool *pool)
{
    if (!pool)
        return 0;
    if (!weir_task_self())
        return WEIR_ENOTASK;
    begin_drain(pool);
    if (pool->life != POOL_GONE) {
        closing c = {.wait = {.abandon = close_given_up}, .pool = pool};
        int r = task_wait(&c.wait, WEIR_NEVER, close_begins);
        if (r < 0 && pool->life != POOL_GONE)
            return r;
    }
    pool_free(pool);
    return 0;
}

void weir_pool_close_cb(weir_pool *pool, void (*closed)(void *arg), void *arg)
{
    begin_drain(pool);
    pool->closed = closed;
    pool->closed_arg = arg;
    if (pool->life != POOL_GONE)
        return;
    pool->closed_job.run = hand_back;
    weir_lane_push(pool->closer_lane, &pool->closed_job);
}
