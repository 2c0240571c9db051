/* core_sim.c: the core under thousands of random schedules.
 *
 * A model of the shell carries the core's effects out with random delays and faults, while clients
 * take, cancel and release at random; the books (core_books.h) judge every step. Then the faults
 * stop and the load ends: the pool must come to rest, serve once more, and drain. A schedule is
 * determined by its seed. SEED=n replays one with a trace, SCHEDULES=n sets how many are run. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../pool/heap.h"
#include "../support/core_books.h"

#define CHORES     4096
#define STEPS_MAX  200000
#define CALM_IN_NS WEIR_S(60)
/* Times of chores are multiples of this, so that many fall into the same instant; the lower bits of
 * their keys put those in a random order. */
#define INSTANT UINT64_C(4096)

typedef enum chore_kind {
    CHORE_TAKE,   /* and plan the next */
    CHORE_CANCEL, /* client, its take number `life` */
    CHORE_RELEASE,
    CHORE_ANSWER, /* connection, to its order number `life` */
    CHORE_LOSE,   /* connection, if still at order number `life` */
    CHORE_CLOSED,
    CHORE_DRAIN,
    CHORE_SERVER, /* goes down or comes back */
    CHORE_TICK,   /* that nobody asked for */
} chore_kind;

typedef struct chore {
    heap_node at; /* first */
    chore_kind kind;
    uint32_t subject, life;
    bool well; /* CHORE_ANSWER */
    struct chore *next_spare;
} chore;

typedef struct sim {
    books books;
    uint64_t random;
    uint64_t now_ns;
    heap agenda;
    chore chores[CHORES], *spare;
    uint32_t clients;
    uint32_t takes_left;
    uint64_t gap_ns, hold_ns, patience_ns;
    uint64_t lag_ns; /* how late the clock's ticks may be */
    uint32_t fault_percent, leap_permille;
    bool faults, server_up;
    bool silently_dead[BOOKS_SESSIONS];
} sim;

static sim the_sim;
static uint64_t current_seed, passed;

/* ---- Chance ---- */

static uint64_t chance_bits(sim *s)
{
    uint64_t z = s->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 (Steele, Lea, Flood) */

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t pick(sim *s, uint64_t from, uint64_t to)
{
    return from + chance_bits(s) % (to - from + 1);
}

static bool percent(sim *s, uint32_t p)
{
    return chance_bits(s) % 100 < p;
}

/* ---- The agenda ---- */

static void plan(sim *s, uint64_t in_ns, chore what)
{
    chore *c = s->spare;

    if (!c) {
        fprintf(stderr, "the agenda is full\n");
        abort();
    }
    s->spare = c->next_spare;
    *c = what;
    c->at = (heap_node){0};
    heap_insert(&s->agenda, &c->at,
                (s->now_ns + in_ns) / INSTANT * INSTANT + chance_bits(s) % INSTANT);
}

static uint64_t next_chore_ns(const sim *s)
{
    const heap_node *first = heap_first(&s->agenda);

    return first ? first->key / INSTANT * INSTANT : WEIR_NEVER;
}

static chore next_chore(sim *s)
{
    chore *c = (chore *)heap_first(&s->agenda), copy = *c;

    heap_remove(&s->agenda, &c->at);
    c->next_spare = s->spare;
    s->spare = c;
    return copy;
}

static bool step(sim *s, event e)
{
    return books_step(&s->books, &e, s->now_ns);
}

/* ---- What the server and the network do ---- */

/* Plans the answer to an order: in time, late, a failure, or none at all. */
static void plan_answer(sim *s, uint32_t connection, connection_state work, uint64_t limit_ns)
{
    chore answer = {.kind = CHORE_ANSWER,
                    .subject = connection,
                    .life = s->books.sessions[connection].orders,
                    .well = true};
    bool dead = work == CONNECTION_DIALING ? !s->server_up : s->silently_dead[connection];
    uint64_t in_ns = percent(s, 30) ? 0 : pick(s, 0, limit_ns / 2);

    if (!s->faults && !dead) {
        plan(s, in_ns, answer);
        return;
    }
    if (dead || percent(s, s->fault_percent)) {
        if (percent(s, 25))
            return;
        answer.well = !dead && percent(s, 30);
        in_ns = percent(s, 30) ? pick(s, 0, 2 * limit_ns) : in_ns;
        in_ns = percent(s, 10) ? limit_ns : in_ns;
    }
    plan(s, in_ns, answer);
}

/* An idle connection may be lost, seen or unseen. */
static void plan_loss(sim *s, uint32_t connection)
{
    if (!s->faults || !percent(s, s->fault_percent / 2 + 1))
        return;
    if (percent(s, 30)) {
        s->silently_dead[connection] = true;
        return;
    }
    plan(s, percent(s, 20) ? 0 : pick(s, 0, WEIR_MS(20)),
         (chore){.kind = CHORE_LOSE,
                 .subject = connection,
                 .life = s->books.sessions[connection].orders});
}

static void plan_lease(sim *s, client *who)
{
    uint32_t number = (uint32_t)(who - s->books.clients);

    plan(s, percent(s, 30) ? 0 : pick(s, 0, s->hold_ns),
         (chore){.kind = CHORE_RELEASE, .subject = number});
}

static void carry_out(sim *s)
{
    const core_options *o = &s->books.options;

    for (uint32_t i = 0; i < s->books.out.count; i++) {
        const effect *f = &s->books.out.item[i];
        switch (f->kind) {
        case EFFECT_DIAL:
            s->silently_dead[f->connection] = false;
            plan_answer(s, f->connection, CONNECTION_DIALING, o->connect_timeout_ns);
            break;
        case EFFECT_CHECK:
        case EFFECT_RESET:
            plan_answer(s, f->connection, CONNECTION_CHECKING, o->check_timeout_ns);
            plan_loss(s, f->connection);
            break;
        case EFFECT_CANCEL:
            plan_answer(s, f->connection, CONNECTION_CANCELLING, o->cancel_grace_ns);
            plan_loss(s, f->connection);
            break;
        case EFFECT_CLOSE:
            plan(s, percent(s, 50) ? 0 : pick(s, 0, WEIR_MS(5)),
                 (chore){.kind = CHORE_CLOSED, .subject = f->connection});
            break;
        case EFFECT_GRANT: plan_lease(s, (client *)f->waiter); break;
        case EFFECT_REFUSE:
        case EFFECT_PAUSED:
        case EFFECT_LEAKED:
        case EFFECT_DRAINED: break;
        }
    }
}

/* ---- Chores ---- */

static client *client_away(sim *s)
{
    uint32_t from = (uint32_t)pick(s, 0, s->clients - 1);

    for (uint32_t i = 0; i < s->clients; i++) {
        client *who = &s->books.clients[(from + i) % s->clients];
        if (who->state == CLIENT_AWAY)
            return who;
    }
    return NULL;
}

static uint64_t some_deadline(sim *s)
{
    if (percent(s, 5))
        return s->now_ns - pick(s, 0, 1);
    if (percent(s, 15))
        return WEIR_NEVER;
    if (percent(s, 30))
        return s->now_ns + pick(s, 1, WEIR_MS(1));
    return (s->now_ns + pick(s, 1, s->patience_ns)) / INSTANT * INSTANT + INSTANT;
}

static bool take(sim *s, client *who, uint64_t deadline_ns)
{
    uint32_t lane = (uint32_t)pick(s, 0, s->books.options.lanes - 1);

    who->waiter = (waiter){.lane = lane, .deadline_ns = deadline_ns};
    return step(s, (event){.kind = EVENT_TAKE, .waiter = &who->waiter});
}

static void plan_cancel(sim *s, const client *who)
{
    chore cancel = {
        .kind = CHORE_CANCEL, .subject = (uint32_t)(who - s->books.clients), .life = who->takes};
    uint64_t left_ns = who->waiter.deadline_ns - s->now_ns;

    if (percent(s, 25) && left_ns < WEIR_S(10))
        plan(s, left_ns, cancel);
    else
        plan(s, percent(s, 30) ? 0 : pick(s, 0, s->patience_ns), cancel);
}

static bool do_take(sim *s)
{
    client *who = client_away(s);

    if (s->takes_left == 0)
        return true;
    s->takes_left--;
    plan(s, percent(s, 40) ? 0 : pick(s, 0, s->gap_ns), (chore){.kind = CHORE_TAKE});
    if (!who)
        return true;
    if (!take(s, who, some_deadline(s)))
        return false;
    if (who->state != CLIENT_AWAY && percent(s, 20))
        plan_cancel(s, who);
    return true;
}

static bool do_cancel(sim *s, const chore *c)
{
    client *who = &s->books.clients[c->subject];

    if (who->takes != c->life || who->state == CLIENT_AWAY)
        return true;
    return step(s, (event){.kind = EVENT_CANCEL, .waiter = &who->waiter});
}

static bool do_release(sim *s, const chore *c)
{
    client *who = &s->books.clients[c->subject];
    uint32_t connection = who->waiter.connection;
    event e = {.kind = EVENT_RELEASE, .waiter = &who->waiter, .condition = RELEASE_CLEAN};

    if (percent(s, 25))
        e.condition = percent(s, 50) ? RELEASE_DIRTY : RELEASE_RUNNING;
    if (s->silently_dead[connection] || (s->faults && percent(s, s->fault_percent))) {
        e.condition = RELEASE_BROKEN;
        e.reason = percent(s, 50) ? WEIR_RETIRE_SERVER_SHUTDOWN : WEIR_RETIRE_NOT;
    }
    if (!step(s, e))
        return false;
    if (s->books.sessions[connection].state == CONNECTION_IDLE)
        plan_loss(s, connection);
    return true;
}

/* An answer that crosses a close on its way still arrives; one of an earlier order does not. */
static bool do_answer(sim *s, const chore *c)
{
    const session *x = &s->books.sessions[c->subject];
    bool crossing = x->state == CONNECTION_CLOSING && x->orders == c->life + 1;
    event e = {.kind = EVENT_DOWN, .connection = c->subject};

    if (x->orders != c->life && !crossing)
        return true;
    if (c->well)
        e.kind = x->born_ns == 0 || x->state == CONNECTION_DIALING ? EVENT_UP : EVENT_CHECKED;
    else
        e.reason = percent(s, 50) ? WEIR_RETIRE_CONNECT_FAILED : WEIR_RETIRE_NOT;
    if (!step(s, e))
        return false;
    if (x->state == CONNECTION_IDLE)
        plan_loss(s, c->subject);
    return true;
}

static bool do_lose(sim *s, const chore *c)
{
    const session *x = &s->books.sessions[c->subject];

    if (!s->faults || x->orders != c->life)
        return true;
    /* A loss that crosses a grant: its release will tell. */
    if (x->state == CONNECTION_LEASED)
        s->silently_dead[c->subject] = true;
    return step(s, (event){.kind = EVENT_DOWN,
                           .connection = c->subject,
                           .reason = percent(s, 50) ? WEIR_RETIRE_SERVER_SHUTDOWN : 0});
}

static bool do_chore(sim *s, const chore *c)
{
    switch (c->kind) {
    case CHORE_TAKE: return do_take(s);
    case CHORE_CANCEL: return do_cancel(s, c);
    case CHORE_RELEASE: return do_release(s, c);
    case CHORE_ANSWER: return do_answer(s, c);
    case CHORE_LOSE: return do_lose(s, c);
    case CHORE_CLOSED: return step(s, (event){.kind = EVENT_CLOSED, .connection = c->subject});
    case CHORE_DRAIN: return step(s, (event){.kind = EVENT_DRAIN});
    case CHORE_SERVER:
        s->server_up = !s->server_up || !s->faults;
        if (s->faults)
            plan(s, pick(s, 0, WEIR_MS(60)), *c);
        return true;
    case CHORE_TICK: return step(s, (event){.kind = EVENT_TICK});
    }
    return false;
}

/* Goes on to whatever comes next: a chore, or the tick the core asked for. In one instant, either
 * may come first. */
static bool advance(sim *s)
{
    uint64_t chore_ns = next_chore_ns(s), wake_ns = s->books.wake_ns;

    s->books.out.count = 0;
    if (wake_ns != WEIR_NEVER && s->lag_ns)
        wake_ns += pick(s, 0, s->lag_ns);
    if (s->faults && pick(s, 0, 999) < s->leap_permille)
        s->now_ns += percent(s, 50) ? pick(s, 0, WEIR_MS(100)) : pick(s, 0, WEIR_S(7200));
    if (chore_ns < wake_ns || (chore_ns == wake_ns && percent(s, 50))) {
        s->now_ns = chore_ns > s->now_ns ? chore_ns : s->now_ns;
        chore c = next_chore(s);
        if (!do_chore(s, &c))
            return false;
    } else {
        s->now_ns = wake_ns > s->now_ns ? wake_ns : s->now_ns;
        if (!step(s, (event){.kind = EVENT_TICK}))
            return false;
    }
    carry_out(s);
    return true;
}

/* ---- A schedule ---- */

static uint64_t some_time(sim *s, uint64_t from_ns, uint64_t to_ns, uint32_t never_percent)
{
    return percent(s, never_percent) ? WEIR_NEVER : pick(s, from_ns, to_ns);
}

static core_options some_options(sim *s)
{
    bool big = percent(s, 3);
    uint32_t max = (uint32_t)(big ? pick(s, 33, BOOKS_SESSIONS) : pick(s, 1, 8));

    s->clients = (uint32_t)(big ? pick(s, 100, BOOKS_CLIENTS) : pick(s, 1, 24));
    return (core_options){
        .lanes = (uint32_t)pick(s, 1, 4),
        .max = max,
        .min = percent(s, 40) ? 0 : (uint32_t)pick(s, 0, max),
        .queue_max = (uint32_t)(big ? pick(s, 30, 250) : pick(s, 1, 20)),
        .connect_timeout_ns = pick(s, WEIR_MS(1), WEIR_MS(100)),
        .validate_after_ns = percent(s, 15) ? 0 : some_time(s, 0, WEIR_MS(50), 30),
        .check_timeout_ns = pick(s, WEIR_MS(1), WEIR_MS(50)),
        .idle_timeout_ns = some_time(s, WEIR_MS(5), WEIR_S(1), 20),
        .max_lifetime_ns = some_time(s, WEIR_MS(big ? 2000 : 50), WEIR_S(5), 20),
        .cancel_grace_ns = pick(s, WEIR_MS(1), WEIR_MS(50)),
        .backoff_base_ns = pick(s, WEIR_MS(1), WEIR_MS(20)),
        .backoff_max_ns = pick(s, WEIR_MS(5), WEIR_MS(100)),
        .affinity_ns = percent(s, 80) ? WEIR_MS(2) : pick(s, 0, WEIR_MS(10)),
        .seed = chance_bits(s) | 1,
    };
}

static void begin(sim *s, uint64_t seed, bool trace)
{
    memset(s, 0, sizeof *s);
    s->random = seed;
    for (int i = 0; i < CHORES; i++) {
        s->chores[i].next_spare = s->spare;
        s->spare = &s->chores[i];
    }
    core_options options = some_options(s);
    books_open(&s->books, &options);
    s->books.trace = trace;
    s->now_ns = WEIR_S(1);
    s->faults = s->server_up = true;
    s->fault_percent = percent(s, 20) ? 0 : (uint32_t)pick(s, 1, 50);
    s->leap_permille = percent(s, 70) ? 0 : (uint32_t)pick(s, 1, 20);
    s->lag_ns = percent(s, 70) ? 0 : pick(s, 0, WEIR_MS(5));
    s->gap_ns = pick(s, 1, WEIR_MS(percent(s, 10) ? 200 : 5));
    s->hold_ns = pick(s, 0, WEIR_MS(20));
    s->patience_ns = pick(s, WEIR_MS(1), WEIR_MS(80));
    s->takes_left = (uint32_t)(options.max > 8 ? pick(s, 100, 400) : pick(s, 5, 80));
    plan(s, 0, (chore){.kind = CHORE_TAKE});
    if (percent(s, 30))
        plan(s, pick(s, 0, WEIR_MS(60)), (chore){.kind = CHORE_SERVER});
    if (percent(s, 20))
        plan(s, pick(s, 0, WEIR_MS(200)), (chore){.kind = CHORE_DRAIN});
    for (uint64_t n = pick(s, 0, 5); n > 0; n--)
        plan(s, pick(s, 0, WEIR_MS(200)), (chore){.kind = CHORE_TICK});
}

static bool run_load(sim *s)
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
    s->faults = false;
    s->server_up = true;
    return true;
}

static bool at_rest(const sim *s)
{
    return s->books.draining ? s->books.drained : books_calm(&s->books);
}

static bool run_until_rest(sim *s, const char *promise)
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

/* A pool at rest serves everyone who comes. */
static bool probe(sim *s)
{
    uint64_t grants = s->books.grants;
    uint32_t probes =
        s->clients < s->books.options.queue_max ? s->clients : s->books.options.queue_max;

    for (uint32_t i = 0; i < probes; i++) {
        if (!take(s, client_away(s), s->now_ns + CALM_IN_NS))
            return false;
        carry_out(s);
    }
    if (!run_until_rest(s, "after the faults everyone is served and the pool comes to rest"))
        return false;
    if (!s->books.draining && s->books.grants != grants + probes)
        s->books.wrong = "after the faults nobody is refused";
    return !s->books.wrong;
}

static bool run(sim *s)
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
            (unsigned long long)current_seed, (double)the_sim.now_ns / 1e6, wrong);
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
    begin(&the_sim, seed, trace);
    bool good = run(&the_sim);
    books_close(&the_sim.books);
    if (good)
        passed++;
    else
        report(the_sim.books.wrong);
    return good;
}

/* A pause is uniform from 0 to at least backoff_base_ns: a tenth of them are shorter than a tenth
 * of that, give or take. */
static bool pauses_are_random(uint64_t pauses, uint64_t short_pauses)
{
    if (pauses < 200 || short_pauses * 100 < pauses * 15)
        return true;
    fprintf(stderr, "broken promise: a pause follows a failed dial (%llu of %llu were short)\n",
            (unsigned long long)short_pauses, (unsigned long long)pauses);
    printf("%llu passed, 1 failed\n", (unsigned long long)passed);
    return false;
}

int main(void)
{
    const char *seed = getenv("SEED"), *schedules = getenv("SCHEDULES");
    uint64_t count = schedules && *schedules ? strtoull(schedules, NULL, 10) : 10000;
    uint64_t pauses = 0, short_pauses = 0, grants = 0, dials = 0;

    signal(SIGABRT, aborted);
    signal(SIGSEGV, aborted);
    if (seed && *seed) {
        if (!run_seed(strtoull(seed, NULL, 10), true))
            return 1;
        printf("1 passed, 0 failed\n");
        return 0;
    }
    for (uint64_t i = 1; i <= count; i++) {
        if (!run_seed(i, false))
            return 1;
        pauses += the_sim.books.pauses;
        short_pauses += the_sim.books.short_pauses;
        grants += the_sim.books.grants;
        dials += the_sim.books.dials;
    }
    if (!pauses_are_random(pauses, short_pauses))
        return 1;
    printf("%llu grants, %llu dials, %llu pauses\n", (unsigned long long)grants,
           (unsigned long long)dials, (unsigned long long)pauses);
    printf("%llu passed, 0 failed\n", (unsigned long long)passed);
    return 0;
}
