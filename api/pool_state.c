/* pool_state.c: GET /pool, the state of the pool for people and tools. */
#include <stdlib.h>

#include "reply.h"

#define SHOWN_MAX 100

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
    buffer_ms(out, ns);
}

static void text(buffer *out, const char *name, const char *value)
{
    buffer_char(out, ',');
    buffer_json_text(out, name);
    buffer_char(out, ':');
    buffer_json_text(out, value);
}

static void tell_counts(buffer *out, const weir_pool_stats *s)
{
    number(out, "max", s->max);
    number(out, "min", s->min);
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
    number(out, "dialed", s->dialed);
    number(out, "opened", s->opened);
    number(out, "dial_failures", s->dial_failures);
    number(out, "queries_cancelled", s->queries_cancelled);
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

static void tell_leases(buffer *out, weir_pool *pool)
{
    weir_lease_info *leases = malloc(SHOWN_MAX * sizeof *leases);
    uint32_t count = leases ? weir_pool_leases(pool, leases, SHOWN_MAX) : 0;

    buffer_text(out, ",\"leases\":[");
    for (uint32_t i = 0; i < count; i++) {
        buffer_text(out, i ? ",{\"label\":" : "{\"label\":");
        buffer_json_text(out, leases[i].label);
        text(out, "request_id", leases[i].trace_id);
        milliseconds(out, "age_ms", leases[i].age_ns);
        number(out, "connection", leases[i].connection);
        number(out, "backend_pid", (uint64_t)leases[i].backend_pid);
        number(out, "lane", leases[i].lane);
        buffer_text(out, leases[i].running ? ",\"running\":true}" : ",\"running\":false}");
    }
    buffer_char(out, ']');
    free(leases);
}

static void tell_connections(buffer *out, weir_pool *pool)
{
    weir_connection_info *connections = malloc(SHOWN_MAX * sizeof *connections);
    uint32_t count = connections ? weir_pool_connections(pool, connections, SHOWN_MAX) : 0;

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

static void tell_connect_error(buffer *out, weir_pool *pool)
{
    weir_error error;

    weir_pool_connect_error(pool, &error);
    buffer_text(out, ",\"connect_error\":");
    if (!error.code) {
        buffer_text(out, "null");
        return;
    }
    buffer_text(out, "{\"code\":");
    buffer_json_text(out, *error.sqlstate ? error.sqlstate : weir_error_name(error.code));
    text(out, "message", error.message);
    buffer_char(out, '}');
}

void serve_pool_state(weir_request *req)
{
    buffer *out = &req->out;
    weir_pool_stats stats;

    weir_pool_stats_read(req->pool, &stats);
    buffer_text(out, "{\"name\":");
    buffer_json_text(out, weir_pool_name(req->pool));
    buffer_text(out, stats.reachable ? ",\"reachable\":true" : ",\"reachable\":false");
    buffer_text(out, stats.draining ? ",\"draining\":true" : ",\"draining\":false");
    tell_counts(out, &stats);
    milliseconds(out, "expected_wait_ms", weir_pool_expected_wait(req->pool));
    tell_quantiles(out, "wait", &stats.wait);
    tell_quantiles(out, "use", &stats.use);
    tell_quantiles(out, "create", &stats.create);
    tell_totals(out, &stats);
    tell_connect_error(out, req->pool);
    tell_leases(out, req->pool);
    tell_connections(out, req->pool);
    buffer_text(out, "}\n");
    weir_reply_body(req, 200, "application/json");
}
