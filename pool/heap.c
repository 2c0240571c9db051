/* heap.c: the pairing heap. */
#include "heap.h"

#include <assert.h>

/* Makes the later of two roots the first child of the earlier one. */
static heap_node *meld(heap_node *a, heap_node *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->key < a->key) {
        heap_node *swap = a;
        a = b;
        b = swap;
    }
    b->previous = a;
    b->next = a->child;
    if (a->child)
        a->child->previous = b;
    a->child = b;
    return a;
}

/* Melds siblings into one root in two passes: pairs from left to right, the pairs from right to
 * left. Passes rather than recursion, because a heap filled in order of keys is one long row of
 * siblings. */
static heap_node *meld_siblings(heap_node *first)
{
    heap_node *pairs = NULL, *root = NULL;

    while (first) {
        heap_node *a = first, *b = a->next;
        first = b ? b->next : NULL;
        a->next = NULL;
        if (b)
            b->next = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        heap_node *a = pairs;
        pairs = a->next;
        a->next = NULL;
        root = meld(root, a);
    }
    if (root)
        root->previous = NULL;
    return root;
}

void heap_insert(heap *h, heap_node *node, uint64_t key)
{
    assert(!node->previous && !node->next && !node->child && h->root != node);
    node->key = key;
    h->root = meld(h->root, node);
}

void heap_remove(heap *h, heap_node *node)
{
    heap_node *below = meld_siblings(node->child);

    if (node == h->root) {
        h->root = below;
    } else {
        heap_node *previous = node->previous;
        assert(previous);
        if (previous->child == node)
            previous->child = node->next;
        else
            previous->next = node->next;
        if (node->next)
            node->next->previous = previous;
        h->root = meld(h->root, below);
    }
    node->child = node->next = node->previous = NULL;
}
