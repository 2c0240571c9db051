/* stack.h: memory for tasks to run on: mapped, guarded, and kept for reuse. */
#ifndef WEIR_STACK_H
#define WEIR_STACK_H

#include <stdint.h>

#include "fiber.h"

/* One stack; this struct lies at its top. Below its lowest address is a page that nobody may touch,
 * so that an overflow crashes there and corrupts nothing. */
typedef struct stack {
    fiber fiber;
    struct stack *next; /* in the cache */
    char *map;
    size_t map_size;
} stack;

/* Last in, first out: the stack used last is the one still in the processor's caches. */
typedef struct stack_cache {
    stack *first;
    uint32_t count, most;
    size_t size;       /* of each, rounded up to pages */
    size_t high_water; /* of stacks no longer kept */
} stack_cache;

/* `size` in bytes without the guard page; at most `most` stacks are kept. */
void stack_cache_open(stack_cache *cache, size_t size, uint32_t most);
void stack_cache_close(stack_cache *cache);

/* A stack with a waiting fiber, or NULL when there is no memory. */
stack *stack_take(stack_cache *cache);

/* Back into the cache, or unmapped when that is full. Never the stack one runs on; its fiber must
 * be waiting. */
void stack_give(stack_cache *cache, stack *s);

/* The most bytes that any stack of the cache has used, in whole pages. */
size_t stack_high_water(const stack_cache *cache);

#endif
