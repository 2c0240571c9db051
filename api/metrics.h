/* metrics.h: what is counted and measured, and how Prometheus reads it. */
#ifndef WEIR_METRICS_H
#define WEIR_METRICS_H

#include "../pool/weir.h"
#include "buffer.h"
#include "guards.h"
#include "topic.h"

/* What one lane measures. Written by that lane only, read from any thread, without a lock. */
typedef struct metrics_shard metrics_shard;

int metrics_shard_open(metrics_shard **shard); /* WEIR_ENOMEM */
void metrics_shard_free(metrics_shard *shard); /* takes NULL */

/* One finished request. `route` is a pattern or "", never what a client wrote; `method` must stay
 * valid for good. */
void metrics_request(metrics_shard *shard, const char *route, const char *method, int status,
                     uint64_t duration_ns);
/* One query that was sent to the server. `pool` must stay valid for good. */
void metrics_query(metrics_shard *shard, const char *pool, const char *query, uint64_t duration_ns);

/* One token that was refused, or was missing. `reason` is one of a fixed few words. */
void metrics_refusal(metrics_shard *shard, const char *reason);

typedef struct metrics_pool {
    const char *name;
    weir_pool_stats stats;
} metrics_pool;

/* What clients are sent events of. */
typedef struct metrics_topic {
    const char *path;
    const char *pool; /* of one that may be deaf; NULL: always live */
    topic_figures figures;
    bool live;
} metrics_topic;

/* Everything that one scrape shows. */
typedef struct metrics_source {
    const metrics_pool *pools;
    uint32_t pool_count;
    const metrics_topic *topics;
    uint32_t topic_count;
    metrics_shard *const *shards;
    uint32_t shard_count;
    uint32_t active_requests;
    uint64_t shared_requests;
    uint32_t lanes;
    uint32_t clients;
    uint64_t clients_cut[CLIENT_CUT_COUNT];
    uint64_t requests_limited[RATE_LIMIT_COUNT];
    bool draining;
    int64_t certificate_expires; /* seconds since 1970; 0: there is none */
} metrics_source;

/* All metrics in Prometheus's text format, or OpenMetrics 1.0. */
void metrics_write(buffer *out, const metrics_source *source, bool openmetrics);

#endif
