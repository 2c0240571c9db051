/* serve_openapi.c: GET /openapi.json: made once a query set, off the loop. */
#include "openapi.h"
#include "reply.h"

typedef struct making {
    query_set *set;
    bool operators;
    const query_set_text *made; /* NULL: no memory */
} making;

/* On a thread of libuv's: it takes a while where there are many queries, and a deep stack. */
static void make(void *arg)
{
    making *m = arg;
    query_set_text text = {.bytes = openapi_text(m->set, m->operators)};

    if (!text.bytes)
        return;
    text.length = strlen(text.bytes);
    etag_of(text.bytes, text.length, false, text.etag);
    m->made = query_set_keep(m->set, text);
}

static weir_async void describe(weir_request *req)
{
    making m = {.set = req->queries->set, .operators = !req->lane->api->separate_admin};

    m.made = query_set_kept(m.set);
    if (!m.made && weir_work(make, &m) == WEIR_ECANCELED) {
        weir_reply_problem(req, (problem){.kind = PROBLEM_DRAINING, .retryable = true});
        return;
    }
    if (!m.made) {
        weir_reply_error(req, PROBLEM_OVERLOADED, "There was no memory for the description.");
        req->retry_after = 1;
        return;
    }
    buffer_append(&req->out, m.made->bytes, m.made->length);
    weir_reply_body(req, 200, "application/json");
    req->cache_control = "no-cache";
    if (!req->connection)
        return;
    req->known_tags = request_header(req, MHD_HTTP_HEADER_IF_NONE_MATCH);
    request_revalidate(req, m.made->etag);
}

void serve_openapi(weir_request *req)
{
    if (!route_queries(req))
        return;
    req->handler = describe;
    route_start(req);
}
