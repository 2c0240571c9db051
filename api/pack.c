/* pack.c: answers sent as gzip. */
#include "pack.h"

#include <stdlib.h>

#include "gzip.h"
#include "parts.h"
#include "reply.h"

/* Packing so much takes some three milliseconds: more is not done on a lane. */
#define LARGE ((size_t)256 << 10)

static bool is_asked_for(const weir_request *req)
{
    return gzip_accepted(request_header(req, MHD_HTTP_HEADER_ACCEPT_ENCODING));
}

static bool is_worth_it(const weir_request *req)
{
    return !req->out.failed && req->out.length >= req->lane->api->gzip_min;
}

static size_t size_of_result(const weir_result *result)
{
    size_t length = 0;

    for (uint32_t row = 0; row < weir_result_rows(result) && length <= LARGE; row++)
        for (uint32_t column = 0; column < weir_result_columns(result); column++)
            length += weir_result_length(result, row, column);
    return length;
}

/* Of what it has been answered so far, encoded or not; not exact where that is large. */
static size_t size_of(const weir_request *req)
{
    return req->out.length + (req->found ? req->found->length : 0) +
           (req->result ? size_of_result(req->result) : 0);
}

static bool is_large(const weir_request *req)
{
    const request_parts *parts = req->parts;
    size_t length = size_of(req);

    for (uint32_t i = 0; parts && !parts->alone && i < parts->count && length <= LARGE; i++)
        length += size_of(parts->each[i].req);
    return length > LARGE;
}

/* What is libmicrohttpd's may go at any time meanwhile: nothing here looks at it. */
static void seal_and_pack(void *arg)
{
    weir_request *req = arg;

    reply_seal(req);
    if (!is_worth_it(req))
        return;
    gzip *own = gzip_open();
    req->packed = own && gzip_pack(own, &req->out);
    gzip_close(own);
}

bool pack_takes_long(const weir_request *req)
{
    return req->connection && !req->stream.begun && req->lane->api->gzip_min != SIZE_MAX &&
           is_asked_for(req) && is_large(req);
}

weir_async void pack_large(weir_request *req)
{
    if (!pack_takes_long(req))
        return;
    char *known_tags = req->known_tags ? strdup(req->known_tags) : NULL;
    req->known_tags = known_tags;
    weir_work(seal_and_pack, req); /* if that is not to be, the loop does it */
    req->known_tags = NULL;
    free(known_tags);
}

void pack_answer(weir_request *req)
{
    api_lane *lane = req->lane;

    if (req->packed || !is_worth_it(req))
        return;
    req->varies = true;
    if (!is_asked_for(req))
        return;
    if (!lane->gzip)
        lane->gzip = gzip_open();
    req->packed = lane->gzip && gzip_pack(lane->gzip, &req->out);
}
