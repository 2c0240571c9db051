/* pool_load.c: several lanes on a real server, under deadlines, cancels and losses at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../support/postgres.h"
#include "weir.h"

enum { LANES = 3, WORKERS = 12, MAX = 5 };

static postgres_server *server;

typedef struct world {
    weir_runtime *runtime;
    weir_pool *pool;
    uint64_t until_ns;
    atomic_int running; /* workers not yet ended */
    atomic_int asked, answered, cut, lost, crossed, strangers_cancel, unexpected;
    _Atomic(const char *) unexpected_how;
    bool kills;
    long most_sessions;
    int closed;
    weir_pool_stats stats;
} world;

typedef struct worker {
    world *w;
    uint32_t number, seed, count;
} worker;

static uint32_t next(worker *k, uint32_t bound)
{
    k->seed = k->seed * 1664525u + 1013904223u;
    return (k->seed >> 8) % bound;
}

/* ---- What each does ---- */

static const weir_statement echo = {.sql = "select $1::text"};
static const weir_statement echo_adhoc = {.sql = "select $1::text", .adhoc = true};
static const weir_statement echo_read_only = {.sql = "select $1::text", .read_only = true};
static const weir_statement echo_late = {.sql = "select $1::text from pg_sleep(0.004)"};
static const weir_statement begin = {.sql = "begin"};

static void judge(worker *k, int r, const weir_error *error, bool mine_to_cut)
{
    world *w = k->w;
    if (strcmp(error->sqlstate, "57014") == 0)
        atomic_fetch_add(&w->strangers_cancel, 1);
    else if (r == WEIR_ECANCELED || (r == WEIR_ETIMEDOUT && mine_to_cut))
        atomic_fetch_add(&w->cut, 1);
    else if (w->kills && (r == WEIR_ELOST || strncmp(error->sqlstate, "57P", 3) == 0))
        atomic_fetch_add(&w->lost, 1);
    else {
        atomic_fetch_add(&w->unexpected, 1);
        atomic_store(&w->unexpected_how, weir_strerror(r));
    }
}

/* Each question carries a token that its answer must bring back. */
static int ask(worker *k, weir_lease *lease, const weir_statement *statement, bool mine_to_cut)
{
    world *w = k->w;
    char token[32];
    const char *values[] = {token};
    snprintf(token, sizeof token, "%u/%u", k->number, k->count++);
    atomic_fetch_add(&w->asked, 1);
    weir_scoped_result weir_result *result = NULL;
    int r = weir_query(lease, statement, &(weir_params){1, values}, &result);
    if (r < 0) {
        judge(k, r, weir_lease_error(lease), mine_to_cut);
        return r;
    }
    atomic_fetch_add(&w->answered, 1);
    if (weir_result_rows(result) != 1 || strcmp(weir_result_value(result, 0, 0), token) != 0)
        atomic_fetch_add(&w->crossed, 1);
    return 0;
}

static void ask_with_little_time(worker *k, weir_lease *lease, const weir_statement *statement)
{
    weir_scoped_timeout(limit, WEIR_US(next(k, 6000)));
    ask(k, lease, statement, true);
}

static void use(worker *k, weir_lease *lease)
{
    switch (next(k, 8)) {
    case 0: ask(k, lease, &echo_adhoc, false); break;
    case 1: ask(k, lease, &echo_read_only, false); break;
    case 2:
        if (weir_query(lease, &begin, NULL, NULL) == 0) /* left open */
            ask(k, lease, &echo, false);
        break;
    case 3:
    case 4: ask_with_little_time(k, lease, &echo); break;
    case 5:
    case 6: ask_with_little_time(k, lease, &echo_late); break;
    default:
        if (ask(k, lease, &echo, false) == 0)
            ask(k, lease, &echo, false);
    }
}

static int work_once(void *arg)
{
    worker *k = arg;
    weir_scope scope = {.deadline_ns = weir_after(WEIR_MS(1) + WEIR_US(next(k, 20000)))};
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(k->w->pool, &scope, &lease);
    if (r == 0)
        use(k, lease);
    return 0;
}

/* Each turn is a task of its own, so that some can be cancelled wherever they are. */
static int work(void *arg)
{
    worker *k = arg;
    world *w = k->w;
    while (weir_now() < w->until_ns) {
        weir_task *task = NULL;
        if (weir_spawn(work_once, k, &task) < 0)
            break;
        if (next(k, 4) == 0) {
            weir_sleep(WEIR_US(next(k, 3000)));
            weir_cancel(task);
        }
        weir_join(task, NULL);
    }
    atomic_fetch_sub(&w->running, 1);
    return 0;
}

/* ---- What the server sees ---- */

static void count_sessions(void *arg)
{
    *(long *)arg = postgres_number(
        server, "select count(*) from pg_stat_activity where application_name = 'weir'");
}

static void kill_one(void *arg)
{
    postgres_sql(server, "select pg_terminate_backend(pid) from pg_stat_activity "
                         "where application_name = 'weir' order by random() limit 1");
}

static int watch_and_close(void *arg)
{
    world *w = arg;
    while (atomic_load(&w->running) > 0) {
        long sessions = 0;
        weir_work(count_sessions, &sessions);
        if (sessions > w->most_sessions)
            w->most_sessions = sessions;
        if (w->kills)
            weir_work(kill_one, NULL);
        weir_sleep(WEIR_MS(20));
    }
    weir_pool_stats_read(w->pool, &w->stats);
    w->closed = weir_pool_close(w->pool);
    weir_runtime_stop(w->runtime);
    return 0;
}

static void run(world *w, const char *conninfo)
{
    static worker workers[WORKERS];
    assert_int_equal(weir_runtime_open(&(weir_runtime_options){.lanes = LANES}, &w->runtime), 0);
    weir_pool_options options = {.conninfo = conninfo, .max = MAX, .seed = 7};
    assert_int_equal(weir_pool_open(w->runtime, &options, &w->pool, NULL), 0);
    w->until_ns = weir_after(WEIR_MS(1000));
    atomic_store(&w->running, WORKERS);
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i] = (worker){.w = w, .number = i, .seed = i + 1};
        weir_lane *lane = weir_runtime_lane(w->runtime, i % LANES);
        assert_int_equal(weir_spawn_on(lane, work, &workers[i]), 0);
    }
    assert_int_equal(weir_spawn(watch_and_close, w, NULL), 0);
    assert_int_equal(weir_runtime_run(w->runtime), 0);
    weir_runtime_close(w->runtime);

    if (atomic_load(&w->unexpected))
        fail_msg("unexpected: %s", atomic_load(&w->unexpected_how));
    assert_int_equal(w->closed, 0);
    assert_int_equal(atomic_load(&w->crossed), 0);
    assert_int_equal(atomic_load(&w->strangers_cancel), 0);
    assert_true(atomic_load(&w->answered) > 100);
    assert_true(atomic_load(&w->cut) > 10);
    assert_int_equal(w->stats.granted, w->stats.released);
    assert_int_equal(w->stats.in_use + w->stats.waiting, 0);
    assert_true(w->most_sessions > 0);
    print_message("asked %d, answered %d, cut short %d, lost %d, sessions at most %ld\n",
                  atomic_load(&w->asked), atomic_load(&w->answered), atomic_load(&w->cut),
                  atomic_load(&w->lost), w->most_sessions);
}

/* ---- Tests ---- */

static void queries_cut_short_at_random_never_stop_anyone_elses(void **state)
{
    static world w;
    run(&w, postgres_conninfo(server));
    /* Quarantined connections come back, so at no moment may there be one more. */
    assert_in_range(w.most_sessions, 1, MAX);
    assert_int_equal(w.stats.retired[WEIR_RETIRE_BROKEN], 0);
}

static void the_same_over_tcp(void **state)
{
    static world w;
    run(&w, postgres_conninfo_tcp(server));
    assert_in_range(w.most_sessions, 1, MAX);
}

static void losses_in_between_cost_nobody_else_an_answer(void **state)
{
    static world w = {.kills = true};
    run(&w, postgres_conninfo(server));
    assert_true(w.stats.retired[WEIR_RETIRE_SERVER_SHUTDOWN] + w.stats.retired[WEIR_RETIRE_BROKEN] >
                0);
}

/* ---- A server that stands still ---- */

typedef struct standstill {
    int asked, closed;
} standstill;

static void freeze(void *arg)
{
    postgres_freeze(server);
}

static int ask_a_frozen_server(void *arg)
{
    standstill *s = arg;
    weir_pool *pool = NULL;
    weir_lease *lease = NULL;
    weir_pool_options options = {.conninfo = postgres_conninfo(server),
                                 .cancel_grace_ns = WEIR_MS(100)};
    int r = weir_pool_open(NULL, &options, &pool, NULL);
    if (r < 0 || (r = weir_acquire(pool, NULL, &lease)) < 0)
        return r;
    weir_work(freeze, NULL);
    {
        weir_scoped_timeout(limit, WEIR_MS(50));
        s->asked = weir_query(lease, &(weir_statement){.sql = "select 1"}, NULL, NULL);
    }
    weir_release(lease);
    s->closed = weir_pool_close(pool);
    return 0;
}

static void a_cancel_that_is_never_heard_does_not_hold_up_the_end(void **state)
{
    standstill s = {0};
    int r = weir_run(NULL, ask_a_frozen_server, &s);
    postgres_thaw(server);
    assert_int_equal(r, 0);
    assert_int_equal(s.asked, WEIR_ETIMEDOUT);
    assert_int_equal(s.closed, 0);
}

static int start(void **state)
{
    server = postgres_start("max_connections = 30");
    return 0;
}

static int stop(void **state)
{
    postgres_stop(server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_cut_short_at_random_never_stop_anyone_elses),
        cmocka_unit_test(the_same_over_tcp),
        cmocka_unit_test(a_cancel_that_is_never_heard_does_not_hold_up_the_end),
        cmocka_unit_test(losses_in_between_cost_nobody_else_an_answer),
    };
    return cmocka_run_group_tests_name("pool_load", tests, start, stop);
}
