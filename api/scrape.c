/* scrape.c: GET /metrics. */
#include <stdlib.h>

#include "reply.h"

void serve_metrics(weir_request *req)
{
    bool openmetrics = request_accepts(req, "application/openmetrics-text");
    weir_api *api = req->lane->api;
    metrics_pool *pools = malloc(api->pool_count * sizeof *pools);

    if (!pools) {
        weir_reply_error(req, PROBLEM_OVERLOADED, "There was no memory for the figures.");
        return;
    }
    for (uint32_t i = 0; i < api->pool_count; i++) {
        pools[i].name = weir_pool_name(api->pools[i]);
        weir_pool_stats_read(api->pools[i], &pools[i].stats);
    }
    const metrics_source source = {
        .pools = pools,
        .pool_count = api->pool_count,
        .shards = api->shards,
        .shard_count = api->lane_count,
        .active_requests = weir_api_requests(api),
        .shared_requests = server_shared_requests(api),
        .lanes = api->lane_count,
        .draining = atomic_load(&api->draining),
    };
    metrics_write(&req->out, &source, openmetrics);
    free(pools);
    weir_reply_body(req, 200,
                    openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                : "text/plain; version=0.0.4; charset=utf-8");
}
