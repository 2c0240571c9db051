/* series.c: histograms by label, one set a lane: written without a lock, read from any thread. */
#include "series.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 256
/* Routes are a bounded set, but reloads bring new ones: beyond so many series a lane, the name is
 * left out. */
#define SERIES_MAX 4096

typedef struct series {
    struct series *chain;          /* in its bucket; the lane's own */
    _Atomic(struct series *) next; /* of the whole shard, newest first */
    series_key key;
    uint32_t hash;
    _Atomic uint64_t counts[WEIR_HISTOGRAM_BOUNDS + 1];
    _Atomic uint64_t sum_ns;
    char name[];
} series;

struct metrics_shard {
    series *buckets[BUCKETS];
    _Atomic(series *) newest;
    uint32_t count;
};

int metrics_shard_open(metrics_shard **shard)
{
    metrics_shard *s = calloc(1, sizeof *s);
    if (!s)
        return WEIR_ENOMEM;
    *shard = s;
    return 0;
}

void metrics_shard_free(metrics_shard *shard)
{
    if (!shard)
        return;
    for (series *s = atomic_load(&shard->newest); s;) {
        series *next = atomic_load(&s->next);
        free(s);
        s = next;
    }
    free(shard);
}

static uint32_t hash_of(const series_key *key)
{
    uint32_t hash = 2166136261u ^ (uint32_t)key->status ^ ((uint32_t)key->family << 16);

    for (const char *at = key->name; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    for (const char *at = key->within; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    return hash ^ hash >> 16;
}

static int compare(const series_key *a, const series_key *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    int order = strcmp(a->name, b->name);
    if (order == 0)
        order = strcmp(a->within, b->within);
    return order != 0 ? order : (a->status > b->status) - (a->status < b->status);
}

static series *add(metrics_shard *shard, const series_key *key, uint32_t hash)
{
    size_t length = strlen(key->name);
    series *s = calloc(1, sizeof *s + length + 1);
    if (!s)
        return NULL;
    s->key = *key;
    s->key.name = memcpy(s->name, key->name, length + 1);
    s->hash = hash;
    s->chain = shard->buckets[hash % BUCKETS];
    shard->buckets[hash % BUCKETS] = s;
    atomic_init(&s->next, atomic_load_explicit(&shard->newest, memory_order_relaxed));
    atomic_store_explicit(&shard->newest, s, memory_order_release);
    shard->count++;
    return s;
}

static series *find(metrics_shard *shard, series_key key)
{
    uint32_t hash = hash_of(&key);

    for (series *s = shard->buckets[hash % BUCKETS]; s; s = s->chain)
        if (s->hash == hash && compare(&s->key, &key) == 0)
            return s;
    if (shard->count >= SERIES_MAX && *key.name) {
        key.name = "";
        return find(shard, key);
    }
    return add(shard, &key, hash);
}

/* One writer: a plain load and store, which readers see whole. */
static void count_up(_Atomic uint64_t *counter, uint64_t by)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + by, memory_order_relaxed);
}

static void observe(metrics_shard *shard, series_key key, uint64_t duration_ns)
{
    series *s = find(shard, key);
    if (!s)
        return; /* no memory: a measurement is lost, nothing else */
    size_t bucket = 0;
    while (bucket < WEIR_HISTOGRAM_BOUNDS && duration_ns > weir_histogram_bounds_ns[bucket])
        bucket++;
    count_up(&s->counts[bucket], 1);
    count_up(&s->sum_ns, duration_ns);
}

void metrics_request(metrics_shard *shard, const char *route, const char *method, int status,
                     uint64_t duration_ns)
{
    observe(shard, (series_key){SERIES_REQUEST, route, method, status}, duration_ns);
}

void metrics_query(metrics_shard *shard, const char *pool, const char *query, uint64_t duration_ns)
{
    observe(shard, (series_key){SERIES_QUERY, query, pool, 0}, duration_ns);
}

void metrics_refusal(metrics_shard *shard, const char *reason)
{
    observe(shard, (series_key){SERIES_REFUSAL, reason, "", 0}, 0);
}

static void look(const series *s, series_view *view)
{
    view->key = s->key;
    view->histogram.sum_ns = atomic_load_explicit(&s->sum_ns, memory_order_relaxed);
    for (size_t i = 0; i <= WEIR_HISTOGRAM_BOUNDS; i++)
        view->histogram.counts[i] = atomic_load_explicit(&s->counts[i], memory_order_relaxed);
}

static int compare_views(const void *a, const void *b)
{
    return compare(&((const series_view *)a)->key, &((const series_view *)b)->key);
}

static size_t merge(series_view *views, size_t count)
{
    size_t merged = 0;

    for (size_t i = 0; i < count; i++) {
        if (merged == 0 || compare(&views[merged - 1].key, &views[i].key) != 0) {
            views[merged++] = views[i];
            continue;
        }
        weir_histogram *into = &views[merged - 1].histogram;
        into->sum_ns += views[i].histogram.sum_ns;
        for (size_t b = 0; b <= WEIR_HISTOGRAM_BOUNDS; b++)
            into->counts[b] += views[i].histogram.counts[b];
    }
    return merged;
}

int series_gather(metrics_shard *const *shards, uint32_t shard_count, series_view **views,
                  size_t *count)
{
    size_t room = 64, used = 0;
    series_view *found = malloc(room * sizeof *found);

    for (uint32_t i = 0; found && i < shard_count; i++) {
        const series *s = atomic_load_explicit(&shards[i]->newest, memory_order_acquire);
        for (; s; s = atomic_load_explicit(&s->next, memory_order_relaxed)) {
            if (used == room) {
                series_view *more = realloc(found, 2 * room * sizeof *found);
                if (!more) {
                    free(found);
                    return WEIR_ENOMEM;
                }
                found = more;
                room *= 2;
            }
            look(s, &found[used++]);
        }
    }
    if (!found)
        return WEIR_ENOMEM;
    qsort(found, used, sizeof *found, compare_views);
    *count = merge(found, used);
    *views = found;
    return 0;
}
