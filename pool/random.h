/* random.h: numbers by chance, for jitter and for orders. */
#ifndef WEIR_RANDOM_H
#define WEIR_RANDOM_H

#include <stdint.h>

/* A number from 0 to `bound`, both included. xorshift64* (Vigna, 2016); `*random` is not 0. */
static inline uint64_t random_up_to(uint64_t *random, uint64_t bound)
{
    uint64_t x = *random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *random = x;
    x *= UINT64_C(2685821657736338717);
    return bound == UINT64_MAX ? x : x % (bound + 1);
}

#endif
