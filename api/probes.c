/* probes.c: /livez and /readyz. */
#include <stdlib.h>
#include <string.h>

#include "reply.h"

/* Touches nothing: that it answers is the answer. */
void serve_livez(weir_request *req)
{
    weir_reply_text(req, 200, "alive\n");
}

typedef struct check {
    const char *name;
    const char *detail; /* why it has not passed; NULL: it has */
    const char *pool;   /* of a further pool, which does not decide; NULL: of the service */
} check;

#define CHECKS_MAX (3 + QUERY_POOLS_MAX)

/* Why the pool cannot be used, or NULL. */
static const char *pool_detail(weir_pool *pool)
{
    weir_pool_stats stats;

    weir_pool_stats_read(pool, &stats);
    return stats.reachable ? NULL : "the database cannot be reached";
}

/* A further pool that is away fails its own queries, and none else: the service stays ready. */
static uint32_t look(const weir_request *req, check checks[CHECKS_MAX])
{
    const weir_api *api = req->lane->api;
    uint32_t count = 3;

    checks[0] =
        (check){"queries",
                req->lane->queries ? NULL : "the database has not described the queries yet", NULL};
    checks[1] = (check){"database", pool_detail(api->pools[0]), NULL};
    checks[2] = (check){"accepting",
                        atomic_load(&api->leaving) ? "the service is shutting down" : NULL, NULL};
    for (uint32_t i = 1; i < api->pool_count; i++)
        checks[count++] =
            (check){"pool", pool_detail(api->pools[i]), weir_pool_name(api->pools[i])};
    return count;
}

/* The first that keeps the service from being ready, or NULL. */
static const char *objection(const check *checks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (checks[i].detail && !checks[i].pool)
            return checks[i].detail;
    return NULL;
}

static void tell_checks(weir_request *req, const check *checks, uint32_t count, bool ready)
{
    buffer *out = &req->out;

    buffer_text(out, ready ? "{\"ready\":true,\"checks\":[" : "{\"ready\":false,\"checks\":[");
    for (uint32_t i = 0; i < count; i++) {
        buffer_text(out, i ? ",{\"name\":" : "{\"name\":");
        buffer_json_text(out, checks[i].name);
        if (checks[i].pool) {
            buffer_text(out, ",\"pool\":");
            buffer_json_text(out, checks[i].pool);
        }
        buffer_text(out, checks[i].detail ? ",\"passed\":false,\"detail\":" : ",\"passed\":true");
        if (checks[i].detail)
            buffer_json_text(out, checks[i].detail);
        buffer_char(out, '}');
    }
    buffer_text(out, "]}\n");
    weir_reply_body(req, ready ? 200 : 503, "application/json");
}

void serve_readyz(weir_request *req)
{
    check checks[CHECKS_MAX];
    uint32_t count = look(req, checks);
    const char *why = objection(checks, count);

    if (why)
        req->message = strdup(why); /* NULL: the log does without */
    if (arguments_name(req->query_string, "verbose")) {
        tell_checks(req, checks, count, !why);
        return;
    }
    if (!why) {
        weir_reply_text(req, 200, "ready\n");
        return;
    }
    buffer_text(&req->out, "not ready\n");
    for (uint32_t i = 0; i < count; i++)
        if (checks[i].detail && !checks[i].pool)
            buffer_printf(&req->out, "%s: %s\n", checks[i].name, checks[i].detail);
    weir_reply_body(req, 503, "text/plain; charset=utf-8");
}
