/* listing.c: who has a pool's connections, who waits for one, and what each of them is at. */
#include <stdlib.h>
#include <string.h>

#include "pool.h"

/* Of what is too long the end is kept: there a path has its file and line. */
static void copy_end(char *to, size_t size, const char *from)
{
    size_t length = strlen(from);
    if (length >= size)
        from += length - (size - 1);
    memcpy(to, from, length < size ? length + 1 : size);
}

static weir_lease_info describe(const weir_lease *lease, uint64_t now_ns)
{
    const weir_connection *c = lease->connection;
    const char *transaction = atomic_load_explicit(&lease->transaction, memory_order_relaxed);
    weir_lease_info info = {
        .connection = c->serial,
        .age_ns = now_ns - lease->granted_ns,
        .backend_pid = c->backend_pid,
        .lane = lease->lane->index,
        .running = atomic_load_explicit(&lease->running, memory_order_relaxed),
        .leaked = lease->leaked,
        .transaction = transaction ? transaction : "unknown",
    };
    if (info.running && now_ns > lease->query_started_ns)
        info.query_ns = now_ns - lease->query_started_ns;
    memcpy(info.query, lease->query, sizeof info.query);
    memcpy(info.label, lease->label, sizeof info.label);
    memcpy(info.trace_id, lease->trace_id, sizeof info.trace_id);
    copy_end(info.where, sizeof info.where, lease->where);
    return info;
}

/* Puts the lease in its place among the oldest seen so far; returns how many there are now. */
static uint32_t keep_if_old(weir_lease_info *kept, uint32_t count, uint32_t capacity,
                            const weir_lease *lease, uint64_t now_ns)
{
    uint64_t age_ns = now_ns - lease->granted_ns;
    uint32_t place = count;
    while (place > 0 && age_ns > kept[place - 1].age_ns)
        place--;
    if (place >= capacity)
        return count;
    uint32_t last = count < capacity ? count : capacity - 1;
    memmove(&kept[place + 1], &kept[place], (last - place) * sizeof *kept);
    kept[place] = describe(lease, now_ns);
    return last + 1;
}

uint32_t oldest_leases(weir_pool *pool, uint64_t now_ns, weir_lease_info *leases, uint32_t capacity)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < pool->slots; i++)
        if (pool->connections[i].lease)
            count = keep_if_old(leases, count, capacity, pool->connections[i].lease, now_ns);
    return count;
}

uint32_t weir_pool_leases(weir_pool *pool, weir_lease_info *leases, uint32_t capacity)
{
    pthread_mutex_lock(&pool->lock);
    uint32_t count = oldest_leases(pool, weir_now(), leases, capacity);
    pthread_mutex_unlock(&pool->lock);
    return count;
}

static weir_waiter_info describe_waiter(const waiter *w, uint64_t now_ns)
{
    const weir_lease *lease = weir_container(w, weir_lease, waiter);
    weir_waiter_info info = {
        .waited_ns = now_ns - w->since_ns,
        .left_ns = w->deadline_ns == WEIR_NEVER ? WEIR_NEVER
                   : w->deadline_ns > now_ns    ? w->deadline_ns - now_ns
                                                : 0,
        .lane = w->lane,
        .urgent = w->urgent,
    };
    memcpy(info.label, lease->label, sizeof info.label);
    memcpy(info.trace_id, lease->trace_id, sizeof info.trace_id);
    return info;
}

uint32_t weir_pool_waiters(weir_pool *pool, weir_waiter_info *waiters, uint32_t capacity)
{
    uint32_t count = 0;
    pthread_mutex_lock(&pool->lock);
    uint64_t now_ns = weir_now();
    const waiter *w = core_first_waiter(pool->core);
    for (; w && count < capacity; w = w->next)
        waiters[count++] = describe_waiter(w, now_ns);
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
