/* scrape.c: GET /metrics. */
#include "reply.h"

void serve_metrics(weir_request *req)
{
    bool openmetrics = request_accepts(req, "application/openmetrics-text");
    weir_api *api = req->lane->api;
    weir_pool_stats stats;

    weir_pool_stats_read(req->pool, &stats);
    metrics_source source = {
        .pool = weir_pool_name(req->pool),
        .stats = &stats,
        .shards = api->shards,
        .shard_count = api->lane_count,
        .active_requests = weir_api_requests(api),
        .lanes = api->lane_count,
        .draining = atomic_load(&api->draining),
    };
    metrics_write(&req->out, &source, openmetrics);
    weir_reply_body(req, 200,
                    openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                : "text/plain; version=0.0.4; charset=utf-8");
}
