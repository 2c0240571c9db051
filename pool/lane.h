/* lane.h: one thread's loop as the rest of the library sees it: run queue, mailbox, timers, clock.
 */
#ifndef WEIR_LANE_H
#define WEIR_LANE_H

#include <pthread.h>
#include <uv.h>

#include "heap.h"
#include "stack.h"
#include "weir.h"

struct weir_lane {
    weir_runtime *runtime;
    uint32_t index;
    uv_loop_t *loop;

    weir_job *run_first, **run_last; /* own thread only */
    weir_hook *hooks;
    weir_task *current;      /* the task whose stack we are on */
    struct fiber_main *main; /* the loop's own stack, while a task runs */
    stack_cache stacks;

    heap timers;
    uint64_t armed_ns; /* what the loop's timer is set to; WEIR_NEVER: not set */
    uint64_t virtual_now_ns;
    uint32_t works; /* threadpool calls under way: virtual time waits for them */

    pthread_mutex_t mailbox_lock;
    weir_job *mail_first, **mail_last; /* guarded by mailbox_lock */
    bool mailed;                       /* an async send is under way; guarded by mailbox_lock */

    uv_prepare_t prepare; /* drains the run queue before the loop blocks */
    uv_idle_t spin;       /* keeps the loop from blocking while work is left */
    uv_timer_t timer;
    uv_async_t async;
    uint32_t handles_open;
    uint32_t tasks; /* alive */
};

int lane_open(weir_lane *lane, weir_runtime *runtime, uint32_t index, uv_loop_t *loop);
void lane_close(weir_lane *lane, void (*closed)(weir_lane *lane));

#endif
