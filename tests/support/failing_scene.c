/* failing_scene.c: all that a pool does, on a real server, while calls may fail. */
#include "failing_scene.h"

#include <stdio.h>

#include "expect.h"
#include "failing.h"

static const char *one_host, *hosts;

typedef struct scene {
    weir_runtime *runtime;
    weir_pool *pool;
    atomic_int outside; /* lane 1's part has not ended */
} scene;

static bool lasts; /* calls go on failing: nothing need ever go well again */

/* Once calls go on failing, waiting is of no use; who waits when they begin to should not for long.
 */
static uint64_t patience(void)
{
    if (!lasts)
        return WEIR_S(3);
    return failing_fired() ? WEIR_MS(5) : WEIR_MS(500);
}

/* Before a call has failed everything ends as it should; afterwards, so or with an error. */
static bool is_fine(int end, int wanted)
{
    if (end == wanted)
        return true;
    bool late = lasts && (end == WEIR_ETIMEDOUT || end == WEIR_ECONNECT || end == WEIR_ESHED);
    return end < 0 && end > -64 && (failing_fired() || late);
}

#define expect_end(got, wanted) expect(is_fine((got), (wanted)))

#define SQL(name, text, ...) static const weir_statement name = {.sql = text, __VA_ARGS__}
SQL(echo, "select $1::text", .name = "echo");
SQL(echo_late, "select $1::text from pg_sleep(0.003)");
SQL(echo_read_only, "select $1::text, 'read only'", .read_only = true);
SQL(echo_adhoc, "select $1::text", .adhoc = true);
SQL(divide, "select 1 / $1::int");
SQL(begin, "begin");
SQL(notice, "do $$ begin raise notice 'listen'; end $$", .adhoc = true);
SQL(nap, "select pg_sleep(20)");

static int ask_on(weir_lease *lease, const weir_statement *statement)
{
    static atomic_uint serial;
    char token[32];
    const char *values[] = {token};
    snprintf(token, sizeof token, "token %u", atomic_fetch_add(&serial, 1));
    weir_scoped_result weir_result *result = NULL;
    int r = weir_query(lease, statement, &(weir_params){1, values}, &result);
    if (r < 0)
        return r;
    expect(weir_result_rows(result) == 1);
    expect(weir_result_rows(result) != 1 || strcmp(weir_result_value(result, 0, 0), token) == 0);
    return 0;
}

static int ask(scene *s, const weir_statement *statement)
{
    weir_scoped_timeout(limit, patience());
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(s->pool, NULL, &lease);
    return r < 0 ? r : ask_on(lease, statement);
}

static int run(scene *s, const weir_statement *statement, const weir_params *params)
{
    weir_scoped_timeout(limit, patience());
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(s->pool, NULL, &lease);
    return r < 0 ? r : weir_query(lease, statement, params, NULL);
}

static int ask_late(void *arg)
{
    return ask(arg, &echo_late);
}

/* More takers than connections: one waits. */
static void ask_in_a_group(scene *s)
{
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    int spawned = 0;
    for (int i = 0; i < 3 && spawned == 0; i++)
        spawned = weir_group_spawn(&group, ask_late, s);
    int r = weir_group_wait(&group);
    expect_end(spawned < 0 ? spawned : r, 0);
}

static void describe(scene *s)
{
    weir_scoped_timeout(limit, patience());
    weir_scoped_lease weir_lease *lease = NULL;
    weir_scoped_result weir_result *result = NULL;
    int r = weir_acquire(s->pool, NULL, &lease);
    if (r == 0)
        r = weir_describe(lease, &divide, &result);
    expect_end(r, 0);
    expect(r < 0 || weir_result_parameters(result) == 1);
}

static void leave_a_transaction_open(scene *s)
{
    weir_scoped_timeout(limit, patience());
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(s->pool, NULL, &lease);
    if (r == 0)
        r = weir_query(lease, &begin, NULL, NULL);
    if (r == 0)
        r = ask_on(lease, &echo);
    expect_end(r, 0);
}

static void run_out_of_time(scene *s)
{
    weir_scoped_timeout(most, patience());
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(s->pool, NULL, &lease);
    if (r == 0) {
        weir_scoped_timeout(little, WEIR_MS(10));
        r = weir_query(lease, &nap, NULL, NULL);
        expect(r < 0);
    }
    expect_end(r, WEIR_ETIMEDOUT);
}

static int take_a_nap(void *arg)
{
    return run(arg, &nap, NULL);
}

static void call_it_off(scene *s)
{
    weir_task *task = NULL;
    int result = 0, r = weir_spawn(take_a_nap, s, &task);
    if (r == 0) {
        weir_sleep(WEIR_MS(10));
        weir_cancel(task);
        expect(weir_join(task, &result) == 0);
        expect(result < 0);
    }
    expect_end(r < 0 ? r : result, WEIR_ECANCELED);
}

static void block(void *arg)
{
    *(int *)arg = 1;
}

static void use_the_rest(void)
{
    static int freed;
    int worked = 0;
    expect_end(weir_work(block, &worked), 0);
    expect_end(weir_defer(block, &freed), 0);
}

/* ---- By callbacks ---- */

typedef struct caller {
    weir_lease *lease;
    weir_params params;
    int outcome;
    bool over;
} caller;

static void answered(void *arg, int error, weir_result *result)
{
    caller *c = arg;
    c->outcome = error;
    weir_result_free(result);
    weir_release(c->lease);
    c->over = true;
}

static void granted(void *arg, int error, weir_lease *lease)
{
    caller *c = arg;
    c->lease = lease;
    if (error == 0)
        error = weir_query_cb(lease, &echo, &c->params, weir_after(patience()), answered, c);
    else
        lease = NULL;
    if (error == 0)
        return;
    weir_release(lease);
    c->outcome = error;
    c->over = true;
}

static void ask_by_callback(scene *s)
{
    static const char *const values[] = {"called"};
    caller c = {.params = {1, values}};
    weir_scope scope = {.deadline_ns = weir_after(patience())};
    int r = weir_acquire_cb(s->pool, &scope, granted, &c, NULL);
    while (r == 0 && !c.over)
        weir_sleep(WEIR_MS(1));
    expect_end(r < 0 ? r : c.outcome, 0);
}

/* ---- Control, and another pool ---- */

static void control(scene *s)
{
    {
        weir_scoped_timeout(limit, patience());
        expect_end(weir_pool_pause(s->pool), 0);
    }
    {
        weir_scoped_timeout(little, WEIR_MS(2));
        weir_scoped_lease weir_lease *lease = NULL;
        expect(weir_acquire(s->pool, NULL, &lease) < 0); /* paused, or out of memory */
    }
    weir_pool_resume(s->pool);
    weir_pool_evict(s->pool, 0);
    expect_end(ask(s, &echo), 0);
    expect_end(weir_pool_resize(s->pool, 3, 1), 0);
    ask_in_a_group(s);
    expect_end(weir_pool_resize(s->pool, 1, 0), 0);
    expect_end(ask(s, &echo), 0);
    expect_end(weir_pool_resize(s->pool, 2, 0), 0);
}

static int outstay(weir_pool *pool)
{
    weir_scoped_timeout(limit, patience());
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(pool, NULL, &lease);
    return r < 0 ? r : weir_query(lease, &nap, NULL, NULL);
}

/* A pool that is opened and closed within a task, over several hosts, and takes a lease back. */
static void lose_a_lease(void)
{
    weir_pool *pool;
    weir_pool_options options = {.name = "other",
                                 .conninfo = hosts,
                                 .max = 1,
                                 .min = 1,
                                 .random_hosts = true,
                                 .max_lag_ns = WEIR_S(10),
                                 .leak_after_ns = WEIR_MS(20),
                                 .reclaim_leaked = true,
                                 .connect_timeout_ns = WEIR_S(1),
                                 .backoff_base_ns = WEIR_MS(1),
                                 .backoff_max_ns = WEIR_MS(5)};
    int r = weir_pool_open(NULL, &options, &pool, NULL);
    expect_end(r, 0);
    if (r < 0)
        return;
    expect_end(outstay(pool), WEIR_ERECLAIMED);
    expect(weir_pool_close(pool) == 0);
}

/* ---- All of it ---- */

/* What the other lane does: connections move to and fro. */
static int other_lane(void *arg)
{
    scene *s = arg;
    for (int i = 0; i < 3; i++)
        expect_end(ask(s, i == 1 ? &echo_late : &echo), 0);
    run_out_of_time(s);
    atomic_store(&s->outside, 0);
    return 0;
}

static void go_through_all(scene *s)
{
    static const char *const zero[] = {"0"};
    expect_end(ask(s, &echo), 0);
    ask_in_a_group(s);
    expect_end(run(s, &divide, &(weir_params){1, zero}), WEIR_EQUERY);
    expect_end(ask(s, &echo_read_only), 0);
    expect_end(ask(s, &echo_adhoc), 0);
    leave_a_transaction_open(s);
    expect_end(run(s, &notice, NULL), 0);
    describe(s);
    run_out_of_time(s);
    call_it_off(s);
    weir_sleep(WEIR_MS(25)); /* idle connections are checked before they are granted */
    ask_by_callback(s);
    use_the_rest();
    control(s);
    lose_a_lease();
    for (int i = 0; i < 3; i++)
        expect_end(ask(s, i == 1 ? &echo : &echo_read_only), 0);
}

/* One call has failed, and no more do: all is well again. */
static void expect_recovery(scene *s)
{
    int r = -1;
    for (int i = 0; i < 3 && r < 0; i++)
        r = ask(s, &echo);
    expect(r == 0 || lasts);
}

/* A grant that came too late for its taker goes back on arrival, which may be just now. */
static void expect_all_returned(scene *s)
{
    weir_pool_stats stats;
    uint64_t until_ns = weir_after(WEIR_S(3));
    do {
        weir_sleep(WEIR_MS(1));
        weir_pool_stats_read(s->pool, &stats);
    } while (stats.in_use > 0 && weir_now() < until_ns);
    expect(stats.in_use == 0 && stats.granted == stats.released);
}

/* A task without memory for a stack waits for some; who did not need any ends while calls fail. */
static void await_other_lane(scene *s)
{
    uint64_t until_ns = weir_after(WEIR_MS(500));
    while (atomic_load(&s->outside)) {
        if (lasts && failing_fired() && weir_now() >= until_ns)
            failing_disarm();
        weir_sleep(WEIR_MS(1));
    }
}

static int play_inside(void *arg)
{
    scene *s = arg;
    atomic_store(&s->outside, 1);
    if (weir_spawn_on(weir_runtime_lane(s->runtime, 1), other_lane, s) < 0)
        atomic_store(&s->outside, 0);
    go_through_all(s);
    await_other_lane(s);
    expect_recovery(s);
    expect_all_returned(s);
    expect(weir_pool_close(s->pool) == 0);
    weir_runtime_stop(s->runtime);
    return 0;
}

static void pool_closed(void *arg)
{
    weir_runtime_stop(arg);
}

static void play_with_pool(scene *s)
{
    if (weir_spawn(play_inside, s, NULL) < 0)
        weir_pool_close_cb(s->pool, pool_closed, s->runtime);
    int r = weir_runtime_run(s->runtime);
    expect_end(r, 0);
    if (r < 0) { /* a thread could not be started: the next time it can */
        failing_disarm();
        expect(weir_runtime_run(s->runtime) == 0);
    }
}

static void play(scene *s)
{
    int r = weir_runtime_open(&(weir_runtime_options){.lanes = 2}, &s->runtime);
    expect_end(r, 0);
    if (r < 0)
        return;
    weir_pool_options options = {
        .conninfo = one_host,
        .max = 2,
        .statements_max = 2,
        .on_connect = "select 1",
        .connect_timeout_ns = WEIR_S(1),
        .validate_after_ns = WEIR_MS(20),
        .check_timeout_ns = WEIR_MS(500),
        .cancel_grace_ns = WEIR_MS(500),
        .backoff_base_ns = WEIR_MS(1),
        .backoff_max_ns = WEIR_MS(5),
    };
    weir_error why;
    r = weir_pool_open(s->runtime, &options, &s->pool, &why);
    expect_end(r, 0);
    /* The options are valid. That it has no memory libpq says in words only. */
    expect(r != WEIR_EINVAL || strstr(why.message, "memory"));
    if (r == 0)
        play_with_pool(s);
    weir_runtime_close(s->runtime);
}

const char *failing_scene(const char *conninfo, const char *several_hosts, bool lasting)
{
    static scene s;
    one_host = conninfo;
    hosts = several_hosts;
    lasts = lasting;
    play(&s);
    return atomic_load(&expect_unmet);
}
