/* task_bench.c: what a switch into a task and back costs, and a task from spawn to end. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "weir.h"

#define ROUNDS 15
#define TIMES  200000

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return WEIR_S(now.tv_sec) + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

static int yield_often(void *arg)
{
    for (int i = 0; i < TIMES; i++)
        weir_yield();
    return 0;
}

static int end(void *arg)
{
    return 0;
}

static double switches(uint32_t tasks)
{
    double ns[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
        uint64_t from_ns = clock_ns();
        for (uint32_t i = 0; i < tasks; i++)
            weir_group_spawn(&group, yield_often, NULL);
        weir_group_wait(&group);
        ns[r] = (double)(clock_ns() - from_ns) / TIMES / tasks;
    }
    return median(ns);
}

static double spawns(void)
{
    double ns[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        uint64_t from_ns = clock_ns();
        for (int i = 0; i < TIMES; i++) {
            weir_spawn(end, NULL, NULL);
            if (i % 16 == 15)
                weir_yield();
        }
        ns[r] = (double)(clock_ns() - from_ns) / TIMES;
    }
    return median(ns);
}

static int measure(void *arg)
{
    printf("task_switch_ns %.1f\n", switches(1));
    printf("task_switch_64_ns %.1f\n", switches(64));
    printf("task_spawn_ns %.1f\n", spawns());
    return 0;
}

int main(void)
{
    return weir_run(NULL, measure, NULL) < 0;
}
