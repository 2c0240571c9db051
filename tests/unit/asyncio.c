/* asyncio.c: what an asyncio user knows, in Weir: the README's examples, compiled and run here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "weir.h"

static const weir_statement find_order = {.sql = "select total from orders where id = $1"};
static const weir_statement all_orders = {.sql = "select total from orders"};
static weir_pool *pool;

/* ---- async with pool.acquire() as conn ---- */

static int total_of(const char *id, char *total, size_t size)
{
    weir_scoped_lease weir_lease *lease = NULL; /* given back on every path out */
    int r = weir_acquire(pool, NULL, &lease);
    if (r < 0)
        return r;
    weir_scoped_result weir_result *rows = NULL;
    r = weir_query(lease, &find_order, &(weir_params){.count = 1, .values = &id}, &rows);
    if (r < 0)
        return r;
    if (weir_result_rows(rows) == 0)
        return 1; /* there is no such order */
    snprintf(total, size, "%s", weir_result_value(rows, 0, 0));
    return 0;
}

/* ---- async for row in cursor ---- */

static int count_totals(uint64_t *count)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(pool, NULL, &lease);
    if (r < 0)
        return r;
    weir_scoped_stream weir_stream *stream = NULL; /* the rest is cancelled on an early way out */
    r = weir_stream_open(lease, &all_orders, NULL, &stream);
    while (r == 0) {
        weir_scoped_result weir_result *rows = NULL;
        r = weir_stream_next(stream, &rows); /* reads on only now */
        if (r < 0 || !rows)
            break;
        *count += weir_result_rows(rows);
    }
    return r;
}

/* ---- asyncio.timeout ---- */

static int total_in_time(const char *id, char *total, size_t size)
{
    weir_scoped_timeout(limit, WEIR_MS(50));
    return total_of(id, total, size); /* WEIR_ETIMEDOUT after 50 ms, wherever it stood */
}

/* ---- create_task, await task ---- */

typedef struct lookup {
    const char *id;
    char total[32];
} lookup;

static int look_up(void *arg)
{
    lookup *l = arg;
    return total_of(l->id, l->total, sizeof l->total);
}

static int in_the_background(lookup *l)
{
    weir_task *task;
    int r = weir_spawn(look_up, l, &task);
    if (r < 0)
        return r;
    /* … other work … */
    int result;
    r = weir_join(task, &result);
    return r < 0 ? r : result;
}

/* ---- gather, TaskGroup ---- */

static int all_three(lookup lookups[3])
{
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_CANCEL_REST);
    for (int i = 0; i < 3; i++) {
        int r = weir_group_spawn(&group, look_up, &lookups[i]);
        if (r < 0)
            return r;
    }
    return weir_group_wait(&group); /* the first failure cancels the others */
}

/* ---- Task.cancel, CancelledError ---- */

static int call_off(lookup *l)
{
    weir_task *task;
    int r = weir_spawn(look_up, l, &task);
    if (r < 0)
        return r;
    weir_cancel(task);
    int result;
    r = weir_join(task, &result);
    return r < 0 ? r : result; /* WEIR_ECANCELED */
}

/* ---- Semaphore ---- */

static weir_semaphore two_at_once = WEIR_SEMAPHORE(2);

static int politely(void *arg)
{
    int r = weir_semaphore_acquire(&two_at_once);
    if (r < 0)
        return r;
    r = look_up(arg);
    weir_semaphore_release(&two_at_once);
    return r;
}

/* ---- run_in_executor ---- */

static void read_host_name(void *arg)
{
    gethostname(arg, 64); /* may block: it is on a thread of its own */
}

static int host_name(char name[64])
{
    return weir_work(read_host_name, name);
}

/* ---- asynccontextmanager ---- */

static int with_a_buffer(size_t size)
{
    char *buffer = malloc(size);
    if (!buffer)
        return WEIR_ENOMEM;
    return weir_defer(free, buffer); /* when the task ends, however it ends */
}

/* ---- asyncio.run, asyncio.sleep ---- */

static int tick_three_times(void *arg)
{
    for (int *left = arg; *left > 0; --*left) {
        int r = weir_sleep(WEIR_MS(10));
        if (r < 0)
            return r;
    }
    return 0;
}

static int run_it(void)
{
    int left = 3;
    return weir_run(NULL, tick_three_times, &left);
}

/* ---- Mocks, fake clocks ---- */

typedef struct report {
    int late, cancelled, refreshed;
    lookup lookups[3];
    lookup background, called_off, polite;
    int all, alone, off, host, deferred, counted;
    uint64_t count;
    char name[64];
} report;

static int handler(void *arg)
{
    report *seen = arg;
    char total[32] = "";
    seen->late = total_in_time("1", total, sizeof total); /* the first answer takes 10 s */
    seen->all = all_three(seen->lookups);
    seen->alone = in_the_background(&seen->background);
    seen->off = call_off(&seen->called_off);
    seen->refreshed = politely(&seen->polite);
    seen->host = host_name(seen->name);
    seen->deferred = with_a_buffer(100);
    seen->counted = count_totals(&seen->count);
    return 0;
}

static int with_a_pool(void *arg)
{
    weir_fake *fake;
    int r = weir_fake_open(&fake);
    if (r < 0)
        return r;
    const char *value = "42";
    weir_fake_step slow = {.delay_ns = WEIR_S(10)};
    weir_fake_step quick = {.columns = 1, .rows = 1, .values = &value};
    weir_fake_answer(fake, find_order.sql, 1, &slow);
    weir_fake_answer(fake, NULL, 0, &quick);
    weir_pool_options options = {.driver = weir_fake_driver(), .driver_arg = fake};
    r = weir_pool_open(NULL, &options, &pool, NULL);
    if (r == 0) {
        r = handler(arg);
        weir_pool_close(pool);
    }
    weir_fake_close(fake);
    return r;
}

static void the_readme_s_examples_do_what_they_say(void **state)
{
    report seen = {.lookups = {{.id = "1"}, {.id = "2"}, {.id = "3"}},
                   .background = {.id = "4"},
                   .called_off = {.id = "5"},
                   .polite = {.id = "6"}};
    /* Ten seconds of waiting take no time at all. */
    int r = weir_run(&(weir_runtime_options){.virtual_time = true}, with_a_pool, &seen);
    assert_int_equal(r, 0);
    assert_int_equal(seen.late, WEIR_ETIMEDOUT);
    assert_int_equal(seen.all, 0);
    for (int i = 0; i < 3; i++)
        assert_string_equal(seen.lookups[i].total, "42");
    assert_int_equal(seen.alone, 0);
    assert_string_equal(seen.background.total, "42");
    assert_int_equal(seen.off, WEIR_ECANCELED);
    assert_int_equal(seen.refreshed, 0);
    assert_int_equal(seen.host, 0);
    assert_true(seen.name[0] != '\0');
    assert_int_equal(seen.deferred, 0);
    assert_int_equal(seen.counted, 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(run_it(), 0);
}

/* ---- A program with callbacks only, on a loop of its own ---- */

typedef struct program {
    weir_pool *pool;
    weir_lease *lease;
    int granted, answered;
    char total[32];
    bool closed;
} program;

static void pool_closed(void *arg)
{
    ((program *)arg)->closed = true;
}

static void answer_arrives(void *arg, int error, weir_result *rows)
{
    program *p = arg;
    p->answered = error;
    if (error == 0 && weir_result_rows(rows) > 0)
        snprintf(p->total, sizeof p->total, "%s", weir_result_value(rows, 0, 0));
    weir_result_free(rows);
    weir_release(p->lease);
    weir_pool_close_cb(p->pool, pool_closed, p);
}

static void lease_arrives(void *arg, int error, weir_lease *lease)
{
    static const char *id = "7";
    static const weir_params params = {.count = 1, .values = &id};
    program *p = arg;
    p->granted = error;
    p->lease = lease;
    if (error == 0)
        weir_query_cb(lease, &find_order, &params, weir_after(WEIR_S(1)), answer_arrives, p);
}

static int on_my_loop(uv_loop_t *loop, const weir_pool_options *options, program *p)
{
    weir_runtime *runtime;
    int r = weir_runtime_open(&(weir_runtime_options){.loop = loop}, &runtime);
    if (r < 0)
        return r;
    r = weir_pool_open(runtime, options, &p->pool, NULL);
    if (r == 0)
        r = weir_acquire_cb(p->pool, NULL, lease_arrives, p, NULL);
    uv_run(loop, UV_RUN_DEFAULT); /* returns when the pool is closed */
    weir_runtime_close(runtime);
    uv_run(loop, UV_RUN_DEFAULT); /* lets it close its handles */
    return r;
}

static void a_program_of_callbacks_runs_on_its_own_loop(void **state)
{
    weir_fake *fake;
    assert_int_equal(weir_fake_open(&fake), 0);
    const char *value = "42";
    weir_fake_step step = {.columns = 1, .rows = 1, .values = &value};
    assert_int_equal(weir_fake_answer(fake, NULL, 0, &step), 0);
    weir_pool_options options = {.driver = weir_fake_driver(), .driver_arg = fake};
    program p = {0};
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(on_my_loop(&loop, &options, &p), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    weir_fake_close(fake);
    assert_int_equal(p.granted, 0);
    assert_int_equal(p.answered, 0);
    assert_string_equal(p.total, "42");
    assert_true(p.closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_readme_s_examples_do_what_they_say),
        cmocka_unit_test(a_program_of_callbacks_runs_on_its_own_loop),
    };
    return cmocka_run_group_tests_name("asyncio", tests, NULL, NULL);
}
