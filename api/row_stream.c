/* row_stream.c: an answer that is sent while its rows are still being read. */
#include "row_stream.h"

#include "../pool/task.h"
#include "csv.h"
#include "encode.h"
#include "reply.h"

#define BLOCK ((size_t)32 << 10)

/* What a batch with an uncommonly large row has needed is not kept. */
#define KEPT_MAX ((size_t)256 << 10)

/* libmicrohttpd is to go on with the connection. */
static void stir(weir_request *req)
{
    row_stream *s = &req->stream;

    if (!req->connection)
        return;
    if (s->stalled)
        MHD_resume_connection(req->connection);
    s->stalled = false;
    listener_want(req->listener, 2);
    req->lane->stirred = true;
}

/* ---- The task's side ---- */

static void begin_here(weir_job *job)
{
    weir_request *req = weir_container(job, weir_request, stream.job);

    if (!req->connection)
        return; /* its task is being cancelled */
    request_hand_over(req);
    req->lane->stirred = true;
}

void row_stream_begin(weir_request *req)
{
    req->stream.begun = true;
    req->stream.job.run = begin_here;
    /* libmicrohttpd ends also a body of chunks that it has not sent: then no answer may follow. */
    req->close |= strcmp(req->method_name, MHD_HTTP_METHOD_HEAD) == 0;
    weir_reply_body(req, 200, form_content_type(req->form));
    weir_lane_push(req->lane->lane, &req->stream.job);
}

typedef struct giving {
    weir_wait wait;
    weir_request *req;
    weir_result *rows;
    bool taken;
} giving;

static void begin_giving(weir_wait *wait)
{
    giving *g = weir_container(wait, giving, wait);
    row_stream *s = &g->req->stream;

    s->rows = g->rows;
    g->taken = true;
    s->giver = wait;
    stir(g->req);
}

static void abandon_giving(weir_wait *wait)
{
    weir_container(wait, giving, wait)->req->stream.giver = NULL;
}

weir_async int row_stream_give(weir_request *req, weir_result **rows)
{
    giving g = {.wait.abandon = abandon_giving, .req = req, .rows = *rows};
    int r = task_wait(&g.wait, WEIR_NEVER, begin_giving);

    if (g.taken)
        *rows = NULL;
    return r;
}

void row_stream_fail(weir_request *req, int status)
{
    req->stream.failed = true;
    req->stream.status = status;
}

/* ---- libmicrohttpd's side ---- */

static void encode_batch(weir_request *req)
{
    row_stream *s = &req->stream;
    const shape_set *shapes = query_set_shapes(req->queries->set, req->query->pool_index);
    bool first = !s->continued;

    s->continued = true;
    switch (req->form) {
    case FORM_CSV:
        if (first)
            csv_header(&s->out, s->rows);
        csv_rows(&s->out, s->rows);
        return;
    case FORM_NDJSON:
        encode_objects(&s->out, s->rows, shapes, "\n");
        if (weir_result_rows(s->rows) > 0)
            buffer_char(&s->out, '\n');
        return;
    default:
        buffer_text(&s->out, first ? "[" : ",\n");
        encode_objects(&s->out, s->rows, shapes, ",\n");
    }
}

/* All that was encoded has been sent: on to the batch that waits, if there is one. */
static void refill(weir_request *req)
{
    row_stream *s = &req->stream;

    s->sent = s->out.length = 0;
    if (s->out.capacity > KEPT_MAX)
        buffer_free(&s->out);
    if (!s->rows)
        return;
    encode_batch(req);
    weir_result_free(s->rows);
    s->rows = NULL;
    if (s->giver)
        wait_end(s->giver, 0);
    s->giver = NULL;
}

static ssize_t break_off(weir_request *req)
{
    if (req->task)
        weir_cancel(req->task);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static ssize_t read_stream(void *arg, uint64_t at, char *to, size_t max)
{
    weir_request *req = arg;
    row_stream *s = &req->stream;

    if (s->sent == s->out.length)
        refill(req);
    if (s->out.failed)
        return break_off(req);
    size_t left = s->out.length - s->sent, length = left < max ? left : max;
    if (length > 0) {
        memcpy(to, s->out.data + s->sent, length);
        s->sent += length;
        req->bytes += length;
        listener_want(req->listener, 2);
        return (ssize_t)length;
    }
    if (s->over)
        return s->failed ? break_off(req) : MHD_CONTENT_READER_END_OF_STREAM;
    s->stalled = true;
    MHD_suspend_connection(req->connection);
    return 0;
}

struct MHD_Response *row_stream_response(weir_request *req)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_stream, req, NULL);

    if (response)
        MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT);
    return response;
}

/* ---- Its end ---- */

static void write_end(weir_request *req)
{
    row_stream *s = &req->stream;

    if (!s->failed && req->form == FORM_ARRAY)
        buffer_text(&s->out, "]\n");
    if (!s->failed || req->form != FORM_NDJSON || !req->open_object)
        return;
    req->status = s->status; /* of the problem, and no more than that is to be sealed */
    reply_seal(req);
    req->status = 200;
    buffer_append(&s->out, req->out.data, req->out.length);
}

void row_stream_end(weir_request *req)
{
    row_stream *s = &req->stream;

    s->over = true;
    weir_result_free(s->rows);
    s->rows = NULL;
    if (!req->connection)
        return;
    write_end(req);
    if (s->failed && (s->unread || req->client_gone))
        disconnect_cut(req, true);
    else if (s->failed && req->http_1_0) /* which knows no other sign */
        disconnect_cut(req, false);
    stir(req);
}

void row_stream_free(row_stream *s)
{
    weir_result_free(s->rows);
    buffer_free(&s->out);
}
