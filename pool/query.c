/* query.c: one operation on a lease, from its start to its answer. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "pool.h"

/* The connection was lost on its way to this lane, before anything was asked of it. */
static int tell_loss(weir_lease *lease)
{
    weir_error *e = &lease->error;
    lease_failed(lease, WEIR_ELOST);
    e->retryable = true;
    if (!e->message[0])
        snprintf(e->message, sizeof e->message,
                 "the connection could not join the loop of its new lane");
    return WEIR_ELOST;
}

int weir_lease_settings(weir_lease *lease, const weir_setting *settings, uint32_t count)
{
    if (lease_is_busy(lease))
        return WEIR_EBUSY;
    if (count > WEIR_SETTINGS_MAX)
        return WEIR_EINVAL;
    for (uint32_t i = 0; i < count; i++)
        if (!settings[i].name || !settings[i].value)
            return WEIR_EINVAL;
    lease->settings = settings;
    lease->setting_count = count;
    lease->settings_serial++;
    return 0;
}

int query_prepare(weir_lease *lease, operation_kind kind, const weir_statement *statement,
                  const weir_params *params)
{
    assert(weir_lane_self() == lease->lane);
    if (lease_is_busy(lease))
        return WEIR_EBUSY;
    if (lease->reclaimed)
        return WEIR_ERECLAIMED;
    if (lease->spent)
        return WEIR_ESPENT;
    if (!statement || !statement->sql)
        return WEIR_EINVAL;
    if (lease->severed)
        return tell_loss(lease);
    lease->operation = (weir_operation){
        .kind = kind,
        .statement = statement,
        .params = params,
        .budget_ns = WEIR_NEVER,
        .settings = lease->settings,
        .setting_count = lease->setting_count,
        .settings_serial = lease->settings_serial,
        .answer_max = lease->answer_max,
    };
    lease->status = 0;
    lease->result = NULL;
    error_clear(&lease->error);
    error_clear(&lease->connection->error);
    return 0;
}

/* For diagnosis: the statement's own words may be gone before the lease is. */
static void note_start(weir_lease *lease)
{
    const weir_statement *statement = lease->operation.statement;
    const char *name = statement->name ? statement->name : statement->sql;
    size_t length = strnlen(name, sizeof lease->query - 1);
    bool by_taker = lease->wait && lease->wait->task->family == lease->family;
    pthread_mutex_lock(&lease->pool->lock);
    if (!by_taker) /* who took it has passed it on, and does not hold it up by waiting */
        lease->waiter.claimant = NULL;
    memcpy(lease->query, name, length);
    lease->query[length] = '\0';
    lease->query_started_ns = lease->started_ns;
    pthread_mutex_unlock(&lease->pool->lock);
    atomic_store_explicit(&lease->transaction, "active", memory_order_relaxed);
    atomic_store_explicit(&lease->running, true, memory_order_relaxed);
}

void query_start(weir_lease *lease)
{
    weir_connection *c = lease->connection;
    c->operation = &lease->operation;
    note_start(lease);
    lease->pool->driver->run(c, &lease->operation);
}

static void account(weir_lease *lease, const weir_connection *c)
{
    const weir_driver *driver = lease->pool->driver;
    const char *transaction = driver->transaction ? driver->transaction(c) : NULL;
    weir_timings *t = lease->timings;
    t->done_ns = weir_now();
    t->query_ns += t->done_ns - lease->started_ns;
    atomic_store_explicit(&lease->transaction, transaction, memory_order_relaxed);
    atomic_store_explicit(&lease->running, false, memory_order_relaxed);
}

static void emit(weir_lease *lease, const weir_connection *c, weir_event_kind kind, int error)
{
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

static void count_cancelled(weir_lease *lease, const weir_connection *c, int why)
{
    account(lease, c);
    pthread_mutex_lock(&lease->pool->lock);
    lease->pool->stats.queries_cancelled++;
    pthread_mutex_unlock(&lease->pool->lock);
    emit(lease, c, WEIR_QUERY_CANCELLED, why);
}

void query_cut_short(weir_lease *lease)
{
    weir_connection *c = lease->connection;
    c->operation = NULL;
    lease->spent = true;
    lease->pool->driver->cancel(c);
    count_cancelled(lease, c, WEIR_ECANCELED);
}

static void send_answer(weir_lease *lease);

static void tell_taker(weir_lease *lease)
{
    if (lease->done) {
        weir_timer_stop(&lease->deadline);
        send_answer(lease);
    } else if (lease->wait && !lease->wait->ended) { /* nobody need wait for a stream */
        wait_end(lease->wait, 0);
    }
}

void operation_finish(weir_connection *c, int status, weir_result *result)
{
    if (!c->operation) { /* given up in the meantime */
        weir_result_free(result);
        return;
    }
    weir_lease *lease = c->lease;
    c->operation = NULL;
    c->error.code = status;
    if (status < 0)
        lease_failed(lease, status);
    if (lease->stream.open) {
        stream_finish(lease, status, result);
    } else {
        lease->status = status;
        lease->result = result;
    }
    account(lease, c);
    if (status < 0)
        emit(lease, c, WEIR_QUERY_FAILED, status);
    tell_taker(lease);
}

void query_reclaim(weir_lease *lease, weir_connection *c)
{
    notification_cut(lease, WEIR_ERECLAIMED);
    if (!c->operation)
        return;
    c->operation = NULL;
    lease->status = WEIR_ERECLAIMED;
    if (lease->stream.open)
        stream_finish(lease, WEIR_ERECLAIMED, NULL);
    count_cancelled(lease, c, WEIR_ERECLAIMED);
    tell_taker(lease);
}

void operation_exceeded(weir_connection *c)
{
    weir_lease *lease = c->lease;
    if (!c->operation)
        return;
    c->operation = NULL;
    lease->error.code = lease->status = WEIR_ETOOLARGE;
    lease->spent = true;
    lease->pool->driver->cancel(c);
    count_cancelled(lease, c, WEIR_ETOOLARGE);
    tell_taker(lease);
}

void operation_rows(weir_connection *c, weir_result *rows)
{
    if (!c->operation) {
        weir_result_free(rows);
        return;
    }
    weir_lease *lease = c->lease;
    stream_bring(lease, rows);
    tell_taker(lease);
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

static void start_clock(weir_lease *lease, uint64_t deadline_ns)
{
    lease->started_ns = weir_now();
    if (deadline_ns != WEIR_NEVER)
        lease->operation.budget_ns =
            deadline_ns > lease->started_ns ? deadline_ns - lease->started_ns : 0;
}

/* ---- The task form ---- */

typedef struct answering {
    weir_wait wait;
    weir_lease *lease;
} answering;

static void begin(weir_wait *wait)
{
    query_start(weir_container(wait, answering, wait)->lease);
}

static void abandon(weir_wait *wait)
{
    query_cut_short(weir_container(wait, answering, wait)->lease);
}

static int run(weir_lease *lease, operation_kind kind, const weir_statement *statement,
               const weir_params *params, weir_result **result)
{
    if (!weir_task_self())
        return WEIR_ENOTASK;
    int r = query_prepare(lease, kind, statement, params);
    if (r < 0)
        return r;
    answering a = {.wait = {.abandon = abandon}, .lease = lease};
    lease->wait = &a.wait;
    start_clock(lease, weir_deadline());
    r = task_wait(&a.wait, WEIR_NEVER, begin);
    lease->wait = NULL;
    if (r == 0)
        r = lease->status;
    if (r < 0) {
        weir_result_free(lease->result);
        lease->error.code = r;
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

void weir_lease_limit(weir_lease *lease, size_t bytes)
{
    lease->answer_max = bytes;
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

static void send_answer(weir_lease *lease)
{
    lease->job.run = give_answer;
    weir_lane_push(lease->lane, &lease->job);
}

static void time_out(weir_lease *lease)
{
    lease->error.code = lease->status = WEIR_ETIMEDOUT;
    send_answer(lease);
}

static void deadline_passed(weir_timer *timer)
{
    weir_lease *lease = weir_container(timer, weir_lease, deadline);
    query_cut_short(lease);
    time_out(lease);
}

/* Only now that the job is free to bring an answer does the deadline begin to count. */
static void start_job(weir_job *job)
{
    weir_lease *lease = weir_container(job, weir_lease, job);
    if (lease->until_ns != WEIR_NEVER && lease->until_ns <= weir_now()) {
        time_out(lease);
        return;
    }
    if (lease->reclaimed) {
        lease->status = WEIR_ERECLAIMED;
        send_answer(lease);
        return;
    }
    if (lease->until_ns != WEIR_NEVER)
        weir_timer_start(&lease->deadline, lease->until_ns, deadline_passed);
    query_start(lease);
}

int weir_query_cb(weir_lease *lease, const weir_statement *statement, const weir_params *params,
                  uint64_t deadline_ns, weir_done_fn done, void *arg)
{
    int r = query_prepare(lease, OPERATION_QUERY, statement, params);
    if (r < 0)
        return r;
    lease->done = done;
    lease->arg = arg;
    lease->until_ns = deadline_ns;
    start_clock(lease, deadline_ns);
    lease->job.run = start_job;
    weir_lane_push(lease->lane, &lease->job);
    return 0;
}
