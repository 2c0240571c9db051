/* postgres_route.c: the addresses one dial may try, in their order. */
#include <stdlib.h>
#include <string.h>

#include "postgres.h"
#include "random.h"

/* For how long an address that did not answer in time is tried last. */
#define SILENT_NS WEIR_S(60)

struct route {
    uint32_t count;
    route_stop stops[];
};

route *route_new(uint32_t most)
{
    return calloc(1, sizeof(route) + most * sizeof(route_stop));
}

void route_free(route *r)
{
    free(r);
}

uint32_t route_count(const route *r)
{
    return r->count;
}

route_stop *route_add(route *r, const server_host *host)
{
    route_stop *stop = &r->stops[r->count++];
    stop->host = host;
    return stop;
}

/* ---- Addresses that do not answer ---- */

static uint64_t mix(uint64_t hash, const char *text)
{
    do
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    while (*text++);
    return hash;
}

/* Addresses are remembered by this alone: were two ever taken for one, it would only be tried
 * later than it might be. */
static uint64_t stop_id(const route_stop *stop)
{
    uint64_t hash = mix(0xcbf29ce484222325u, stop->host->name);
    return mix(mix(hash, stop->address), stop->host->port);
}

/* 0: it is not known to be silent. */
static uint64_t silent_until(const server_options *o, const route_stop *stop, uint64_t now_ns)
{
    uint64_t id = stop_id(stop);
    for (uint32_t i = 0; i < SILENT_MAX; i++)
        if (o->silent[i].id == id && o->silent[i].until_ns > now_ns)
            return o->silent[i].until_ns;
    return 0;
}

static void note_silent(server_options *o, const route_stop *stop)
{
    uint64_t id = stop_id(stop);
    silent_address *slot = &o->silent[0];
    for (uint32_t i = 0; i < SILENT_MAX && slot->id != id; i++)
        if (o->silent[i].id == id || o->silent[i].until_ns < slot->until_ns)
            slot = &o->silent[i];
    *slot = (silent_address){.id = id, .until_ns = weir_after(SILENT_NS)};
}

/* ---- Order ---- */

static void swap(route_stop *a, route_stop *b)
{
    route_stop held = *a;
    *a = *b;
    *b = held;
}

static void shuffle(route *r, server_options *o)
{
    for (uint32_t i = r->count; i > 1; i--)
        swap(&r->stops[i - 1], &r->stops[random_up_to(&o->random, i - 1)]);
}

/* Silent ones last, the one that has been tried last of all at the very end; of the others each
 * stays where it is. */
static void put_silent_last(route *r)
{
    for (uint32_t i = 1; i < r->count; i++)
        for (uint32_t k = i; k > 0; k--) {
            if (r->stops[k - 1].silent_until_ns <= r->stops[k].silent_until_ns)
                break;
            swap(&r->stops[k - 1], &r->stops[k]);
        }
}

void route_order(route *r, server_options *o)
{
    uint64_t now_ns = weir_now();
    pthread_mutex_lock(&o->lock);
    if (o->random_hosts)
        shuffle(r, o);
    for (uint32_t i = 0; i < r->count; i++)
        r->stops[i].silent_until_ns = silent_until(o, &r->stops[i], now_ns);
    pthread_mutex_unlock(&o->lock);
    put_silent_last(r);
}

/* ---- Where libpq is ---- */

static bool is_at(const route_stop *stop, const PGconn *pg, bool by_address)
{
    const server_host *h = stop->host;
    if (stop->passed || (h->port[0] && strcmp(h->port, PQport(pg)) != 0))
        return false;
    if (by_address)
        return stop->address[0] && strcmp(stop->address, PQhostaddr(pg)) == 0;
    return !h->name[0] || strcmp(h->name, PQhost(pg)) == 0;
}

/* An address may be written in more ways than one: then the name has to do. */
static route_stop *stop_of(route *r, const PGconn *pg)
{
    for (int by_address = 1; by_address >= 0; by_address--)
        for (uint32_t i = 0; i < r->count; i++)
            if (is_at(&r->stops[i], pg, by_address))
                return &r->stops[i];
    return NULL;
}

bool route_pass_over(route *r, const PGconn *pg)
{
    uint32_t left = 0;
    route_stop *here = stop_of(r, pg);
    if (here)
        here->passed = true;
    for (uint32_t i = 0; i < r->count; i++)
        left += !r->stops[i].passed;
    return here && left > 0;
}

void route_hung(route *r, server_options *o, const PGconn *pg)
{
    const route_stop *here = stop_of(r, pg);
    if (!here)
        return;
    pthread_mutex_lock(&o->lock);
    note_silent(o, here);
    pthread_mutex_unlock(&o->lock);
}

/* ---- As libpq takes it ---- */

static const char *name_of(const route_stop *stop)
{
    return stop->host->name;
}

static const char *address_of(const route_stop *stop)
{
    return stop->address;
}

static const char *port_of(const route_stop *stop)
{
    return stop->host->port;
}

/* NULL when out of memory. */
static char *join(const route *r, const char *(*part)(const route_stop *stop))
{
    size_t size = r->count + 1;
    for (uint32_t i = 0; i < r->count; i++)
        size += strlen(part(&r->stops[i]));
    char *list = calloc(1, size), *end = list;
    bool first = true;
    for (uint32_t i = 0; list && i < r->count; i++) {
        if (r->stops[i].passed)
            continue;
        if (!first)
            *end++ = ',';
        end = stpcpy(end, part(&r->stops[i]));
        first = false;
    }
    return list;
}

bool route_lists(const route *r, host_lists *lists)
{
    lists->names = join(r, name_of);
    lists->addresses = join(r, address_of);
    lists->ports = join(r, port_of);
    return lists->names && lists->addresses && lists->ports;
}

void host_lists_free(host_lists *lists)
{
    free(lists->names);
    free(lists->addresses);
    free(lists->ports);
}
