/* series.h: histograms by label, one set a lane: written without a lock, read from any thread. */
#ifndef WEIR_SERIES_H
#define WEIR_SERIES_H

#include <stdatomic.h>

#include "metrics.h"

typedef enum series_family { SERIES_REQUEST, SERIES_QUERY, SERIES_REFUSAL } series_family;

/* What tells one series from another. */
typedef struct series_key {
    series_family family;
    const char *name;   /* a route, a query, or why a token was refused */
    const char *within; /* the route's method, or the query's pool; not copied */
    int status;
} series_key;

/* One series, copied at one moment. */
typedef struct series_view {
    series_key key; /* points into the shard */
    weir_histogram histogram;
} series_view;

/* Adds up the series of all shards, sorted by key. `*views` is malloc'ed. WEIR_ENOMEM. */
int series_gather(metrics_shard *const *shards, uint32_t shard_count, series_view **views,
                  size_t *count);

#endif
