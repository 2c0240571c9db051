/* pool_control.c: what can be asked of a pool at run time: another size, a pause, new connections.
 */
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "pool.h"

static void look(weir_pool *pool, core_view *view, bool *open)
{
    pthread_mutex_lock(&pool->lock);
    core_look(pool->core, view);
    *open = pool->life == POOL_OPEN;
    pthread_mutex_unlock(&pool->lock);
}

static void emit(weir_pool *pool, weir_event_kind kind, const char *message, uint64_t duration_ns)
{
    pool_emit(pool, &(weir_event){
                        .kind = kind,
                        .lane = weir_lane_self()->index,
                        .message = message,
                        .duration_ns = duration_ns,
                    });
}

/* ---- Resize, evict ---- */

int weir_pool_resize(weir_pool *pool, uint32_t max, uint32_t min)
{
    core_view before;
    bool open;
    char message[128];

    if (max == 0 || max > pool->slots || min > max)
        return WEIR_EINVAL;
    look(pool, &before, &open);
    if (!open)
        return WEIR_ECLOSED;
    snprintf(message, sizeof message, "max from %u to %u, min from %u to %u", before.max, max,
             before.min, min);
    emit(pool, WEIR_POOL_RESIZED, message, 0);
    pool_step(pool, &(event){.kind = EVENT_RESIZE, .max = max, .min = min}, NULL);
    return 0;
}

void weir_pool_evict(weir_pool *pool, uint64_t spread_ns)
{
    core_view before;
    bool open;
    char message[128];

    look(pool, &before, &open);
    if (!open)
        return;
    snprintf(message, sizeof message, "%u connections are replaced, %u of them once they come back",
             before.size - before.count[CONNECTION_CLOSING], before.count[CONNECTION_LEASED]);
    emit(pool, WEIR_POOL_EVICTED, message, spread_ns);
    pool_step(pool, &(event){.kind = EVENT_EVICT, .spread_ns = spread_ns}, NULL);
}

/* ---- Pause ---- */

static void ask_for_rest(weir_pool *pool, pauser *p)
{
    core_view before;
    bool open;
    char message[128];

    p->lane = weir_lane_self();
    look(pool, &before, &open);
    snprintf(message, sizeof message, "%u leases are out, %u takes wait",
             before.count[CONNECTION_LEASED], before.waiting);
    if (open && !before.paused)
        emit(pool, WEIR_POOL_PAUSED, message, 0);
    pool_step_to_pause(pool, p);
}

void weir_pool_resume(weir_pool *pool)
{
    core_view before;
    bool open;
    char message[128];

    look(pool, &before, &open);
    snprintf(message, sizeof message, "%u takes have waited for it", before.waiting);
    if (before.paused)
        emit(pool, WEIR_POOL_RESUMED, message, 0);
    pool_step(pool, &(event){.kind = EVENT_RESUME}, NULL);
}

/* The task form. */
typedef struct pausing {
    pauser pauser;
    weir_wait wait, last; /* the second for an answer that is on its way when the first is cut */
    weir_wait *waiting;
    bool answered;
} pausing;

static void pausing_ends(weir_job *job)
{
    pausing *p = weir_container(job, pausing, pauser.job);
    p->answered = true;
    wait_end(p->waiting, p->pauser.error);
}

static bool withdraw(weir_pool *pool, pauser *p)
{
    pthread_mutex_lock(&pool->lock);
    if (!p->told)
        DL_DELETE(pool->pausers, p);
    bool told = p->told;
    pthread_mutex_unlock(&pool->lock);
    return !told;
}

int weir_pool_pause(weir_pool *pool)
{
    pausing p = {.pauser.job.run = pausing_ends};
    if (!weir_task_self())
        return WEIR_ENOTASK;
    pool_lane *here = pool_come(pool);
    p.waiting = &p.wait;
    ask_for_rest(pool, &p.pauser);
    int r = task_wait(&p.wait, WEIR_NEVER, NULL);
    if (!p.answered && !withdraw(pool, &p.pauser)) {
        p.waiting = &p.last;
        task_wait_firmly(&p.last, NULL);
    }
    pool_go(here);
    return r;
}

/* The callback form. */
typedef struct pause_call {
    pauser pauser;
    pool_lane *here;
    void (*paused)(void *arg, int error);
    void *arg;
} pause_call;

static void call_back(weir_job *job)
{
    pause_call *call = weir_container(job, pause_call, pauser.job);
    void (*paused)(void *, int) = call->paused;
    void *arg = call->arg;
    int error = call->pauser.error;
    pool_go(call->here);
    free(call);
    paused(arg, error);
}

int weir_pool_pause_cb(weir_pool *pool, void (*paused)(void *arg, int error), void *arg)
{
    pause_call *call = calloc(1, sizeof *call);
    if (!call)
        return WEIR_ENOMEM;
    call->here = pool_come(pool);
    call->paused = paused;
    call->arg = arg;
    call->pauser.job.run = call_back;
    ask_for_rest(pool, &call->pauser);
    return 0;
}
