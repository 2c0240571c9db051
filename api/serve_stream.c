/* serve_stream.c: a request that a query answers row by row. */
#include <stdio.h>
#include <stdlib.h>

#include "auth.h"
#include "reply.h"

#define READER_GONE 499

/* Up to its first rows a stream is a query like any other, and fails like one. */
static weir_async int open_stream(weir_request *req, weir_lease *lease, weir_stream **stream)
{
    query_hurry(req);
    weir_scoped_timeout(limit, req->query_timeout_ns);
    int r = auth_settle(lease, req->identity);
    return r < 0 ? r : weir_stream_open(lease, req->statement, req->params, stream);
}

static weir_async int read_batch(weir_request *req, weir_stream *stream, weir_result **rows)
{
    weir_scoped_timeout(limit, req->lane->api->stream_timeout_ns);
    return weir_stream_next(stream, rows);
}

static weir_async int send_batch(weir_request *req, weir_result **rows)
{
    weir_scoped_timeout(limit, req->lane->api->stream_timeout_ns);
    int r = row_stream_give(req, rows);
    req->stream.unread = r == WEIR_ETIMEDOUT;
    return r;
}

static weir_async int send_all(weir_request *req, weir_stream *stream)
{
    for (;;) {
        weir_scoped_result weir_result *rows = NULL;
        int r = read_batch(req, stream, &rows);
        if (r < 0 || !rows)
            return r;
        r = send_batch(req, &rows);
        if (r < 0)
            return r;
    }
}

static void tell_stopped_reader(weir_request *req)
{
    char text[96];
    snprintf(text, sizeof text, "the client had stopped reading for %.0f ms",
             (double)req->lane->api->stream_timeout_ns / 1e6);
    snprintf(req->code, sizeof req->code, "stream_unread");
    free(req->message);
    req->message = strdup(text); /* for the log only */
    row_stream_fail(req, READER_GONE);
}

/* Of its status nothing can be changed any more. */
static void break_off(weir_request *req, const weir_lease *lease, int error)
{
    if (!req->connection || req->client_gone) {
        row_stream_fail(req, READER_GONE);
        return;
    }
    if (req->stream.unread) {
        tell_stopped_reader(req);
        return;
    }
    if (error == WEIR_ETIMEDOUT)
        weir_reply_error(req, PROBLEM_STREAM_TIMEOUT, "No further row came within %.0f ms.",
                         (double)req->lane->api->stream_timeout_ns / 1e6);
    else
        weir_reply_failed(req, lease, error);
    row_stream_fail(req, req->status);
    req->status = 200;
}

weir_async void serve_stream(weir_request *req)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(req->pool, &req->scope, &lease);
    if (r < 0) {
        weir_reply_refused(req, r);
        return;
    }
    weir_scoped_stream weir_stream *stream = NULL;
    r = open_stream(req, lease, &stream);
    if (r < 0) {
        weir_reply_failed(req, lease, r);
        return;
    }
    row_stream_begin(req);
    r = send_all(req, stream);
    if (r < 0)
        break_off(req, lease, r);
}
