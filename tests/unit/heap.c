/* heap.c: the pairing heap gives back what it was given, smallest first. */
#include "heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NODES 200

static void an_empty_heap_has_no_first(void **state)
{
    heap h = {0};

    assert_null(heap_first(&h));
}

static void the_smallest_key_comes_first(void **state)
{
    heap h = {0};
    heap_node nodes[3] = {0};

    heap_insert(&h, &nodes[0], 20);
    heap_insert(&h, &nodes[1], 10);
    heap_insert(&h, &nodes[2], 30);
    assert_ptr_equal(heap_first(&h), &nodes[1]);
}

static void nodes_come_out_in_order_of_keys(void **state)
{
    heap h = {0};
    heap_node nodes[NODES] = {0};
    uint64_t last = 0;

    for (uint64_t i = 0; i < NODES; i++)
        heap_insert(&h, &nodes[i], i * 7919 % NODES);
    for (int i = 0; i < NODES; i++) {
        heap_node *first = heap_first(&h);
        assert_true(first->key >= last);
        last = first->key;
        heap_remove(&h, first);
    }
    assert_null(heap_first(&h));
}

static void any_node_can_be_removed(void **state)
{
    heap h = {0};
    heap_node nodes[4] = {0};

    for (uint64_t i = 0; i < 4; i++)
        heap_insert(&h, &nodes[i], i);
    heap_remove(&h, &nodes[0]); /* now the others are below one another */
    heap_remove(&h, &nodes[2]);
    assert_ptr_equal(heap_first(&h), &nodes[1]);
    heap_remove(&h, &nodes[1]);
    assert_ptr_equal(heap_first(&h), &nodes[3]);
    heap_remove(&h, &nodes[3]);
    assert_null(heap_first(&h));
}

static void equal_keys_are_all_kept(void **state)
{
    heap h = {0};
    heap_node nodes[NODES] = {0};
    int out = 0;

    for (int i = 0; i < NODES; i++)
        heap_insert(&h, &nodes[i], 5);
    for (; heap_first(&h); out++)
        heap_remove(&h, heap_first(&h));
    assert_int_equal(out, NODES);
}

static void a_removed_node_is_as_new(void **state)
{
    heap h = {0};
    heap_node nodes[2] = {0};

    heap_insert(&h, &nodes[0], 1);
    heap_insert(&h, &nodes[1], 2);
    heap_remove(&h, &nodes[0]);
    assert_null(nodes[0].child);
    assert_null(nodes[0].next);
    assert_null(nodes[0].previous);
    heap_insert(&h, &nodes[0], 3);
    assert_ptr_equal(heap_first(&h), &nodes[1]);
}

/* Beside an array that is searched from end to end. */
static void random_use_agrees_with_a_plain_search(void **state)
{
    heap h = {0};
    heap_node nodes[NODES] = {0};
    bool in[NODES] = {false};
    unsigned seed = 42;

    for (int round = 0; round < 20000; round++) {
        int i = rand_r(&seed) % NODES;
        if (in[i])
            heap_remove(&h, &nodes[i]);
        else
            heap_insert(&h, &nodes[i], (uint64_t)rand_r(&seed) % 50);
        in[i] = !in[i];

        uint64_t smallest = UINT64_MAX;
        for (int k = 0; k < NODES; k++)
            if (in[k] && nodes[k].key < smallest)
                smallest = nodes[k].key;
        heap_node *first = heap_first(&h);
        assert_int_equal(first ? first->key : UINT64_MAX, smallest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_heap_has_no_first),
        cmocka_unit_test(the_smallest_key_comes_first),
        cmocka_unit_test(nodes_come_out_in_order_of_keys),
        cmocka_unit_test(any_node_can_be_removed),
        cmocka_unit_test(equal_keys_are_all_kept),
        cmocka_unit_test(a_removed_node_is_as_new),
        cmocka_unit_test(random_use_agrees_with_a_plain_search),
    };

    return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
