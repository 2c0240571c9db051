/* cancel_storm.c: thousands of cancels at random moments under load, and nobody else's query stops.
 *
 * Some workers are never cut short: each of their queries must bring its own token back. The others
 * are cancelled while they wait, while their query runs, or by their deadline, as tasks and through
 * callbacks. CANCELS= sets how many at least, SEED= the moments. */
#include <stdio.h>
#include <stdlib.h>

#include "../support/expect.h"
#include "../support/postgres.h"

enum { LANES = 2, MAX = 6, CALM = 8, WORKERS = 20, CANCELS = 5000, SECONDS_MOST = 60 };

static postgres_server *server;

typedef struct storm {
    weir_runtime *runtime;
    weir_pool *pool;
    bool hold_on; /* leases are not always released at once when their query was cut short */
    uint64_t until_ns;
    uint64_t target;
    uint32_t seed;
    atomic_bool over;
    atomic_int workers;
    atomic_uint calm, cut, whole; /* queries of the calm ones; of the others, cut short and not */
    atomic_uint gave_up;          /* takes cancelled */
    atomic_uint held;             /* leases held for a while after their query was cut short */
    long samples, most_sessions;
    char failed[512]; /* the first of what should not have */
    atomic_flag failure;
    weir_pool_stats end;
} storm;

typedef struct worker {
    storm *s;
    uint32_t number, random, count;
} worker;

static uint32_t next(worker *k, uint32_t bound)
{
    k->random = k->random * 1664525u + 1013904223u;
    return (k->random >> 8) % bound;
}

static bool is_calm(const worker *k)
{
    return k->number < CALM;
}

static void note_failure(worker *k, int r, const weir_error *error)
{
    if (!atomic_flag_test_and_set(&k->s->failure))
        snprintf(k->s->failed, sizeof k->s->failed, "worker %u (%s): %s: %s %s", k->number,
                 is_calm(k) ? "calm" : "cut", weir_error_name(r), error->sqlstate, error->message);
}

/* ---- A query and its token ---- */

#define SQL(name, text, ...) static const weir_statement name = {.sql = text, __VA_ARGS__}
#define ECHO                 "select $1::text from pg_sleep($2::float8)"
SQL(echo, ECHO, .name = "echo");
SQL(echo_read_only, ECHO, .read_only = true);
SQL(echo_adhoc, ECHO, .adhoc = true);
SQL(begin, "begin");

static const weir_statement *some_statement(worker *k)
{
    switch (next(k, 6)) {
    case 0: return &echo_read_only;
    case 1: return &echo_adhoc;
    default: return &echo;
    }
}

typedef struct question {
    char token[32], nap[32];
    const char *values[2];
    weir_params params;
} question;

static void make_question(question *q, worker *k, uint32_t most_us)
{
    snprintf(q->token, sizeof q->token, "%u/%u", k->number, k->count++);
    snprintf(q->nap, sizeof q->nap, "%.6f", (double)next(k, most_us) / 1e6);
    q->values[0] = q->token;
    q->values[1] = q->nap;
    q->params = (weir_params){2, q->values};
}

static bool was_cut(int r)
{
    return r == WEIR_ECANCELED || r == WEIR_ETIMEDOUT;
}

/* Cut short is only who is to be, and then by us: a 57014 from the server is another's cancel. */
static void judge(worker *k, const question *q, int r, const weir_error *error,
                  const weir_result *result)
{
    storm *s = k->s;
    if (r < 0 && (is_calm(k) || !was_cut(r) || error->sqlstate[0]))
        note_failure(k, r, error);
    else if (r < 0)
        atomic_fetch_add(&s->cut, 1);
    else if (weir_result_rows(result) != 1 ||
             strcmp(weir_result_value(result, 0, 0), q->token) != 0)
        note_failure(k, r, &(weir_error){.message = "another's answer"});
    else
        atomic_fetch_add(is_calm(k) ? &s->calm : &s->whole, 1);
}

static int ask(worker *k, weir_lease *lease, uint32_t most_us)
{
    question q;
    make_question(&q, k, most_us);
    weir_scoped_result weir_result *result = NULL;
    int r = weir_query(lease, some_statement(k), &q.params, &result);
    judge(k, &q, r, weir_lease_error(lease), result);
    return r;
}

static int open_transaction(worker *k, weir_lease *lease)
{
    int r = weir_query(lease, &begin, NULL, NULL);
    if (r < 0 && (is_calm(k) || !was_cut(r)))
        note_failure(k, r, weir_lease_error(lease));
    return r;
}

/* Whether there is no lease, as there need not be for who was cancelled. */
static bool refused(worker *k, int r)
{
    if (r == WEIR_ECANCELED && !is_calm(k))
        atomic_fetch_add(&k->s->gave_up, 1);
    else if (r < 0)
        note_failure(k, r, &(weir_error){.message = "no lease"});
    return r < 0;
}

/* ---- The calm ones ---- */

static int be_calm(worker *k)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(k->s->pool, NULL, &lease);
    if (refused(k, r))
        return r;
    if (next(k, 4) == 0) /* left open: it is rolled back */
        r = open_transaction(k, lease);
    for (uint32_t left = 1 + next(k, 3); r == 0 && left > 0; left--)
        r = ask(k, lease, 1000);
    return r;
}

/* ---- Tasks that are cut short ---- */

static int query_for_a_while(worker *k, weir_lease *lease)
{
    weir_scoped_timeout(limit, next(k, 2) ? WEIR_US(next(k, 6000)) : WEIR_NEVER);
    int r = next(k, 4) == 0 ? open_transaction(k, lease) : 0;
    return r < 0 ? r : ask(k, lease, 8000);
}

static int be_cut(void *arg)
{
    worker *k = arg;
    weir_scoped_lease weir_lease *lease = NULL;
    if (refused(k, weir_acquire(k->s->pool, NULL, &lease)))
        return 0;
    int r = query_for_a_while(k, lease);
    /* By then the server may have stopped, and the connection need not be waited for. */
    if (was_cut(r) && k->s->hold_on && next(k, 2)) {
        atomic_fetch_add(&k->s->held, 1); /* also where a cancel makes it shorter */
        weir_sleep(WEIR_US(next(k, 20000)));
    }
    return 0;
}

static void cancel_at_some_time(worker *k)
{
    weir_task *task = NULL;
    if (weir_spawn(be_cut, k, &task) < 0)
        return;
    if (next(k, 3)) {
        weir_sleep(WEIR_US(next(k, 25000)));
        weir_cancel(task);
    }
    weir_join(task, NULL);
}

/* ---- The same by callbacks ---- */

typedef struct caller {
    worker *k;
    weir_lease *pending, *lease;
    question q;
    bool over;
} caller;

static void answered(void *arg, int error, weir_result *result)
{
    caller *c = arg;
    judge(c->k, &c->q, error, weir_lease_error(c->lease), result);
    weir_result_free(result);
    weir_release(c->lease);
    c->over = true;
}

static void granted(void *arg, int error, weir_lease *lease)
{
    caller *c = arg;
    c->pending = NULL;
    c->lease = lease;
    c->over = refused(c->k, error);
    if (c->over)
        return;
    make_question(&c->q, c->k, 8000);
    uint64_t limit_ns = weir_after(WEIR_US(next(c->k, 8000)));
    error = weir_query_cb(lease, some_statement(c->k), &c->q.params, limit_ns, answered, c);
    if (error == 0)
        return;
    note_failure(c->k, error, weir_lease_error(lease));
    weir_release(lease);
    c->over = true;
}

static void call_off_at_some_time(worker *k)
{
    caller c = {.k = k};
    int r = weir_acquire_cb(k->s->pool, NULL, granted, &c, &c.pending);
    if (r < 0) {
        note_failure(k, r, &(weir_error){.message = "not asked"});
        return;
    }
    weir_sleep(WEIR_US(next(k, 6000)));
    if (c.pending && next(k, 2))
        weir_acquire_cancel(c.pending);
    while (!c.over)
        weir_sleep(WEIR_US(200));
}

/* ---- The load ---- */

static int work(void *arg)
{
    worker *k = arg;
    while (!atomic_load(&k->s->over)) {
        if (is_calm(k)) {
            if (be_calm(k) < 0)
                break;
        } else if (next(k, 4)) {
            cancel_at_some_time(k);
        } else {
            call_off_at_some_time(k);
        }
    }
    atomic_fetch_sub(&k->s->workers, 1);
    return 0;
}

static void count_sessions(void *arg)
{
    *(long *)arg = postgres_number(
        server, "select count(*) from pg_stat_activity where application_name = 'storm'");
}

/* The last quarantines end, and the last grants that came too late for their takers go back. */
static void await_quiet(storm *s)
{
    uint64_t until_ns = weir_after(WEIR_S(20));
    do {
        weir_sleep(WEIR_MS(2));
        weir_pool_stats_read(s->pool, &s->end);
    } while (s->end.in_use + s->end.cancelling + s->end.resetting > 0 && weir_now() < until_ns);
}

/* So many altogether, and half of them while their query ran. */
static bool is_enough(const storm *s)
{
    return s->end.queries_cancelled >= s->target / 2 &&
           s->end.queries_cancelled + s->end.cancelled >= s->target;
}

static int watch(void *arg)
{
    storm *s = arg;
    while (atomic_load(&s->workers) > 0) {
        long sessions = 0;
        weir_work(count_sessions, &sessions);
        s->samples++;
        if (sessions > s->most_sessions)
            s->most_sessions = sessions;
        weir_pool_stats_read(s->pool, &s->end);
        if (is_enough(s) || weir_now() >= s->until_ns || s->failed[0])
            atomic_store(&s->over, true);
    }
    await_quiet(s);
    expect(weir_pool_close(s->pool) == 0);
    weir_runtime_stop(s->runtime);
    return 0;
}

static uint32_t number_of(const char *variable, uint32_t otherwise)
{
    const char *text = getenv(variable);
    return text && *text ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
}

static void blow(storm *s, uint32_t cancels)
{
    static worker workers[WORKERS];
    char conninfo[256];
    snprintf(conninfo, sizeof conninfo, "%s application_name=storm", postgres_conninfo(server));
    uint32_t slower = number_of("TEST_SLOWER", 1), seed = number_of("SEED", 1);
    s->target = number_of("CANCELS", cancels / slower);
    s->until_ns = weir_after(WEIR_S(SECONDS_MOST) * slower);
    atomic_flag_clear(&s->failure);
    assert_int_equal(weir_runtime_open(&(weir_runtime_options){.lanes = LANES}, &s->runtime), 0);
    weir_pool_options options = {.conninfo = conninfo,
                                 .max = MAX,
                                 .seed = seed,
                                 .shed_target_ns = WEIR_NEVER,
                                 .cancel_grace_ns = WEIR_S(20) * slower};
    assert_int_equal(weir_pool_open(s->runtime, &options, &s->pool, NULL), 0);
    atomic_store(&s->workers, WORKERS);
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i] = (worker){.s = s, .number = i, .random = seed * 7919 + i};
        weir_lane *lane = weir_runtime_lane(s->runtime, i % LANES);
        assert_int_equal(weir_spawn_on(lane, work, &workers[i]), 0);
    }
    assert_int_equal(weir_spawn(watch, s, NULL), 0);
    assert_int_equal(weir_runtime_run(s->runtime), 0);
    weir_runtime_close(s->runtime);
    assert_expectations();
}

static void print_figures(const storm *s)
{
    const weir_pool_stats *e = &s->end;
    print_message("cancelled: %llu queries (%llu drained, %llu discarded), %llu waiters; whole: %u "
                  "of the calm, %u of the others; sessions at most %ld of %d in %ld looks\n",
                  (unsigned long long)e->queries_cancelled, (unsigned long long)e->cancels_drained,
                  (unsigned long long)e->cancels_discarded, (unsigned long long)e->cancelled,
                  atomic_load(&s->calm), atomic_load(&s->whole), s->most_sessions, MAX, s->samples);
}

static void assert_nothing_lost(storm *s)
{
    const weir_pool_stats *e = &s->end;
    print_figures(s);
    if (s->failed[0])
        fail_msg("%s", s->failed);
    assert_true(is_enough(s));
    assert_true(atomic_load(&s->calm) > 0 && atomic_load(&s->whole) > 0);
    assert_true(s->samples > 0);
    assert_in_range(s->most_sessions, 1, MAX);
    assert_int_equal(e->in_use + e->waiting + e->cancelling + e->resetting, 0);
    assert_int_equal(e->granted, e->released);
    /* No connection was given up, so none had to be replaced. */
    assert_int_equal(e->opened, e->size);
    assert_int_equal(e->cancels_discarded, 0);
    assert_int_equal(postgres_backends(server), 0);
}

/* ---- Tests ---- */

/* A query that was cut short is counted once, and once more when its connection, released at once,
 * comes out of quarantine. */
static void no_cancel_ever_stops_anothers_query(void **state)
{
    (void)state;
    static storm s;
    blow(&s, CANCELS);
    assert_nothing_lost(&s);
    assert_int_equal(s.end.queries_cancelled, s.end.cancels_drained + s.end.cancels_discarded);
}

/* Held for a while, its connection may have come to rest before the release: then there is no
 * quarantine. */
static void nor_when_leases_are_held_on_to(void **state)
{
    (void)state;
    static storm s = {.hold_on = true};
    blow(&s, CANCELS / 5);
    assert_nothing_lost(&s);
    uint64_t through_quarantine = s.end.cancels_drained + s.end.cancels_discarded;
    assert_in_range(s.end.queries_cancelled, through_quarantine,
                    through_quarantine + atomic_load(&s.held));
    assert_true(s.end.queries_cancelled > through_quarantine);
}

static int start(void **state)
{
    (void)state;
    server = postgres_start("max_connections = 60");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    postgres_stop(server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_cancel_ever_stops_anothers_query),
        cmocka_unit_test(nor_when_leases_are_held_on_to),
    };
    return cmocka_run_group_tests_name("cancel_storm", tests, start, stop);
}
