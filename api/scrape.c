/* scrape.c: GET /metrics. */
#include <stdlib.h>

#include "pool_log.h"
#include "reply.h"

static void look_at_pool(weir_pool *pool, metrics_pool *p)
{
    p->name = weir_pool_name(pool);
    weir_pool_stats_read(pool, &p->stats);
}

/* The pool of a feed that has never had a connection is not out of reach: nobody wanted one. */
static uint32_t look_at_pools(const weir_api *api, metrics_pool *pools)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < api->pool_count; i++)
        look_at_pool(api->pools[i], &pools[count++]);
    for (uint32_t i = 0; i < api->feed_count; i++) {
        look_at_pool(feed_pool(api->feeds[i]), &pools[count]);
        count += pools[count].stats.dialed > 0;
    }
    return count;
}

static void look_at_topic(topic *t, const char *pool, metrics_topic *m)
{
    *m = (metrics_topic){
        .path = topic_path(t), .pool = pool, .figures = topic_look(t), .live = topic_is_live(t)};
}

static uint32_t count_topics(const weir_api *api)
{
    uint32_t count = 2; /* of pools' events */
    for (uint32_t i = 0; i < api->feed_count; i++)
        count += feed_channels(api->feeds[i]);
    return count;
}

static uint32_t look_at_topics(const weir_api *api, metrics_topic *topics)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < api->feed_count; i++) {
        const feed *f = api->feeds[i];
        for (uint32_t k = 0; k < feed_channels(f); k++)
            look_at_topic(feed_topic(f, k), weir_pool_name(feed_pool(f)), &topics[count++]);
    }
    for (int all = 0; api->pool_log && all < 2; all++)
        look_at_topic(pool_log_topic(api->pool_log, all), NULL, &topics[count++]);
    return count;
}

static void add_up(const weir_api *api, metrics_source *source)
{
    for (uint32_t i = 0; i < api->lane_count; i++) {
        const api_lane *lane = api->lanes[i];
        source->clients += atomic_load(&lane->front.clients) + atomic_load(&lane->admin.clients);
        for (int why = 0; why < CLIENT_CUT_COUNT; why++)
            source->clients_cut[why] += atomic_load(&lane->clients_cut[why]);
        for (int by = 0; by < RATE_LIMIT_COUNT; by++)
            source->requests_limited[by] += atomic_load(&lane->requests_limited[by]);
    }
}

void serve_metrics(weir_request *req)
{
    bool openmetrics = request_accepts(req, "application/openmetrics-text");
    weir_api *api = req->lane->api;
    metrics_pool *pools = malloc((api->pool_count + api->feed_count) * sizeof *pools);
    metrics_topic *topics = malloc(count_topics(api) * sizeof *topics);

    if (pools && topics) {
        metrics_source source = {
            .pools = pools,
            .pool_count = look_at_pools(api, pools),
            .topics = topics,
            .topic_count = look_at_topics(api, topics),
            .shards = api->shards,
            .shard_count = api->lane_count,
            .active_requests = weir_api_requests(api),
            .shared_requests = server_shared_requests(api),
            .lanes = api->lane_count,
            .draining = atomic_load(&api->draining),
            .certificate_expires = certificate_expires(&api->certificate),
        };
        add_up(api, &source);
        metrics_write(&req->out, &source, openmetrics);
        weir_reply_body(req, 200,
                        openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                    : "text/plain; version=0.0.4; charset=utf-8");
    } else {
        weir_reply_error(req, PROBLEM_OVERLOADED, "There was no memory for the figures.");
    }
    free(pools);
    free(topics);
}
