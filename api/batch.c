/* batch.c: POST /batch: several queries at once, each on a lease of its own. */
#include <stdio.h>
#include <stdlib.h>

#include "auth.h"
#include "fields.h"
#include "parts.h"
#include "patience.h"
#include "reply.h"

/* ---- What is asked for ---- */

/* A fault of one query is its own result, and no other's. */
static void bind_part(part *p, const char *name, const field *params)
{
    weir_request *req = p->req;
    const query *q = query_set_find(req->queries->set, name);
    bind_fault fault = {0};

    if (!q) {
        weir_reply_problem(req, (problem){.kind = PROBLEM_NO_QUERY, .parameter = "query"});
        return;
    }
    part_query(p, q);
    if (!auth_let_in(p->of->whole, q->auth, req))
        return;
    req->statement = query_statement(q, req->method);
    int r = bind_object(q, params->given ? &params->item : NULL, NULL, &req->bound, &fault);
    if (r < 0)
        reply_unbound(req, r, &fault);
}

static bool read_part(part *p, const json_item *item)
{
    enum { QUERY, PARAMS, TIMEOUT, COUNT };
    field fields[COUNT] = {
        [QUERY] = {.name = "query", .kind = FIELD_TEXT, .required = true},
        [PARAMS] = {.name = "params", .kind = FIELD_OBJECT},
        [TIMEOUT] = {.name = "timeout", .kind = FIELD_TEXT},
    };
    weir_request *whole = p->of->whole;
    uint64_t timeout_ns = WEIR_NEVER;
    char where[32];

    part_where(p, where, sizeof where);
    if (!fields_read(whole, where, item, fields, COUNT) ||
        !field_time(whole, where, &fields[TIMEOUT], &timeout_ns))
        return false;
    bind_part(p, field_text(&fields[QUERY]), &fields[PARAMS]);
    if (timeout_ns < p->req->query_timeout_ns)
        p->req->query_timeout_ns = timeout_ns;
    return true;
}

static bool read_fail(weir_request *req, const arguments *a)
{
    for (uint32_t i = 0; i < a->count; i++) {
        const char *value = a->pairs[i].value ? a->pairs[i].value : "";
        if (a->pairs[i].name[0] == '_')
            continue;
        if (strcmp(a->pairs[i].name, "fail") != 0)
            return fields_refuse(req, "", a->pairs[i].name, "means nothing here.");
        if (strcmp(value, "fast") != 0 && strcmp(value, "late") != 0)
            return fields_refuse(req, "", "fail", "must be fast or late.");
        req->parts->fail_fast = strcmp(value, "fast") == 0;
    }
    return true;
}

static bool read_parts(weir_request *req, const json_item *body)
{
    json_walk walk = json_walk_begin(body);
    json_item item;
    const char *name;

    for (uint32_t i = 0; json_walk_next(&walk, &name, &item); i++) {
        part *p = &req->parts->each[i];
        if (!read_part(p, &item))
            return false;
        req->parts->failed |= p->req->status != 0;
    }
    return true;
}

/* ---- How it runs ---- */

static void not_run(part *p)
{
    const request_parts *all = p->of;

    p->req->retry_after = 0;
    if (all->fail_fast && all->failed)
        weir_reply_error(p->req, PROBLEM_NOT_RUN, "Another query of the batch failed.");
    else if (weir_now() >= all->deadline_ns)
        weir_reply_error(p->req, PROBLEM_QUERY_TIMEOUT, "The batch's time was over%s.",
                         patience_words(p->req, all->deadline_ns));
    else
        weir_reply_error(p->req, PROBLEM_DRAINING, "The service is stopping.");
}

typedef struct runner {
    part *part;
    weir_semaphore *turns;
} runner;

static weir_async void run_part(part *p)
{
    weir_request *req = p->req;
    uint64_t now = weir_now(), deadline_ns = p->of->deadline_ns;

    if (now >= deadline_ns) {
        not_run(p);
        return;
    }
    weir_scoped_timeout(limit, deadline_ns - now);
    req->scope = (weir_scope){
        .deadline_ns = weir_after(req->lane->api->acquire_timeout_ns),
        .label = req->query->named_path,
        .trace_id = req->request_id,
        .timings = &req->timings,
    };
    if (query_answer(req) == WEIR_ECANCELED && p->of->failed)
        not_run(p);
    if (req->timings.sent_ns)
        part_count(p, req->timings.query_ns);
}

static weir_async int take_turn(void *arg)
{
    runner *r = arg;
    part *p = r->part;

    run_part(p);
    p->of->failed |= p->req->status != 200;
    weir_semaphore_release(r->turns);
    return p->req->status == 200 ? 0 : WEIR_EQUERY;
}

/* A part's task is begun when its turn has come, so that at most so many stacks are in use. */
static weir_async void run_parts(request_parts *all, runner *runners)
{
    weir_semaphore turns = WEIR_SEMAPHORE(all->whole->lane->api->batch_concurrency);
    weir_scoped_group group =
        WEIR_GROUP(all->fail_fast ? WEIR_GROUP_CANCEL_REST : WEIR_GROUP_COLLECT_ALL);

    for (uint32_t i = 0; i < all->count; i++) {
        if (all->each[i].req->status)
            continue; /* answered before it could begin */
        if (weir_semaphore_acquire(&turns) < 0)
            break;
        runners[i] = (runner){.part = &all->each[i], .turns = &turns};
        int r = weir_group_spawn(&group, take_turn, &runners[i]);
        if (r == WEIR_ENOMEM)
            weir_reply_error(all->each[i].req, PROBLEM_OVERLOADED, "There was no memory for it.");
        if (r < 0)
            weir_semaphore_release(&turns);
        if (r == WEIR_ECANCELED)
            break;
    }
    weir_group_wait(&group);
}

static weir_async void run_batch(weir_request *req)
{
    request_parts *all = req->parts;
    runner *runners = calloc(all->count, sizeof *runners);

    if (!runners) {
        weir_reply_error(req, PROBLEM_OVERLOADED, "There was no memory for the batch.");
        return;
    }
    if (!(all->fail_fast && all->failed))
        run_parts(all, runners);
    free(runners);
    for (uint32_t i = 0; i < all->count; i++)
        if (!all->each[i].req->status)
            not_run(&all->each[i]);
    reply_parts(req, false);
}

void serve_batch(weir_request *req)
{
    arguments a;
    json_item body;

    if (!parts_begin(req, "array", &a, &body) || !read_fail(req, &a) ||
        !parts_make(req, "", &body) || !read_parts(req, &body))
        return;
    req->handler = run_batch;
    route_start(req);
}
