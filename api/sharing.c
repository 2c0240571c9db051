/* sharing.c: identical GETs that are under way together, answered by one run of their query. */
#include "sharing.h"

#include <stdlib.h>
#include <strings.h>

/* Without memory for its place a run is one that nobody joins. */
#define HASH_NONFATAL_OOM          1
#define uthash_nonfatal_oom(entry) (run->listed = false)
#include <uthash.h>
#include <utlist.h>

#include "../pool/task.h"
#include "patience.h"
#include "reply.h"

struct shared_run {
    UT_hash_handle hh;
    bool listed;         /* and may be joined */
    bool over;           /* and all who waited have been woken */
    bool granted;        /* it had a lease */
    bool found;          /* rows, or the row, or their count: encoded in asker->out */
    uint32_t rows;       /* that it has found */
    int error;           /* why not, else */
    weir_error why;      /* in the server's words, where it had a lease */
    weir_request *asker; /* in whose name the query runs: like those that wait, but nobody's */
    weir_task *task;     /* NULL once it has ended */
    weir_job job;        /* ends the run */
    weir_wait *waiting;
    uint32_t wanted; /* requests that wait for it */
    uint32_t refs;   /* those not yet answered, and its own until it is over */
    buffer key;
};

bool sharing_fits(const weir_request *req)
{
    const char *cache = request_header(req, MHD_HTTP_HEADER_CACHE_CONTROL);

    return req->query->cache_ns && req->method == METHOD_GET && req->form == FORM_JSON &&
           req->query->auth != AUTH_JWT && !req->trace && !(cache && strcasestr(cache, "no-cache"));
}

/* ---- What is identical ---- */

/* All that the answer depends on. Who asks is not among it: a query that is told is not shared. */
static void write_key(const weir_request *req, buffer *key)
{
    buffer_append(key, &req->query, sizeof req->query);
    for (uint32_t i = 0; i < req->params->count; i++) {
        const char *value = req->params->values[i];
        size_t length = value ? strlen(value) + 1 : 0; /* an empty text is not null */
        buffer_append(key, &length, sizeof length);
        buffer_append(key, value, length);
    }
}

/* ---- A run's life ---- */

void shared_run_unref(shared_run *run)
{
    if (!run || --run->refs > 0)
        return;
    request_free(run->asker);
    buffer_free(&run->key);
    free(run);
}

static void unlist(shared_run *run)
{
    if (run->listed)
        HASH_DELETE(hh, run->asker->lane->runs, run);
    run->listed = false;
}

static void list(shared_run *run)
{
    run->listed = true;
    HASH_ADD_KEYPTR(hh, run->asker->lane->runs, run->key.data, run->key.length, run);
}

static void encode(shared_run *run)
{
    weir_request *asker = run->asker;

    run->rows = weir_result_rows(asker->result);
    if (excess_rows(asker, asker->query, run->rows))
        return; /* as each who waits will find, too */
    asker->out.most = asker->lane->api->guards.answer_max;
    run->found = asker->query->returns != RETURNS_ROW || run->rows > 0;
    if (run->found)
        reply_members(asker);
    if (asker->out.overfull)
        run->error = WEIR_ETOOLARGE;
}

/* On the loop's own stack, which encoding needs. */
static void end_run(weir_job *job)
{
    shared_run *run = weir_container(job, shared_run, job);
    api_lane *lane = run->asker->lane;
    weir_wait *wait, *next;

    if (run->error == 0 && run->wanted > 0)
        encode(run);
    run->over = true;
    unlist(run);
    DL_FOREACH_SAFE (run->waiting, wait, next)
        wait_end(wait, 0);
    run->waiting = NULL;
    lane->runs_alive--;
    lane->stirred |= lane->closing; /* it may be this that the lane has waited for */
    shared_run_unref(run);
}

static weir_async void ask(shared_run *run)
{
    weir_request *asker = run->asker;

    asker->scope.deadline_ns = weir_after(asker->lane->api->acquire_timeout_ns);
    weir_scoped_lease weir_lease *lease = NULL;
    run->error = weir_acquire(asker->pool, &asker->scope, &lease);
    if (run->error < 0)
        return;
    run->granted = true;
    run->error = query_run(asker, lease, &asker->result);
    if (run->error < 0)
        run->why = *weir_lease_error(lease);
}

static weir_async int run_query(void *arg)
{
    shared_run *run = arg;
    weir_request *asker = run->asker;

    ask(run);
    if (asker->timings.sent_ns)
        metrics_query(asker->lane->metrics, weir_pool_name(asker->pool), asker->query->name,
                      asker->timings.query_ns);
    weir_detach(run->task);
    run->task = NULL;
    run->job.run = end_run;
    weir_lane_push(asker->lane->lane, &run->job);
    return 0;
}

/* Like the request, whose parameters it takes over. */
static weir_request *make_asker(weir_request *req)
{
    weir_request *asker = request_stand_in(req);

    if (!asker)
        return NULL;
    asker->query = req->query;
    asker->statement = req->statement;
    asker->query_timeout_ns = query_limit_ns(req->lane->api, req->query); /* not one client's */
    asker->scope = (weir_scope){
        .label = req->route, .trace_id = asker->request_id, .timings = &asker->timings};
    asker->bound = req->bound;
    asker->params = &asker->bound.params;
    req->bound = (bound){0};
    req->params = NULL;
    return asker;
}

/* Takes the key. NULL: no memory. */
static shared_run *begin_run(weir_request *req, buffer key)
{
    shared_run *run = calloc(1, sizeof *run);

    if (!run || key.failed || !(run->asker = make_asker(req)) ||
        weir_spawn(run_query, run, &run->task) < 0) {
        if (run)
            request_free(run->asker);
        free(run);
        buffer_free(&key);
        return NULL;
    }
    run->key = key;
    run->refs = 1;
    req->lane->runs_alive++;
    list(run);
    return run;
}

/* What it finds will be no older than a client may keep it. */
static bool is_fresh(const shared_run *run)
{
    uint64_t sent_ns = run->asker->timings.sent_ns;
    return !sent_ns || weir_now() - sent_ns < run->asker->query->cache_ns;
}

static shared_run *join_or_begin(weir_request *req)
{
    api_lane *lane = req->lane;
    shared_run *run = NULL;
    buffer key = {0};

    write_key(req, &key);
    if (!key.failed)
        HASH_FIND(hh, lane->runs, key.data, key.length, run);
    if (run && is_fresh(run)) {
        buffer_free(&key);
        req->shared = true;
        atomic_fetch_add_explicit(&lane->shared_requests, 1, memory_order_relaxed);
        return run;
    }
    if (run)
        unlist(run);
    return begin_run(req, key);
}

/* ---- Waiting for it ---- */

typedef struct waiting {
    weir_wait wait;
    shared_run *run;
} waiting;

static void begin_waiting(weir_wait *wait)
{
    DL_APPEND(weir_container(wait, waiting, wait)->run->waiting, wait);
}

static void stop_waiting(weir_wait *wait)
{
    DL_DELETE(weir_container(wait, waiting, wait)->run->waiting, wait);
}

static weir_async int await_run(shared_run *run)
{
    waiting w = {.wait.abandon = stop_waiting, .run = run};

    run->wanted++;
    int r = task_wait(&w.wait, WEIR_NEVER, begin_waiting);
    run->wanted--;
    if (run->wanted == 0 && !run->over) { /* nobody wants it any more */
        unlist(run);
        if (run->task)
            weir_cancel(run->task);
    }
    return r;
}

static uint64_t not_before(uint64_t at_ns, uint64_t since_ns)
{
    return at_ns && at_ns < since_ns ? since_ns : at_ns;
}

/* Of the run's times what fell into the request's own. */
static void take_timings(weir_request *req, uint64_t since_ns)
{
    weir_timings *own = &req->timings;

    *own = req->run->asker->timings;
    uint64_t until_ns = own->done_ns ? own->done_ns : weir_now();
    own->asked_ns = not_before(own->asked_ns, since_ns);
    own->granted_ns = not_before(own->granted_ns, since_ns);
    own->sent_ns = not_before(own->sent_ns, since_ns);
    own->answered_ns = not_before(own->answered_ns, since_ns);
    uint64_t ran_ns = own->sent_ns && until_ns > own->sent_ns ? until_ns - own->sent_ns : 0;
    if (!own->done_ns || ran_ns < own->query_ns)
        own->query_ns = ran_ns;
}

weir_async void serve_shared(weir_request *req)
{
    uint64_t since_ns = weir_now();
    shared_run *run = join_or_begin(req);
    if (!run) {
        weir_reply_error(req, PROBLEM_OVERLOADED, "There was no memory to begin the request.");
        req->retry_after = 1;
        return;
    }
    req->run = run;
    run->refs++;
    weir_cleanup(weir_scope_leave) weir_scope patience = {.deadline_ns = req->deadline_ns};
    weir_scope_enter(&patience);
    int r = await_run(run);
    take_timings(req, since_ns);
    if (r == 0)
        req->deadline_ns = 0; /* whatever the answer is, it is not for want of patience */
    req->hurried = patience_words(req, WEIR_NEVER);
    req->query_timeout_ns = r < 0 ? req->timings.query_ns : run->asker->query_timeout_ns;
    int error = r < 0 ? r : run->error;
    if (error == 0 && excess_refused(req, req->query, run->rows))
        return;
    if (error == 0)
        reply_found(req, run->found ? &run->asker->out : NULL);
    else if (run->granted)
        reply_failure(req, &run->why, error);
    else
        weir_reply_refused(req, error);
}
