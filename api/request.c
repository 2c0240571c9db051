/* request.c: one HTTP request, from its first line to the last byte of its answer. */
#include "request.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "auth.h"
#include "clients.h"
#include "framing.h"
#include "pack.h"
#include "parts.h"
#include "reply.h"
#include "sharing.h"

/* How much of a body that is too large is read and thrown away, so that its sender gets to read the
 * answer: one who is cut off in the middle mostly does not. */
#define LINGER_MAX ((size_t)8 << 20)

/* More connections than these are suspended at once: each costs every turn a look. */
#define HELD_MAX 128

#define CLIENT_GONE 499
#define CLIENT_SLOW 408

void request_list_append(request_list *list, weir_request *req)
{
    req->prev = list->last;
    req->next = NULL;
    *(list->last ? &list->last->next : &list->first) = req;
    list->last = req;
}

void request_list_remove(request_list *list, weir_request *req)
{
    *(req->prev ? &req->prev->next : &list->first) = req->next;
    *(req->next ? &req->next->prev : &list->last) = req->prev;
    req->next = req->prev = NULL;
}

const char *request_header(const weir_request *req, const char *name)
{
    return MHD_lookup_connection_value(req->connection, MHD_HEADER_KIND, name);
}

bool request_accepts(const weir_request *req, const char *media_type)
{
    const char *accept = request_header(req, MHD_HTTP_HEADER_ACCEPT);
    return accept && strcasestr(accept, media_type) != NULL;
}

void request_revalidate(weir_request *req, const char etag[ETAG_SIZE])
{
    memcpy(req->etag, etag, sizeof req->etag);
    if (!req->known_tags || !etag_listed(req->known_tags, etag))
        return;
    req->status = MHD_HTTP_NOT_MODIFIED;
    req->content_type = NULL;
}

/* ---- Beginning ---- */

static const struct {
    const char *name;
    query_method method;
} methods[] = {
    {"GET", METHOD_GET},       {"HEAD", METHOD_GET},    {"POST", METHOD_POST},
    {"PUT", METHOD_PUT},       {"PATCH", METHOD_PATCH}, {"DELETE", METHOD_DELETE},
    {"OPTIONS", METHOD_COUNT},
};

static void know_method(weir_request *req, const char *name)
{
    req->method = METHOD_COUNT;
    req->method_name = "_OTHER";
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(name, methods[i].name) == 0) {
            req->method = methods[i].method;
            req->method_name = methods[i].name;
        }
}

/* A proxy's form of the request line names the host: what follows is the path. */
static const char *path_of(const char *url)
{
    size_t scheme = strncasecmp(url, "http://", 7) == 0    ? 7
                    : strncasecmp(url, "https://", 8) == 0 ? 8
                                                           : 0;
    if (scheme == 0)
        return url;
    const char *slash = strchr(url + scheme, '/');
    return slash ? slash : "/";
}

/* The query string is taken away from libmicrohttpd: it would keep each argument in the memory of
 * the connection, and when that is used up never answer. The line is its own buffer, not yet read.
 */
void *request_announced(void *arg, const char *uri, struct MHD_Connection *connection)
{
    listener *l = arg;
    char *mark = uri ? strchr(uri, '?') : NULL;
    size_t length = mark ? strlen(mark + 1) : 0;
    weir_request *req = malloc(sizeof *req + length + 1);

    if (!req)
        return NULL;
    /* The ids behind it are strings, filled in once the header is there. */
    memset(req, 0, offsetof(weir_request, request_id));
    memcpy(req->query_string, mark ? mark + 1 : "", length + 1);
    if (mark)
        mark[1] = '\0';
    req->lane = l->lane;
    req->listener = l;
    req->connection = connection;
    req->began_ns = weir_now();
    req->long_url = uri && strlen(uri) + length > l->lane->api->guards.url_max;
    req->client = client_of(connection);
    if (req->client)
        req->client->request = req;
    client_enter(req->client, CLIENT_HEADER);
    return req;
}

static void begin(weir_request *req, const char *url, const char *method)
{
    id_source *ids = &req->lane->ids;

    req->step = REQUEST_RECEIVING;
    client_enter(req->client, CLIENT_BODY);
    req->path = path_of(url);
    req->route = "";
    req->pool = req->lane->api->pools[0];
    know_method(req, method);
    req->asker = asker_address(req);
    request_id_choose(request_header(req, "X-Request-Id"), ids, req->request_id);
    traceparent_choose(request_header(req, "traceparent"), ids, req->traceparent);
}

weir_request *request_stand_in(const weir_request *whole)
{
    weir_request *req = calloc(1, sizeof *req + 1);

    if (!req)
        return NULL;
    *req = (weir_request){
        .lane = whole->lane,
        .listener = whole->listener,
        .trace = whole->trace,
        .began_ns = whole->began_ns,
        .method_name = whole->method_name,
        .method = whole->method,
        .route = whole->route,
        .queries = whole->queries,
        .pool = whole->pool,
    };
    req->queries->refs++;
    memcpy(req->request_id, whole->request_id, sizeof whole->request_id);
    return req;
}

void request_free(weir_request *req)
{
    if (!req)
        return;
    assert(req->step != REQUEST_RUNNING);
    free(req->body);
    free(req->message);
    free(req->reason);
    parts_free(req->parts);
    shared_run_unref(req->run);
    identity_unref(req->identity);
    bound_free(&req->bound);
    weir_result_free(req->result);
    buffer_free(&req->out);
    row_stream_free(&req->stream);
    event_stream_free(req->events);
    lane_queries_unref(req->queries);
    free(req);
}

/* ---- Its body ---- */

static bool announces_too_much(const weir_request *req)
{
    const char *length = request_header(req, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return length && strtoull(length, NULL, 10) > req->lane->api->body_max;
}

/* Whether to answer a body that is too large before it comes: when its sender waits to be asked for
 * it, or when there is more than anybody would read just to throw it away. */
static bool refuse_unread(const weir_request *req)
{
    const char *length = request_header(req, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return request_header(req, MHD_HTTP_HEADER_EXPECT) ||
           strtoull(length, NULL, 10) > req->lane->api->body_max + LINGER_MAX;
}

static void refuse_body(weir_request *req)
{
    req->close = true;
    weir_reply_error(req, PROBLEM_TOO_LARGE, "The body may have up to %zu bytes.",
                     req->lane->api->body_max);
}

/* Answers what need not be read to its end. */
static void refuse_early(weir_request *req, const char *version)
{
    const char *wrong = framing_problem(req->connection, version);

    req->too_large = announces_too_much(req);
    if (wrong) {
        req->close = true; /* where the next request begins is not known */
        weir_reply_error(req, PROBLEM_BAD_REQUEST, "%s", wrong);
        request_answer(req);
    } else if (req->long_url) {
        req->close = true; /* not to read a body for nothing */
        weir_reply_error(req, PROBLEM_LONG_URL,
                         "Path and query string may have up to %zu bytes together.",
                         req->lane->api->guards.url_max);
        request_answer(req);
    } else if (req->too_large && refuse_unread(req)) {
        refuse_body(req);
        request_answer(req);
    }
}

static void drop_body(weir_request *req)
{
    free(req->body);
    req->body = NULL;
    req->body_length = req->body_capacity = 0;
    req->too_large = true;
}

/* False: no more of it will be read. */
static bool take_body(weir_request *req, const char *bytes, size_t length)
{
    size_t max = req->lane->api->body_max;

    req->body_seen += length;
    if (!req->too_large && req->body_seen > max)
        drop_body(req);
    if (req->too_large)
        return req->body_seen <= max + LINGER_MAX;
    if (req->body_length + length > req->body_capacity) {
        size_t capacity = req->body_capacity ? req->body_capacity * 2 : 1024;
        while (capacity < req->body_length + length)
            capacity *= 2;
        char *body = realloc(req->body, capacity);
        if (!body)
            return false;
        req->body = body;
        req->body_capacity = capacity;
    }
    memcpy(req->body + req->body_length, bytes, length);
    req->body_length += length;
    return true;
}

/* ---- libmicrohttpd's calls ---- */

static bool queue_answer(weir_request *req);

enum MHD_Result request_access(void *arg, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **context)
{
    weir_request *req = *context;

    if (!req)
        return MHD_NO; /* there was no memory for it */
    if (req->step == REQUEST_ANNOUNCED) {
        if (req->client && req->client->phase == CLIENT_CUT)
            return MHD_NO;
        begin(req, url, method);
        req->http_1_0 = strcmp(version, MHD_HTTP_VERSION_1_1) != 0;
        refuse_early(req, version);
        return MHD_YES;
    }
    if (*upload_size > 0) {
        bool more = take_body(req, upload, *upload_size);
        *upload_size = 0;
        listener_want(req->listener, 1);
        return more ? MHD_YES : MHD_NO;
    }
    if (req->step == REQUEST_RUNNING)
        return MHD_YES; /* held: libmicrohttpd asks at every turn */
    if (req->step == REQUEST_READY) {
        req->step = REQUEST_ANSWERED;
        return queue_answer(req) ? MHD_YES : MHD_NO;
    }
    /* Called after the answer only where none could be made: that ends the connection. */
    if (req->step == REQUEST_ANSWERED)
        return MHD_NO;
    server_request_began(req->lane);
    req->counted = true;
    client_enter(req->client, CLIENT_SERVED);
    if (!req->too_large) {
        route_request(req);
    } else {
        refuse_body(req);
        request_answer(req);
    }
    return MHD_YES;
}

static void report(const weir_request *req, int status)
{
    const weir_api *api = req->lane->api;
    const weir_timings *t = &req->timings;
    uint64_t duration_ns = weir_now() - req->began_ns;
    /* What it would have been told is nobody's news; that it was cut off is. */
    bool gone = status == CLIENT_GONE && !req->stream.unread;

    metrics_request(req->lane->metrics, req->route, req->method_name, status, duration_ns);
    if (!api->on_request)
        return;
    weir_request_record record = {
        .method = req->method_name,
        .route = req->route,
        .client = &req->asker,
        .status = status,
        .duration_ns = duration_ns,
        .wait_ns = t->granted_ns ? t->granted_ns - t->asked_ns : 0,
        .query_ns = t->query_ns,
        .bytes = req->bytes,
        .request_id = req->request_id,
        .traceparent = req->traceparent,
        .code = *req->code && !gone ? req->code : NULL,
        .message = gone ? NULL : req->message,
        .label = req->scope.label,
    };
    api->on_request(api->arg, &record);
}

static void end(weir_request *req, int status)
{
    api_lane *lane = req->lane;
    bool counted = req->counted;

    report(req, status);
    request_free(req);
    if (counted)
        server_request_ended(lane);
}

static void let_go(weir_request *req)
{
    if (!req->client)
        return;
    req->too_slow = req->client->phase == CLIENT_CUT && req->step == REQUEST_RECEIVING;
    req->client->request = NULL;
    client_enter(req->client, CLIENT_IDLE);
    req->client = NULL;
}

void request_completed(void *arg, struct MHD_Connection *connection, void **context,
                       enum MHD_RequestTerminationCode how)
{
    weir_request *req = *context;
    if (!req)
        return;
    *context = NULL;
    let_go(req);
    if (req->step == REQUEST_ANNOUNCED) { /* no header came that could be understood */
        request_free(req);
        return;
    }
    if (req->step == REQUEST_RUNNING || row_stream_is_fed(&req->stream)) { /* the client has gone */
        req->connection = NULL;
        /* Who asked by HEAD for what would be a stream has all that was wanted. */
        req->client_gone = how != MHD_REQUEST_TERMINATED_COMPLETED_OK;
        disconnect_unwatch(req); /* its socket is about to be closed */
        if (req->task) /* else it has just ended, and the answer is about to be given up */
            weir_cancel(req->task);
        return;
    }
    if (req->events) { /* which ends when its client goes, and is no worse for that */
        disconnect_unwatch(req);
        end(req, req->stream.failed ? req->stream.status : req->status);
        return;
    }
    /* Nothing else tells the end of a stream without chunks from a connection that broke. */
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK && req->stream.begun && req->http_1_0)
        certificate_bye(connection);
    bool answered = how == MHD_REQUEST_TERMINATED_COMPLETED_OK && req->status && !req->client_gone;
    if (req->stream.failed)
        end(req, req->stream.status);
    else
        end(req, answered ? req->status : req->too_slow ? CLIENT_SLOW : CLIENT_GONE);
}

/* ---- Its answer ---- */

static void header(struct MHD_Response *response, const char *name, const char *value)
{
    MHD_add_response_header(response, name, value);
}

/* RFC 6750: who has shown no token is not told of an error. */
static void add_challenge(const weir_request *req, struct MHD_Response *response)
{
    char text[256];

    snprintf(text, sizeof text, "Bearer realm=\"weir\"%s%s%s",
             req->challenge ? ", error=\"invalid_token\", error_description=\"" : "",
             req->challenge ? req->challenge : "", req->challenge ? "\"" : "");
    header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, text);
}

/* Two numbers of up to 20 digits with their words fit. */
enum { HEADER_TEXT_MAX = 96 };

static const char *server_timing(const weir_request *req, char text[HEADER_TEXT_MAX])
{
    const weir_timings *t = &req->timings;
    uint64_t wait_ns = (t->granted_ns ? t->granted_ns : weir_now()) - t->asked_ns;
    uint64_t query_ns = req->stream.begun ? t->answered_ns - t->sent_ns : t->query_ns;
    buffer out = {.data = text, .capacity = HEADER_TEXT_MAX};

    buffer_text(&out, "acquire;dur=");
    buffer_ms(&out, wait_ns);
    buffer_text(&out, ", query;dur=");
    buffer_ms(&out, query_ns);
    if (req->shared)
        buffer_text(&out, ", shared");
    buffer_char(&out, '\0');
    return text;
}

static void add_headers(const weir_request *req, struct MHD_Response *response)
{
    char text[HEADER_TEXT_MAX];

    if (req->content_type)
        header(response, MHD_HTTP_HEADER_CONTENT_TYPE, req->content_type);
    header(response, "X-Request-Id", req->request_id);
    if (req->timings.asked_ns)
        header(response, "Server-Timing", server_timing(req, text));
    if (req->wait_preferred) {
        snprintf(text, sizeof text, "wait=%u", req->wait_preferred);
        header(response, "Preference-Applied", text);
    }
    if (*req->etag)
        header(response, MHD_HTTP_HEADER_ETAG, req->etag);
    if (req->varies || req->packed)
        header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    if (req->method == METHOD_GET && req->query && req->query->returns == RETURNS_ROWS &&
        !req->stream.begun) /* which says so itself */
        header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT);
    if (req->query && req->query->auth != AUTH_NONE)
        header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_AUTHORIZATION);
    if (req->packed && req->status != MHD_HTTP_NOT_MODIFIED)
        header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
    if (req->cache_control)
        header(response, MHD_HTTP_HEADER_CACHE_CONTROL, req->cache_control);
    if (req->retry_after) {
        snprintf(text, sizeof text, "%u", req->retry_after);
        header(response, MHD_HTTP_HEADER_RETRY_AFTER, text);
    }
    if (req->status == MHD_HTTP_METHOD_NOT_ALLOWED || *req->allow)
        header(response, MHD_HTTP_HEADER_ALLOW, req->allow);
    if (req->status == MHD_HTTP_UNAUTHORIZED)
        add_challenge(req, response);
    cross_origin_tell(req, response);
    if (req->close || atomic_load_explicit(&req->lane->api->leaving, memory_order_relaxed))
        header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

static struct MHD_Response *whole_response(weir_request *req)
{
    size_t length = 0;
    char *body = buffer_take(&req->out, &length);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, body, MHD_RESPMEM_MUST_FREE);
    req->bytes = req->status == MHD_HTTP_NOT_MODIFIED ? 0 : length;
    if (!response)
        free(body);
    return response;
}

/* An answer that memory is too short for is not given: libmicrohttpd will call once more, be told
 * so, and end the connection. */
static bool queue_answer(weir_request *req)
{
    reply_ready(req);
    if (!req->stream.begun)
        pack_answer(req);
    if (req->out.failed || !req->status)
        return false;
    struct MHD_Response *response = req->events         ? event_stream_response(req->events)
                                    : req->stream.begun ? row_stream_response(req)
                                                        : whole_response(req);
    if (!response)
        return false;
    add_headers(req, response);
    if (!req->stream.begun && !req->events)
        client_enter(req->client, CLIENT_ANSWER);
    bool queued = MHD_queue_response(req->connection, (unsigned)req->status, response) == MHD_YES;
    MHD_destroy_response(response);
    return queued;
}

/* Suspending a connection and resuming it costs three system calls. Most queries are answered
 * within a millisecond: until one takes longer its connection stays as it is, and libmicrohttpd
 * asks for the answer at each of its turns. */
void request_hold(weir_request *req)
{
    req->step = REQUEST_RUNNING;
    if (req->listener->held < HELD_MAX) {
        req->listener->held++;
        req->held = true;
    } else {
        MHD_suspend_connection(req->connection);
    }
}

void request_suspend(weir_request *req)
{
    if (!req->held)
        return;
    req->held = false;
    req->listener->held--;
    if (req->connection)
        MHD_suspend_connection(req->connection);
}

/* An answer is handed over in a call of libmicrohttpd's, or while the connection is suspended: at
 * any other time it would be sent, and a connection that it does not fit be ended, behind the
 * daemon's back. */
void request_hand_over(weir_request *req)
{
    bool ran = req->step == REQUEST_RUNNING, held = req->held;

    if (held) {
        req->held = false;
        req->listener->held--;
    }
    if (!req->connection) {
        req->step = REQUEST_ANSWERED;
        end(req, CLIENT_GONE);
        return;
    }
    /* A connection is looked at in one turn and written to in the next. */
    listener_want(req->listener, ran ? 2 : 1);
    req->step = held ? REQUEST_READY : REQUEST_ANSWERED;
    if (held)
        return;
    if (!req->client_gone)
        queue_answer(req);
    if (ran)
        MHD_resume_connection(req->connection);
}

void request_answer(weir_request *req)
{
    if (!row_stream_is_fed(&req->stream)) {
        request_hand_over(req);
        return;
    }
    row_stream_end(req);
    if (!req->connection)
        end(req, req->client_gone ? CLIENT_GONE : req->status);
}
