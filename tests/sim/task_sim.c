/* task_sim.c: tasks under thousands of random schedules, in virtual time.
 *
 * Agents are tasks that spawn, join, detach, cancel, gather, sleep, take permits, and wait for
 * bells that other agents or timers ring. Each judges every wait of its own: it ended once, for a
 * reason that holds, and at exactly the moment it should have. A schedule is wholly determined by
 * its seed. SEED=n replays one with a trace, SCHEDULES=n sets how many are run. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "task.h"
#include "weir.h"

#define AGENTS_MAX   48
#define SEMAPHORES   3
#define DEPTH_MAX    4
#define UNIT         WEIR_US(1) /* durations are few multiples of it, so that much coincides */
#define HORIZON      (200 * UNIT)
#define REAL_SECONDS 60
#define RUNG         7
#ifdef FIBER_FRAMES_SWOLLEN /* sanitizers make each runtime dear */
#define DEFAULT_COUNT 1000
#else
#define DEFAULT_COUNT 4000
#endif

typedef struct agent {
    weir_task *task; /* valid until ended, or until joined by its owner */
    bool ended;
    uint64_t ended_ns;
    bool cancelled; /* by an agent; not by its group */
    uint64_t cancelled_ns;
    uint64_t deadline[DEPTH_MAX + 2]; /* of its scopes */
    uint32_t scopes;
    uint32_t depth;      /* how deep its actions nest */
    struct agent *child; /* spawned, to be joined or detached */
    struct gathering *group;
    int deferred;
} agent;

typedef struct gathering {
    uint32_t spawned, ended;
    int first_error;
} gathering;

typedef struct bell {
    weir_wait wait;
    bool begun, rung, abandoned;
} bell;

typedef struct ringer {
    weir_timer timer;
} ringer;

static struct sim {
    uint64_t seed, random;
    bool trace;
    agent agents[AGENTS_MAX];
    uint32_t agents_count;
    uint32_t alive;
    weir_semaphore semaphores[SEMAPHORES];
    uint32_t permits[SEMAPHORES], held[SEMAPHORES];
    uint64_t asked[SEMAPHORES], served[SEMAPHORES]; /* tickets of those that had to wait */
    bell *waiting[AGENTS_MAX];
    uint32_t waiting_count;
    ringer ringers[4];
    uint64_t waits, timed_out, cancelled, outranked;
} sim;

static uint64_t passed;

/* ---- Chance and judgement ---- */

static uint64_t draw(void)
{
    uint64_t z = sim.random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 (Steele, Lea, Flood) */
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint32_t below(uint32_t bound)
{
    return (uint32_t)(draw() % bound);
}

static uint64_t duration(void)
{
    return below(12) * UNIT;
}

static _Noreturn void fail(const char *promise, int line)
{
    fprintf(stderr, "\nseed %llu at %.3f us: broken promise: %s (task_sim.c:%d)\n",
            (unsigned long long)sim.seed, (double)(weir_now() - WEIR_S(1)) / 1e3, promise, line);
    fprintf(stderr, "replay: make test-sim SEED=%llu\n", (unsigned long long)sim.seed);
    printf("%llu passed, 1 failed\n", (unsigned long long)passed);
    fflush(stdout);
    _exit(1);
}

#define promise(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

static void trace(const agent *a, const char *what, int64_t detail)
{
    if (sim.trace)
        fprintf(stderr, "%9.3f us  agent %2td  %-*s%s %lld\n",
                (double)(weir_now() - WEIR_S(1)) / 1e3, a - sim.agents, (int)a->depth * 2, "", what,
                (long long)detail);
}

/* ---- What is true of every wait ---- */

static uint64_t deadline_of(const agent *a)
{
    uint64_t earliest_ns = WEIR_NEVER;
    for (uint32_t i = 0; i < a->scopes; i++)
        if (a->deadline[i] < earliest_ns)
            earliest_ns = a->deadline[i];
    promise(weir_deadline() == earliest_ns);
    return earliest_ns;
}

static uint64_t later(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns > b_ns ? a_ns : b_ns;
}

/* `ordinary_ns`: when it should have ended if nothing cut it short; WEIR_NEVER: any time. */
static void judge(agent *a, uint64_t start_ns, uint64_t ordinary_ns, int outcome)
{
    uint64_t now_ns = weir_now(), deadline_ns = deadline_of(a);
    trace(a, "waited", outcome);
    sim.waits++;
    if (outcome == WEIR_ECANCELED) {
        sim.cancelled++;
        promise(weir_task_cancelled());
        promise(!a->cancelled || now_ns == later(start_ns, a->cancelled_ns));
        return;
    }
    promise(!weir_task_cancelled());
    if (outcome == WEIR_ETIMEDOUT) {
        sim.timed_out++;
        promise(now_ns == later(start_ns, deadline_ns));
        return;
    }
    promise(outcome >= 0);
    promise(now_ns < deadline_ns);
    promise(ordinary_ns == WEIR_NEVER || now_ns == ordinary_ns);
}

/* ---- Bells ---- */

static void forget_bell(bell *b)
{
    for (uint32_t i = 0; i < sim.waiting_count; i++)
        if (sim.waiting[i] == b) {
            sim.waiting[i] = sim.waiting[--sim.waiting_count];
            return;
        }
    fail("a bell that is waited for is on the list", __LINE__);
}

static void begin_bell(weir_wait *wait)
{
    bell *b = (bell *)wait;
    promise(!weir_task_self());
    promise(!b->begun);
    b->begun = true;
    sim.waiting[sim.waiting_count++] = b;
    if (below(16) == 0) { /* rung before the task has even got to sleep */
        forget_bell(b);
        b->rung = true;
        wait_end(wait, RUNG);
    }
}

static void abandon_bell(weir_wait *wait)
{
    bell *b = (bell *)wait;
    promise(!weir_task_self());
    promise(b->begun && !b->rung && !b->abandoned);
    b->abandoned = true;
    forget_bell(b);
}

static void ring_any(void)
{
    if (!sim.waiting_count)
        return;
    bell *b = sim.waiting[below(sim.waiting_count)];
    forget_bell(b);
    b->rung = true;
    wait_end(&b->wait, RUNG);
}

static void ring_later(weir_timer *timer)
{
    ring_any();
    weir_timer_start(timer, weir_after(1 + duration()), ring_later);
}

static void wait_for_bell(agent *a)
{
    bell b = {.wait.abandon = abandon_bell};
    uint64_t start_ns = weir_now();
    uint64_t own_ns = below(2) ? weir_after(duration()) : WEIR_NEVER;
    a->deadline[a->scopes++] = own_ns; /* an argument does what a scope does */
    weir_scope scope = {.deadline_ns = own_ns};
    int outcome;
    if (below(2)) {
        weir_scope_enter(&scope);
        outcome = task_wait(&b.wait, WEIR_NEVER, begin_bell);
    } else {
        outcome = task_wait(&b.wait, own_ns, begin_bell);
        weir_scope_enter(&scope); /* only for the books */
    }
    judge(a, start_ns, WEIR_NEVER, outcome);
    weir_scope_leave(&scope);
    a->scopes--;
    promise(!b.begun || b.rung != b.abandoned);
    promise(b.begun || outcome < 0);
    if (outcome >= 0)
        promise(b.rung && outcome == RUNG);
    else if (b.rung)
        sim.outranked++;
}

/* A wait that nothing may cut short. */
typedef struct firm_wait {
    weir_wait wait;
    weir_timer timer;
    uint64_t until_ns;
} firm_wait;

static void end_firmly(weir_timer *timer)
{
    wait_end(&((firm_wait *)((char *)timer - offsetof(firm_wait, timer)))->wait, RUNG);
}

static void begin_firmly(weir_wait *wait)
{
    firm_wait *f = (firm_wait *)wait;
    weir_timer_start(&f->timer, f->until_ns, end_firmly);
}

static void stand_firm(agent *a)
{
    firm_wait f = {.until_ns = weir_after(duration())};
    trace(a, "stands firm", 0);
    promise(task_wait_firmly(&f.wait, begin_firmly) == RUNG);
    promise(weir_now() == f.until_ns);
}

/* ---- Agents ---- */

static void act(agent *a);

static void note_deferred(void *arg)
{
    ((agent *)arg)->deferred--;
}

static void forget_child(agent *a)
{
    if (!a->child)
        return;
    trace(a, "detaches", a->child - sim.agents);
    weir_detach(a->child->task);
    a->child = NULL;
}

static void begin_agent(agent *a)
{
    if (!a->task)
        a->task = weir_task_self();
    promise(a->task == weir_task_self());
    trace(a, "starts", 0);
}

static int live(void *arg)
{
    agent *a = arg;
    begin_agent(a);
    for (uint32_t steps = below(8); steps > 0; steps--) {
        if (weir_task_cancelled() && below(4) == 0)
            break;
        act(a);
        promise(a->depth == 0 && a->scopes == 0);
    }
    forget_child(a);
    int result = below(6) == 0 ? -100 - (int)below(3) : (int)below(3);
    trace(a, "ends", result);
    a->ended = true;
    a->ended_ns = weir_now();
    sim.alive--;
    if (a->group) {
        a->group->ended++;
        if (result < 0 && !a->group->first_error)
            a->group->first_error = result;
    }
    return result;
}

static agent *new_agent(gathering *group)
{
    if (sim.agents_count == AGENTS_MAX)
        return NULL;
    agent *a = &sim.agents[sim.agents_count++];
    *a = (agent){.group = group};
    sim.alive++;
    return a;
}

static void spawn(agent *a)
{
    agent *child = new_agent(NULL);
    if (!child)
        return;
    trace(a, "spawns", child - sim.agents);
    forget_child(a);
    promise(weir_spawn(live, child, &child->task) == 0);
    a->child = child;
}

static void join(agent *a)
{
    if (!a->child)
        return;
    trace(a, "joins", a->child - sim.agents);
    agent *child = a->child;
    uint64_t start_ns = weir_now();
    int outcome = weir_join(child->task, NULL);
    judge(a, start_ns, WEIR_NEVER, outcome < 0 ? outcome : 0);
    promise(!child->ended || weir_now() == later(start_ns, child->ended_ns));
    if (outcome < 0)
        return;
    promise(child->ended);
    a->child = NULL;
}

static void cancel_any(agent *a)
{
    agent *victim = &sim.agents[1 + below(sim.agents_count - 1)];
    if (!victim->task || victim->ended)
        return;
    trace(a, "cancels", victim - sim.agents);
    weir_cancel(victim->task);
    if (victim->cancelled)
        return;
    victim->cancelled = true;
    victim->cancelled_ns = weir_now();
}

static void sleep_a_while(agent *a)
{
    uint64_t start_ns = weir_now(), for_ns = duration();
    judge(a, start_ns, start_ns + for_ns, weir_sleep(for_ns));
}

static void yield_a_turn(agent *a)
{
    uint64_t start_ns = weir_now();
    judge(a, start_ns, start_ns, weir_yield());
}

static void hold_permit(agent *a)
{
    uint32_t i = below(SEMAPHORES);
    weir_semaphore *semaphore = &sim.semaphores[i];
    uint64_t start_ns = weir_now();
    bool must_wait = semaphore->permits == 0;
    uint64_t ticket = must_wait ? ++sim.asked[i] : 0;
    int outcome = weir_semaphore_acquire(semaphore);
    judge(a, start_ns, must_wait ? WEIR_NEVER : start_ns, outcome);
    if (outcome < 0)
        return;
    if (must_wait) {
        promise(ticket > sim.served[i]);
        sim.served[i] = ticket;
    }
    promise(++sim.held[i] + semaphore->permits <= sim.permits[i]);
    act(a);
    sim.held[i]--;
    weir_semaphore_release(semaphore);
}

static void act_in_scope(agent *a)
{
    weir_scope scope = {.deadline_ns = below(8) ? weir_after(duration()) : 0};
    a->deadline[a->scopes++] = scope.deadline_ns ? scope.deadline_ns : WEIR_NEVER;
    weir_scope_enter(&scope);
    act(a);
    act(a);
    weir_scope_leave(&scope);
    a->scopes--;
}

static void judge_gathering(agent *a, const gathering *g, int outcome)
{
    bool timed_out = deadline_of(a) <= weir_now();
    trace(a, "gathered", outcome);
    promise(g->ended == g->spawned);
    if (!weir_task_cancelled() && !timed_out)
        promise(outcome == g->first_error);
    else
        promise(outcome == g->first_error || (outcome == WEIR_ETIMEDOUT && timed_out) ||
                (outcome == WEIR_ECANCELED && weir_task_cancelled()));
}

static void gather(agent *a)
{
    gathering g = {0};
    weir_group group = WEIR_GROUP(below(2) ? WEIR_GROUP_CANCEL_REST : WEIR_GROUP_COLLECT_ALL);
    for (uint32_t n = below(4); n > 0; n--) {
        agent *member = new_agent(&g);
        if (!member)
            break;
        int r = weir_group_spawn(&group, live, member);
        if (r < 0) {
            promise(r == WEIR_ECANCELED && group.cancelled);
            member->ended = true;
            sim.alive--;
            break;
        }
        g.spawned++;
        trace(a, "has member", member - sim.agents);
        if (below(3) == 0)
            act(a);
    }
    if (below(8) == 0)
        weir_group_cancel(&group);
    if (below(4))
        judge_gathering(a, &g, weir_group_wait(&group));
    promise(group.cancelled || group.policy == WEIR_GROUP_COLLECT_ALL || !g.first_error);
    weir_group_leave(&group);
    promise(g.ended == g.spawned && group.running == 0 && !group.members && !group.waiter);
}

static void act(agent *a)
{
    if (a->depth >= DEPTH_MAX)
        return;
    a->depth++;
    switch (below(16)) {
    case 0:
    case 1:
    case 2: sleep_a_while(a); break;
    case 3: yield_a_turn(a); break;
    case 4:
    case 5: hold_permit(a); break;
    case 6:
    case 7: act_in_scope(a); break;
    case 8: spawn(a); break;
    case 9: join(a); break;
    case 10: gather(a); break;
    case 11: cancel_any(a); break;
    case 12:
    case 13: wait_for_bell(a); break;
    case 14: ring_any(); break;
    case 15:
        if (below(2))
            stand_firm(a);
        else if (weir_defer(note_deferred, a) == 0)
            a->deferred++;
        break;
    }
    a->depth--;
}

/* ---- A schedule ---- */

/* Agents that only others could wake are woken by their cancellation, which must always be enough.
 */
static void end_all(void)
{
    for (uint32_t turns = 0; sim.alive > 0; turns++) {
        promise(turns < 1000);
        for (uint32_t i = 1; i < sim.agents_count; i++)
            if (sim.agents[i].task && !sim.agents[i].ended && !sim.agents[i].cancelled) {
                weir_cancel(sim.agents[i].task);
                sim.agents[i].cancelled = true;
                sim.agents[i].cancelled_ns = weir_now();
            }
        promise(weir_sleep(UNIT) == 0);
    }
}

static int direct(void *arg)
{
    for (uint32_t i = 0; i < SEMAPHORES; i++) {
        sim.permits[i] = 1 + below(3);
        sim.semaphores[i] = (weir_semaphore)WEIR_SEMAPHORE(sim.permits[i]);
    }
    for (size_t i = 0; i < sizeof sim.ringers / sizeof sim.ringers[0]; i++)
        weir_timer_start(&sim.ringers[i].timer, weir_after(1 + duration()), ring_later);
    sim.agents_count = 1; /* agent 0 is this task */
    for (uint32_t n = 3 + below(12); n > 0; n--) {
        agent *a = new_agent(NULL);
        if (!a)
            break;
        promise(weir_spawn(live, a, NULL) == 0);
        if (below(3) == 0)
            promise(weir_sleep(duration()) == 0);
    }
    while (sim.alive > 0 && weir_now() < WEIR_S(1) + HORIZON)
        promise(weir_sleep(UNIT) == 0);
    end_all();
    for (size_t i = 0; i < sizeof sim.ringers / sizeof sim.ringers[0]; i++)
        weir_timer_stop(&sim.ringers[i].timer);
    return 0;
}

static void check_end(void)
{
    promise(sim.alive == 0);
    promise(sim.waiting_count == 0);
    for (uint32_t i = 0; i < SEMAPHORES; i++) {
        promise(sim.held[i] == 0);
        promise(sim.semaphores[i].permits == sim.permits[i]);
        promise(!sim.semaphores[i].first && !sim.semaphores[i].last);
    }
    for (uint32_t i = 0; i < sim.agents_count; i++)
        promise(sim.agents[i].deferred == 0);
}

static void run_seed(uint64_t seed, bool traced)
{
    memset(&sim, 0, sizeof sim);
    sim.seed = sim.random = seed;
    sim.trace = traced;
    weir_runtime_options options = {.virtual_time = true, .stacks_cached = 64};
    promise(weir_run(&options, direct, NULL) == 0);
    check_end();
    passed++;
}

static void died(int signal_number)
{
    fail(signal_number == SIGALRM ? "a schedule ends" : "no crash, no abort", 0);
}

int main(void)
{
    const char *seed = getenv("SEED"), *schedules = getenv("SCHEDULES");
    uint64_t count = schedules && *schedules ? strtoull(schedules, NULL, 10) : DEFAULT_COUNT;
    uint64_t waits = 0, timed_out = 0, cancelled = 0, outranked = 0;

    signal(SIGABRT, died);
    signal(SIGSEGV, died);
    signal(SIGALRM, died);
    if (seed && *seed) {
        run_seed(strtoull(seed, NULL, 10), true);
        count = 0;
    }
    for (uint64_t i = 1; i <= count; i++) {
        alarm(REAL_SECONDS); /* virtual time that waits for nothing would wait for ever */
        run_seed(i, false);
        waits += sim.waits;
        timed_out += sim.timed_out;
        cancelled += sim.cancelled;
        outranked += sim.outranked;
    }
    printf("%llu waits, %llu timed out, %llu cancelled, %llu ended but outranked\n",
           (unsigned long long)waits, (unsigned long long)timed_out, (unsigned long long)cancelled,
           (unsigned long long)outranked);
    printf("%llu passed, 0 failed\n", (unsigned long long)passed);
    return 0;
}
