/* waitq.c: who waits for a connection, and in what order. */
#include "waitq.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <utlist.h>

int waitq_new(waitq *q, uint32_t lanes)
{
    waiter **of_lane = calloc(lanes, sizeof(waiter *));

    if (!of_lane)
        return WEIR_ENOMEM;
    *q = (waitq){.of_lane = of_lane};
    return 0;
}

void waitq_free(waitq *q)
{
    free(q->of_lane);
}

void waitq_push(waitq *q, waiter *w)
{
    assert(w->state == WAITER_NEW);
    w->state = WAITER_WAITING;
    DL_APPEND(q->first, w);
    DL_APPEND2(q->of_lane[w->lane], w, lane_prev, lane_next);
    heap_insert(&q->by_deadline, &w->by_deadline, w->deadline_ns);
    q->count++;
    if (w->claimant)
        atomic_fetch_add_explicit(&w->claimant->waiting, 1, memory_order_relaxed);
}

void waitq_remove(waitq *q, waiter *w)
{
    assert(w->state == WAITER_WAITING && q->count > 0);
    DL_DELETE(q->first, w);
    DL_DELETE2(q->of_lane[w->lane], w, lane_prev, lane_next);
    heap_remove(&q->by_deadline, &w->by_deadline);
    q->count--;
    if (w->claimant)
        atomic_fetch_sub_explicit(&w->claimant->waiting, 1, memory_order_relaxed);
}

uint64_t waitq_deadline(const waitq *q)
{
    const heap_node *first = heap_first(&q->by_deadline);

    return first ? first->key : WEIR_NEVER;
}

waiter *waitq_expired(const waitq *q, uint64_t now_ns)
{
    heap_node *first = heap_first(&q->by_deadline);

    if (!first || first->key > now_ns)
        return NULL;
    return weir_container(first, waiter, by_deadline);
}

waiter *waitq_first_patient(const waitq *q)
{
    waiter *w = q->first;

    while (w && w->urgent)
        w = w->next;
    return w;
}

waiter *waitq_at(const waitq *q, uint32_t ahead)
{
    waiter *w = q->first;

    while (ahead-- > 0)
        w = w->next;
    return w;
}
