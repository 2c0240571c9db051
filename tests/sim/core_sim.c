/* core_sim.c: the core under thousands of random schedules.
 *
 * A model of the shell, the server and the clients (core_world.h) carries the core's effects out
 * with random delays and faults; the books (core_books.h) judge every step. Then the faults stop
 * and the load ends: the pool must come to rest, serve once more, and drain. A schedule is
 * determined by its seed. SEED=n replays one with a trace; SCHEDULES=n sets how many are run, from
 * seed FIRST on. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/core_world.h"

#define STEPS_MAX  200000
#define CALM_IN_NS WEIR_S(60)

static world the_world;
static uint64_t current_seed, passed;

/* ---- A schedule ---- */

static uint64_t some_time(world *s, uint64_t from_ns, uint64_t to_ns, uint32_t never_percent)
{
    return percent(s, never_percent) ? WEIR_NEVER : pick(s, from_ns, to_ns);
}

static core_options some_options(world *s)
{
    bool big = percent(s, 3);
    uint32_t slots = (uint32_t)(big ? pick(s, 33, BOOKS_SESSIONS) : pick(s, 1, 8));
    uint32_t max = percent(s, 60) ? slots : (uint32_t)pick(s, 1, slots);
    uint32_t queue_max = (uint32_t)(big ? pick(s, 30, 250) : pick(s, 1, 20));

    s->clients = (uint32_t)(big ? pick(s, 100, BOOKS_CLIENTS) : pick(s, 1, 24));
    return (core_options){
        .lanes = (uint32_t)pick(s, 1, 4),
        .slots = slots,
        .max = max,
        .min = percent(s, 40) ? 0 : (uint32_t)pick(s, 0, max),
        .queue_max = queue_max,
        .queue_reserve = percent(s, 50) ? 0 : (uint32_t)pick(s, 0, queue_max - 1),
        .connect_timeout_ns = pick(s, WEIR_MS(1), WEIR_MS(100)),
        .validate_after_ns = percent(s, 15) ? 0 : some_time(s, 0, WEIR_MS(50), 30),
        .check_timeout_ns = pick(s, WEIR_MS(1), WEIR_MS(50)),
        .idle_timeout_ns = some_time(s, WEIR_MS(5), WEIR_S(1), 20),
        .max_lifetime_ns = some_time(s, WEIR_MS(big ? 2000 : 50), WEIR_S(5), 20),
        .keepalive_ns = some_time(s, WEIR_MS(big ? 200 : 5), WEIR_S(1), 50),
        .leak_after_ns = some_time(s, WEIR_MS(1), WEIR_MS(200), 30),
        .reclaim_leaked = percent(s, 50),
        .cancel_grace_ns = pick(s, WEIR_MS(1), WEIR_MS(50)),
        .shed_target_ns = some_time(s, 0, WEIR_MS(20), 40),
        .shed_interval_ns = pick(s, 0, WEIR_MS(40)),
        .full_pause_ns = pick(s, 0, WEIR_MS(200)),
        .backoff_base_ns = pick(s, WEIR_MS(1), WEIR_MS(20)),
        .backoff_max_ns = pick(s, WEIR_MS(5), WEIR_MS(100)),
        .affinity_ns = percent(s, 80) ? WEIR_MS(2) : pick(s, 0, WEIR_MS(10)),
        .seed = chance_bits(s) | 1,
    };
}

static void choose_habits(world *s)
{
    s->fault_percent = percent(s, 20) ? 0 : (uint32_t)pick(s, 1, 50);
    s->leap_permille = percent(s, 70) ? 0 : (uint32_t)pick(s, 1, 20);
    s->lag_ns = percent(s, 70) ? 0 : pick(s, 0, WEIR_MS(5));
    s->gap_ns = pick(s, 1, WEIR_MS(percent(s, 10) ? 200 : 5));
    s->hold_ns = pick(s, 0, WEIR_MS(20));
    s->patience_ns = pick(s, WEIR_MS(1), WEIR_MS(80));
    s->patient = percent(s, 10);
    s->urgent_percent = percent(s, 50) ? 0 : (uint32_t)pick(s, 1, 40);
    s->family_percent = percent(s, 50) ? 0 : (uint32_t)pick(s, 1, 100);
    s->long_percent = percent(s, 50) ? 0 : (uint32_t)pick(s, 1, 20);
    s->stream_percent = percent(s, 50) ? 0 : (uint32_t)pick(s, 1, 100);
    s->stream_gap_ns = pick(s, WEIR_MS(1), WEIR_MS(100));
}

/* Any number of times from 0 to `most`. */
static void plan_some(world *s, uint32_t in_percent, uint64_t most, chore what)
{
    if (!percent(s, in_percent))
        return;
    for (uint64_t n = pick(s, 1, most); n > 0; n--)
        plan(s, pick(s, 0, WEIR_MS(200)), what);
}

static void begin(world *s, uint64_t seed, bool trace)
{
    memset(s, 0, sizeof *s);
    s->random = seed;
    agenda_init(s);
    core_options options = some_options(s);
    books_open(&s->books, &options);
    s->books.trace = trace;
    s->now_ns = WEIR_S(1);
    s->faults = s->server_up = true;
    s->room = UINT32_MAX;
    choose_habits(s);
    s->takes_left = (uint32_t)(options.max > 8 ? pick(s, 100, 400) : pick(s, 5, 80));
    plan(s, 0, (chore){.kind = CHORE_TAKE});
    plan_some(s, 30, 1, (chore){.kind = CHORE_SERVER});
    plan_some(s, 30, 1, (chore){.kind = CHORE_ROOM});
    plan_some(s, 20, 1, (chore){.kind = CHORE_DRAIN});
    plan_some(s, 40, 6, (chore){.kind = CHORE_RESIZE});
    plan_some(s, 30, 3, (chore){.kind = CHORE_PAUSE});
    plan_some(s, 30, 3, (chore){.kind = CHORE_EVICT});
    plan_some(s, 80, 5, (chore){.kind = CHORE_TICK});
}

/* From now on all goes well, and nobody new comes. */
static bool calm_down(world *s)
{
    s->faults = false;
    s->server_up = true;
    s->room = UINT32_MAX;
    if (!step(s, (event){.kind = EVENT_RESUME}))
        return false;
    carry_out(s);
    return true;
}

static bool run_load(world *s)
{
    if (!step(s, (event){.kind = EVENT_TICK}))
        return false;
    carry_out(s);
    for (int steps = 0; s->takes_left > 0; steps++) {
        if (steps == STEPS_MAX)
            s->books.wrong = "the load comes to an end";
        if (s->books.wrong || !advance(s))
            return false;
    }
    return calm_down(s);
}

static bool at_rest(const world *s)
{
    return s->books.draining ? s->books.drained : books_calm(&s->books);
}

static bool run_until_rest(world *s, const char *promise)
{
    uint64_t until_ns = s->now_ns + CALM_IN_NS;

    for (int steps = 0; !at_rest(s); steps++) {
        if (steps == STEPS_MAX || s->now_ns > until_ns ||
            (next_chore_ns(s) == WEIR_NEVER && s->books.wake_ns == WEIR_NEVER)) {
            s->books.wrong = promise;
            return false;
        }
        if (!advance(s))
            return false;
    }
    return true;
}

/* A pool at rest serves everyone who comes; but under overload it may shed who is not urgent. */
static bool probe(world *s)
{
    const books *b = &s->books;
    uint64_t grants = b->grants, shed = b->shed + b->shed_at_arrival, probes = 0;
    bool urgent = percent(s, 50);
    uint32_t places = b->options.queue_max - (urgent ? 0 : b->options.queue_reserve);
    client *who;

    while (probes < places && (who = client_away(s))) {
        if (!client_take(s, who, s->now_ns + CALM_IN_NS, urgent))
            return false;
        carry_out(s);
        probes++;
    }
    if (!run_until_rest(s, "after the faults everyone is served and the pool comes to rest"))
        return false;
    shed = b->shed + b->shed_at_arrival - shed;
    if (!b->draining && b->grants - grants + (urgent ? 0 : shed) != probes)
        s->books.wrong = "after the faults nobody is refused";
    return !b->wrong;
}

static bool run(world *s)
{
    const books *b = &s->books;

    if (!run_load(s) || !run_until_rest(s, "when faults and load end, the pool comes to rest"))
        return false;
    if (!b->draining) {
        if (!probe(s) || !step(s, (event){.kind = EVENT_DRAIN}))
            return false;
        carry_out(s);
    }
    if (!run_until_rest(s, "a drain ends"))
        return false;
    if (b->takes != b->grants + b->refusals)
        s->books.wrong = "each take has one answer";
    else if (b->dials != b->closed)
        s->books.wrong = "each connection is closed once";
    return !b->wrong;
}

static void report(const char *wrong)
{
    fflush(stdout);
    fprintf(stderr, "\nseed %llu at %.6f ms: broken promise: %s\n",
            (unsigned long long)current_seed, (double)the_world.now_ns / 1e6, wrong);
    fprintf(stderr, "replay: make test-sim SEED=%llu\n", (unsigned long long)current_seed);
    printf("%llu passed, 1 failed\n", (unsigned long long)passed);
    fflush(stdout);
}

static void aborted(int signal)
{
    report("the core aborted");
    _exit(1);
}

static bool run_seed(uint64_t seed, bool trace)
{
    current_seed = seed;
    begin(&the_world, seed, trace);
    bool good = run(&the_world);
    books_close(&the_world.books);
    if (good)
        passed++;
    else
        report(the_world.books.wrong);
    return good;
}

/* What the schedules were made of: a rule that never came to bear has not been tested. */
#define TOTALS(X)                                                                                  \
    X(grants)                                                                                      \
    X(dials)                                                                                       \
    X(pauses)                                                                                      \
    X(short_pauses)                                                                                \
    X(shed)                                                                                        \
    X(shed_at_arrival)                                                                             \
    X(deadlocks)                                                                                   \
    X(hopeless)                                                                                    \
    X(surplus)                                                                                     \
    X(keepalives)                                                                                  \
    X(evictions)                                                                                   \
    X(full)                                                                                        \
    X(leaked)                                                                                      \
    X(spared)                                                                                      \
    X(reclaimed)

#define TALLIES(X)                                                                                 \
    X(ends_of_life)                                                                                \
    X(kept_alive)                                                                                  \
    X(evicted)                                                                                     \
    X(lifted)

static struct {
#define X(what) uint64_t what;
    TOTALS(X)
#undef X
#define X(what) tally what;
    TALLIES(X)
#undef X
} totals;

static void add_up(const books *b)
{
#define X(what) totals.what += b->what;
    TOTALS(X)
#undef X
#define X(what)                                                                                    \
    totals.what.all += b->what.all;                                                                \
    totals.what.early += b->what.early;
    TALLIES(X)
#undef X
}

static void print_totals(void)
{
#define X(what) printf("%llu " #what ", ", (unsigned long long)totals.what);
    TOTALS(X)
#undef X
#define X(what)                                                                                    \
    printf("%llu of %llu " #what " early, ", (unsigned long long)totals.what.early,                \
           (unsigned long long)totals.what.all);
    TALLIES(X)
#undef X
    putchar('\n');
}

/* A pause is uniform from 0 to at least backoff_base_ns: a tenth of them are shorter than a tenth
 * of that, give or take. */
static bool pauses_are_random(void)
{
    return totals.pauses < 200 || totals.short_pauses * 100 < totals.pauses * 15;
}

static bool is_random(const tally *t)
{
    return t->all < 100 || (t->early * 100 > t->all * 20 && t->early * 100 < t->all * 80);
}

/* What must not happen to all at once. */
static bool moments_are_random(void)
{
    const char *wrong = pauses_are_random() ? NULL : "a pause follows a failed dial";

#define X(what)                                                                                    \
    if (!is_random(&totals.what))                                                                  \
        wrong = "moments are random: " #what;
    TALLIES(X)
#undef X
    if (!wrong)
        return true;
    fprintf(stderr, "broken promise: %s\n", wrong);
    printf("%llu passed, 1 failed\n", (unsigned long long)passed);
    return false;
}

int main(void)
{
    const char *seed = getenv("SEED"), *schedules = getenv("SCHEDULES"), *first = getenv("FIRST");
    uint64_t count = schedules && *schedules ? strtoull(schedules, NULL, 10) : 10000;
    uint64_t from = first && *first ? strtoull(first, NULL, 10) : 1;

    signal(SIGABRT, aborted);
    signal(SIGSEGV, aborted);
    if (seed && *seed) {
        if (!run_seed(strtoull(seed, NULL, 10), true))
            return 1;
        printf("1 passed, 0 failed\n");
        return 0;
    }
    for (uint64_t i = from; i < from + count; i++) {
        if (!run_seed(i, false))
            return 1;
        add_up(&the_world.books);
    }
    if (!moments_are_random())
        return 1;
    print_totals();
    printf("%llu passed, 0 failed\n", (unsigned long long)passed);
    return 0;
}
