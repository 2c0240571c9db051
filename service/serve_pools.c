/* serve_pools.c: the pools that a configuration asks for. */
#include "serve_pools.h"

#include "complaint.h"
#include "events.h"
#include "exits.h"
#include "secret.h"
#include "serve_parts.h"

weir_pool_options serve_pool_options(const config *c, uint32_t index, void *pool_log)
{
    const pool_entry *further = index > 0 ? &c->pools.entries[index - 1] : NULL;
    const char *conninfo = further ? further->conninfo : c->database;
    return (weir_pool_options){
        .name = further ? further->name : NULL,
        .conninfo = conninfo,
        .max = further ? further->max : c->pool_max,
        .min = further ? further->min : c->pool_min,
        .max_limit = c->pool_limit,
        .queue_max = c->queue_max,
        .queue_reserve = c->queue_reserve,
        .connect_timeout_ns = c->connect_timeout_ns,
        .idle_timeout_ns = c->idle_timeout_ns,
        .max_lifetime_ns = c->max_lifetime_ns,
        .keepalive_ns = c->keepalive_ns,
        .leak_after_ns = c->leak_after_ns,
        .reclaim_leaked = c->leak_reclaim,
        .shed_target_ns = c->shed_target_ns,
        .shed_interval_ns = c->shed_interval_ns,
        .on_connect = c->on_connect,
        .no_server_timeout = !c->server_timeout,
        .random_hosts = c->host_order == HOSTS_RANDOM,
        .max_lag_ns = conninfo_wants_standby(conninfo) ? c->replica_lag_ns : 0,
        .on_event = events_log_pool,
        .on_event_arg = pool_log,
    };
}

int serve_open_pool(weir_runtime *runtime, const weir_pool_options *options, uint32_t index,
                    weir_pool **pool)
{
    weir_error why = {0};
    int r = weir_pool_open(runtime, options, pool, &why);
    if (r == 0)
        return EXIT_FINE;
    secret_blot(options->conninfo, why.message);
    complain("%s%s: %s", index ? "--pool " : "--database", index ? options->name : "",
             *why.message ? why.message : weir_strerror(r));
    return r == WEIR_EINVAL ? EXIT_USAGE : EXIT_SYSTEM;
}

int service_open_pools(service *s)
{
    int code = EXIT_FINE;
    for (uint32_t i = 0; code == EXIT_FINE && s->pool_names[i]; i++) {
        const weir_pool_options options = serve_pool_options(s->config, i, s->pool_log);
        code = serve_open_pool(s->runtime, &options, i, &s->pools[i]);
        s->pool_count += code == EXIT_FINE;
    }
    return code == EXIT_FINE ? feeds_open(&s->feeds, s->config, s->runtime, s->pool_log) : code;
}

bool service_close_pools(service *s)
{
    weir_scoped_timeout(limit, LAST_WAIT_NS);
    while (s->pool_count > 0) {
        if (weir_pool_close(s->pools[s->pool_count - 1]) != 0)
            return false;
        s->pool_count--;
    }
    return feeds_close(&s->feeds) == 0;
}
