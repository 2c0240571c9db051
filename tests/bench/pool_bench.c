/* pool_bench.c: what one acquire and release cost through the shell: lock, clock and figures
 * included, on a warm connection of the lane. */
#include <stdio.h>
#include <stdlib.h>

#include "weir.h"

enum { ROUNDS = 5, TIMES = 1000000 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int acquire_and_release(weir_pool *pool, double *ns)
{
    uint64_t start_ns = weir_now();
    for (int i = 0; i < TIMES; i++) {
        weir_lease *lease;
        int r = weir_acquire(pool, NULL, &lease);
        if (r < 0)
            return r;
        weir_release(lease);
    }
    *ns = (double)(weir_now() - start_ns) / TIMES;
    return 0;
}

static int measure(void *arg)
{
    weir_pool_options options = {.driver = weir_fake_driver(), .driver_arg = arg, .max = 16};
    weir_pool *pool;
    int r = weir_pool_open(NULL, &options, &pool, NULL);
    double ns[ROUNDS];
    for (int i = 0; i < ROUNDS && r == 0; i++)
        r = acquire_and_release(pool, &ns[i]);
    if (r == 0) {
        qsort(ns, ROUNDS, sizeof *ns, by_value);
        printf("pool_acquire_release_ns %.1f\n", ns[ROUNDS / 2]);
    }
    weir_pool_close(pool);
    return r;
}

int main(void)
{
    weir_fake *fake;
    if (weir_fake_open(&fake) < 0)
        return 1;
    int r = weir_run(NULL, measure, fake);
    weir_fake_close(fake);
    if (r < 0)
        fprintf(stderr, "pool_bench: %s\n", weir_strerror(r));
    return r < 0;
}
