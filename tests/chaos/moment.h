/* moment.h: time as the chaos test counts it, and its chances. */
#ifndef WEIR_CHAOS_MOMENT_H
#define WEIR_CHAOS_MOMENT_H

#include <stdint.h>
#include <time.h>

#define MS UINT64_C(1000000)

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 * MS + (uint64_t)t.tv_nsec;
}

static inline void sleep_ms(uint64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * MS)};
    nanosleep(&t, NULL);
}

/* A number below `bound`, which is not 0. splitmix64 (Steele, Lea, Flood, 2014). */
static inline uint64_t chance(uint64_t *seed, uint64_t bound)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % bound;
}

static inline uint64_t between(uint64_t *seed, uint64_t least, uint64_t most)
{
    return least + chance(seed, most - least + 1);
}

#endif
