/* waitq.h: who waits for a connection, and in what order. Part of the core. */
#ifndef WEIR_WAITQ_H
#define WEIR_WAITQ_H

#include "core.h"

typedef struct waitq {
    waiter *first;    /* of all, longest waiting */
    waiter **of_lane; /* of each lane, longest waiting */
    heap by_deadline;
    uint32_t count;
} waitq;

/* WEIR_ENOMEM. */
int waitq_new(waitq *q, uint32_t lanes);
void waitq_free(waitq *q);

void waitq_push(waitq *q, waiter *w);
void waitq_remove(waitq *q, waiter *w);

/* The earliest deadline; WEIR_NEVER when nobody waits. */
uint64_t waitq_deadline(const waitq *q);

/* The first waiter whose deadline has passed, or NULL. */
waiter *waitq_expired(const waitq *q, uint64_t now_ns);

/* The longest waiting that is not urgent, or NULL. */
waiter *waitq_first_patient(const waitq *q);

/* The waiter that `ahead` others are ahead of. */
waiter *waitq_at(const waitq *q, uint32_t ahead);

#endif
