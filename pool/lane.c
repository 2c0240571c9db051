/* lane.c: one thread's loop: its run queue, drained at one place, its hooks and its mailbox. */
#include "lane.h"

#include <assert.h>

#include "fatal.h"

/* So much runs before descriptors get their turn again. */
#define ROUNDS_MAX 1000
#define DRAIN_NS   WEIR_MS(5)

_Thread_local weir_lane *lane_here;

/* ---- Run queue ---- */

static void spin_on(uv_idle_t *spin) {}

static void keep_spinning(weir_lane *lane, bool spin)
{
    if (lane->spinning == spin)
        return;
    lane->spinning = spin;
    if (spin)
        uv_idle_start(&lane->spin, spin_on);
    else
        uv_idle_stop(&lane->spin);
}

static void append(weir_lane *lane, weir_job *first, weir_job **last)
{
    *lane->run_last = first;
    lane->run_last = last;
    /* Queued after this turn's drain, or before the loop runs at all: it must come round again. */
    if (!lane->draining)
        keep_spinning(lane, true);
}

void weir_lane_push(weir_lane *lane, weir_job *job)
{
    job->next = NULL;
    append(lane, job, &job->next);
}

/* Runs what is queued now; what that queues in turn is the next round's. */
static bool run_round(weir_lane *lane)
{
    weir_job *job = lane->run_first;
    if (!job)
        return false;
    lane->run_first = NULL;
    lane->run_last = &lane->run_first;
    while (job) {
        weir_job *next = job->next; /* the job's memory is its owner's once it runs */
        job->run(job);
        job = next;
    }
    return true;
}

static void run_hooks(weir_lane *lane)
{
    weir_hook *hook = lane->hooks;
    while (hook) {
        lane->hook_next = hook->next;
        hook->run(hook);
        hook = lane->hook_next;
    }
}

/* Whether anything ran. Jobs are left only when there were too many for one turn. */
static bool run_all(weir_lane *lane)
{
    bool ran = false;
    uint64_t until_ns = 0;
    for (uint32_t round = 1; round <= ROUNDS_MAX; round++) {
        if (run_round(lane))
            ran = true;
        if (!lane->run_first)
            run_hooks(lane);
        if (!lane->run_first)
            break;
        if (round % 16 == 0) { /* most turns end long before and never read the clock */
            uint64_t now_ns = uv_hrtime();
            if (until_ns == 0)
                until_ns = now_ns + DRAIN_NS;
            else if (now_ns >= until_ns)
                break;
        }
    }
    return ran;
}

/* ---- Hooks ---- */

void weir_lane_hook(weir_lane *lane, weir_hook *hook)
{
    hook->prev = NULL;
    hook->next = lane->hooks;
    if (hook->next)
        hook->next->prev = hook;
    lane->hooks = hook;
}

void weir_lane_unhook(weir_lane *lane, weir_hook *hook)
{
    if (lane->hook_next == hook)
        lane->hook_next = hook->next;
    if (hook->next)
        hook->next->prev = hook->prev;
    if (hook->prev)
        hook->prev->next = hook->next;
    else
        lane->hooks = hook->next;
}

/* ---- Mailbox ---- */

void weir_lane_post(weir_lane *lane, weir_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&lane->mailbox_lock);
    *lane->mail_last = job;
    lane->mail_last = &job->next;
    bool wake = !lane->mailed;
    lane->mailed = true;
    /* Under the lock, so that the lane cannot take this mail and close the handle in between. */
    if (wake)
        uv_async_send(&lane->async);
    pthread_mutex_unlock(&lane->mailbox_lock);
}

void lane_wake(weir_lane *lane)
{
    uv_async_send(&lane->async);
}

static void take_mail(weir_lane *lane)
{
    pthread_mutex_lock(&lane->mailbox_lock);
    weir_job *first = lane->mail_first;
    weir_job **last = lane->mail_last;
    lane->mail_first = NULL;
    lane->mail_last = &lane->mail_first;
    lane->mailed = false;
    pthread_mutex_unlock(&lane->mailbox_lock);
    if (first)
        append(lane, first, last);
}

static void woken(uv_async_t *async)
{
    weir_lane *lane = async->data;
    take_mail(lane);
    if (lane->stop && atomic_load(lane->stop))
        uv_stop(lane->loop);
}

/* ---- One turn of the loop ---- */

void lane_hold(weir_lane *lane)
{
    bool hold = lane->tasks_alive || heap_first(&lane->timers) || (lane->stop && !lane->closing);
    if (lane->held == hold)
        return;
    lane->held = hold;
    if (hold)
        uv_ref((uv_handle_t *)&lane->async);
    else
        uv_unref((uv_handle_t *)&lane->async);
}

static void handle_closed(uv_handle_t *handle)
{
    weir_lane *lane = handle->data;
    if (--lane->handles_open > 0)
        return;
    stack_cache_close(&lane->stacks);
    pthread_mutex_destroy(&lane->mailbox_lock);
    if (lane_here == lane)
        lane_here = NULL;
    lane->closed(lane);
}

static void close_handles(weir_lane *lane)
{
    uv_close((uv_handle_t *)&lane->prepare, handle_closed);
    uv_close((uv_handle_t *)&lane->spin, handle_closed);
    uv_close((uv_handle_t *)&lane->timer, handle_closed);
    uv_close((uv_handle_t *)&lane->async, handle_closed);
}

/* The one place where jobs run, and so where tasks resume: just before the loop blocks. */
static void drain(uv_prepare_t *prepare)
{
    weir_lane *lane = prepare->data;
    lane_here = lane;
    lane->draining = true;
    bool worked = run_all(lane);
    bool spin = lane->run_first;
    if (lane->virtual_time && !spin && timers_jump(lane, worked, &spin)) {
        run_all(lane);
        spin = true;
    }
    lane->draining = false;
    if (lane->closing && !lane->tasks_alive && !lane->run_first) {
        close_handles(lane);
        return;
    }
    keep_spinning(lane, spin);
    uv_update_time(lane->loop); /* it counts its wait from a time taken before all this work */
    timers_arm(lane);
    lane_hold(lane);
}

/* ---- Its life ---- */

static int open_handles(weir_lane *lane)
{
    if (uv_async_init(lane->loop, &lane->async, woken) < 0)
        return WEIR_EIO;
    /* None of these can fail. */
    uv_prepare_init(lane->loop, &lane->prepare);
    uv_idle_init(lane->loop, &lane->spin);
    uv_timer_init(lane->loop, &lane->timer);
    lane->handles_open = 4;
    lane->async.data = lane->prepare.data = lane->spin.data = lane->timer.data = lane;
    uv_prepare_start(&lane->prepare, drain);
    uv_unref((uv_handle_t *)&lane->prepare);
    uv_unref((uv_handle_t *)&lane->timer);
    lane->held = true; /* a fresh handle is */
    lane_hold(lane);
    return 0;
}

int lane_open(weir_lane *lane, weir_runtime *runtime, uint32_t index, uv_loop_t *loop,
              atomic_bool *stop)
{
    lane->runtime = runtime;
    lane->index = index;
    lane->loop = loop;
    lane->stop = stop;
    lane->run_last = &lane->run_first;
    lane->mail_last = &lane->mail_first;
    lane->armed_ns = WEIR_NEVER;
    int r = open_handles(lane);
    if (r < 0)
        return r;
    pthread_mutex_init(&lane->mailbox_lock, NULL);
    return 0;
}

void lane_close(weir_lane *lane, void (*closed)(weir_lane *lane))
{
    if (lane->closing)
        fatal("a runtime is closed twice");
    lane->closing = true;
    lane->closed = closed;
    take_mail(lane);
    tasks_cancel(lane);
    keep_spinning(lane, true);
}

weir_lane *weir_lane_self(void)
{
    return lane_here;
}

uint32_t weir_lane_index(const weir_lane *lane)
{
    return lane->index;
}

struct uv_loop_s *weir_lane_loop(weir_lane *lane)
{
    return lane->loop;
}
