/* parts.c: the several queries that one request asks for. */
#include "parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "fields.h"
#include "patience.h"
#include "reply.h"

/* ---- Reading ---- */

static bool no_memory(weir_request *req)
{
    weir_reply_error(req, PROBLEM_OVERLOADED, "There was no memory for the request.");
    req->retry_after = 1;
    return false;
}

static bool read_body(weir_request *req, const char *what, json_item *body)
{
    bind_fault fault = {0};

    if (req->body_length == 0)
        return fields_refuse(req, "", "", "is missing: it must be a JSON %s.", what);
    int r = json_text_read(req->body, req->body_length, what, &req->parts->document, body, &fault);
    if (r == 0)
        return true;
    if (r != WEIR_EINVAL)
        return no_memory(req);
    weir_reply_problem(req, (problem){.kind = PROBLEM_BAD_REQUEST,
                                      .detail = fault.message,
                                      .parameter = fault.parameter});
    return false;
}

bool parts_begin(weir_request *req, const char *what, arguments *a, json_item *body)
{
    if (!route_queries(req) || !patience_read(req) || !route_arguments(req, a))
        return false;
    req->trace = route_trace(a);
    req->parts = calloc(1, sizeof *req->parts);
    if (!req->parts)
        return no_memory(req);
    req->parts->whole = req;
    req->parts->bytes_left = req->lane->api->guards.answer_max;
    req->parts->deadline_ns = patience_until(req, weir_after(req->lane->api->batch_timeout_ns));
    return read_body(req, what, body);
}

static bool part_open(request_parts *parts, const char *where)
{
    weir_request *whole = parts->whole;
    part *p = &parts->each[parts->count];

    *p = (part){.of = parts, .index = parts->count};
    p->req = request_stand_in(whole);
    if (!p->req ||
        asprintf(&p->path, "%s#/%s%s%u", whole->path, where, *where ? "/" : "", parts->count) < 0) {
        request_free(p->req);
        return no_memory(whole);
    }
    parts->count++;
    p->req->path = p->path;
    p->req->bytes_left = &parts->bytes_left;
    p->req->connection = whole->connection; /* not used: that there is one means an answer is
                                               wanted */
    p->req->deadline_ns = whole->deadline_ns;
    p->req->hurry = whole->hurry;
    return true;
}

bool parts_make(weir_request *req, const char *where, const json_item *array)
{
    request_parts *parts = req->parts;
    size_t count = json_array_size(array->value);
    uint32_t most = req->lane->api->batch_max;

    if (!json_is_array(array->value))
        return fields_refuse(req, where, "", "must be an array of queries.");
    if (count == 0)
        return fields_refuse(req, where, "", "must name one query at least.");
    if (count > most)
        return fields_refuse(req, where, "", "names %zu queries and may name %u (--batch-max).",
                             count, most);
    if (!limit_let_all_in(req, (uint32_t)count))
        return false;
    parts->each = calloc(count, sizeof *parts->each);
    if (!parts->each)
        return no_memory(req);
    while (parts->count < count)
        if (!part_open(parts, where))
            return false;
    return true;
}

bool parts_alone(weir_request *req)
{
    request_parts *parts = req->parts;

    parts->each = calloc(1, sizeof *parts->each);
    if (!parts->each)
        return no_memory(req);
    parts->each[0] = (part){.of = parts, .req = req};
    parts->count = 1;
    parts->alone = true;
    return true;
}

void part_where(const part *p, char *where, size_t size)
{
    const char *at = p->path ? strchr(p->path, '#') + 2 : "";

    snprintf(where, size, "%s", at);
    for (char *slash; (slash = strchr(where, '/'));)
        *slash = '.';
}

bool parts_no_arguments(weir_request *req, const arguments *a)
{
    for (uint32_t i = 0; i < a->count; i++)
        if (a->pairs[i].name[0] != '_')
            return fields_refuse(req, "", a->pairs[i].name, "means nothing here.");
    return true;
}

void part_query(part *p, const query *q)
{
    weir_request *req = p->req;
    const weir_api *api = req->lane->api;

    req->query = q;
    req->pool = api->pools[q->pool_index];
    req->statement = &q->statement;
    req->params = &req->bound.params;
    req->query_timeout_ns = query_limit_ns(api, q);
    req->hurried = NULL;
}

uint64_t parts_time_left(const request_parts *parts)
{
    uint64_t now = weir_now();
    return parts->deadline_ns > now ? parts->deadline_ns - now : 1;
}

void part_count(const part *p, uint64_t took_ns)
{
    const weir_request *req = p->req;

    metrics_query(req->lane->metrics, weir_pool_name(req->pool), req->query->name, took_ns);
}

/* ---- Answers ---- */

/* The rows go straight into the whole's answer. */
static void encode_rows_of(weir_request *req, buffer *out)
{
    buffer_text(out, "{\"status\":200,");
    req->out = *out;
    *out = (buffer){0};
    reply_members(req);
    *out = req->out;
    req->out = (buffer){0};
    buffer_char(out, '}');
}

static void encode_problem_of(weir_request *req, buffer *out)
{
    reply_members(req);
    buffer_printf(out, "{\"status\":%d,", req->status);
    if (req->retry_after)
        buffer_printf(out, "\"retry_after\":%u,", req->retry_after);
    buffer_text(out, "\"problem\":");
    buffer_append(out, req->out.data, req->out.length);
    buffer_text(out, "}}");
    out->failed |= req->out.failed;
    buffer_free(&req->out);
}

void parts_encode(request_parts *parts, buffer *out)
{
    uint32_t failed = 0;

    buffer_text(out, "\"results\":[");
    for (uint32_t i = 0; i < parts->count; i++) {
        weir_request *req = parts->each[i].req;
        if (i > 0)
            buffer_char(out, ',');
        (req->status == 200 ? encode_rows_of : encode_problem_of)(req, out);
        failed += req->status != 200;
    }
    buffer_printf(out, "],\"count\":%u,\"failed\":%u", parts->count, failed);
    if (parts->attempts)
        buffer_printf(out, ",\"attempts\":%u", parts->attempts);
}

const weir_request *parts_wrong(const request_parts *parts)
{
    for (uint32_t i = 0; i < parts->count; i++)
        if (parts->each[i].req->status != 200)
            return parts->each[i].req;
    return NULL;
}

static void part_close(part *p)
{
    query_free(p->own);
    free(p->path);
    free(p->refs);
    if (!p->of->alone)
        request_free(p->req);
}

void parts_free(request_parts *parts)
{
    if (!parts)
        return;
    for (uint32_t i = 0; i < parts->count; i++)
        part_close(&parts->each[i]);
    free(parts->each);
    json_decref(parts->document);
    free(parts);
}
