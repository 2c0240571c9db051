/* core_bench.c: what one take and its release cost in the pool's core. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core.h"

#define ROUNDS 5
#define PAIRS  2000000

/* Of this thread's own work, so that what else the machine does counts less. */
static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* A pool with all its connections up and idle. */
static core *warm_core(effects *out)
{
    core_options options = {
        .lanes = 1,
        .slots = 100,
        .max = 10,
        .min = 10,
        .queue_max = 1024,
        .queue_reserve = 64,
        .keepalive_ns = WEIR_S(120),
        .leak_after_ns = WEIR_S(30),
        .shed_target_ns = WEIR_MS(200),
        .shed_interval_ns = WEIR_S(1),
        .full_pause_ns = WEIR_S(2),
        .connect_timeout_ns = WEIR_S(5),
        .validate_after_ns = WEIR_S(30),
        .check_timeout_ns = WEIR_S(1),
        .idle_timeout_ns = WEIR_S(600),
        .max_lifetime_ns = WEIR_S(1800),
        .cancel_grace_ns = WEIR_S(5),
        .backoff_base_ns = WEIR_MS(20),
        .backoff_max_ns = WEIR_MS(500),
        .affinity_ns = WEIR_MS(2),
        .seed = 1,
    };
    core *c;

    if (core_new(&options, &c) < 0)
        abort();
    core_step(c, &(event){.kind = EVENT_TICK}, 1, out);
    for (uint32_t i = 0; i < options.max; i++)
        core_step(c, &(event){.kind = EVENT_UP, .connection = i}, 1, out);
    return c;
}

static double round_ns(core *c, uint64_t *now_ns, effects *out)
{
    waiter w = {.deadline_ns = WEIR_NEVER};
    uint64_t granted = 0, begun_ns = clock_ns();

    for (int i = 0; i < PAIRS; i++) {
        core_step(c, &(event){.kind = EVENT_TAKE, .waiter = &w}, ++*now_ns, out);
        granted += out->item[0].kind == EFFECT_GRANT;
        core_step(c, &(event){.kind = EVENT_RELEASE, .waiter = &w}, ++*now_ns, out);
    }
    if (granted != PAIRS)
        abort();
    return (double)(clock_ns() - begun_ns) / PAIRS;
}

int main(void)
{
    static effects out;
    core *c = warm_core(&out);
    uint64_t now_ns = 1;
    double rounds[ROUNDS];

    for (int i = 0; i < ROUNDS; i++)
        rounds[i] = round_ns(c, &now_ns, &out);
    qsort(rounds, ROUNDS, sizeof *rounds, compare);
    printf("core_take_release_ns %.1f\n", rounds[ROUNDS / 2]);
    core_free(c);
    return 0;
}
