/* diagnosis_world.h: a pool on a fake server in virtual time, its holders, and its diagnosis. */
#ifndef WEIR_TESTS_DIAGNOSIS_WORLD_H
#define WEIR_TESTS_DIAGNOSIS_WORLD_H

#include <stdio.h>

#include "fake_pool.h"

/* One test's pool; `body` runs as a task. */
typedef struct world {
    weir_fake *fake;
    weir_pool *pool;
    weir_pool_options options;
    void (*body)(struct world *w);
    weir_diagnosis said; /* the last diagnosis */
} world;

static inline int run_body(void *arg)
{
    world *w = arg;
    int r = open_on_fake(w->fake, &w->options, NULL, NULL, &w->pool);
    if (r < 0)
        return r;
    w->body(w);
    return weir_pool_close(w->pool);
}

static inline void play(world *w, void (*body)(world *w))
{
    w->body = body;
    play_on_fake(&w->fake, run_body, w);
}

/* What is told goes into the test's output, where it is read as an operator would. */
static inline weir_verdict ask(world *w, int refusal)
{
    weir_pool_diagnose(w->pool, refusal, &w->said);
    print_message("%s: %s\n", weir_verdict_name(w->said.verdict), w->said.reason);
    expect(w->said.reason[0] && strlen(w->said.reason) < sizeof w->said.reason - 1);
    return w->said.verdict;
}

static inline bool says(const world *w, const char *words)
{
    if (strstr(w->said.reason, words))
        return true;
    print_message("  does not say: %s\n", words);
    return false;
}

/* Somebody who takes a lease, runs something or nothing, and keeps it. */
typedef struct holder {
    world *w;
    const char *label;
    const weir_statement *statement;
    uint64_t keep_ns;
    uint64_t patience_ns; /* 0: for ever */
    int r;
} holder;

static inline int hold(void *arg)
{
    holder *h = arg;
    weir_scoped_lease weir_lease *lease = NULL;
    weir_scope scope = {.label = h->label, .trace_id = "trace"};
    if (h->patience_ns)
        scope.deadline_ns = weir_after(h->patience_ns);
    h->r = weir_acquire(h->w->pool, &scope, &lease);
    if (h->r == 0 && h->statement) {
        weir_scoped_result weir_result *result = NULL;
        h->r = weir_query(lease, h->statement, NULL, &result);
    }
    return h->r < 0 ? h->r : weir_sleep(h->keep_ns);
}

static inline void start(weir_group *group, holder *h)
{
    expect(weir_group_spawn(group, hold, h) == 0);
    expect(weir_yield() == 0);
}

static const weir_statement report = {.sql = "select secret from t", .name = "report.sql"};
static const weir_statement nameless = {.sql = "select 1 from nameless"};

/* Leases of 4 ms, one after the other: a hundred, and it is known what is usual. */
static inline void have_leases(world *w, int count)
{
    for (int i = 0; i < count; i++) {
        holder h = {.w = w, .keep_ns = WEIR_MS(4)};
        expect(hold(&h) == 0);
    }
}

static inline void know_the_usual(world *w)
{
    have_leases(w, 100);
}

static inline void answer_slowly(world *w, uint64_t delay_ns)
{
    weir_fake_step slow = {.delay_ns = delay_ns};
    expect(weir_fake_answer(w->fake, report.sql, 0, &slow) == 0);
    expect(weir_fake_answer(w->fake, nameless.sql, 0, &slow) == 0);
}

static inline void dial_so(world *w, uint32_t times, weir_fake_outcome outcome, uint64_t delay_ns,
                           const char *sqlstate)
{
    weir_fake_step step = {.outcome = outcome, .delay_ns = delay_ns};
    step.error.code = outcome == WEIR_FAKE_FAIL ? WEIR_ECONNECT : 0;
    snprintf(step.error.sqlstate, sizeof step.error.sqlstate, "%s", sqlstate);
    snprintf(step.error.message, sizeof step.error.message,
             "connection to db.example.org as user alice was refused");
    expect(weir_fake_script(w->fake, WEIR_FAKE_DIAL, times, &step) == 0);
}

#endif
