/* row_stream.h: an answer that is sent while its rows are still being read.
 *
 * The request's task reads a batch of rows and gives it; libmicrohttpd takes it in pieces as its
 * client reads, and only then does the task read the next. So a stream has two batches in memory at
 * most, one encoded and one not, and a client that stops reading stops the reading from the
 * database. */
#ifndef WEIR_ROW_STREAM_H
#define WEIR_ROW_STREAM_H

#include <stdint.h>

#include "../pool/weir.h"
#include "buffer.h"

struct MHD_Response;
typedef struct weir_request weir_request;

/* Of a request; zeroed: its answer is none. */
typedef struct row_stream {
    weir_job job;            /* hands its beginning over */
    bool begun;              /* there is no other answer any more */
    bool over;               /* the task has ended */
    bool stalled;            /* the connection is suspended until there are rows */
    bool continued;          /* a batch has been encoded */
    bool failed;             /* it breaks off, which its client is to see */
    bool unread;             /* because that client has stopped reading */
    int status;              /* then: what is told of it elsewhere */
    weir_result *rows;       /* given, to be encoded */
    struct weir_wait *giver; /* waits until they are */
    buffer out;
    size_t sent; /* of `out` */
} row_stream;

static inline bool row_stream_is_fed(const row_stream *s)
{
    return s->begun && !s->over;
}

/* The answer is a stream, in the form asked for. In the request's task. */
void row_stream_begin(weir_request *req);
/* Gives a batch, which is taken over, and waits until all before it has been sent and it is next;
 * until the task's deadline, as task_wait. */
weir_async int row_stream_give(weir_request *req, weir_result **rows);
/* There will be no more. The problem in the request, where there is one, says why, as far as the
 * form allows. */
void row_stream_fail(weir_request *req, int status);

/* ---- For request.c, on the loop's own stack ---- */

/* NULL without memory. */
struct MHD_Response *row_stream_response(weir_request *req);
/* The task has ended. */
void row_stream_end(weir_request *req);
void row_stream_free(row_stream *s);

#endif
