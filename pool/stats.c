/* stats.c: a pool's figures. */
#include "pool.h"

static void read_gauges(const core_view *view, weir_pool_stats *stats)
{
    stats->max = view->max;
    stats->min = view->min;
    stats->ceiling = view->ceiling;
    stats->size = view->size;
    stats->idle = view->count[CONNECTION_IDLE];
    stats->in_use = view->count[CONNECTION_LEASED];
    stats->dialing = view->count[CONNECTION_DIALING];
    stats->checking = view->count[CONNECTION_CHECKING];
    stats->resetting = view->count[CONNECTION_RESETTING];
    stats->cancelling = view->count[CONNECTION_CANCELLING];
    stats->closing = view->count[CONNECTION_CLOSING];
    stats->waiting = view->waiting;
    stats->draining = view->draining;
    stats->paused = view->paused;
    stats->shedding = view->shedding;
    stats->leaked = view->leaked;
    stats->leaked_out = view->leaked_out;
    stats->cancels_drained = view->quarantine_ended;
    stats->cancels_discarded = view->quarantine_failed;
    stats->reachable = view->up > 0 || (stats->opened > 0 && view->failures == 0);
}

void weir_pool_stats_read(weir_pool *pool, weir_pool_stats *stats)
{
    core_view view;
    pthread_mutex_lock(&pool->lock);
    core_look(pool->core, &view);
    *stats = pool->stats;
    pthread_mutex_unlock(&pool->lock);
    read_gauges(&view, stats);
}

void weir_pool_gauge_read(weir_pool *pool, weir_pool_gauge *gauge)
{
    core_view view;
    pthread_mutex_lock(&pool->lock);
    core_look(pool->core, &view);
    pthread_mutex_unlock(&pool->lock);
    *gauge = (weir_pool_gauge){
        .size = view.size,
        .in_use = view.count[CONNECTION_LEASED],
        .idle = view.count[CONNECTION_IDLE],
        .waiting = view.waiting,
        .max = view.max,
    };
}

void weir_pool_connect_error(weir_pool *pool, weir_error *error)
{
    pthread_mutex_lock(&pool->lock);
    *error = pool->connect_error;
    pthread_mutex_unlock(&pool->lock);
}

/* With no connection up a take waits for a dial, which may have to wait for the pause after the
 * last failure. */
static uint64_t wait_for_dial(const core_view *view, uint64_t now_ns)
{
    uint64_t pause_ns = view->not_before_ns > now_ns ? view->not_before_ns - now_ns : 0;
    return deadline_after(pause_ns, view->dial_ns);
}

uint64_t weir_pool_expected_wait(weir_pool *pool)
{
    core_view view;
    pthread_mutex_lock(&pool->lock);
    core_look(pool->core, &view);
    uint64_t now_ns = weir_now();
    pthread_mutex_unlock(&pool->lock);
    uint64_t sum_ns;
    if (view.up == 0)
        return wait_for_dial(&view, now_ns);
    if (view.count[CONNECTION_IDLE] > 0 && view.waiting == 0)
        return 0;
    if (__builtin_mul_overflow(view.use_ns, (uint64_t)view.waiting + 1, &sum_ns))
        return WEIR_NEVER;
    return sum_ns / view.up;
}
