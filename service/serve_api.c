/* serve_api.c: the HTTP side that a configuration asks for. */
#include "serve_api.h"

#include "complaint.h"
#include "events.h"
#include "exits.h"
#include "serve_parts.h"

void serve_api_options(const config *c, weir_api_options *options)
{
    *options = (weir_api_options){
        .listen = c->listen,
        .admin_listen = c->admin_listen,
        .acquire_timeout_ns = c->acquire_timeout_ns,
        .query_timeout_ns = c->query_timeout_ns,
        .batch_max = c->batch_max,
        .batch_concurrency = c->batch_concurrency,
        .batch_timeout_ns = c->batch_timeout_ns,
        .stream_timeout_ns = c->stream_timeout_ns,
        .body_max = c->body_max,
        .connection_memory = c->header_max,
        .gzip_min = c->gzip_min,
        .idle_timeout_ns = c->client_timeout_ns,
        .events_kept = c->events_buffer,
        .events_clients_max = c->events_clients_max,
        .events_heartbeat_ns = c->events_heartbeat_ns,
        .on_feed = events_log_feed,
        .cors_origins = c->cors_origin,
        .rate_limit = c->rate_limit,
        .trusted_proxies = c->trusted_proxies,
        .clients_per_address = c->clients_per_address == UINT32_MAX ? 0 : c->clients_per_address,
        .url_max = c->url_max,
        .params_max = c->params_max,
        .rows_max = c->rows_max,
        .answer_max = c->answer_max,
        .header_timeout_ns = c->header_timeout_ns,
        .body_timeout_ns = c->body_timeout_ns,
        .on_client_cut = events_log_client,
        .auth = (query_auth)c->auth,
        .expose_sql = c->expose_sql,
        .tls_priorities = c->tls_priorities,
        .admin_plain = !c->admin_tls,
        .on_request = events_log_request,
    };
}

int service_open_api(service *s)
{
    char why[256] = "";
    weir_api_options options;
    serve_api_options(s->config, &options);
    options.certificate = s->certificate;
    options.runtime = s->runtime;
    options.pools = s->pools;
    options.pool_count = s->pool_count;
    options.connections_max = s->clients_max;
    options.feeds = s->feeds.list;
    options.feed_count = s->feeds.count;
    options.pool_log = options.arg = s->pool_log;
    options.operator= service_operator(s);
    int r = weir_api_open(&options, &s->api, why, sizeof why);
    if (r == 0)
        return EXIT_FINE;
    complain("%s", *why ? why : weir_strerror(r));
    return r == WEIR_EINVAL ? EXIT_USAGE : r == WEIR_EIO ? EXIT_UNAVAILABLE : EXIT_SYSTEM;
}
