/* stack.c: memory for tasks to run on: mapped, guarded, and kept for reuse. */
#include "stack.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE_MIN      (16u * 1024u)
#define MINCORE_PAGES 64

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static stack *map(size_t size)
{
    size_t page = page_size();
    char *low = mmap(NULL, size + page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (low == MAP_FAILED)
        return NULL;
    if (mprotect(low, page, PROT_NONE) < 0) {
        munmap(low, size + page);
        return NULL;
    }
    char *top = low + page + size;
    stack *s = (stack *)((uintptr_t)(top - sizeof *s) & ~(uintptr_t)63);
    s->map = low;
    s->map_size = size + page;
    fiber_open(&s->fiber, low + page, (size_t)((char *)s - (low + page)));
    return s;
}

/* Pages that were never touched are not resident: cheaper than painting, and no tool minds it. */
static size_t used(const stack *s)
{
    size_t page = page_size();
    char *top = s->map + s->map_size;
    for (char *at = s->map + page; at < top; at += page * MINCORE_PAGES) {
        unsigned char resident[MINCORE_PAGES];
        size_t span = (size_t)(top - at);
        if (span > page * MINCORE_PAGES)
            span = page * MINCORE_PAGES;
        if (mincore(at, span, resident) < 0)
            return 0;
        for (size_t i = 0; i < span / page; i++)
            if (resident[i] & 1)
                return (size_t)(top - at) - i * page;
    }
    return 0;
}

static void unmap(stack *s)
{
    fiber_close(&s->fiber);
    munmap(s->map, s->map_size);
}

void stack_cache_open(stack_cache *cache, size_t size, uint32_t most)
{
    size_t page = page_size();
    if (size < SIZE_MIN)
        size = SIZE_MIN;
    *cache = (stack_cache){.size = (size + page - 1) / page * page, .most = most};
}

void stack_cache_close(stack_cache *cache)
{
    while (cache->first) {
        stack *s = cache->first;
        cache->first = s->next;
        cache->count--;
        unmap(s);
    }
    assert(cache->count == 0);
}

stack *stack_take(stack_cache *cache)
{
    stack *s = cache->first;
    if (!s)
        return map(cache->size);
    cache->first = s->next;
    cache->count--;
    return s;
}

void stack_give(stack_cache *cache, stack *s)
{
    if (cache->count < cache->most) {
        s->next = cache->first;
        cache->first = s;
        cache->count++;
        return;
    }
    size_t bytes = used(s);
    if (bytes > cache->high_water)
        cache->high_water = bytes;
    unmap(s);
}

size_t stack_high_water(const stack_cache *cache)
{
    size_t most = cache->high_water;
    for (const stack *s = cache->first; s; s = s->next) {
        size_t bytes = used(s);
        if (bytes > most)
            most = bytes;
    }
    return most;
}
