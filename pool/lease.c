/* lease.c: the right of one taker to one connection, from the asking to the giving back. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fatal.h"
#include "pool.h"

/* Spare leases kept a lane; more than are ever under way at once would only hold memory. */
#define SPARE_MAX 256u

static void copy_word(char *to, size_t size, const char *from)
{
    size_t length = from ? strnlen(from, size - 1) : 0;
    if (length)
        memcpy(to, from, length);
    to[length] = '\0';
}

static weir_lease *lease_new(weir_pool *pool, const weir_scope *scope, const char *where)
{
    pool_lane *here = pool_here(pool);
    weir_lease *lease = here->spare;
    if (lease) {
        here->spare = lease->next;
        here->spare_count--;
    } else if (!(lease = malloc(sizeof *lease))) {
        return NULL;
    }
    here->guests++;
    memset(lease, 0, offsetof(weir_lease, own_timings));
    lease->query[0] = '\0';
    error_clear(&lease->error);
    lease->where = where ? where : "";
    lease->pool = pool;
    lease->lane = weir_lane_self();
    lease->job.run = lease_deliver;
    lease->timings = scope && scope->timings ? scope->timings : &lease->own_timings;
    memset(lease->timings, 0, sizeof *lease->timings);
    copy_word(lease->label, sizeof lease->label, scope ? scope->label : NULL);
    copy_word(lease->trace_id, sizeof lease->trace_id, scope ? scope->trace_id : NULL);
    lease->waiter.lane = lease->lane->index;
    lease->waiter.deadline_ns = weir_deadline();
    if (scope && scope->deadline_ns && scope->deadline_ns < lease->waiter.deadline_ns)
        lease->waiter.deadline_ns = scope->deadline_ns;
    lease->waiter.urgent = scope && scope->urgent;
    return lease;
}

/* The last thing its holder does with it: of a pool that goes this may be the end. */
static void lease_free(weir_lease *lease)
{
    pool_lane *here = pool_here(lease->pool);
    family_drop(lease->family);
    if (lease->cycle)
        free(lease->cycle);
    if (lease->notes.first)
        notification_drop(&lease->notes);
    if (here->leaving || here->spare_count >= SPARE_MAX) {
        free(lease);
    } else {
        lease->next = here->spare;
        here->spare = lease;
        here->spare_count++;
    }
    pool_go(here);
}

static void know_connection(weir_lease *lease, const weir_connection *c)
{
    lease->serial = c->serial;
    lease->backend_pid = c->backend_pid;
}

static void emit_saying(weir_lease *lease, weir_event_kind kind, int error, const char *message,
                        uint64_t duration_ns)
{
    pool_emit(lease->pool, &(weir_event){
                               .kind = kind,
                               .error = error,
                               .connection = lease->serial,
                               .backend_pid = lease->backend_pid,
                               .lane = lease->lane->index,
                               .message = message,
                               .label = lease->label,
                               .trace_id = lease->trace_id,
                               .duration_ns = duration_ns,
                           });
}

static void emit(weir_lease *lease, weir_event_kind kind, int error, uint64_t duration_ns)
{
    if (lease->pool->on_event)
        emit_saying(lease, kind, error, NULL, duration_ns);
}

void lease_tell_leak(weir_lease *lease)
{
    char message[256];
    if (lease->leak_told)
        return;
    lease->leak_told = true;
    if (lease->connection) /* its grant may still be on its way */
        know_connection(lease, lease->connection);
    snprintf(message, sizeof message, "taken at %s", lease->where);
    emit_saying(lease, WEIR_LEASE_LEAKED, 0, message, weir_now() - lease->granted_ns);
}

/* Asks the core. True when the answer is already there: a grant on this lane, or a refusal. */
static bool ask(weir_lease *lease)
{
    weir_timings *t = lease->timings;
    event take = {.kind = EVENT_TAKE, .waiter = &lease->waiter};
    uint64_t now_ns = pool_step(lease->pool, &take, lease);
    if (!t->asked_ns)
        t->asked_ns = now_ns;
    if (!lease->answered && !t->queued_ns)
        t->queued_ns = now_ns;
    return lease->answered;
}

/* A grant is on its way until its taker learns of it; meanwhile it may have been reclaimed. */
static bool is_granted(const weir_lease *lease)
{
    return lease->connection || lease->reclaimed;
}

/* The taker learns that it has a connection. */
static void accept_grant(weir_lease *lease)
{
    weir_timings *t = lease->timings;
    weir_connection *c = lease->connection;
    t->granted_ns = lease->granted_ns;
    if (c)
        know_connection(lease, c);
    t->connection = lease->serial;
    t->backend_pid = lease->backend_pid;
    if (c && c->opened_ns >= t->asked_ns)
        t->opened_ns = c->opened_ns;
    emit(lease, WEIR_LEASE_GRANTED, 0, lease->granted_ns - t->asked_ns);
}

/* The taker learns that it gets none, and the lease ends. */
static int accept_refusal(weir_lease *lease, int error)
{
    weir_event_kind kind = error == WEIR_ETIMEDOUT   ? WEIR_LEASE_TIMED_OUT
                           : error == WEIR_ECANCELED ? WEIR_LEASE_CANCELLED
                                                     : WEIR_LEASE_REFUSED;
    emit_saying(lease, kind, error, lease->cycle, weir_now() - lease->timings->asked_ns);
    lease_free(lease);
    return error;
}

/* The grant has come too late to be of use. */
static void give_back(weir_lease *lease)
{
    accept_grant(lease);
    weir_release(lease);
}

/* The taker has gone: whatever the core had for it goes back. */
static void disown(weir_lease *lease)
{
    if (is_granted(lease))
        give_back(lease);
    else
        accept_refusal(lease, lease->refusal);
}

static bool passes_hook(weir_lease *lease)
{
    if (!lease->connection || lease->severed || connection_may_be_taken(lease->connection))
        return true;
    event e = {.kind = EVENT_RELEASE,
               .waiter = &lease->waiter,
               .condition = RELEASE_BROKEN,
               .reason = WEIR_RETIRE_REJECTED};
    pool_step(lease->pool, &e, NULL);
    lease->connection = NULL;
    lease->reclaimed = lease->leaked = lease->answered = lease->posted = false;
    return false;
}

/* The pool's hook may have none of this connection: it is closed, and the taker asks anew. True
 * when it may be used, or has been taken away again already. */
static bool is_fit(weir_lease *lease)
{
    return !lease->pool->hooks.before_acquire || passes_hook(lease);
}

static void send_on(weir_lease *lease)
{
    lease->posted = true;
    weir_lane_push(lease->lane, &lease->job);
}

static void call_back(weir_lease *lease)
{
    if (!lease->abandoned && !lease->refusal && !is_fit(lease)) {
        if (ask(lease))
            send_on(lease);
        return;
    }
    weir_granted_fn granted = lease->granted;
    void *arg = lease->arg;
    if (lease->abandoned) {
        disown(lease);
        granted(arg, WEIR_ECANCELED, NULL);
    } else if (lease->refusal) {
        granted(arg, accept_refusal(lease, lease->refusal), NULL);
    } else {
        accept_grant(lease);
        granted(arg, 0, lease);
    }
}

void lease_deliver(weir_job *job)
{
    weir_lease *lease = weir_container(job, weir_lease, job);
    weir_connection *c = lease->connection;

    if (c && c->lane != lease->lane) { /* it has just left its former lane for this one */
        c->lane = lease->lane;
        lease->severed = lease->pool->driver->attach(c) < 0;
        if (lease->leak_due)
            lease_tell_leak(lease);
        connection_catch_up(c);
    }
    if (lease->granted) {
        call_back(lease);
    } else if (lease->abandoned) {
        disown(lease);
    } else {
        weir_wait *wait = lease->wait;
        lease->wait = NULL;
        wait_end(wait, 0);
    }
}

/* ---- The task form ---- */

typedef struct asking {
    weir_wait wait;
    family_asker asker;
    weir_lease *lease;
} asking;

/* The core is to look whether its family, all of which waits now, waits for itself. */
static void look_for_deadlock(family_asker *asker)
{
    const asking *a = weir_container(asker, asking, asker);
    if (!a->wait.task->cancelled) /* or it is about to come away */
        pool_step(a->lease->pool, &(event){.kind = EVENT_TICK}, NULL);
}

/* Of a deadline that has passed the core knows better why, so it gets to say so before the waiter
 * leaves. An answer already on its way ends the lease on arrival. */
static void leave_queue(weir_lease *lease, bool cancelled)
{
    if (!cancelled)
        pool_step(lease->pool, &(event){.kind = EVENT_TICK}, lease);
    pool_step(lease->pool, &(event){.kind = EVENT_CANCEL, .waiter = &lease->waiter}, lease);
    lease->wait = NULL;
    if (!lease->posted)
        return;
    lease->abandoned = true;
    lease->own_timings = *lease->timings; /* the taker's end with its take */
    lease->timings = &lease->own_timings;
}

/* Deadline or cancellation came first. */
static void stop_asking(weir_wait *wait)
{
    leave_queue(weir_container(wait, asking, wait)->lease, wait->task->cancelled);
}

/* The wait ended with `error` before an answer was taken. */
static int come_away(weir_lease *lease, int error)
{
    if (lease->abandoned)
        return error;
    if (is_granted(lease)) {
        give_back(lease);
        return error;
    }
    bool core_knows_why = error == WEIR_ETIMEDOUT && lease->refusal != WEIR_ECANCELED;
    return accept_refusal(lease, core_knows_why ? lease->refusal : error);
}

/* Until a grant or a refusal. False with the error when neither came in time: then the lease is no
 * longer the taker's. */
static bool await_answer(weir_lease *lease, int *error)
{
    asking a = {.wait.abandon = stop_asking, .asker.stuck = look_for_deadlock, .lease = lease};
    lease->wait = &a.wait;
    family_ask(lease->family, &a.asker);
    int r = task_wait(&a.wait, WEIR_NEVER, NULL);
    family_asked(lease->family, &a.asker);
    if (r == 0)
        return true;
    if (lease->wait) /* it did not even suspend */
        leave_queue(lease, r == WEIR_ECANCELED);
    *error = come_away(lease, r);
    return false;
}

int weir_acquire_at(weir_pool *pool, const weir_scope *scope, const char *where,
                    weir_lease **acquired)
{
    weir_task *task = weir_task_self();
    if (!task)
        return WEIR_ENOTASK;
    if (task->cancelled)
        return WEIR_ECANCELED;
    weir_lease *lease = lease_new(pool, scope, where);
    if (!lease)
        return WEIR_ENOMEM;
    lease->family = family_hold(family_of(task));
    lease->waiter.claimant = lease->family ? &lease->family->claimant : NULL;
    do {
        int error;
        if (!ask(lease) && !await_answer(lease, &error))
            return error;
        if (lease->refusal)
            return accept_refusal(lease, lease->refusal);
    } while (!is_fit(lease));
    accept_grant(lease);
    *acquired = lease;
    return 0;
}

/* ---- The callback form ---- */

int weir_acquire_cb_at(weir_pool *pool, const weir_scope *scope, const char *where,
                       weir_granted_fn granted, void *arg, weir_lease **pending)
{
    weir_lease *lease = lease_new(pool, scope, where);
    if (!lease)
        return WEIR_ENOMEM;
    lease->granted = granted;
    lease->arg = arg;
    if (ask(lease))
        send_on(lease);
    if (pending)
        *pending = lease;
    return 0;
}

void weir_acquire_cancel(weir_lease *lease)
{
    pool_step(lease->pool, &(event){.kind = EVENT_CANCEL, .waiter = &lease->waiter}, lease);
    if (!lease->posted)
        send_on(lease);
    lease->abandoned = true;
}

/* ---- Giving it back ---- */

static release_condition condition_of(weir_lease *lease, weir_retire_reason *reason)
{
    weir_connection *c = lease->connection;
    if (!c) /* reclaimed: there is nothing to give back */
        return RELEASE_CLEAN;
    if (lease->severed) {
        *reason = WEIR_RETIRE_BROKEN;
        return RELEASE_BROKEN;
    }
    release_condition condition = lease->pool->driver->condition(c, reason);
    bool well = condition == RELEASE_CLEAN || condition == RELEASE_DIRTY;
    if (well && !connection_may_be_kept(c)) {
        *reason = WEIR_RETIRE_REJECTED;
        return RELEASE_BROKEN;
    }
    /* What went wrong was this lease's, not the next one's. */
    if (condition != RELEASE_BROKEN && c->error.code)
        error_clear(&c->error);
    return condition;
}

void weir_release(weir_lease *lease)
{
    if (!lease)
        return;
    if (lease->wait || lease->done)
        fatal("weir_release: a lease is released while a query on it waits for its answer");
    if (lease->stream.open)
        fatal("weir_release: a lease is released while a stream on it is open");
    assert(weir_lane_self() == lease->lane);
    assert(!lease->connection || lease->connection->lease == lease);
    event e = {.kind = EVENT_RELEASE, .waiter = &lease->waiter};
    e.condition = condition_of(lease, &e.reason);
    uint64_t now_ns = pool_step(lease->pool, &e, NULL);
    lease->timings->released_ns = now_ns;
    if (lease->leaked)
        lease_tell_leak(lease);
    emit(lease, WEIR_LEASE_RELEASED, 0, now_ns - lease->granted_ns);
    lease_free(lease);
}

const weir_error *weir_lease_error(const weir_lease *lease)
{
    static const weir_error reclaimed = {
        .code = WEIR_ERECLAIMED,
        .message = "the lease was held for too long, and its connection has been taken back",
    };
    return lease->connection ? &lease->error : &reclaimed;
}

int weir_lease_backend_pid(const weir_lease *lease)
{
    return lease->backend_pid;
}

uint64_t weir_lease_connection(const weir_lease *lease)
{
    return lease->serial;
}
