/* excess.c: answers that are too large to be given as a whole. */
#include "parts.h"
#include "reply.h"

static bool has_several(const weir_request *req)
{
    return req->parts && !req->parts->alone;
}

/* Only rows of one query, asked for by itself, can be sent as a stream. */
static const char *advice(const weir_request *req)
{
    bool alone = !req->parts && !req->bytes_left;
    return alone && req->query && req->query->returns == RETURNS_ROWS
               ? ", or with Accept: application/x-ndjson."
               : ".";
}

/* What is not answered may have been a write; in a transaction it is undone. */
static bool may_have_changed(const weir_request *req)
{
    return !has_several(req) && !req->statement->read_only;
}

bool excess_rows(const weir_request *req, const query *q, uint32_t rows)
{
    return q->returns == RETURNS_ROWS && rows > req->lane->api->guards.rows_max;
}

bool excess_refused(weir_request *req, const query *q, uint32_t rows)
{
    if (!excess_rows(req, q, rows))
        return false;
    weir_reply_error(req, PROBLEM_TOO_MANY_ROWS,
                     "The query found %u rows, and an answer may have %u unless it is a stream: "
                     "ask for fewer%s%s",
                     rows, req->lane->api->guards.rows_max, advice(req),
                     may_have_changed(req) ? " What was changed stays so." : "");
    return true;
}

size_t excess_limit(const weir_request *req)
{
    if (!req->bytes_left)
        return req->lane->api->guards.answer_max;
    return *req->bytes_left ? *req->bytes_left : 1; /* no limit would be 0 */
}

static size_t bytes_of(const weir_result *result)
{
    size_t bytes = 0;

    for (uint32_t row = 0; row < weir_result_rows(result); row++)
        for (uint32_t column = 0; column < weir_result_columns(result); column++)
            bytes += weir_result_length(result, row, column);
    return bytes;
}

void excess_count(weir_request *req, const weir_result *result)
{
    if (!req->bytes_left)
        return;
    size_t bytes = bytes_of(result);
    *req->bytes_left -= bytes < *req->bytes_left ? bytes : *req->bytes_left;
}

void excess_cut_short(weir_request *req)
{
    weir_reply_error(req, PROBLEM_LONG_ANSWER,
                     "The query finds more than the %zu bytes that an answer may have unless it is "
                     "a stream: ask for less%s%s",
                     req->lane->api->guards.answer_max, advice(req),
                     may_have_changed(req) ? " Whether it was carried out is not known." : "");
}

/* By now a transaction is committed. */
void excess_sealed(weir_request *req)
{
    weir_reply_error(req, PROBLEM_LONG_ANSWER,
                     "The answer would have more than the %zu bytes that it may have unless it is "
                     "a stream: ask for less%s%s",
                     req->lane->api->guards.answer_max, advice(req),
                     has_several(req) || may_have_changed(req) ? " What was changed stays so."
                                                               : "");
}
