/* stats.c: what a pool tells of itself. */
#include <stdlib.h>
#include <string.h>

#include "pool.h"

void weir_pool_stats_read(weir_pool *pool, weir_pool_stats *stats)
{
    core_view view;
    pthread_mutex_lock(&pool->lock);
    core_look(pool->core, &view);
    *stats = pool->stats;
    pthread_mutex_unlock(&pool->lock);

    stats->size = view.size;
    stats->idle = view.count[CONNECTION_IDLE];
    stats->in_use = view.count[CONNECTION_LEASED];
    stats->dialing = view.count[CONNECTION_DIALING];
    stats->checking = view.count[CONNECTION_CHECKING];
    stats->resetting = view.count[CONNECTION_RESETTING];
    stats->cancelling = view.count[CONNECTION_CANCELLING];
    stats->closing = view.count[CONNECTION_CLOSING];
    stats->waiting = view.waiting;
    stats->draining = view.draining;
    uint32_t open = view.size - stats->dialing - stats->closing;
    stats->reachable = open > 0 || (stats->opened > 0 && view.failures == 0);
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
        .max = pool->max,
    };
}

void weir_pool_connect_error(weir_pool *pool, weir_error *error)
{
    pthread_mutex_lock(&pool->lock);
    *error = pool->connect_error;
    pthread_mutex_unlock(&pool->lock);
}

uint64_t weir_pool_expected_wait(weir_pool *pool)
{
    core_view view;
    pthread_mutex_lock(&pool->lock);
    core_look(pool->core, &view);
    uint64_t use_ns = pool->use_ewma_ns;
    pthread_mutex_unlock(&pool->lock);
    if (view.count[CONNECTION_IDLE] > 0 && view.waiting == 0)
        return 0;
    uint64_t sum_ns;
    if (__builtin_mul_overflow(use_ns, (uint64_t)view.waiting + 1, &sum_ns))
        return WEIR_NEVER;
    return sum_ns / pool->max;
}

static int older_first(const void *a, const void *b)
{
    const weir_lease_info *x = a, *y = b;
    return (x->age_ns < y->age_ns) - (x->age_ns > y->age_ns);
}

static weir_lease_info describe(const weir_lease *lease, uint64_t now_ns)
{
    const weir_connection *c = lease->connection;
    weir_lease_info info = {
        .connection = c->serial,
        .age_ns = now_ns - lease->granted_ns,
        .backend_pid = c->backend_pid,
        .lane = lease->lane->index,
        .running = atomic_load_explicit(&lease->running, memory_order_relaxed),
    };
    memcpy(info.label, lease->label, sizeof info.label);
    memcpy(info.trace_id, lease->trace_id, sizeof info.trace_id);
    return info;
}

/* Puts `info` in its place among the oldest seen so far; returns how many there are now. */
static uint32_t keep_if_old(weir_lease_info *kept, uint32_t count, uint32_t capacity,
                            const weir_lease_info *info)
{
    uint32_t place = count;
    while (place > 0 && older_first(info, &kept[place - 1]) < 0)
        place--;
    if (place >= capacity)
        return count;
    uint32_t last = count < capacity ? count : capacity - 1;
    memmove(&kept[place + 1], &kept[place], (last - place) * sizeof *kept);
    kept[place] = *info;
    return last + 1;
}

uint32_t weir_pool_leases(weir_pool *pool, weir_lease_info *leases, uint32_t capacity)
{
    uint32_t count = 0;
    pthread_mutex_lock(&pool->lock);
    uint64_t now_ns = weir_now();
    for (uint32_t i = 0; i < pool->slots; i++) {
        const weir_lease *lease = pool->connections[i].lease;
        if (!lease)
            continue;
        weir_lease_info info = describe(lease, now_ns);
        count = keep_if_old(leases, count, capacity, &info);
    }
    pthread_mutex_unlock(&pool->lock);
    return count;
}

uint32_t weir_pool_connections(weir_pool *pool, weir_connection_info *connections,
                               uint32_t capacity)
{
    uint32_t count = 0;
    pthread_mutex_lock(&pool->lock);
    uint64_t now_ns = weir_now();
    for (uint32_t i = 0; i < pool->slots && count < capacity; i++) {
        const weir_connection *c = &pool->connections[i];
        core_connection_view view;
        core_look_at(pool->core, i, &view);
        if (view.state == CONNECTION_FREE)
            continue;
        connections[count++] = (weir_connection_info){
            /* Until the dial has begun the number is still the one before. */
            .connection = c->orders & ORDER_DIAL ? 0 : c->serial,
            .state = connection_state_name(view.state),
            .state_ns = now_ns - view.since_ns,
            .age_ns = view.born_ns ? now_ns - view.born_ns : 0,
            .backend_pid = view.born_ns ? c->backend_pid : 0,
            .lane = view.lane,
        };
    }
    pthread_mutex_unlock(&pool->lock);
    return count;
}
