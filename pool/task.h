/* task.h: how a task waits, for the parts of the library that make it wait. */
#ifndef WEIR_TASK_H
#define WEIR_TASK_H

#include "family.h"
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
 * happen before the task runs again, cancelled outranks timed out, which outranks an ordinary end:
 * a wait that may have been given something must look whether it was. A task already cancelled, or
 * past its deadline, does not suspend and `begin` is not called. WEIR_ENOTASK. */
weir_async int task_wait(weir_wait *wait, uint64_t deadline_ns, void (*begin)(weir_wait *wait));

/* The same, blind to deadline and cancellation: for what must not be left half done. */
weir_async int task_wait_firmly(weir_wait *wait, void (*begin)(weir_wait *wait));

/* Ends a wait ordinarily; its task runs again from the run queue. Own lane only. Ending a wait
 * twice aborts. */
void wait_end(weir_wait *wait, int outcome);

/* What task_wait would return at once: WEIR_ENOTASK, WEIR_ECANCELED, WEIR_ETIMEDOUT, or 0 when it
 * would suspend. For waits that may find nothing to wait for. */
int task_check(void);

/* ---- Inside a task: for task.c, scope.c and group.c ---- */

typedef struct deferred {
    struct deferred *next;
    void (*fn)(void *arg);
    void *arg;
} deferred;

struct weir_task {
    weir_job job; /* resumes it */
    weir_lane *lane;
    weir_task *next, *prev; /* among the lane's */
    stack *stack;           /* NULL once it has ended */
    weir_task_fn fn;
    void *arg;
    int result;
    bool queued; /* its job is in the run queue */
    bool detached;
    bool cancelled;

    weir_wait *wait; /* what it waits for, from before it suspends until it runs again */
    void (*begin)(weir_wait *wait);
    uint64_t wait_until_ns; /* the wait's deadline */
    weir_timer timer;       /* set to that */
    int cut;                /* why the wait ends, where neither ordinarily */
    bool firm;              /* the wait is blind to deadline and cancellation */

    weir_scope *scope;    /* innermost */
    uint64_t deadline_ns; /* earliest of all scopes */
    deferred *deferred;
    weir_wait *joiner;
    weir_group *group;
    weir_task *group_next, *group_prev; /* among the group's members */
    family *family;                     /* held; NULL: it needed none yet */
};

/* Spawns on the lane of this thread; the handle is the caller's. WEIR_ENOMEM, WEIR_EINVAL. */
int task_spawn(weir_task_fn fn, void *arg, weir_task **made);

/* A member has ended: takes it out of its group. The memory stays the caller's. */
void group_member_ended(weir_task *member);

#endif
