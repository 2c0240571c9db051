/* excess.c: answers that are too large to be given as a whole. */
#include "parts.h"
#include "reply.h"

#define ADVICE "or with Accept: application/x-ndjson."

static bool has_several(const weir_request *req)
{
    return req->parts && !req->parts->alone;
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
                     "ask for fewer, " ADVICE "%s",
                     rows, req->lane->api->guards.rows_max,
                     may_have_changed(req) ? " What was changed stays so." : "");
    return true;
}

void excess_cut_short(weir_request *req)
{
    weir_reply_error(req, PROBLEM_LONG_ANSWER,
                     "The query finds more than the %zu bytes that an answer may have unless it is "
                     "a stream: ask for less, " ADVICE "%s",
                     req->lane->api->guards.answer_max,
                     may_have_changed(req) ? " Whether it was carried out is not known." : "");
}

/* By now a transaction is committed. */
void excess_sealed(weir_request *req)
{
    weir_reply_error(req, PROBLEM_LONG_ANSWER,
                     "The answer would have more than the %zu bytes that it may have unless it is "
                     "a stream: ask for less, " ADVICE "%s",
                     req->lane->api->guards.answer_max,
                     has_several(req) || may_have_changed(req) ? " What was changed stays so."
                                                               : "");
}
