/* runtime.c: the lanes of a program, opened, run, stopped and closed together. */
#include <assert.h>
#include <stdlib.h>

#include "fatal.h"
#include "lane.h"

#ifdef FIBER_FRAMES_SWOLLEN
#define STACK_SIZE (256u * 1024u)
#else
#define STACK_SIZE (64u * 1024u)
#endif
#define STACKS_CACHED 256u
#define LANES_MAX     1024u

struct weir_runtime {
    uint32_t lanes_count;
    uint32_t lanes_open;
    bool own_loops;
    atomic_bool stop;
    uv_loop_t *loops;     /* own_loops only */
    uv_thread_t *threads; /* of the lanes but the first */
    weir_lane lanes[];
};

uint32_t weir_runtime_lanes(const weir_runtime *runtime)
{
    return runtime->lanes_count;
}

weir_lane *weir_runtime_lane(weir_runtime *runtime, uint32_t index)
{
    assert(index < runtime->lanes_count);
    return &runtime->lanes[index];
}

/* ---- Opening ---- */

static void free_runtime(weir_runtime *runtime)
{
    free(runtime->threads);
    free(runtime->loops);
    free(runtime);
}

static int allocate(uint32_t lanes, bool own_loops, weir_runtime **made)
{
    weir_runtime *runtime = calloc(1, sizeof *runtime + lanes * sizeof(weir_lane));
    if (!runtime)
        return WEIR_ENOMEM;
    runtime->lanes_count = lanes;
    runtime->own_loops = own_loops;
    if (own_loops) {
        runtime->loops = calloc(lanes, sizeof *runtime->loops);
        runtime->threads = calloc(lanes, sizeof *runtime->threads);
    }
    if (own_loops && (!runtime->loops || !runtime->threads)) {
        free_runtime(runtime);
        return WEIR_ENOMEM;
    }
    *made = runtime;
    return 0;
}

static int open_lane(weir_runtime *runtime, const weir_runtime_options *options, uint32_t index)
{
    weir_lane *lane = &runtime->lanes[index];
    uv_loop_t *loop = options->loop;
    if (runtime->own_loops) {
        loop = &runtime->loops[index];
        if (uv_loop_init(loop) < 0)
            return WEIR_EIO;
    }
    lane->virtual_time = options->virtual_time;
    /* Not zero: a zero time often stands for "never happened". */
    lane->virtual_now_ns = WEIR_S(1);
    stack_cache_open(&lane->stacks, options->stack_size ? options->stack_size : STACK_SIZE,
                     options->stacks_cached ? options->stacks_cached : STACKS_CACHED);
    int r = lane_open(lane, runtime, index, loop, runtime->own_loops ? &runtime->stop : NULL);
    if (r < 0 && runtime->own_loops)
        uv_loop_close(loop);
    if (r == 0)
        runtime->lanes_open++;
    return r;
}

static bool valid(const weir_runtime_options *options)
{
    if (options->lanes > LANES_MAX || options->stack_size > SIZE_MAX / 2)
        return false;
    bool alone = options->lanes <= 1;
    if (options->loop)
        return alone && !options->virtual_time;
    return alone || !options->virtual_time;
}

int weir_runtime_open(const weir_runtime_options *options, weir_runtime **made)
{
    static const weir_runtime_options defaults;
    if (!options)
        options = &defaults;
    if (!valid(options))
        return WEIR_EINVAL;
    weir_runtime *runtime;
    uint32_t lanes = options->lanes ? options->lanes : 1;
    int r = allocate(lanes, !options->loop, &runtime);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < lanes && r == 0; i++)
        r = open_lane(runtime, options, i);
    if (r < 0) {
        weir_runtime_close(runtime);
        return r;
    }
    lane_here = &runtime->lanes[0];
    *made = runtime;
    return 0;
}

/* ---- Running ---- */

static void run_lane(void *arg)
{
    weir_lane *lane = arg;
    lane_here = lane;
    /* uv_run also returns for a uv_stop that is not ours. */
    while (!atomic_load(lane->stop))
        uv_run(lane->loop, UV_RUN_DEFAULT);
}

static void run_thread(void *arg)
{
    run_lane(arg);
    lane_here = NULL;
}

int weir_runtime_run(weir_runtime *runtime)
{
    if (!runtime->own_loops)
        fatal("weir_runtime_run: this runtime lives on its caller's loop, run that loop");
    uint32_t started = 1;
    int r = 0;
    while (started < runtime->lanes_count && r == 0) {
        r = uv_thread_create(&runtime->threads[started], run_thread, &runtime->lanes[started]);
        if (r == 0)
            started++;
    }
    if (r < 0)
        weir_runtime_stop(runtime);
    run_lane(&runtime->lanes[0]);
    for (uint32_t i = 1; i < started; i++)
        uv_thread_join(&runtime->threads[i]);
    atomic_store(&runtime->stop, false);
    return r < 0 ? WEIR_EIO : 0;
}

void weir_runtime_stop(weir_runtime *runtime)
{
    atomic_store(&runtime->stop, true);
    for (uint32_t i = 0; i < runtime->lanes_count; i++)
        lane_wake(&runtime->lanes[i]);
}

/* ---- Closing ---- */

static void lane_closed(weir_lane *lane)
{
    weir_runtime *runtime = lane->runtime;
    runtime->lanes_open--;
    if (!runtime->own_loops)
        free_runtime(runtime);
}

/* One lane's last tasks may wait for another's: all loops turn until all are closed. */
static void run_until_closed(weir_runtime *runtime)
{
    while (runtime->lanes_open > 0) {
        bool alone = runtime->lanes_open == 1;
        for (uint32_t i = 0; i < runtime->lanes_count; i++) {
            weir_lane *lane = &runtime->lanes[i];
            if (!lane->closing || lane->handles_open == 0)
                continue;
            lane_here = lane;
            uv_run(lane->loop, alone ? UV_RUN_ONCE : UV_RUN_NOWAIT);
        }
        if (!alone)
            uv_sleep(1);
    }
    lane_here = NULL;
}

void weir_runtime_close(weir_runtime *runtime)
{
    if (!runtime)
        return;
    if (!runtime->own_loops) {
        if (runtime->lanes_open > 0)
            lane_close(&runtime->lanes[0], lane_closed);
        else
            free_runtime(runtime);
        return;
    }
    if (weir_task_self())
        fatal("weir_runtime_close: a task cannot close the runtime that runs it");
    uint32_t opened = runtime->lanes_open;
    for (uint32_t i = 0; i < opened; i++)
        lane_close(&runtime->lanes[i], lane_closed);
    run_until_closed(runtime);
    for (uint32_t i = 0; i < opened; i++) {
        /* What a driver left to the threadpool, such as a name's look-up, ends by itself. */
        while (uv_run(&runtime->loops[i], UV_RUN_DEFAULT) != 0)
            ;
        if (uv_loop_close(&runtime->loops[i]) < 0)
            fatal("weir_runtime_close: handles are still open on a lane's loop");
    }
    free_runtime(runtime);
}

/* ---- All at once ---- */

typedef struct program {
    weir_runtime *runtime;
    int (*fn)(void *arg);
    void *arg;
    int result;
} program;

static void stop(void *arg)
{
    weir_runtime_stop(arg);
}

static int run_program(void *arg)
{
    program *p = arg;
    if (weir_task_cancelled()) /* the runtime is being closed, having failed to start */
        return 0;
    /* Deferred first, so that it comes after all that `fn` defers. */
    p->result = weir_defer(stop, p->runtime);
    if (p->result < 0)
        stop(p->runtime);
    else
        p->result = p->fn(p->arg);
    return 0;
}

int weir_run(const weir_runtime_options *options, int (*fn)(void *arg), void *arg)
{
    if (options && options->loop)
        return WEIR_EINVAL;
    program p = {.fn = fn, .arg = arg};
    int r = weir_runtime_open(options, &p.runtime);
    if (r < 0)
        return r;
    r = weir_spawn(run_program, &p, NULL);
    if (r == 0)
        r = weir_runtime_run(p.runtime);
    weir_runtime_close(p.runtime);
    return r < 0 ? r : p.result;
}
