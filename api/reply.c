/* reply.c: the answers that a handler can give. */
#include "reply.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "encode.h"
#include "parts.h"

#define JSON "application/json"

/* ---- Plain answers ---- */

void weir_reply_body(weir_request *req, int status, const char *content_type)
{
    req->status = status;
    req->content_type = content_type;
}

void weir_reply_text(weir_request *req, int status, const char *text)
{
    req->out.length = 0;
    buffer_text(&req->out, text);
    weir_reply_body(req, status, "text/plain; charset=utf-8");
}

void reply_allow(weir_request *req, uint32_t methods)
{
    size_t length = 0;

    for (int m = 0; m < METHOD_COUNT; m++) {
        if (!(methods & 1u << m))
            continue;
        const char *name = m == METHOD_GET ? "GET, HEAD" : query_method_name((query_method)m);
        length += (size_t)snprintf(req->allow + length, sizeof req->allow - length, "%s, ", name);
        assert(length < sizeof req->allow);
    }
    length += (size_t)snprintf(req->allow + length, sizeof req->allow - length, "OPTIONS");
    assert(length < sizeof req->allow);
}

/* ---- Rows ---- */

/* Without @cache an answer may be kept, but is asked for each time. A trace tells of one request.
 */
static const char *cache_control(const weir_request *req)
{
    if (req->method != METHOD_GET)
        return NULL;
    if (req->trace)
        return "no-store";
    if (req->query->cache_control)
        return req->query->cache_control;
    return req->query->auth == AUTH_NONE ? "no-cache" : "private, no-cache";
}

static void reply_no_row(weir_request *req)
{
    weir_reply_error(req, PROBLEM_NO_ROW, "The query found no row.");
}

static void reply_what_is_found(weir_request *req)
{
    req->cache_control = cache_control(req);
    req->open_object = req->tell_pool = true;
    weir_reply_body(req, 200, JSON);
}

void weir_reply_result(weir_request *req, weir_result **result)
{
    if (excess_refused(req, req->query, weir_result_rows(*result)))
        return;
    if (req->query->returns == RETURNS_ROW && weir_result_rows(*result) == 0) {
        reply_no_row(req);
        return;
    }
    req->result = *result;
    *result = NULL;
    reply_what_is_found(req);
}

void reply_found(weir_request *req, const buffer *found)
{
    if (!found) {
        reply_no_row(req);
        return;
    }
    req->found = found;
    reply_what_is_found(req);
}

/* What the log says of several is what went wrong first in their order. */
static void tell_log(weir_request *req)
{
    const weir_request *wrong = parts_wrong(req->parts);

    snprintf(req->code, sizeof req->code, "%s", wrong ? wrong->code : "");
    free(req->message);
    req->message = wrong && wrong->message ? strdup(wrong->message) : NULL;
}

void reply_parts(weir_request *req, bool pool_told)
{
    req->out.length = 0;
    tell_log(req);
    req->retry_after = 0;
    req->open_object = true;
    req->tell_pool = pool_told;
    weir_reply_body(req, 200, JSON);
}

static void encode_result(weir_request *req)
{
    const shape_set *shapes = query_set_shapes(req->queries->set, req->query->pool_index);
    const weir_result *result = req->result;
    buffer *out = &req->out;

    switch (req->query->returns) {
    case RETURNS_ROWS:
        buffer_text(out, "\"rows\":");
        encode_rows(out, result, shapes);
        buffer_text(out, ",\"count\":");
        buffer_uint(out, weir_result_rows(result));
        return;
    case RETURNS_ROW:
        buffer_text(out, "\"row\":");
        encode_row(out, result, 0, shapes);
        return;
    case RETURNS_COUNT:
        buffer_text(out, "\"count\":");
        buffer_uint(out, weir_result_affected(result));
        return;
    }
}

/* ---- The end of a JSON object: what the pool had to do with it ---- */

uint64_t reply_waited_ns(const weir_request *req)
{
    const weir_timings *t = &req->timings;
    if (!t->asked_ns)
        return 0;
    return (t->granted_ns ? t->granted_ns : weir_now()) - t->asked_ns;
}

static void tell_lifecycle(weir_request *req)
{
    const weir_timings *t = &req->timings;
    uint64_t first_row_ns = req->status == 200 ? t->answered_ns : 0; /* else an error came */
    const struct {
        const char *event;
        uint64_t at_ns;
    } steps[] = {
        {"lease.requested", t->asked_ns},    {"lease.queued", t->queued_ns},
        {"connection.opened", t->opened_ns}, {"lease.granted", t->granted_ns},
        {"query.sent", t->sent_ns},          {"query.first_row", first_row_ns},
        {"query.done", t->done_ns},          {"lease.released", t->released_ns},
    };
    bool first = true;

    buffer_text(&req->out, ",\"lifecycle\":[");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (!steps[i].at_ns)
            continue;
        buffer_text(&req->out, first ? "{\"event\":" : ",{\"event\":");
        buffer_json_text(&req->out, steps[i].event);
        buffer_text(&req->out, ",\"at_ms\":");
        buffer_ms(&req->out, steps[i].at_ns > req->began_ns ? steps[i].at_ns - req->began_ns : 0);
        buffer_char(&req->out, '}');
        first = false;
    }
    buffer_char(&req->out, ']');
}

static void number(buffer *out, const char *name, uint64_t value)
{
    buffer_text(out, name);
    buffer_uint(out, value);
}

static void tell_pool(weir_request *req)
{
    const weir_timings *t = &req->timings;
    buffer *out = &req->out;
    weir_pool_gauge gauge;

    weir_pool_gauge_read(req->pool, &gauge);
    buffer_text(out, ",\"pool\":{\"name\":");
    buffer_json_text(out, weir_pool_name(req->pool));
    if (t->connection)
        number(out, ",\"connection\":", t->connection);
    buffer_text(out, t->granted_ns ? ",\"wait_ms\":" : ",\"waited_ms\":");
    buffer_ms(out, reply_waited_ns(req));
    if (t->granted_ns) {
        buffer_text(out, ",\"query_ms\":");
        buffer_ms(out, t->query_ns);
    }
    number(out, ",\"size\":", gauge.size);
    number(out, ",\"max\":", gauge.max);
    number(out, ",\"in_use\":", gauge.in_use);
    number(out, ",\"idle\":", gauge.idle);
    number(out, ",\"waiting\":", gauge.waiting);
    if (req->shared)
        buffer_text(out, ",\"shared\":true");
    if (req->reason) {
        buffer_text(out, ",\"verdict\":");
        buffer_json_text(out, weir_verdict_name(req->verdict));
        buffer_text(out, ",\"reason\":");
        buffer_json_text(out, req->reason);
    }
    if (req->trace)
        tell_lifecycle(req);
    buffer_char(out, '}');
}

/* The tag is of what the query found, and weak: the answer also says how full the pool is, which
 * makes no two of them the same and is no reason to send the rows again. */
static void tag_result(weir_request *req)
{
    char etag[ETAG_SIZE];

    if (req->method != METHOD_GET || req->trace || req->out.failed)
        return;
    etag_of(req->out.data, req->out.length, true, etag);
    request_revalidate(req, etag);
}

static void encode_found(weir_request *req)
{
    if (req->result)
        encode_result(req);
    if (req->found) {
        buffer_append(&req->out, req->found->data, req->found->length);
        req->out.failed |= req->found->failed;
    }
    weir_result_free(req->result);
    req->result = NULL;
}

void reply_members(weir_request *req)
{
    encode_found(req);
    if (req->tell_pool)
        tell_pool(req);
}

static void seal(weir_request *req)
{
    bool found = req->result || req->found;

    if (req->status == 200)
        buffer_char(&req->out, '{');
    if (req->status == 200 && req->parts && !req->parts->alone)
        parts_encode(req->parts, &req->out);
    encode_found(req);
    if (found)
        tag_result(req);
    if (req->tell_pool)
        tell_pool(req);
    buffer_text(&req->out, "}\n");
    req->open_object = false;
}

void reply_seal(weir_request *req)
{
    if (!req->open_object)
        return;
    if (req->result || req->found || req->parts) /* what is not of queries is as long as it is */
        req->out.most = req->lane->api->guards.answer_max;
    seal(req);
    if (!req->out.overfull)
        return;
    buffer_free(&req->out);
    req->too_long = true;
}

void reply_ready(weir_request *req)
{
    reply_seal(req);
    if (!req->too_long)
        return;
    req->too_long = false;
    *req->etag = '\0';
    excess_sealed(req);
    seal(req);
}
