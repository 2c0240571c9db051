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
    bool passed;
    const char *detail; /* when it has not passed */
} check;

#define CHECKS 3

/* True when all have passed; else the log is told of the first that has not. */
static bool look(weir_request *req, check checks[CHECKS])
{
    weir_pool_stats stats;

    weir_pool_stats_read(req->pool, &stats);
    checks[0] = (check){"queries", req->lane->queries != NULL,
                        "the database has not described the queries yet"};
    checks[1] = (check){"database", stats.reachable, "the database cannot be reached"};
    checks[2] = (check){"accepting", !atomic_load(&req->lane->api->draining),
                        "the service is shutting down"};
    for (int i = 0; i < CHECKS; i++) {
        if (checks[i].passed)
            continue;
        req->message = strdup(checks[i].detail); /* NULL: the log does without */
        return false;
    }
    return true;
}

static void tell_checks(weir_request *req, const check checks[CHECKS], bool ready)
{
    buffer *out = &req->out;

    buffer_text(out, ready ? "{\"ready\":true,\"checks\":[" : "{\"ready\":false,\"checks\":[");
    for (int i = 0; i < CHECKS; i++) {
        buffer_text(out, i ? ",{\"name\":" : "{\"name\":");
        buffer_json_text(out, checks[i].name);
        buffer_text(out, checks[i].passed ? ",\"passed\":true" : ",\"passed\":false,\"detail\":");
        if (!checks[i].passed)
            buffer_json_text(out, checks[i].detail);
        buffer_char(out, '}');
    }
    buffer_text(out, "]}\n");
    weir_reply_body(req, ready ? 200 : 503, "application/json");
}

void serve_readyz(weir_request *req)
{
    check checks[CHECKS];
    bool ready = look(req, checks);

    if (arguments_name(req->query_string, "verbose")) {
        tell_checks(req, checks, ready);
        return;
    }
    if (ready) {
        weir_reply_text(req, 200, "ready\n");
        return;
    }
    buffer_text(&req->out, "not ready\n");
    for (int i = 0; i < CHECKS; i++)
        if (!checks[i].passed)
            buffer_printf(&req->out, "%s: %s\n", checks[i].name, checks[i].detail);
    weir_reply_body(req, 503, "text/plain; charset=utf-8");
}
