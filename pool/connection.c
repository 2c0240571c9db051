/* connection.c: one server session between the core's orders and the driver's reports. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"

static void emit(weir_connection *c, weir_event_kind kind, weir_retire_reason reason,
                 uint64_t duration_ns)
{
    bool failed = c->error.code < 0;
    pool_emit(c->pool, &(weir_event){
                           .kind = kind,
                           .connection = c->serial,
                           .backend_pid = c->backend_pid,
                           .lane = weir_lane_self()->index,
                           .reason = reason,
                           .error = c->error.code,
                           .sqlstate = failed ? c->error.sqlstate : NULL,
                           .message = failed ? c->error.message : NULL,
                           .duration_ns = duration_ns,
                       });
}

/* ---- Hooks ---- */

static weir_session session_of(const weir_connection *c)
{
    const weir_driver *driver = c->pool->driver;
    return (weir_session){
        .pool = c->pool->name,
        .connection = c->serial,
        .backend_pid = c->backend_pid,
        .age_ns = c->opened_ns ? weir_now() - c->opened_ns : 0,
        .leases = c->leases,
        .native = driver->native ? driver->native(c) : NULL,
    };
}

static bool hook_agrees(const weir_connection *c,
                        bool (*hook)(void *arg, const weir_session *session))
{
    if (!hook)
        return true;
    weir_session session = session_of(c);
    return hook(c->pool->hooks.arg, &session);
}

bool connection_may_be_taken(const weir_connection *c)
{
    return hook_agrees(c, c->pool->hooks.before_acquire);
}

bool connection_may_be_kept(const weir_connection *c)
{
    return hook_agrees(c, c->pool->hooks.after_release);
}

static void tell_before_close(const weir_connection *c)
{
    const weir_hooks *hooks = &c->pool->hooks;
    if (!hooks->before_close)
        return;
    weir_session session = session_of(c);
    hooks->before_close(hooks->arg, &session, c->retiring);
}

/* ---- Orders ---- */

/* A connection that is never dialled costs next to nothing. */
static bool prepare_state(weir_connection *c)
{
    size_t size = c->pool->driver->connection_size;
    if (c->state)
        memset(c->state, 0, size);
    else
        c->state = calloc(1, size);
    return c->state;
}

static void dial(weir_connection *c)
{
    weir_pool *pool = c->pool;
    memset(&c->error, 0, sizeof c->error);
    pthread_mutex_lock(&pool->lock);
    c->lane = weir_lane_self();
    c->serial = ++pool->serials;
    c->backend_pid = 0;
    c->opened_ns = 0;
    c->leases = 0;
    c->dialed_ns = weir_now();
    pool->stats.dialed++;
    pthread_mutex_unlock(&pool->lock);
    emit(c, WEIR_CONNECTION_DIALING, WEIR_RETIRE_NOT, 0);
    if (prepare_state(c)) {
        pool->driver->dial(c);
        return;
    }
    c->error.code = WEIR_ENOMEM;
    snprintf(c->error.message, sizeof c->error.message, "%s", weir_strerror(WEIR_ENOMEM));
    connection_down(c, WEIR_RETIRE_CONNECT_FAILED);
}

static void note_connect_error(weir_connection *c)
{
    pthread_mutex_lock(&c->pool->lock);
    c->pool->stats.dial_failures++;
    c->pool->connect_error = c->error;
    pthread_mutex_unlock(&c->pool->lock);
    emit(c, WEIR_CONNECTION_FAILED, c->retiring, weir_now() - c->dialed_ns);
}

static void close_down(weir_connection *c)
{
    if (!c->opened_ns) {
        if (c->retiring == WEIR_RETIRE_CONNECT_TIMEOUT) {
            weir_error before = c->error; /* how far the driver had come */
            c->error = (weir_error){.code = WEIR_ECONNECT, .retryable = true};
            memcpy(c->error.detail, before.message, sizeof c->error.detail);
            snprintf(c->error.message, sizeof c->error.message,
                     "no answer from the server within %.1f s",
                     (double)(weir_now() - c->dialed_ns) / 1e9);
        }
        if (c->error.code < 0)
            note_connect_error(c);
    } else {
        tell_before_close(c);
        emit(c, WEIR_CONNECTION_RETIRED, c->retiring, weir_now() - c->opened_ns);
    }
    if (c->state)
        c->pool->driver->close(c);
    else
        connection_closed(c);
}

/* Its lease has been held for too long. One whose connection was still to move to its lane has not
 * heard of its grant yet: now it does, and finds it void. */
static void take_from_holder(weir_connection *c)
{
    pthread_mutex_lock(&c->pool->lock);
    weir_lease *lease = c->lease;
    c->lease = NULL;
    if (lease) {
        uint64_t now_ns = weir_now();
        load_ended(&c->pool->load, now_ns - lease->granted_ns, now_ns);
        lease->serial = c->serial;
        lease->backend_pid = c->backend_pid;
        lease->reclaimed = true;
        lease->connection = NULL;
    }
    pthread_mutex_unlock(&c->pool->lock);
    if (!lease)
        return;
    if (lease->lane == c->lane)
        query_reclaim(lease, c);
    else
        weir_lane_post(lease->lane, &lease->job);
}

static void tell_leak(weir_connection *c)
{
    pthread_mutex_lock(&c->pool->lock);
    weir_lease *lease = c->lease;
    bool leaked = lease && lease->leaked;
    pthread_mutex_unlock(&c->pool->lock);
    if (!leaked)
        return; /* released in the meantime, and told of then */
    if (lease->lane == weir_lane_self())
        lease_tell_leak(lease);
    else
        lease->leak_due = true;
}

/* It leaves this lane's loop; the lane of the lease attaches it and learns of the grant. */
static void move(weir_connection *c, weir_lease *to)
{
    c->pool->driver->detach(c);
    weir_lane_post(to->lane, &to->job);
}

static void obey(weir_connection *c, uint32_t orders, weir_lease *moving_to)
{
    const weir_driver *driver = c->pool->driver;

    if (orders & ORDER_TELL_LEAK)
        tell_leak(c);
    if (orders & ORDER_CLOSE) {
        /* Whatever else was asked for is void. A dial that never began has nothing to close. */
        if (orders & ORDER_DIAL) {
            connection_closed(c);
        } else {
            take_from_holder(c);
            close_down(c);
        }
        return;
    }
    if (orders & ORDER_DIAL)
        dial(c);
    if (orders & ORDER_CHECK)
        driver->check(c);
    if (orders & ORDER_RESET)
        driver->reset(c);
    if (orders & ORDER_SETTLE) {
        driver->cancel(c);
        driver->settle(c);
    }
    if (orders & ORDER_MOVE)
        move(c, moving_to);
}

void connection_carry_out(weir_job *job)
{
    weir_connection *c = weir_container(job, weir_connection, job);

    pthread_mutex_lock(&c->pool->lock);
    uint32_t orders = c->orders;
    weir_lease *moving_to = c->moving_to;
    c->orders = 0;
    c->ordered = false;
    c->moving_to = NULL;
    pthread_mutex_unlock(&c->pool->lock);

    /* The order to close a leased connection that moves here may come before it does. */
    bool here = c->lane == weir_lane_self();
    if (here || orders & (ORDER_DIAL | ORDER_MOVE))
        obey(c, orders, moving_to);
    else
        c->put_off |= orders;
}

void connection_catch_up(weir_connection *c)
{
    uint32_t orders = c->put_off;
    c->put_off = 0;
    if (orders)
        obey(c, orders, NULL);
}

/* ---- Reports ---- */

static void reject(weir_connection *c)
{
    c->error = (weir_error){.code = WEIR_ECONNECT};
    snprintf(c->error.message, sizeof c->error.message,
             "the session was turned down by on_connect");
    connection_down(c, WEIR_RETIRE_REJECTED);
}

void connection_up(weir_connection *c)
{
    weir_pool *pool = c->pool;
    if (!hook_agrees(c, pool->hooks.on_connect)) {
        reject(c);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    c->opened_ns = weir_now();
    pool->stats.opened++;
    memset(&pool->connect_error, 0, sizeof pool->connect_error);
    histogram_add(&pool->stats.create, c->opened_ns - c->dialed_ns);
    pthread_mutex_unlock(&pool->lock);
    memset(&c->error, 0, sizeof c->error);
    emit(c, WEIR_CONNECTION_OPENED, WEIR_RETIRE_NOT, c->opened_ns - c->dialed_ns);
    pool_step(pool, &(event){.kind = EVENT_UP, .connection = c->index}, NULL);
}

void connection_down(weir_connection *c, weir_retire_reason reason)
{
    if (!c->error.code)
        c->error.code = c->opened_ns ? WEIR_ELOST : WEIR_ECONNECT;
    weir_lease *holder = connection_holder(c);
    if (holder)
        notification_cut(holder, WEIR_ELOST);
    pool_step(c->pool, &(event){.kind = EVENT_DOWN, .connection = c->index, .reason = reason},
              NULL);
}

void connection_checked(weir_connection *c)
{
    pool_step(c->pool, &(event){.kind = EVENT_CHECKED, .connection = c->index}, NULL);
}

void connection_closed(weir_connection *c)
{
    pool_step(c->pool, &(event){.kind = EVENT_CLOSED, .connection = c->index}, NULL);
}

weir_lease *connection_holder(weir_connection *c)
{
    pthread_mutex_lock(&c->pool->lock);
    weir_lease *lease = c->lease;
    pthread_mutex_unlock(&c->pool->lock);
    return lease && lease->lane == c->lane ? lease : NULL;
}

void connection_notice(weir_connection *c, const char *sqlstate, const char *message)
{
    const weir_lease *holder = connection_holder(c);
    pool_emit(c->pool, &(weir_event){
                           .kind = WEIR_SERVER_NOTICE,
                           .connection = c->serial,
                           .backend_pid = c->backend_pid,
                           .lane = c->lane->index,
                           .sqlstate = sqlstate,
                           .message = message,
                           .label = holder ? holder->label : NULL,
                       });
}
