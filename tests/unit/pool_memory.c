/* pool_memory.c: a pool while memory runs out: the first allocation that fails, then the next. */
#include <stdlib.h>

#include "../support/expect.h"
#include "weir.h"

/* Sanitizers bring an allocator of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_ALLOCATOR 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_ALLOCATOR 0
#endif
#endif
#ifndef OWN_ALLOCATOR
#define OWN_ALLOCATOR 1
#endif

static uint32_t fail_in; /* so many allocations from now on; 0: none */
static bool failed;

#if OWN_ALLOCATOR
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);

static bool fails(void)
{
    if (fail_in == 0 || --fail_in > 0)
        return false;
    failed = true;
    return true;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}
#endif

typedef struct world {
    weir_fake *fake;
    weir_pool *pool;
    uint32_t nth;
    int calls;
} world;

static const weir_statement select_one = {.sql = "select 1"};

static bool is_honest(int r)
{
    return r == 0 || r == WEIR_ENOMEM;
}

static int ask(void *arg)
{
    world *w = arg;
    weir_scoped_lease weir_lease *lease = NULL;
    weir_scope scope = {.deadline_ns = weir_after(WEIR_S(1))};
    int r = weir_acquire(w->pool, &scope, &lease);
    expect(is_honest(r));
    if (r < 0)
        return r;
    weir_scoped_result weir_result *result = NULL;
    r = weir_query(lease, &select_one, NULL, &result);
    expect(is_honest(r));
    expect(r < 0 || strcmp(weir_result_value(result, 0, 0), "42") == 0);
    return r;
}

static void granted(void *arg, int error, weir_lease *lease)
{
    ((world *)arg)->calls++;
    weir_release(lease);
}

static int use(world *w)
{
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    int spawned = weir_group_spawn(&group, ask, w);
    expect(is_honest(spawned));
    int r = weir_acquire_cb(w->pool, NULL, granted, w, NULL);
    expect(is_honest(r));
    ask(w);
    expect(is_honest(weir_group_wait(&group)));
    weir_sleep(WEIR_MS(100));
    expect(w->calls == (r == 0));
    return 0;
}

static int run(void *arg)
{
    world *w = arg;
    weir_error why;
    weir_pool_options options = {
        .driver = weir_fake_driver(), .driver_arg = w->fake, .max = 2, .seed = 1};
    fail_in = w->nth;
    int r = weir_pool_open(NULL, &options, &w->pool, &why);
    expect(is_honest(r));
    if (r == 0) {
        use(w);
        weir_pool_stats stats;
        weir_pool_stats_read(w->pool, &stats);
        expect(stats.granted == stats.released && stats.in_use == 0);
        expect(weir_pool_close(w->pool) == 0);
    }
    fail_in = 0;
    return 0;
}

static void without_memory_a_call_says_so_and_nothing_is_lost(void **state)
{
    if (!OWN_ALLOCATOR)
        skip();
    const char *value = "42";
    weir_fake_step step = {.columns = 1, .rows = 1, .values = &value, .delay_ns = WEIR_MS(1)};
    weir_runtime_options options = {.virtual_time = true, .stacks_cached = 1};
    uint32_t nth = 0;
    do {
        world w = {.nth = ++nth};
        failed = false;
        assert_int_equal(weir_fake_open(&w.fake), 0);
        assert_int_equal(weir_fake_answer(w.fake, NULL, 0, &step), 0);
        assert_int_equal(run_expecting(&options, run, &w), 0);
        assert_int_equal(weir_fake_counted(w.fake).open, 0);
        weir_fake_close(w.fake);
    } while (failed);
    assert_true(nth > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_a_call_says_so_and_nothing_is_lost),
    };
    return cmocka_run_group_tests_name("pool_memory", tests, NULL, NULL);
}
