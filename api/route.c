/* route.c: which handler answers a path. */
#include <assert.h>
#include <string.h>

#include "auth.h"
#include "pack.h"
#include "patience.h"
#include "percent.h"
#include "reply.h"
#include "sharing.h"

/* ---- Endpoints of the service itself ---- */

/* Whom it is for. What is not for clients is on the operators' listener, where there is one. */
typedef enum audience {
    CLIENTS,
    PROBES,    /* and scrapes: they come at a pace of their own */
    OPERATORS, /* with a token, at which nobody is to guess at any pace */
} audience;

typedef struct endpoint {
    query_method method;
    const char *path;
    bool prefix; /* whatever follows the path belongs to it */
    audience audience;
    void (*serve)(weir_request *req);
} endpoint;

static const endpoint endpoints[] = {
    {METHOD_GET, "/livez", false, PROBES, serve_livez},
    {METHOD_GET, "/readyz", false, PROBES, serve_readyz},
    {METHOD_GET, "/metrics", false, PROBES, serve_metrics},
    {METHOD_GET, "/pool", false, PROBES, serve_pool_state},
    {METHOD_GET, "/pool/events", false, OPERATORS, serve_pool_events},
    {METHOD_POST, "/pool/pause", false, OPERATORS, serve_control},
    {METHOD_POST, "/pool/resume", false, OPERATORS, serve_control},
    {METHOD_POST, "/pool/resize", false, OPERATORS, serve_control},
    {METHOD_POST, "/pool/evict", false, OPERATORS, serve_control},
    {METHOD_POST, "/pool/drain", false, OPERATORS, serve_control},
    {METHOD_POST, "/reload", false, OPERATORS, serve_control},
    {METHOD_POST, "/sql", false, OPERATORS, serve_sql},
    {METHOD_POST, "/batch", false, CLIENTS, serve_batch},
    {METHOD_POST, "/tx", false, CLIENTS, serve_transaction},
    {METHOD_GET, "/", false, CLIENTS, serve_landing},
    {METHOD_GET, "/docs", false, CLIENTS, serve_docs},
    {METHOD_GET, "/openapi.json", false, CLIENTS, serve_openapi},
    {METHOD_GET, "/problems/", true, CLIENTS, serve_problem_page},
    {METHOD_GET, "/events/", true, CLIENTS, serve_events},
};

/* What explains problems is wherever there are any. */
static bool is_here(const weir_request *req, const endpoint *e)
{
    return e->serve == serve_problem_page ||
           req->listener->admin == (e->audience != CLIENTS && req->lane->api->separate_admin);
}

static const endpoint *find_endpoint(const weir_request *req)
{
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        const endpoint *e = &endpoints[i];
        bool matches = e->prefix ? strncmp(req->path, e->path, strlen(e->path)) == 0
                                 : strcmp(req->path, e->path) == 0;
        if (matches && is_here(req, e))
            return e;
    }
    return NULL;
}

static void reply_options(weir_request *req, uint32_t allowed)
{
    reply_allow(req, allowed);
    req->status = 204;
}

static void refuse_method(weir_request *req, uint32_t allowed)
{
    weir_reply_error(req, PROBLEM_METHOD, "%s does not take this method.", req->path);
    reply_allow(req, allowed);
}

static const char *pattern_of(const endpoint *e)
{
    if (!e->prefix)
        return e->path;
    return e->serve == serve_events ? "/events/{channel}" : "/problems/{word}";
}

static bool is_exempt(const weir_request *req, const endpoint *e)
{
    return req->listener->admin || e->audience == PROBES;
}

static void serve_endpoint(weir_request *req, const endpoint *e)
{
    req->route = pattern_of(e);
    if (!is_exempt(req, e) && !limit_let_in(req))
        return;
    if (req->method == e->method)
        e->serve(req);
    else if (strcmp(req->method_name, "OPTIONS") == 0)
        reply_options(req, 1u << e->method);
    else
        refuse_method(req, 1u << e->method);
}

/* ---- What a request says besides its path ---- */

static bool is_json(const char *type)
{
    const char *json = "application/json";
    size_t length = strlen(json);

    return type && strncasecmp(type, json, length) == 0 &&
           (!type[length] || strchr("; \t", type[length]));
}

bool route_arguments(weir_request *req, arguments *a)
{
    uint32_t most = req->lane->api->guards.params_max;
    const char *wrong = arguments_parse(a, req->query_string);

    if (wrong) {
        weir_reply_error(req, PROBLEM_BAD_REQUEST, "%s", wrong);
        return false;
    }
    if (a->count > most) {
        weir_reply_error(req, PROBLEM_BAD_REQUEST,
                         "The query string has %u arguments and may have %u (--params-max).",
                         a->count, most);
        return false;
    }
    if (req->body_length > 0 && !is_json(request_header(req, MHD_HTTP_HEADER_CONTENT_TYPE))) {
        weir_reply_error(req, PROBLEM_MEDIA_TYPE,
                         "A body must be JSON with Content-Type: application/json.");
        return false;
    }
    return true;
}

/* ---- Tasks ---- */

static int run_handler(void *arg)
{
    weir_request *req = arg;

    req->handler(req);
    pack_large(req);
    if (req->query && req->timings.sent_ns && !req->run)
        metrics_query(req->lane->metrics, weir_pool_name(req->pool), req->query->name,
                      req->timings.query_ns);
    disconnect_forget(req);
    weir_detach(req->task);
    req->task = NULL;
    request_list_append(&req->lane->finished, req);
    return 0;
}

static bool begin_task(weir_request *req)
{
    if (weir_spawn(run_handler, req, &req->task) < 0)
        return false;
    request_hold(req);
    disconnect_expect(req);
    return true;
}

void route_start(weir_request *req)
{
    if (begin_task(req))
        return;
    weir_reply_error(req, PROBLEM_OVERLOADED, "There was no memory to begin the request.");
    req->retry_after = 1;
}

/* ---- Queries ---- */

static void start_query(weir_request *req)
{
    const weir_api *api = req->lane->api;

    if (req->method == METHOD_GET)
        req->known_tags = request_header(req, MHD_HTTP_HEADER_IF_NONE_MATCH);
    req->statement = query_statement(req->query, req->method);
    req->params = &req->bound.params;
    req->query_timeout_ns = query_limit_ns(api, req->query);
    req->scope = (weir_scope){
        .deadline_ns = patience_until(req, weir_after(api->acquire_timeout_ns)),
        .label = req->route,
        .trace_id = req->request_id,
        .timings = &req->timings,
    };
    if (req->query->returns == RETURNS_ROWS)
        req->form = accept_form(request_header(req, MHD_HTTP_HEADER_ACCEPT));
    req->handler = req->form != FORM_JSON ? serve_stream
                   : sharing_fits(req)    ? serve_shared
                                          : serve_query;
    route_start(req);
}

bool route_trace(const arguments *a)
{
    for (uint32_t i = 0; i < a->count; i++)
        if (strcmp(a->pairs[i].name, "_trace") == 0)
            return !a->pairs[i].value || strcmp(a->pairs[i].value, "0") != 0;
    return false;
}

static void bind_and_start(weir_request *req, const route_match *match)
{
    arguments a;
    bind_fault fault = {0};
    int r;

    if (!patience_read(req) || !route_arguments(req, &a))
        return;
    req->trace = route_trace(&a);
    r = bind_request(req->query, match, a.pairs, a.count, req->body, req->body_length, &req->bound,
                     &fault);
    if (r < 0)
        reply_unbound(req, r, &fault);
    else
        start_query(req);
}

/* The path's values in `match` point into the lane's scratch memory. */
static void serve_match(weir_request *req, route_match *match)
{
    req->query = match->query;
    req->pool = req->lane->api->pools[match->query->pool_index];
    req->route = match->route;
    req->allowed = match->allowed | 1u << req->method;
    for (uint32_t i = 0; i < match->value_count; i++)
        percent_slashes((char *)match->values[i].value, match->values[i].length);
    if (auth_let_in(req, req->query->auth, req))
        bind_and_start(req, match);
}

/* What the path takes, whatever the method at hand. */
static uint32_t allowed_at(const weir_request *req, const char *path)
{
    route_match match = {0};
    int r = query_set_match(req->queries->set, METHOD_GET, path, &match);
    return r == 0 ? match.allowed | 1u << METHOD_GET : match.allowed;
}

static void route_query(weir_request *req)
{
    size_t decoded;
    route_match match = {0};
    char *path = req->lane->scratch; /* as large as all that a client can send in a header */

    if (!percent_decode(req->path, strlen(req->path), PERCENT_SLASH, path, &decoded)) {
        weir_reply_error(req, PROBLEM_BAD_REQUEST, "The path is not percent-encoded UTF-8.");
        return;
    }
    if (req->method < METHOD_COUNT &&
        query_set_match(req->queries->set, req->method, path, &match) == 0) {
        serve_match(req, &match);
        return;
    }
    uint32_t allowed = allowed_at(req, path);
    if (!allowed)
        weir_reply_error(req, PROBLEM_NOT_FOUND, "No query and no endpoint has this path.");
    else if (strcmp(req->method_name, "OPTIONS") == 0)
        reply_options(req, allowed);
    else
        refuse_method(req, allowed);
}

bool route_queries(weir_request *req)
{
    if (atomic_load_explicit(&req->lane->api->draining, memory_order_relaxed)) {
        weir_reply_problem(req, (problem){.kind = PROBLEM_DRAINING, .retryable = true});
        req->retry_after = 1;
        return false;
    }
    req->queries = lane_queries_ref(req->lane);
    if (!req->queries) {
        weir_reply_problem(req, (problem){.kind = PROBLEM_STARTING, .retryable = true});
        req->retry_after = 1;
        return false;
    }
    return true;
}

static weir_async void only_pack(weir_request *req) {} /* which every task does last */

void route_request(weir_request *req)
{
    const endpoint *e = find_endpoint(req);

    req->for_operators = e && e->audience != CLIENTS;
    if (cross_origin_asks(req))
        req->status = MHD_HTTP_NO_CONTENT; /* what it may do is in the headers */
    else if (e)
        serve_endpoint(req, e);
    else if (req->listener->admin)
        weir_reply_error(req, PROBLEM_NOT_FOUND, "This listener serves operators only.");
    else if (strcmp(req->path, "*") == 0 && strcmp(req->method_name, "OPTIONS") == 0)
        reply_options(req, (1u << METHOD_COUNT) - 1);
    else if (limit_let_in(req) && route_queries(req))
        route_query(req);
    if (req->step == REQUEST_RECEIVING && pack_takes_long(req)) {
        req->handler = only_pack;
        begin_task(req); /* else it is packed here all the same */
    }
    if (req->step == REQUEST_RECEIVING)
        request_answer(req);
}
