/* pool.c: the shell around the core: its lock, its timer on each lane, and where its effects go. */
#include "pool.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <utlist.h>

/* Jobs that a step has made ready, handed to their lanes once the lock is free again. */
typedef struct outbox {
    pauser *pausers;
    uint32_t count;
    struct {
        weir_lane *lane;
        weir_job *job;
    } item[EFFECTS_MAX];
} outbox;

static void outbox_add(outbox *box, weir_lane *lane, weir_job *job)
{
    box->item[box->count].lane = lane;
    box->item[box->count++].job = job;
}

void pool_hand(weir_lane *lane, weir_job *job)
{
    if (lane == weir_lane_self())
        weir_lane_push(lane, job);
    else
        weir_lane_post(lane, job);
}

static void outbox_send(const outbox *box)
{
    pauser *p, *next;
    for (uint32_t i = 0; i < box->count; i++)
        pool_hand(box->item[i].lane, box->item[i].job);
    for (p = box->pausers; p; p = next) { /* its memory may be gone once it is handed over */
        next = p->next;
        pool_hand(p->lane, &p->job);
    }
}

pool_lane *pool_here(weir_pool *pool)
{
    weir_lane *here = weir_lane_self();
    assert(here && here->runtime == pool->runtime);
    return &pool->lanes[here->index];
}

pool_lane *pool_come(weir_pool *pool)
{
    pool_lane *here = pool_here(pool);
    here->guests++;
    return here;
}

void pool_go(pool_lane *here)
{
    here->guests--;
    if (here->leaving && here->guests == 0)
        pool_leave(here);
}

void pool_emit(weir_pool *pool, weir_event *what)
{
    if (!pool->on_event)
        return;
    what->pool = pool->name;
    pool->on_event(pool->on_event_arg, what);
}

/* A connection keeps its orders until its lane carries them out: later ones join those that wait.
 */
static void order(weir_pool *pool, const effect *f, uint32_t what, outbox *box)
{
    weir_connection *c = &pool->connections[f->connection];
    c->orders |= what;
    if (c->ordered)
        return;
    c->ordered = true;
    c->job.run = connection_carry_out;
    outbox_add(box, weir_runtime_lane(pool->runtime, f->lane), &c->job);
}

/* Its taker is either the one who made this step, or hears of it by a job. */
static void tell(weir_lease *lease, const weir_lease *mine, outbox *box)
{
    if (lease == mine) {
        lease->answered = true;
        return;
    }
    lease->posted = true;
    outbox_add(box, lease->lane, &lease->job);
}

static void grant(weir_pool *pool, const effect *f, uint64_t now_ns, weir_lease *mine, outbox *box)
{
    weir_lease *lease = weir_container(f->waiter, weir_lease, waiter);
    weir_connection *c = &pool->connections[f->connection];

    pool->stats.granted++;
    histogram_add(&pool->stats.wait, now_ns - lease->waiter.since_ns);
    load_granted(&pool->load, now_ns);
    assert(!c->lease);
    c->lease = lease;
    c->leases++;
    lease->granted_ns = now_ns;
    lease->connection = c;
    if (f->lane != lease->lane->index) {
        c->moving_to = lease;
        lease->posted = true;
        order(pool, f, ORDER_MOVE, box);
        return;
    }
    tell(lease, mine, box);
}

static void refuse(weir_pool *pool, const effect *f, uint64_t now_ns, const weir_lease *mine,
                   outbox *box)
{
    weir_lease *lease = weir_container(f->waiter, weir_lease, waiter);
    weir_pool_stats *s = &pool->stats;

    switch (f->error) {
    case WEIR_ETIMEDOUT: s->timed_out++; break;
    case WEIR_EQUEUEFULL: s->queue_full++; break;
    case WEIR_ECONNECT: s->connect_refused++; break;
    case WEIR_ECANCELED: s->cancelled++; break;
    case WEIR_ESHED: s->shed++; break;
    case WEIR_EDEADLK:
        s->deadlocked++;
        lease->cycle = describe_deadlock(pool, lease, now_ns);
        break;
    default: s->closed_refused++; break;
    }
    load_refused(&pool->load, now_ns);
    lease->refusal = f->error;
    tell(lease, mine, box);
}

static void retire(weir_pool *pool, const effect *f, outbox *box)
{
    pool->connections[f->connection].retiring = f->reason;
    pool->stats.retired[f->reason]++;
    order(pool, f, ORDER_CLOSE, box);
}

/* An EFFECT_CLOSE for its connection may follow. */
static void tell_leak(weir_pool *pool, const effect *f, outbox *box)
{
    weir_container(f->waiter, weir_lease, waiter)->leaked = true;
    order(pool, f, ORDER_TELL_LEAK, box);
}

/* Under the lock: all who wait for a pause are to hear `error`. */
static void tell_pausers(weir_pool *pool, int error, outbox *box)
{
    pauser *p;
    DL_FOREACH (pool->pausers, p) {
        p->error = error;
        p->told = true;
    }
    DL_CONCAT(box->pausers, pool->pausers);
    pool->pausers = NULL;
}

/* Under the lock. Returns whether the pool is drained now. */
static bool carry_out(weir_pool *pool, const effects *out, uint64_t now_ns, weir_lease *mine,
                      outbox *box)
{
    bool drained = false;
    for (uint32_t i = 0; i < out->count; i++) {
        const effect *f = &out->item[i];
        switch (f->kind) {
        case EFFECT_DIAL: order(pool, f, ORDER_DIAL, box); break;
        case EFFECT_GRANT: grant(pool, f, now_ns, mine, box); break;
        case EFFECT_REFUSE: refuse(pool, f, now_ns, mine, box); break;
        case EFFECT_CHECK: order(pool, f, ORDER_CHECK, box); break;
        case EFFECT_RESET: order(pool, f, ORDER_RESET, box); break;
        case EFFECT_CANCEL: order(pool, f, ORDER_SETTLE, box); break;
        case EFFECT_CLOSE: retire(pool, f, box); break;
        case EFFECT_DRAINED: drained = true; break;
        case EFFECT_LEAKED: tell_leak(pool, f, box); break;
        case EFFECT_PAUSED:
            pool->at_rest = true;
            tell_pausers(pool, 0, box);
            break;
        }
    }
    return drained;
}

static void tick(weir_timer *timer);

/* Each lane that steps the core keeps its own timer at or before the core's next tick, so that
 * whoever stepped last has it covered and no lane ever has to wake another for it. */
static void arm(pool_lane *here, uint64_t wake_ns)
{
    if (wake_ns >= here->armed_ns)
        return;
    here->armed_ns = wake_ns;
    weir_timer_start(&here->timer, wake_ns, tick);
}

static void account_release(weir_pool *pool, weir_lease *lease, uint64_t now_ns)
{
    pool->stats.released++;
    uint64_t used_ns = now_ns - lease->granted_ns;
    histogram_add(&pool->stats.use, used_ns);
    if (!lease->connection) /* reclaimed, and counted then */
        return;
    load_ended(&pool->load, used_ns, now_ns);
    lease->connection->lease = NULL;
}

/* What the pausers hear of a step that was not for them. */
static void account_control(weir_pool *pool, event_kind kind, pauser *joining, outbox *box)
{
    switch (kind) {
    case EVENT_PAUSE:
        DL_APPEND(pool->pausers, joining);
        if (pool->life != POOL_OPEN)
            tell_pausers(pool, WEIR_ECLOSED, box);
        else if (pool->at_rest)
            tell_pausers(pool, 0, box);
        break;
    case EVENT_RESUME:
        pool->at_rest = false;
        tell_pausers(pool, WEIR_EBUSY, box);
        break;
    case EVENT_DRAIN:
        pool->at_rest = false;
        tell_pausers(pool, WEIR_ECLOSED, box);
        break;
    default: break;
    }
}

static uint64_t step(weir_pool *pool, const event *e, weir_lease *mine, pauser *joining)
{
    effects out;
    outbox box;
    box.pausers = NULL;
    box.count = 0;

    pthread_mutex_lock(&pool->lock);
    uint64_t now_ns = weir_now();
    if (e->kind == EVENT_TAKE)
        load_taken(&pool->load, now_ns);
    else if (e->kind == EVENT_RELEASE)
        account_release(pool, weir_container(e->waiter, weir_lease, waiter), now_ns);
    core_step(pool->core, e, now_ns, &out);
    bool drained = carry_out(pool, &out, now_ns, mine, &box);
    if (e->kind >= EVENT_DRAIN)
        account_control(pool, e->kind, joining, &box);
    pthread_mutex_unlock(&pool->lock);

    arm(pool_here(pool), out.wake_ns);
    outbox_send(&box);
    if (drained)
        pool_drained(pool);
    return now_ns;
}

uint64_t pool_step(weir_pool *pool, const event *e, weir_lease *mine)
{
    return step(pool, e, mine, NULL);
}

void pool_step_to_pause(weir_pool *pool, pauser *p)
{
    step(pool, &(event){.kind = EVENT_PAUSE}, NULL, p);
}

static void tick(weir_timer *timer)
{
    pool_lane *here = weir_container(timer, pool_lane, timer);
    here->armed_ns = WEIR_NEVER;
    pool_step(here->pool, &(event){.kind = EVENT_TICK}, NULL);
}

/* ---- Opening ---- */

static uint64_t or_default(uint64_t value, uint64_t fallback)
{
    return value ? value : fallback;
}

static uint64_t seed_of(const weir_pool_options *options)
{
    uint64_t seed = options->seed;
    if (!seed && getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = weir_now();
    return seed | 1;
}

/* Room to grow at run time, where nothing was said of it. */
#define USUAL_LIMIT 100u

static core_options rules(const weir_pool_options *o, uint32_t lanes)
{
    uint32_t max = (uint32_t)or_default(o->max, 10);
    uint32_t queue_max = (uint32_t)or_default(o->queue_max, 1024);
    return (core_options){
        .lanes = lanes,
        .slots = (uint32_t)or_default(o->max_limit, max > USUAL_LIMIT ? max : USUAL_LIMIT),
        .max = max,
        .min = o->min,
        .queue_max = queue_max,
        .queue_reserve = o->queue_reserve == WEIR_NO_RESERVE
                             ? 0
                             : (uint32_t)or_default(o->queue_reserve, queue_max / 16),
        .connect_timeout_ns = or_default(o->connect_timeout_ns, WEIR_S(5)),
        .validate_after_ns = or_default(o->validate_after_ns, WEIR_S(30)),
        .check_timeout_ns = or_default(o->check_timeout_ns, WEIR_S(1)),
        .idle_timeout_ns = or_default(o->idle_timeout_ns, WEIR_S(600)),
        .max_lifetime_ns = or_default(o->max_lifetime_ns, WEIR_S(1800)),
        .keepalive_ns = or_default(o->keepalive_ns, WEIR_S(120)),
        .leak_after_ns = or_default(o->leak_after_ns, WEIR_S(30)),
        .reclaim_leaked = o->reclaim_leaked,
        .cancel_grace_ns = or_default(o->cancel_grace_ns, WEIR_S(5)),
        .shed_target_ns = or_default(o->shed_target_ns, WEIR_MS(200)),
        .shed_interval_ns = or_default(o->shed_interval_ns, WEIR_S(1)),
        .full_pause_ns = WEIR_S(2),
        .backoff_base_ns = or_default(o->backoff_base_ns, WEIR_MS(20)),
        .backoff_max_ns = or_default(o->backoff_max_ns, WEIR_MS(500)),
        .affinity_ns = WEIR_MS(2),
        .seed = seed_of(o),
    };
}

/* Slots beyond this are a mistake in the options, not a wish. */
#define MAX_CONNECTIONS 100000u

static int refuse_options(const char *message, weir_error *why)
{
    if (why) {
        *why = (weir_error){.code = WEIR_EINVAL};
        snprintf(why->message, sizeof why->message, "%s", message);
    }
    return WEIR_EINVAL;
}

static int check_options(const core_options *o, weir_error *why)
{
    const char *message = NULL;
    if (o->slots > MAX_CONNECTIONS)
        message = "max or max_limit is larger than any server takes";
    else if (o->max > o->slots)
        message = "max is larger than max_limit";
    else if (o->min > o->max)
        message = "min is larger than max";
    else if (o->queue_reserve >= o->queue_max)
        message = "queue_reserve leaves no place of queue_max to the ordinary";
    return message ? refuse_options(message, why) : 0;
}

static void lane_starts(weir_job *job)
{
    pool_lane *here = weir_container(job, pool_lane, start);
    pool_step(here->pool, &(event){.kind = EVENT_TICK}, NULL);
}

static int make_parts(weir_pool *pool, const core_options *o)
{
    pool->lanes = calloc(pool->lane_count, sizeof *pool->lanes);
    pool->connections = calloc(o->slots, sizeof *pool->connections);
    if (!pool->lanes || !pool->connections)
        return WEIR_ENOMEM;
    for (uint32_t i = 0; i < pool->lane_count; i++) {
        pool->lanes[i].pool = pool;
        pool->lanes[i].armed_ns = WEIR_NEVER;
    }
    for (uint32_t i = 0; i < o->slots; i++) {
        weir_connection *c = &pool->connections[i];
        c->pool = pool;
        c->index = i;
        c->driver_pool = pool->driver_pool;
    }
    return core_new(o, &pool->core);
}

void pool_free(weir_pool *pool)
{
    if (pool->connections)
        for (uint32_t i = 0; i < pool->slots; i++)
            free(pool->connections[i].state);
    free(pool->connections);
    free(pool->lanes);
    if (pool->core)
        core_free(pool->core);
    if (pool->driver_pool)
        pool->driver->shut(pool->driver_pool);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

typedef struct opening {
    weir_wait wait;
    weir_pool *pool;
    const weir_pool_options *options;
    weir_error *why;
    int status;
} opening;

static void open_driver(opening *o)
{
    o->status = o->pool->driver->open(o->pool, o->options, &o->pool->driver_pool, o->why);
}

static void open_and_go_on(weir_wait *wait)
{
    open_driver(weir_container(wait, opening, wait));
    wait_end(wait, 0);
}

/* Never on a task's stack. */
static int ask_driver(weir_pool *pool, const weir_pool_options *options, weir_error *why)
{
    weir_error unread;
    opening o = {.pool = pool, .options = options, .why = why ? why : &unread};
    if (weir_task_self())
        task_wait_firmly(&o.wait, open_and_go_on);
    else
        open_driver(&o);
    return o.status;
}

int weir_pool_open(weir_runtime *runtime, const weir_pool_options *options, weir_pool **opened,
                   weir_error *why)
{
    if (!runtime && weir_lane_self())
        runtime = weir_lane_self()->runtime;
    if (!runtime)
        return refuse_options("this thread is no lane, and no runtime was given", why);
    core_options o = rules(options, weir_runtime_lanes(runtime));
    int r = check_options(&o, why);
    if (r < 0)
        return r;
    weir_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return WEIR_ENOMEM;
    pool->runtime = runtime;
    pool->driver = options->driver ? options->driver : weir_postgres();
    pool->hooks = options->hooks;
    pool->slots = o.slots;
    pool->lane_count = o.lanes;
    pool->wait_target_ns = or_default(options->wait_target_ns, WEIR_MS(10));
    load_begin(&pool->load, weir_now());
    pool->on_event = options->on_event;
    pool->on_event_arg = options->on_event_arg;
    snprintf(pool->name, sizeof pool->name, "%s", options->name ? options->name : "default");
    pool->stats.queue_max = o.queue_max;
    pthread_mutex_init(&pool->lock, NULL);

    r = ask_driver(pool, options, why);
    if (r == 0)
        r = make_parts(pool, &o);
    if (r < 0) {
        pool_free(pool);
        return r;
    }
    pool_emit(pool, &(weir_event){.kind = WEIR_POOL_OPENED});
    pool->lanes[0].start.run = lane_starts;
    pool_hand(weir_runtime_lane(runtime, 0), &pool->lanes[0].start);
    *opened = pool;
    return 0;
}

const char *weir_pool_name(const weir_pool *pool)
{
    return pool->name;
}
