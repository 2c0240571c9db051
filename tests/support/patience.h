/* patience.h: waiting until something has come true, and no longer than it may take. */
#ifndef WEIR_TESTS_PATIENCE_H
#define WEIR_TESTS_PATIENCE_H

#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

/* Seconds, monotonic. */
static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* How much longer things may take in an instrumented build. */
static inline double slower(void)
{
    const char *factor = getenv("TEST_SLOWER");
    return factor && *factor ? strtod(factor, NULL) : 1;
}

/* Whether `condition` came true within `seconds` (times slower()). */
#define BECOMES(condition, seconds)                                                                \
    ({                                                                                             \
        double until_ = now() + (seconds)*slower();                                                \
        bool true_;                                                                                \
        while (!(true_ = (condition)) && now() < until_)                                           \
            nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);                               \
        true_;                                                                                     \
    })

#endif
