/* descriptors.c: how many clients the limit of open files leaves room for. */
#include "descriptors.h"

#include <sys/resource.h>

/* To which the pools may grow: as far as somebody has said, for each. */
static uint32_t most_connections(const config *c)
{
    uint32_t sum = c->channels.count > 0 ? 1 + c->pools.count : 0;
    if (c->pool_limit)
        return sum + c->pool_limit * (1 + c->pools.count);
    sum += c->pool_max;
    for (uint32_t i = 0; i < c->pools.count; i++)
        sum += c->pools.entries[i].max;
    return sum;
}

/* What the service itself needs comes first: files, loops and listeners, operators, and for each
 * connection to the database its socket, the watching of it, and the cancelling of its query. */
uint32_t descriptors_for_clients(const config *c)
{
    struct rlimit limit;
    rlim_t own = 16 + 8 * (rlim_t)config_lanes(c) + 3 * (rlim_t)most_connections(c);
    rlim_t wanted = c->clients_max + (own += c->admin_listen ? 64 : 0);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return c->clients_max;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted)
        return c->clients_max;
    return limit.rlim_cur > own ? (uint32_t)(limit.rlim_cur - own) : 0;
}
