/* task.h: how a task waits, for the parts of the library that make it wait. */
#ifndef WEIR_TASK_H
#define WEIR_TASK_H

#include "lane.h"
#include "weir.h"

/* One wait of one task; on that task's stack. */
typedef struct weir_wait {
    weir_task *task;
    struct weir_wait *next, *prev; /* for whoever queues waits */
    /* Called on the loop's own stack when deadline or cancellation ends the wait first: after it
     * returns nobody may end this wait any more. May be NULL. */
    void (*abandon)(struct weir_wait *wait);
    int outcome;
    bool ended;
} weir_wait;

/* Suspends the current task. `begin(wait)` (may be NULL) is called on the loop's own stack once the
 * task is suspended. Ends by wait_end, by the earlier of deadline_ns and the task's own deadline
 * (WEIR_ETIMEDOUT), or by cancellation (WEIR_ECANCELED), and returns that outcome. When several
 * happen before the task runs again, cancelled outranks timed out, which outranks an ordinary end.
 * A task already cancelled, or past its deadline, does not suspend and `begin` is not called.
 * WEIR_ENOTASK. */
weir_async int task_wait(weir_wait *wait, uint64_t deadline_ns, void (*begin)(weir_wait *wait));

/* The same, blind to deadline and cancellation: for what must not be left half done. */
weir_async int task_wait_firmly(weir_wait *wait, void (*begin)(weir_wait *wait));

/* Ends a wait ordinarily; its task runs again from the run queue. Own lane only. Ending a wait
 * twice aborts. */
void wait_end(weir_wait *wait, int outcome);

#endif
