/* task.c: coroutines: their start, their waits, their end. */
#include "task.h"

#include <assert.h>

#include "fatal.h"

weir_task *weir_task_self(void)
{
    return lane_here ? lane_here->current : NULL;
}

bool weir_task_cancelled(void)
{
    const weir_task *task = weir_task_self();
    return task && task->cancelled;
}

/* ---- Its end ---- */

static void enlist(weir_task *task)
{
    weir_lane *lane = task->lane;
    task->next = lane->tasks;
    if (task->next)
        task->next->prev = task;
    lane->tasks = task;
    lane->tasks_alive++;
}

static void delist(weir_task *task)
{
    weir_lane *lane = task->lane;
    if (task->next)
        task->next->prev = task->prev;
    if (task->prev)
        task->prev->next = task->next;
    else
        lane->tasks = task->next;
    lane->tasks_alive--;
}

typedef struct joining {
    weir_wait wait;
    weir_task *task;
    family *resting; /* the one who joins, where both are of it */
} joining;

static void end_join(weir_task *task)
{
    joining *j = weir_container(task->joiner, joining, wait);
    task->joiner = NULL;
    if (j->resting)
        family_rise(j->resting);
    wait_end(&j->wait, 0);
}

/* On the loop's own stack, so that the task's may go. */
static void finish(weir_task *task)
{
    stack *s = task->stack;
    task->stack = NULL;
    stack_give(&task->lane->stacks, s);
    delist(task);
    if (task->group)
        group_member_ended(task);
    if (task->joiner)
        end_join(task);
    family_bury(task); /* after those who waited for it have risen: somebody could always go on */
    if (task->detached)
        free(task);
}

/* ---- On its stack ---- */

static void live(void *arg)
{
    weir_task *task = arg;
    task->result = task->fn(task->arg);
    if (task->scope)
        fatal("a task ended inside a scope that it entered and did not leave");
    while (task->deferred) {
        deferred *d = task->deferred;
        task->deferred = d->next;
        d->fn(d->arg);
        free(d);
    }
}

int weir_defer(void (*fn)(void *arg), void *arg)
{
    weir_task *task = weir_task_self();
    if (!task)
        return WEIR_ENOTASK;
    deferred *d = malloc(sizeof *d);
    if (!d)
        return WEIR_ENOMEM;
    *d = (deferred){.next = task->deferred, .fn = fn, .arg = arg};
    task->deferred = d;
    return 0;
}

/* ---- Waits ---- */

static void enqueue(weir_task *task)
{
    if (task->queued)
        return;
    task->queued = true;
    weir_lane_push(task->lane, &task->job);
}

/* Deadline or cancellation ends the wait. Whoever is to end it ordinarily hears of it just before
 * the task runs again, on the loop's own stack: here we may be on another task's. */
static void cut(weir_task *task, int why)
{
    if (!task->wait || task->firm)
        return;
    if (!task->cut && task->family) /* whatever it waits for, it can go on */
        family_rise(task->family);
    if (task->cut != WEIR_ECANCELED)
        task->cut = why;
    enqueue(task);
}

static void deadline_passed(weir_timer *timer)
{
    cut(weir_container(timer, weir_task, timer), WEIR_ETIMEDOUT);
}

/* On the loop's own stack, right after the task has suspended. */
static void begin_wait(weir_task *task)
{
    assert(task->wait);
    if (task->begin)
        task->begin(task->wait);
    if (task->wait_until_ns != WEIR_NEVER && !task->queued)
        weir_timer_start(&task->timer, task->wait_until_ns, deadline_passed);
}

static void settle_wait(weir_task *task)
{
    weir_wait *wait = task->wait;
    weir_timer_stop(&task->timer);
    if (!wait->ended) {
        wait->ended = true;
        if (wait->abandon)
            wait->abandon(wait);
    }
    if (task->cut && task->family) /* it no longer waits, so that it counts by itself */
        family_rest(task->family);
    if (task->cut)
        wait->outcome = task->cut;
    task->wait = NULL;
}

static void start_or_resume(weir_job *job)
{
    weir_task *task = weir_container(job, weir_task, job);
    weir_lane *lane = task->lane;
    fiber *f = &task->stack->fiber;
    if (task->wait)
        settle_wait(task);
    task->queued = false;
    lane->current = task;
    if (fiber_waits(f))
        fiber_call(f, live, task);
    else
        fiber_resume(f);
    lane->current = NULL;
    if (fiber_waits(f))
        finish(task);
    else
        begin_wait(task);
}

static int suspend(weir_task *task, weir_wait *wait, void (*begin)(weir_wait *wait))
{
    wait->task = task;
    wait->outcome = 0;
    wait->ended = false;
    task->wait = wait;
    task->begin = begin;
    task->cut = 0;
    fiber_suspend(&task->stack->fiber);
    return wait->outcome;
}

static int check(const weir_task *task, uint64_t deadline_ns)
{
    if (!task)
        return WEIR_ENOTASK;
    if (task->cancelled)
        return WEIR_ECANCELED;
    if (deadline_ns != WEIR_NEVER && deadline_ns <= weir_now())
        return WEIR_ETIMEDOUT;
    return 0;
}

int task_check(void)
{
    const weir_task *task = weir_task_self();
    return check(task, task ? task->deadline_ns : WEIR_NEVER);
}

int task_wait(weir_wait *wait, uint64_t deadline_ns, void (*begin)(weir_wait *wait))
{
    weir_task *task = weir_task_self();
    if (task && task->deadline_ns < deadline_ns)
        deadline_ns = task->deadline_ns;
    int r = check(task, deadline_ns);
    if (r < 0)
        return r;
    task->firm = false;
    task->wait_until_ns = deadline_ns;
    return suspend(task, wait, begin);
}

int task_wait_firmly(weir_wait *wait, void (*begin)(weir_wait *wait))
{
    weir_task *task = weir_task_self();
    if (!task)
        return WEIR_ENOTASK;
    task->firm = true;
    task->wait_until_ns = WEIR_NEVER;
    return suspend(task, wait, begin);
}

void wait_end(weir_wait *wait, int outcome)
{
    if (wait->ended)
        fatal("a wait was ended twice");
    wait->ended = true;
    wait->outcome = outcome;
    enqueue(wait->task);
}

void weir_cancel(weir_task *task)
{
    if (task->cancelled || !task->stack)
        return;
    task->cancelled = true;
    cut(task, WEIR_ECANCELED);
}

void tasks_cancel(weir_lane *lane)
{
    for (weir_task *task = lane->tasks; task; task = task->next)
        weir_cancel(task);
}

/* ---- Its start ---- */

int task_spawn(weir_task_fn fn, void *arg, weir_task **made)
{
    weir_lane *lane = lane_here;
    if (!lane)
        return WEIR_EINVAL;
    weir_task *task = calloc(1, sizeof *task);
    if (!task)
        return WEIR_ENOMEM;
    task->stack = stack_take(&lane->stacks);
    if (!task->stack) {
        free(task);
        return WEIR_ENOMEM;
    }
    task->lane = lane;
    task->fn = fn;
    task->arg = arg;
    task->deadline_ns = WEIR_NEVER;
    task->job.run = start_or_resume;
    enlist(task);
    enqueue(task);
    /* A lane that is closing takes no new work: it only sees the old through. */
    task->cancelled = lane->closing;
    *made = task;
    return 0;
}

int weir_spawn(weir_task_fn fn, void *arg, weir_task **task)
{
    weir_task *made;
    int r = task_spawn(fn, arg, &made);
    if (r < 0)
        return r;
    if (task)
        *task = made;
    else
        made->detached = true;
    return 0;
}

/* A task on its way to another lane. */
typedef struct parcel {
    weir_job job;
    weir_timer again;
    weir_task_fn fn;
    void *arg;
} parcel;

static void unpack(parcel *p);

static void unpack_again(weir_timer *timer)
{
    unpack(weir_container(timer, parcel, again));
}

/* Whoever sent it was told that it will run: without memory for a stack it waits for some. */
static void unpack(parcel *p)
{
    if (weir_spawn(p->fn, p->arg, NULL) < 0)
        weir_timer_start(&p->again, weir_after(WEIR_MS(10)), unpack_again);
    else
        free(p);
}

static void arrive(weir_job *job)
{
    unpack(weir_container(job, parcel, job));
}

int weir_spawn_on(weir_lane *lane, weir_task_fn fn, void *arg)
{
    parcel *p = calloc(1, sizeof *p);
    if (!p)
        return WEIR_ENOMEM;
    p->fn = fn;
    p->arg = arg;
    p->job.run = arrive;
    weir_lane_post(lane, &p->job);
    return 0;
}

/* ---- Its handle ---- */

static void begin_join(weir_wait *wait)
{
    joining *j = weir_container(wait, joining, wait);
    family *own = wait->task->family;
    j->task->joiner = wait;
    if (own && own == j->task->family)
        family_rest(j->resting = own);
}

static void abandon_join(weir_wait *wait)
{
    joining *j = weir_container(wait, joining, wait);
    j->task->joiner = NULL;
    if (j->resting)
        family_rise(j->resting);
}

int weir_join(weir_task *task, int *result)
{
    if (task->detached || task->joiner || task == weir_task_self())
        fatal("weir_join: the task is detached, joined by another, or the caller itself");
    joining j = {.wait.abandon = abandon_join, .task = task};
    int r = task->stack ? task_wait(&j.wait, WEIR_NEVER, begin_join) : task_check();
    /* What has ended needs no task to wait for it. */
    if (r < 0 && (task->stack || r != WEIR_ENOTASK))
        return r;
    if (result)
        *result = task->result;
    free(task);
    return 0;
}

void weir_detach(weir_task *task)
{
    if (task->detached || task->joiner)
        fatal("weir_detach: the task is detached already, or being joined");
    if (task->stack)
        task->detached = true;
    else
        free(task);
}

/* ---- The simplest waits ---- */

typedef struct sleeper {
    weir_wait wait;
    weir_timer timer;
    uint64_t until_ns;
} sleeper;

static void woken(weir_timer *timer)
{
    wait_end(&weir_container(timer, sleeper, timer)->wait, 0);
}

static void begin_sleep(weir_wait *wait)
{
    sleeper *s = weir_container(wait, sleeper, wait);
    weir_timer_start(&s->timer, s->until_ns, woken);
}

static void abandon_sleep(weir_wait *wait)
{
    weir_timer_stop(&weir_container(wait, sleeper, wait)->timer);
}

int weir_sleep(uint64_t duration_ns)
{
    sleeper s = {.wait.abandon = abandon_sleep, .until_ns = weir_after(duration_ns)};
    if (s.until_ns >= weir_deadline()) /* the deadline's own timer will do */
        return task_wait(&s.wait, WEIR_NEVER, NULL);
    return task_wait(&s.wait, WEIR_NEVER, begin_sleep);
}

static void end_at_once(weir_wait *wait)
{
    wait_end(wait, 0);
}

int weir_yield(void)
{
    weir_wait wait = {0};
    return task_wait(&wait, WEIR_NEVER, end_at_once);
}

size_t weir_stack_high_water(void)
{
    return lane_here ? stack_high_water(&lane_here->stacks) : 0;
}
