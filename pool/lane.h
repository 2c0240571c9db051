/* lane.h: one thread's loop as the rest of the library sees it: run queue, mailbox, timers, clock.
 */
#ifndef WEIR_LANE_H
#define WEIR_LANE_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "heap.h"
#include "stack.h"
#include "weir.h"

struct weir_lane {
    weir_runtime *runtime;
    uint32_t index;
    uv_loop_t *loop;

    weir_job *run_first, **run_last; /* own thread only */
    bool draining;                   /* inside the one place that runs jobs */
    bool spinning;                   /* the loop must not block: jobs are left */
    weir_hook *hooks;
    weir_hook *hook_next; /* the one to call after the one being called */

    weir_task *current; /* the task whose stack we are on */
    weir_task *tasks;   /* all that are alive */
    uint32_t tasks_alive;
    stack_cache stacks;

    heap timers;
    uint64_t armed_ns; /* what the loop's timer is set to; WEIR_NEVER: not set */
    bool virtual_time;
    uint64_t virtual_now_ns;
    uint32_t quiet; /* turns of the loop in which nothing happened; virtual time only */

    pthread_mutex_t mailbox_lock;
    weir_job *mail_first, **mail_last; /* guarded by mailbox_lock */
    bool mailed;                       /* an async send is under way; guarded by mailbox_lock */

    uv_prepare_t prepare; /* drains the run queue before the loop blocks */
    uv_idle_t spin;       /* keeps the loop from blocking while work is left */
    uv_timer_t timer;
    uv_async_t async;  /* holds the loop open, where `held` */
    atomic_bool *stop; /* the loop's own runtime wants it to return; NULL on a caller's loop */
    bool held;
    uint32_t handles_open;
    bool closing;
    void (*closed)(weir_lane *lane);
};

/* The lane whose thread this is, or NULL. The opening thread counts as lane 0's until the runtime
 * is closed, so that work can be prepared before the loop runs. */
extern _Thread_local weir_lane *lane_here;

/* `stop` is looked at whenever the lane is woken; NULL for a loop that its caller runs. Stacks and
 * virtual_time are the opener's to set. WEIR_EIO. */
int lane_open(weir_lane *lane, weir_runtime *runtime, uint32_t index, uv_loop_t *loop,
              atomic_bool *stop);

/* Cancels the tasks that are left, and once they have ended closes the handles; then calls
 * `closed(lane)`. All this happens while the loop runs. */
void lane_close(weir_lane *lane, void (*closed)(weir_lane *lane));

/* Makes the lane look at its mailbox and at `stop`. Any thread. */
void lane_wake(weir_lane *lane);

/* Holds the loop open for as long as tasks are alive or timers armed. */
void lane_hold(weir_lane *lane);

/* ---- timer.c ---- */

/* Runs the timers that are due; whether there was any. */
bool timers_run(weir_lane *lane);

/* Sets the loop's own timer to the earliest of the lane's. */
void timers_arm(weir_lane *lane);

/* One turn of virtual time, after `worked` says whether this turn had anything to do. Whether time
 * has jumped and timers ran; `*spin` is set where the loop must go round without blocking. */
bool timers_jump(weir_lane *lane, bool worked, bool *spin);

/* ---- task.c ---- */

/* Cancels every task of the lane. */
void tasks_cancel(weir_lane *lane);

#endif
