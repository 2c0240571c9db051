/* pool_state.c: GET /pool, the state of a pool for people and tools. */
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "reply.h"

/* Leases and connections are all shown, waiters up to here: `waiting` counts them. */
#define WAITERS_MAX 100

static void number(buffer *out, const char *name, uint64_t value)
{
    buffer_char(out, ',');
    buffer_json_text(out, name);
    buffer_char(out, ':');
    buffer_uint(out, value);
}

static void milliseconds(buffer *out, const char *name, uint64_t ns)
{
    buffer_char(out, ',');
    buffer_json_text(out, name);
    buffer_char(out, ':');
    if (ns == WEIR_NEVER)
        buffer_text(out, "null");
    else
        buffer_ms(out, ns);
}

static void text(buffer *out, const char *name, const char *value)
{
    buffer_char(out, ',');
    buffer_json_text(out, name);
    buffer_char(out, ':');
    buffer_json_text(out, value);
}

static void truth(buffer *out, const char *name, bool value)
{
    buffer_char(out, ',');
    buffer_json_text(out, name);
    buffer_text(out, value ? ":true" : ":false");
}

static void tell_condition(buffer *out, weir_pool *pool, const weir_pool_stats *s)
{
    buffer_text(out, "{\"name\":");
    buffer_json_text(out, weir_pool_name(pool));
    truth(out, "reachable", s->reachable);
    truth(out, "paused", s->paused);
    truth(out, "shedding", s->shedding);
    truth(out, "draining", s->draining);
}

static void tell_counts(buffer *out, const weir_pool_stats *s)
{
    number(out, "max", s->max);
    number(out, "min", s->min);
    number(out, "ceiling", s->ceiling);
    number(out, "queue_max", s->queue_max);
    number(out, "size", s->size);
    number(out, "in_use", s->in_use);
    number(out, "idle", s->idle);
    number(out, "dialing", s->dialing);
    number(out, "checking", s->checking);
    number(out, "resetting", s->resetting);
    number(out, "cancelling", s->cancelling);
    number(out, "closing", s->closing);
    number(out, "waiting", s->waiting);
}

static void tell_totals(buffer *out, const weir_pool_stats *s)
{
    buffer_printf(out, ",\"totals\":{\"granted\":%llu", (unsigned long long)s->granted);
    number(out, "released", s->released);
    number(out, "timed_out", s->timed_out);
    number(out, "queue_full", s->queue_full);
    number(out, "connect_refused", s->connect_refused);
    number(out, "cancelled", s->cancelled);
    number(out, "closed_refused", s->closed_refused);
    number(out, "shed", s->shed);
    number(out, "deadlocked", s->deadlocked);
    number(out, "leaked", s->leaked);
    number(out, "dialed", s->dialed);
    number(out, "opened", s->opened);
    number(out, "dial_failures", s->dial_failures);
    number(out, "queries_cancelled", s->queries_cancelled);
    number(out, "cancels_drained", s->cancels_drained);
    number(out, "cancels_discarded", s->cancels_discarded);
    buffer_text(out, ",\"retired\":{");
    bool first = true;
    for (int reason = WEIR_RETIRE_NOT + 1; reason < WEIR_RETIRE_REASON_COUNT; reason++) {
        if (!s->retired[reason])
            continue;
        buffer_text(out, first ? "\"" : ",\"");
        buffer_printf(out, "%s\":%llu", weir_retire_reason_name((weir_retire_reason)reason),
                      (unsigned long long)s->retired[reason]);
        first = false;
    }
    buffer_text(out, "}}");
}

static void tell_quantiles(buffer *out, const char *name, const weir_histogram *h)
{
    buffer_printf(out, ",\"%s\":{\"count\":%llu", name,
                  (unsigned long long)weir_histogram_count(h));
    milliseconds(out, "p50_ms", weir_histogram_quantile(h, 0.50));
    milliseconds(out, "p95_ms", weir_histogram_quantile(h, 0.95));
    milliseconds(out, "p99_ms", weir_histogram_quantile(h, 0.99));
    buffer_char(out, '}');
}

static void tell_diagnosis(buffer *out, weir_pool *pool)
{
    weir_diagnosis d;

    weir_pool_diagnose(pool, 0, &d);
    text(out, "verdict", weir_verdict_name(d.verdict));
    text(out, "reason", d.reason);
}

static void tell_advice(buffer *out, weir_pool *pool)
{
    weir_advice a;

    weir_pool_advise(pool, &a);
    buffer_text(out, ",\"advice\":{\"max\":");
    if (a.max)
        buffer_uint(out, a.max);
    else
        buffer_text(out, "null");
    text(out, "reason", a.reason);
    buffer_printf(out, ",\"window_s\":%.0f,\"takes_per_s\":%.3f", (double)a.window_ns / 1e9,
                  a.takes_per_s);
    milliseconds(out, "use_mean_ms", a.use_mean_ns);
    buffer_printf(out, ",\"busy_mean\":%.3f", a.busy_mean);
    milliseconds(out, "wait_target_ms", a.wait_target_ns);
    buffer_char(out, '}');
}

static void tell_leases(buffer *out, weir_pool *pool, uint32_t most)
{
    weir_lease_info *leases = malloc((most + 1) * sizeof *leases);
    uint32_t count = leases ? weir_pool_leases(pool, leases, most) : 0;

    buffer_text(out, ",\"leases\":[");
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_char(out, ',');
        reply_lease(out, &leases[i]);
        if (leases[i].query_ns)
            milliseconds(out, "query_ms", leases[i].query_ns);
        truth(out, "leaked", leases[i].leaked);
        text(out, "request_id", leases[i].trace_id);
        number(out, "connection", leases[i].connection);
        number(out, "lane", leases[i].lane);
        text(out, "where", leases[i].where);
        buffer_char(out, '}');
    }
    buffer_char(out, ']');
    free(leases);
}

static void tell_waiters(buffer *out, weir_pool *pool)
{
    weir_waiter_info *waiters = malloc(WAITERS_MAX * sizeof *waiters);
    uint32_t count = waiters ? weir_pool_waiters(pool, waiters, WAITERS_MAX) : 0;

    buffer_text(out, ",\"waiters\":[");
    for (uint32_t i = 0; i < count; i++) {
        buffer_text(out, i ? ",{\"label\":" : "{\"label\":");
        buffer_json_text(out, waiters[i].label);
        milliseconds(out, "waited_ms", waiters[i].waited_ns);
        milliseconds(out, "left_ms", waiters[i].left_ns);
        truth(out, "urgent", waiters[i].urgent);
        text(out, "request_id", waiters[i].trace_id);
        number(out, "lane", waiters[i].lane);
        buffer_char(out, '}');
    }
    buffer_char(out, ']');
    free(waiters);
}

static void tell_connections(buffer *out, weir_pool *pool, uint32_t most)
{
    weir_connection_info *connections = malloc((most + 1) * sizeof *connections);
    uint32_t count = connections ? weir_pool_connections(pool, connections, most) : 0;

    buffer_text(out, ",\"connections\":[");
    for (uint32_t i = 0; i < count; i++) {
        buffer_printf(out, "%s{\"connection\":%llu", i ? "," : "",
                      (unsigned long long)connections[i].connection);
        text(out, "state", connections[i].state);
        milliseconds(out, "state_ms", connections[i].state_ns);
        milliseconds(out, "age_ms", connections[i].age_ns);
        number(out, "backend_pid", (uint64_t)connections[i].backend_pid);
        number(out, "lane", connections[i].lane);
        buffer_char(out, '}');
    }
    buffer_char(out, ']');
    free(connections);
}

static void tell_names(buffer *out, const weir_api *api)
{
    buffer_text(out, ",\"pools\":[");
    for (uint32_t i = 0; i < api->pool_count; i++) {
        if (i > 0)
            buffer_char(out, ',');
        buffer_json_text(out, weir_pool_name(api->pools[i]));
    }
    for (uint32_t i = 0; i < api->feed_count; i++) {
        buffer_char(out, ',');
        buffer_json_text(out, weir_pool_name(feed_pool(api->feeds[i])));
    }
    buffer_char(out, ']');
}

static void tell_pool(buffer *out, weir_pool *pool)
{
    weir_pool_stats stats;
    weir_error error;

    weir_pool_stats_read(pool, &stats);
    weir_pool_connect_error(pool, &error);
    uint32_t most = stats.size > stats.max ? stats.size : stats.max;
    tell_condition(out, pool, &stats);
    tell_counts(out, &stats);
    number(out, "leaked_out", stats.leaked_out);
    tell_diagnosis(out, pool);
    milliseconds(out, "expected_wait_ms", weir_pool_expected_wait(pool));
    tell_quantiles(out, "wait", &stats.wait);
    tell_quantiles(out, "use", &stats.use);
    tell_quantiles(out, "create", &stats.create);
    tell_advice(out, pool);
    tell_totals(out, &stats);
    buffer_text(out, ",\"connect_error\":");
    reply_connect_error(out, &error, true);
    tell_leases(out, pool, most);
    tell_waiters(out, pool);
    tell_connections(out, pool, most);
}

static bool choose_pool(weir_request *req)
{
    arguments a;
    const char *name = NULL;

    if (!route_arguments(req, &a))
        return false;
    for (uint32_t i = 0; i < a.count; i++) {
        const bind_pair *p = &a.pairs[i];
        if (p->name[0] == '_')
            continue;
        if (strcmp(p->name, "name") != 0)
            return fields_refuse(req, "", p->name, "means nothing here.");
        if (name || !p->value)
            return fields_refuse(req, "", p->name, "must be the name of a pool, once.");
        name = p->value;
    }
    return !name || reply_any_pool_named(req, name);
}

void serve_pool_state(weir_request *req)
{
    if (!choose_pool(req))
        return;
    tell_pool(&req->out, req->pool);
    tell_names(&req->out, req->lane->api);
    buffer_text(&req->out, "}\n");
    weir_reply_body(req, 200, "application/json");
}

void weir_reply_pool(weir_request *req)
{
    weir_pool_stats stats;

    weir_pool_stats_read(req->pool, &stats);
    tell_condition(&req->out, req->pool, &stats);
    tell_counts(&req->out, &stats);
    buffer_text(&req->out, "}\n");
    weir_reply_body(req, 200, "application/json");
}
