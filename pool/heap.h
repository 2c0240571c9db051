/* heap.h: an intrusive pairing heap by a 64-bit key, smallest first; timers and deadlines live in
 * it.
 *
 * Nodes are the caller's memory, zeroed before first use. Insert and peek are O(1), removal
 * amortised O(log n) (Fredman, Sedgewick, Sleator, Tarjan: The pairing heap, 1986). */
#ifndef WEIR_HEAP_H
#define WEIR_HEAP_H

#include "weir.h"

typedef weir_heap_node heap_node;

typedef struct heap {
    heap_node *root;
} heap;

static inline heap_node *heap_first(const heap *h)
{
    return h->root;
}
void heap_insert(heap *h, heap_node *node, uint64_t key);
void heap_remove(heap *h, heap_node *node);

#endif
