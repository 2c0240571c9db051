/* query.c: one operation on a lease, from its start to its answer. */
#include <assert.h>
#include <stdio.h>

#include "pool.h"

static void clear_error(weir_error *error)
{
    error->code = 0;
    error->retryable = false;
    error->sqlstate[0] = error->message[0] = error->detail[0] = error->hint[0] = '\0';
}

static int prepare(weir_lease *lease, operation_kind kind, const weir_statement *statement,
                   const weir_params *params)
{
    assert(weir_lane_self() == lease->lane);
    if (lease->spent)
        return WEIR_ESPENT;
    if (lease->connection->operation)
        return WEIR_EBUSY;
    if (!statement || !statement->sql)
        return WEIR_EINVAL;
    lease->operation = (weir_operation){kind, statement, params};
    lease->status = 0;
    lease->result = NULL;
    clear_error(&lease->connection->error);
    return 0;
}

static void start(weir_lease *lease)
{
    weir_connection *c = lease->connection;
    c->operation = &lease->operation;
    atomic_store_explicit(&lease->running, true, memory_order_relaxed);
    lease->pool->driver->run(c, &lease->operation);
}

static void account(weir_lease *lease)
{
    weir_timings *t = lease->timings;
    t->done_ns = weir_now();
    t->query_ns += t->done_ns - lease->started_ns;
    atomic_store_explicit(&lease->running, false, memory_order_relaxed);
}

static void emit(weir_lease *lease, weir_event_kind kind, int error)
{
    const weir_connection *c = lease->connection;
    pool_emit(lease->pool, &(weir_event){
                               .kind = kind,
                               .error = error,
                               .connection = c->serial,
                               .backend_pid = c->backend_pid,
                               .lane = lease->lane->index,
                               .sqlstate = c->error.sqlstate,
                               .message = c->error.message,
                               .label = lease->label,
                               .trace_id = lease->trace_id,
                               .duration_ns = lease->timings->done_ns - lease->started_ns,
                           });
}

void lease_cut_short(weir_lease *lease)
{
    weir_connection *c = lease->connection;
    c->operation = NULL;
    lease->spent = true;
    lease->pool->driver->cancel(c);
    account(lease);
    pthread_mutex_lock(&lease->pool->lock);
    lease->pool->stats.queries_cancelled++;
    pthread_mutex_unlock(&lease->pool->lock);
    emit(lease, WEIR_QUERY_CANCELLED, WEIR_ECANCELED);
}

static void give_answer(weir_job *job);

void operation_finish(weir_connection *c, int status, weir_result *result)
{
    if (!c->operation) { /* given up in the meantime */
        weir_result_free(result);
        return;
    }
    weir_lease *lease = c->lease;
    c->operation = NULL;
    c->error.code = status;
    lease->status = status;
    lease->result = result;
    account(lease);
    if (status < 0)
        emit(lease, WEIR_QUERY_FAILED, status);
    if (lease->done) {
        weir_timer_stop(&lease->deadline);
        lease->job.run = give_answer;
        weir_lane_push(lease->lane, &lease->job);
    } else {
        wait_end(lease->wait, 0);
    }
}

void operation_sent(weir_connection *c)
{
    if (!c->operation)
        return;
    weir_lease *lease = c->lease;
    if (!lease->timings->sent_ns)
        lease->timings->sent_ns = weir_now();
}

void operation_answered(weir_connection *c)
{
    if (!c->operation)
        return;
    weir_lease *lease = c->lease;
    if (!lease->timings->answered_ns)
        lease->timings->answered_ns = weir_now();
}

/* ---- The task form ---- */

typedef struct answering {
    weir_wait wait;
    weir_lease *lease;
} answering;

static void begin(weir_wait *wait)
{
    start(weir_container(wait, answering, wait)->lease);
}

static void abandon(weir_wait *wait)
{
    lease_cut_short(weir_container(wait, answering, wait)->lease);
}

static int run(weir_lease *lease, operation_kind kind, const weir_statement *statement,
               const weir_params *params, weir_result **result)
{
    if (!weir_task_self())
        return WEIR_ENOTASK;
    int r = prepare(lease, kind, statement, params);
    if (r < 0)
        return r;
    answering a = {.wait = {.abandon = abandon}, .lease = lease};
    lease->wait = &a.wait;
    lease->started_ns = weir_now();
    r = task_wait(&a.wait, WEIR_NEVER, begin);
    lease->wait = NULL;
    if (r == 0)
        r = lease->status;
    if (r < 0) {
        weir_result_free(lease->result);
        lease->connection->error.code = r;
        return r;
    }
    if (result)
        *result = lease->result;
    else
        weir_result_free(lease->result);
    return 0;
}

int weir_query(weir_lease *lease, const weir_statement *statement, const weir_params *params,
               weir_result **result)
{
    return run(lease, OPERATION_QUERY, statement, params, result);
}

int weir_describe(weir_lease *lease, const weir_statement *statement, weir_result **result)
{
    return run(lease, OPERATION_DESCRIBE, statement, NULL, result);
}

/* ---- The callback form ---- */

static void give_answer(weir_job *job)
{
    weir_lease *lease = weir_container(job, weir_lease, job);
    weir_done_fn done = lease->done;
    lease->done = NULL;
    done(lease->arg, lease->status, lease->result);
}

static void deadline_passed(weir_timer *timer)
{
    weir_lease *lease = weir_container(timer, weir_lease, deadline);
    lease_cut_short(lease);
    lease->status = WEIR_ETIMEDOUT;
    lease->connection->error.code = WEIR_ETIMEDOUT;
    lease->job.run = give_answer;
    weir_lane_push(lease->lane, &lease->job);
}

static void start_job(weir_job *job)
{
    start(weir_container(job, weir_lease, job));
}

int weir_query_cb(weir_lease *lease, const weir_statement *statement, const weir_params *params,
                  uint64_t deadline_ns, weir_done_fn done, void *arg)
{
    int r = prepare(lease, OPERATION_QUERY, statement, params);
    if (r < 0)
        return r;
    if (lease->done)
        return WEIR_EBUSY;
    lease->done = done;
    lease->arg = arg;
    lease->started_ns = weir_now();
    if (deadline_ns != WEIR_NEVER)
        weir_timer_start(&lease->deadline, deadline_ns, deadline_passed);
    lease->job.run = start_job;
    weir_lane_push(lease->lane, &lease->job);
    return 0;
}
