/* family.h: tasks that wait for each other, counted so that a pool can see when all are stuck.
 *
 * A task founds a family when it first asks for a lease or opens a group; members of a group are of
 * the family of those who opened it. Own lane only, but for the claimant's counts. */
#ifndef WEIR_FAMILY_H
#define WEIR_FAMILY_H

#include <stdlib.h>

#include "core.h"

/* One of the family asks for a lease and has to wait. Caller's memory. */
typedef struct family_asker {
    struct family_asker *prev, *next;
    /* All others of the family wait too: what it asks should be looked at anew. Must not resume
     * anything. */
    void (*stuck)(struct family_asker *asker);
} family_asker;

typedef struct family {
    claimant claimant;
    uint32_t holders; /* tasks and leases; freed with the last, so that a lease may outlive the task
                         that took it */
    family_asker *askers;
} family;

/* A task's. NULL without memory: such a task is never refused because of a deadlock. Hold it to
 * keep it. */
family *family_of(weir_task *task);

/* Both take NULL. Each take and release calls them. */
static inline family *family_hold(family *f)
{
    if (f)
        f->holders++;
    return f;
}

static inline void family_drop(family *f)
{
    if (f && --f->holders == 0)
        free(f);
}

/* A task is born into the family, and ends; both take a task without one. */
void family_bear(family *f, weir_task *task);
void family_bury(weir_task *task);

/* One of its tasks begins to wait for others of it; that wait is over. Also: one that waits is
 * about to come away, and counts once more than its wait says; it has come away. */
void family_rest(family *f);
void family_rise(family *f);

/* From before the asker suspends until it runs again; both take NULL. */
void family_ask(family *f, family_asker *asker);
void family_asked(family *f, family_asker *asker);

#endif
