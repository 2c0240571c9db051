/* pack.c: answers sent as gzip. */
#include "pack.h"

#include <stdlib.h>

#include "gzip.h"
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

static bool is_large(const weir_request *req)
{
    const weir_result *result = req->result;
    size_t length = 0;

    if (req->found)
        return req->found->length > LARGE;

    for (uint32_t row = 0; row < weir_result_rows(result); row++)
        for (uint32_t column = 0; column < weir_result_columns(result); column++) {
            length += weir_result_length(result, row, column);
            if (length > LARGE)
                return true;
        }
    return false;
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

weir_async void pack_large(weir_request *req)
{
    if (!(req->result || req->found) || !req->connection || req->lane->api->gzip_min == SIZE_MAX ||
        !is_asked_for(req) || !is_large(req))
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
