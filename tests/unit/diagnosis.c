/* diagnosis.c (test): what a pool says of why its takers wait, on a server made of a script and in
 * virtual time. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "../support/expect.h"

/* One test's pool; `body` runs as a task. */
typedef struct world {
    weir_fake *fake;
    weir_pool *pool;
    weir_pool_options options;
    void (*body)(struct world *w);
    weir_diagnosis said; /* the last diagnosis */
} world;

static int run_body(void *arg)
{
    world *w = arg;
    w->options.driver = weir_fake_driver();
    w->options.driver_arg = w->fake;
    w->options.seed = 1;
    int r = weir_pool_open(NULL, &w->options, &w->pool, NULL);
    if (r < 0)
        return r;
    w->body(w);
    return weir_pool_close(w->pool);
}

static void play(world *w, void (*body)(world *w))
{
    w->body = body;
    assert_int_equal(weir_fake_open(&w->fake), 0);
    weir_runtime_options options = {.virtual_time = true};
    int r = weir_run(&options, run_body, w);
    weir_fake_close(w->fake);
    assert_expectations();
    assert_int_equal(r, 0);
}

/* What is told goes into the test's output, where it is read as an operator would. */
static weir_verdict ask(world *w, int refusal)
{
    weir_pool_diagnose(w->pool, refusal, &w->said);
    print_message("%s: %s\n", weir_verdict_name(w->said.verdict), w->said.reason);
    expect(w->said.reason[0] && strlen(w->said.reason) < sizeof w->said.reason - 1);
    return w->said.verdict;
}

static bool says(const world *w, const char *words)
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

static int hold(void *arg)
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

static void start(weir_group *group, holder *h)
{
    expect(weir_group_spawn(group, hold, h) == 0);
    expect(weir_yield() == 0);
}

static const weir_statement report = {.sql = "select secret from t", .name = "report.sql"};
static const weir_statement nameless = {.sql = "select 1 from nameless"};

/* Leases of 4 ms, one after the other: a hundred, and it is known what is usual. */
static void have_leases(world *w, int count)
{
    for (int i = 0; i < count; i++) {
        holder h = {.w = w, .keep_ns = WEIR_MS(4)};
        expect(hold(&h) == 0);
    }
}

static void know_the_usual(world *w)
{
    have_leases(w, 100);
}

static void answer_slowly(world *w, uint64_t delay_ns)
{
    weir_fake_step slow = {.delay_ns = delay_ns};
    expect(weir_fake_answer(w->fake, report.sql, 0, &slow) == 0);
    expect(weir_fake_answer(w->fake, nameless.sql, 0, &slow) == 0);
}

static void dial_so(world *w, uint32_t times, weir_fake_outcome outcome, uint64_t delay_ns,
                    const char *sqlstate)
{
    weir_fake_step step = {.outcome = outcome, .delay_ns = delay_ns};
    step.error.code = outcome == WEIR_FAKE_FAIL ? WEIR_ECONNECT : 0;
    snprintf(step.error.sqlstate, sizeof step.error.sqlstate, "%s", sqlstate);
    snprintf(step.error.message, sizeof step.error.message,
             "connection to db.example.org as user alice was refused");
    expect(weir_fake_script(w->fake, WEIR_FAKE_DIAL, times, &step) == 0);
}

/* ---- ok ---- */

static void a_pool_at_rest(world *w)
{
    expect(ask(w, 0) == WEIR_VERDICT_OK);
    expect(says(w, "no connection is open"));
    expect(says(w, "3 more can be opened"));
    expect(w->said.holder_count == 0);
    know_the_usual(w);
    expect(ask(w, 0) == WEIR_VERDICT_OK);
    expect(says(w, "no connection is in use, 1 free"));
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder h = {.w = w, .keep_ns = WEIR_S(1), .label = "one"};
    start(&group, &h);
    weir_sleep(WEIR_MS(1));
    expect(ask(w, 0) == WEIR_VERDICT_OK);
    expect(says(w, "2 more can be opened"));
    expect(w->said.holder_count == 1);
}

static void with_connections_free_or_to_be_had_all_is_ok(void **state)
{
    world w = {.options.max = 3};
    play(&w, a_pool_at_rest);
}

/* ---- connecting ---- */

static void nothing_but_failures(world *w)
{
    dial_so(w, 0, WEIR_FAKE_FAIL, WEIR_MS(1), "08006");
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder h = {.w = w, .patience_ns = WEIR_S(20)};
    start(&group, &h);
    weir_sleep(WEIR_S(10));
    expect(ask(w, 0) == WEIR_VERDICT_CONNECTING);
    expect(says(w, "no connection is up: the last "));
    expect(says(w, "dials failed (08006)"));
    expect(says(w, "1 waits, the longest for 10 s"));
    expect(!strstr(w->said.reason, "alice") && !strstr(w->said.reason, "example"));
    weir_group_wait(&group);
    expect(h.r == WEIR_ECONNECT);
    expect(ask(w, h.r) == WEIR_VERDICT_CONNECTING);
}

static void failing_dials_are_told_without_host_and_user(void **state)
{
    world w = {0};
    play(&w, nothing_but_failures);
}

static void a_dial_without_end(world *w)
{
    dial_so(w, 1, WEIR_FAKE_OK, WEIR_S(3), "");
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder h = {.w = w};
    start(&group, &h);
    weir_sleep(WEIR_S(1));
    expect(ask(w, 0) == WEIR_VERDICT_CONNECTING);
    expect(says(w, "no connection is up: 1 is being opened"));
    weir_group_wait(&group);
    expect(ask(w, 0) == WEIR_VERDICT_OK);
    /* It was so when the take was refused. */
    expect(ask(w, WEIR_ECONNECT) == WEIR_VERDICT_CONNECTING);
}

static void a_first_dial_that_takes_its_time_is_connecting(void **state)
{
    world w = {0};
    play(&w, a_dial_without_end);
}

static void one_up_and_no_more(world *w)
{
    know_the_usual(w);
    dial_so(w, 0, WEIR_FAKE_FAIL, WEIR_MS(1), "28000");
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder holds = {.w = w, .keep_ns = WEIR_S(60)};
    holder waits = {.w = w, .patience_ns = WEIR_S(5)};
    start(&group, &holds);
    start(&group, &waits);
    weir_sleep(WEIR_S(2));
    expect(ask(w, 0) == WEIR_VERDICT_CONNECTING);
    expect(says(w, "1 connection is up, 1 in use: the last "));
}

static void a_pool_that_cannot_grow_because_dials_fail_is_connecting(void **state)
{
    world w = {.options.max = 4};
    play(&w, one_up_and_no_more);
}

static void more_on_their_way(world *w)
{
    know_the_usual(w);
    dial_so(w, 0, WEIR_FAKE_OK, WEIR_S(3), "");
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder holds = {.w = w, .keep_ns = WEIR_S(60)}, waits = {.w = w};
    start(&group, &holds);
    start(&group, &waits);
    weir_sleep(WEIR_S(1));
    expect(ask(w, 0) == WEIR_VERDICT_CONNECTING);
    expect(says(w, "1 connection is up, 1 in use: 1 is being opened"));
    weir_group_cancel(&group);
}

static void who_waits_for_a_further_dial_is_told_connecting(void **state)
{
    world w = {.options.max = 4};
    play(&w, more_on_their_way);
}

/* ---- saturated ---- */

static void one_of_four_replaced(world *w)
{
    know_the_usual(w);
    weir_fake_step lost = {.outcome = WEIR_FAKE_LOSE};
    expect(weir_fake_answer(w->fake, report.sql, 0, &lost) == 0);
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder holders[4];
    for (int i = 0; i < 4; i++) {
        holders[i] = (holder){.w = w, .keep_ns = WEIR_MS(4)};
        start(&group, &holders[i]);
    }
    weir_group_wait(&group);
    dial_so(w, 0, WEIR_FAKE_OK, WEIR_S(3), "");
    holder loses = {.w = w, .statement = &report};
    expect(hold(&loses) == WEIR_ELOST);
    for (int i = 0; i < 4; i++)
        start(&group, &holders[i]);
    weir_sleep(WEIR_MS(1));
    expect(ask(w, 0) == WEIR_VERDICT_SATURATED);
    expect(says(w, "3 of 4 connections are in use, 1 being opened"));
}

static void one_of_many_that_is_being_replaced_is_not_the_reason(void **state)
{
    world w = {.options.max = 4};
    play(&w, one_of_four_replaced);
}

static void server_is_full(world *w)
{
    know_the_usual(w);
    dial_so(w, 0, WEIR_FAKE_FAIL, 0, "53300");
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder holders[2] = {{.w = w, .keep_ns = WEIR_S(10)}, {.w = w, .patience_ns = WEIR_S(1)}};
    start(&group, &holders[0]);
    start(&group, &holders[1]);
    weir_sleep(WEIR_MS(2));
    weir_pool_stats s;
    weir_pool_stats_read(w->pool, &s);
    expect(s.max == 4 && s.ceiling == 1);
    ask(w, 0);
    expect(w->said.verdict == WEIR_VERDICT_SATURATED);
    expect(says(w, "(the server has no room for more, max is 4)"));
}

static void a_server_without_room_makes_a_pool_saturated(void **state)
{
    world w = {.options.max = 4};
    play(&w, server_is_full);
}

static void all_at_work(world *w)
{
    know_the_usual(w);
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder first = {.w = w, .keep_ns = WEIR_MS(5), .label = "GET /first"};
    holder second = {.w = w, .keep_ns = WEIR_MS(5), .label = "GET /second"};
    holder third = {.w = w, .keep_ns = WEIR_MS(5)};
    start(&group, &first);
    weir_sleep(WEIR_MS(1));
    start(&group, &second);
    start(&group, &third);
    weir_sleep(WEIR_MS(2));
    expect(ask(w, 0) == WEIR_VERDICT_SATURATED);
    expect(says(w, "all 2 connections are in use, the oldest for 3 ms by \"GET /first\""));
    expect(says(w, "a lease usually lasts about 3.")); /* read off a bucket from 2.5 to 5 ms */
    expect(says(w, "1 waits, the longest for 2 ms"));
    expect(w->said.holder_count == 2);
    expect(strcmp(w->said.holders[0].label, "GET /first") == 0);
    expect(strcmp(w->said.holders[1].label, "GET /second") == 0);
}

static void a_pool_whose_connections_are_all_at_work_is_saturated(void **state)
{
    world w = {.options.max = 2};
    play(&w, all_at_work);
}

static void too_late_to_see(world *w)
{
    know_the_usual(w);
    expect(ask(w, 0) == WEIR_VERDICT_OK);
    expect(ask(w, WEIR_ETIMEDOUT) == WEIR_VERDICT_SATURATED);
    expect(says(w, "free again by now"));
    expect(ask(w, WEIR_EQUEUEFULL) == WEIR_VERDICT_SATURATED);
    expect(ask(w, WEIR_EDEADLK) == WEIR_VERDICT_SATURATED);
    expect(says(w, "waited for this pool themselves"));
}

static void who_was_refused_is_never_told_that_all_is_ok(void **state)
{
    world w = {0};
    play(&w, too_late_to_see);
}

static void little_known(world *w)
{
    have_leases(w, 19);
    answer_slowly(w, WEIR_S(20));
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder first = {.w = w, .statement = &report};
    start(&group, &first);
    weir_sleep(WEIR_S(5));
    expect(ask(w, 0) == WEIR_VERDICT_SATURATED);
    expect(says(w, "for 5 s"));
}

static void before_it_is_known_what_is_usual_nothing_is_slow(void **state)
{
    world w = {.options.max = 1};
    play(&w, little_known);
}

/* ---- slow_queries ---- */

static void most_are_slow(world *w)
{
    know_the_usual(w);
    answer_slowly(w, WEIR_S(20));
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder holders[4];
    for (int i = 0; i < 4; i++) {
        holders[i] = (holder){.w = w, .label = "GET /report", .statement = &report};
        start(&group, &holders[i]);
    }
    weir_sleep(WEIR_MS(6));
    expect(ask(w, 0) == WEIR_VERDICT_SATURATED);
    weir_sleep(WEIR_S(5));
    expect(ask(w, 0) == WEIR_VERDICT_SLOW_QUERIES);
    expect(says(w, "3 for longer than 9."));
    expect(says(w, "3 run a query"));
    expect(says(w, "the oldest for 5.01 s by \"GET /report\""));
    expect(!strstr(w->said.reason, "secret") && !strstr(w->said.reason, "report.sql"));
}

static void leases_far_older_than_usual_are_slow(void **state)
{
    world w = {.options.max = 3};
    play(&w, most_are_slow);
}

static void one_is_slow(world *w)
{
    know_the_usual(w);
    answer_slowly(w, WEIR_S(20));
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder slow = {.w = w, .statement = &report}, others[2];
    start(&group, &slow);
    weir_sleep(WEIR_S(5));
    for (int i = 0; i < 2; i++) {
        others[i] = (holder){.w = w, .keep_ns = WEIR_MS(4)};
        start(&group, &others[i]);
    }
    weir_sleep(WEIR_MS(1));
    expect(ask(w, 0) == WEIR_VERDICT_SATURATED);
    expect(says(w, "the oldest for 5 s"));
}

static void one_slow_query_among_many_leases_is_not_the_reason(void **state)
{
    world w = {.options.max = 3};
    play(&w, one_is_slow);
}

static void always_long(world *w)
{
    for (int i = 0; i < 30; i++) {
        holder h = {.w = w, .keep_ns = WEIR_S(2)};
        expect(hold(&h) == 0);
    }
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder h = {.w = w, .keep_ns = WEIR_S(3)};
    start(&group, &h);
    weir_sleep(WEIR_MS(2900));
    expect(ask(w, 0) == WEIR_VERDICT_SATURATED);
}

static void where_leases_last_long_as_a_rule_that_is_not_slow(void **state)
{
    world w = {.options.max = 1};
    play(&w, always_long);
}

static void always_very_long(world *w)
{
    for (int i = 0; i < 30; i++) {
        holder h = {.w = w, .keep_ns = WEIR_S(15)};
        expect(hold(&h) == 0);
    }
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder h = {.w = w, .keep_ns = WEIR_S(60)};
    start(&group, &h);
    weir_sleep(WEIR_S(50));
    expect(ask(w, 0) == WEIR_VERDICT_SATURATED);
    expect(says(w, "a lease usually lasts more than 10 s"));
}

static void beyond_what_is_measured_nothing_is_slow(void **state)
{
    world w = {.options = {.max = 1, .leak_after_ns = WEIR_NEVER}};
    play(&w, always_very_long);
}

static void cancelled_for_nothing(world *w)
{
    know_the_usual(w);
    answer_slowly(w, WEIR_S(20));
    weir_fake_step deaf = {.outcome = WEIR_FAKE_HANG};
    expect(weir_fake_script(w->fake, WEIR_FAKE_CANCEL, 0, &deaf) == 0);
    holder h = {.w = w, .statement = &report};
    {
        weir_scoped_timeout(soon, WEIR_MS(5));
        expect(hold(&h) == WEIR_ETIMEDOUT);
    }
    expect(ask(w, 0) == WEIR_VERDICT_SLOW_QUERIES);
    expect(says(w, "no connection is in use, 1 being cancelled"));
}

static void queries_that_do_not_stop_when_cancelled_are_slow(void **state)
{
    world w = {.options.max = 1};
    play(&w, cancelled_for_nothing);
}

/* ---- leak ---- */

static void some_forgotten(world *w, uint32_t forgotten)
{
    know_the_usual(w);
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder holders[6];
    for (uint32_t i = 0; i < forgotten; i++) {
        holders[i] = (holder){.w = w, .keep_ns = WEIR_S(3600), .label = "POST /forgetful"};
        start(&group, &holders[i]);
    }
    weir_sleep(WEIR_MS(1500));
    for (uint32_t i = forgotten; i < 6; i++) {
        holders[i] = (holder){.w = w, .keep_ns = WEIR_MS(4)};
        start(&group, &holders[i]);
    }
    weir_sleep(WEIR_MS(1));
    ask(w, 0);
    weir_group_cancel(&group);
}

static void a_third_forgotten(world *w)
{
    some_forgotten(w, 2);
    expect(w->said.verdict == WEIR_VERDICT_LEAK);
    expect(says(w, "2 of 6 connections are held past the leak limit by leases that run nothing, "
                   "the oldest for 1.5 s by \"POST /forgetful\""));
    expect(w->said.holders[0].leaked && w->said.holders[1].leaked && !w->said.holders[2].leaked);
}

static void a_third_of_the_connections_held_past_the_limit_is_a_leak(void **state)
{
    world w = {.options = {.max = 6, .leak_after_ns = WEIR_S(1)}};
    play(&w, a_third_forgotten);
}

static void one_forgotten(world *w)
{
    some_forgotten(w, 1);
    expect(w->said.verdict == WEIR_VERDICT_SATURATED);
}

static void one_of_many_held_past_the_limit_is_not_the_reason(void **state)
{
    world w = {.options = {.max = 6, .leak_after_ns = WEIR_S(1)}};
    play(&w, one_forgotten);
}

static void long_at_work(world *w)
{
    know_the_usual(w);
    answer_slowly(w, WEIR_S(20));
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder first = {.w = w, .statement = &report}, second = {.w = w, .statement = &report};
    start(&group, &first);
    start(&group, &second);
    weir_sleep(WEIR_S(5));
    expect(ask(w, 0) == WEIR_VERDICT_SLOW_QUERIES);
    expect(w->said.holders[0].leaked);
}

static void a_long_lease_that_runs_a_query_is_slow_and_not_a_leak(void **state)
{
    world w = {.options = {.max = 2, .leak_after_ns = WEIR_S(1)}};
    play(&w, long_at_work);
}

/* ---- shed ---- */

/* Two connections, and three times what they can do, for three seconds. */
static void too_many(world *w)
{
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    static holder holders[900];
    for (int i = 0; i < 900; i++) {
        holders[i] = (holder){.w = w, .keep_ns = WEIR_MS(20), .label = "GET /busy"};
        start(&group, &holders[i]);
        expect(weir_sleep(WEIR_US(3333)) == 0);
    }
    expect(ask(w, 0) == WEIR_VERDICT_SHED);
    expect(says(w, "overload has lasted: all 2 connections are in use"));
    expect(says(w, "a lease lately lasts 20 ms"));
    uint32_t shed = 0;
    weir_group_wait(&group);
    for (int i = 0; i < 900; i++)
        shed += holders[i].r == WEIR_ESHED;
    expect(shed > 100);
    expect(ask(w, 0) == WEIR_VERDICT_OK);
    expect(ask(w, WEIR_ESHED) == WEIR_VERDICT_SHED);
    expect(says(w, "the wait would have been too long"));
}

static void under_lasting_overload_the_verdict_is_shed(void **state)
{
    world w = {.options = {.max = 2, .shed_target_ns = WEIR_MS(50)}};
    play(&w, too_many);
}

/* ---- paused ---- */

static void at_a_halt(world *w)
{
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder out = {.w = w, .keep_ns = WEIR_S(5), .label = "POST /last"};
    holder waits = {.w = w, .keep_ns = 0};
    start(&group, &out);
    weir_sleep(WEIR_MS(1));
    {
        weir_scoped_timeout(soon, WEIR_S(1));
        expect(weir_pool_pause(w->pool) == WEIR_ETIMEDOUT);
    }
    start(&group, &waits);
    weir_sleep(WEIR_S(1));
    expect(ask(w, 0) == WEIR_VERDICT_PAUSED);
    expect(says(w, "the pool is paused: 1 lease is still out for 2 s by \"POST /last\""));
    expect(says(w, "1 waits, the longest for 1 s"));
    expect(ask(w, WEIR_ETIMEDOUT) == WEIR_VERDICT_PAUSED);
    expect(ask(w, WEIR_ESHED) == WEIR_VERDICT_SHED);
    weir_pool_resume(w->pool);
    weir_group_wait(&group);
    expect(waits.r == 0);
    expect(ask(w, 0) == WEIR_VERDICT_OK);
}

static void a_paused_pool_says_who_is_still_out(void **state)
{
    world w = {0};
    play(&w, at_a_halt);
}

/* ---- Who holds, and who waits ---- */

static void look_at_leases(world *w)
{
    answer_slowly(w, WEIR_S(20));
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder idle = {.w = w, .label = "idle", .keep_ns = WEIR_S(30)};
    holder named = {.w = w, .label = "named", .statement = &report};
    holder other = {.w = w, .label = "nameless", .statement = &nameless};
    start(&group, &idle);
    weir_sleep(WEIR_S(1));
    start(&group, &named);
    weir_sleep(WEIR_S(1));
    start(&group, &other);
    weir_sleep(WEIR_S(1));
    weir_lease_info l[4];
    expect(weir_pool_leases(w->pool, l, 4) == 3);
    expect(strcmp(l[0].label, "idle") == 0 && l[0].age_ns == WEIR_S(3));
    expect(!l[0].running && l[0].query_ns == 0 && l[0].query[0] == '\0');
    expect(strcmp(l[1].label, "named") == 0 && l[1].age_ns == WEIR_S(2));
    expect(l[1].running && l[1].query_ns == WEIR_S(2));
    expect(strcmp(l[1].query, "report.sql") == 0);
    expect(strcmp(l[1].trace_id, "trace") == 0);
    expect(strcmp(l[2].query, nameless.sql) == 0 && l[2].query_ns == WEIR_S(1));
    for (int i = 0; i < 3; i++) {
        expect(strstr(l[i].where, "diagnosis.c:"));
        expect(l[i].transaction && l[i].transaction[0]);
        expect(l[i].backend_pid > 0 && l[i].connection > 0);
    }
    expect(weir_pool_leases(w->pool, l, 1) == 1 && strcmp(l[0].label, "idle") == 0);
    expect(weir_pool_leases(w->pool, l, 0) == 0);
}

static void look_at_a_long_path(world *w)
{
    weir_lease *lease = NULL;
    weir_lease_info info;
    expect(weir_acquire_at(w->pool, NULL,
                           "/a/very/long/path/to/a/source/tree/of/somebody/with/deep/folders/"
                           "handlers.c:123",
                           &lease) == 0);
    expect(weir_pool_leases(w->pool, &info, 1) == 1);
    expect(strlen(info.where) == WEIR_LABEL_MAX - 1);
    expect(strcmp(info.where + strlen(info.where) - 14, "handlers.c:123") == 0);
    weir_release(lease);
}

static void of_a_long_path_the_end_is_told(void **state)
{
    world w = {0};
    play(&w, look_at_a_long_path);
}

static void leases_are_told_oldest_first_with_what_they_run(void **state)
{
    world w = {0};
    play(&w, look_at_leases);
}

static void look_at_waiters(world *w)
{
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder holds = {.w = w, .keep_ns = WEIR_S(30)};
    holder first = {.w = w, .label = "first"};
    holder second = {.w = w, .label = "second", .patience_ns = WEIR_S(5)};
    start(&group, &holds);
    weir_sleep(WEIR_S(1));
    start(&group, &first);
    weir_sleep(WEIR_S(1));
    start(&group, &second);
    weir_sleep(WEIR_S(2));
    weir_waiter_info all[3];
    expect(weir_pool_waiters(w->pool, all, 3) == 2);
    expect(strcmp(all[0].label, "first") == 0 && all[0].waited_ns == WEIR_S(3));
    expect(all[0].left_ns == WEIR_NEVER);
    expect(strcmp(all[1].label, "second") == 0 && all[1].waited_ns == WEIR_S(2));
    expect(all[1].left_ns == WEIR_S(3) && strcmp(all[1].trace_id, "trace") == 0);
    expect(weir_pool_waiters(w->pool, all, 1) == 1);
    expect(strcmp(all[0].label, "first") == 0);
}

static void waiters_are_told_longest_waiting_first(void **state)
{
    world w = {.options = {.max = 1, .shed_target_ns = WEIR_NEVER}};
    play(&w, look_at_waiters);
}

/* ---- How long a wait may be expected to be ---- */

static void look_ahead(world *w)
{
    expect(weir_pool_expected_wait(w->pool) == 0);
    dial_so(w, 1, WEIR_FAKE_OK, WEIR_MS(30), "");
    know_the_usual(w);
    expect(weir_pool_expected_wait(w->pool) == 0);
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    holder holders[8];
    for (int i = 0; i < 8; i++) {
        holders[i] = (holder){.w = w, .keep_ns = WEIR_MS(4)};
        start(&group, &holders[i]);
    }
    weir_sleep(WEIR_MS(1));
    weir_pool_stats s;
    weir_pool_stats_read(w->pool, &s);
    expect(s.in_use == 2 && s.waiting == 6);
    uint64_t wait_ns = weir_pool_expected_wait(w->pool); /* 7 × 4 ms / 2 */
    expect(wait_ns > WEIR_MS(13) && wait_ns < WEIR_MS(15));
    weir_group_wait(&group);
    weir_fake_lose_idle(w->fake);
    weir_sleep(WEIR_MS(1));
    wait_ns = weir_pool_expected_wait(w->pool); /* a dial took 30 ms once, and nothing once */
    expect(wait_ns > WEIR_MS(20) && wait_ns <= WEIR_MS(30));
}

static void the_expected_wait_is_that_of_the_queue_or_of_a_dial(void **state)
{
    world w = {.options.max = 2};
    play(&w, look_ahead);
}

/* ---- From other threads ---- */

typedef struct crowd {
    weir_runtime *runtime;
    weir_pool *pool;
    atomic_uint running;
} crowd;

static int use_often(void *arg)
{
    crowd *c = arg;
    for (int i = 0; i < 300; i++) {
        weir_scoped_lease weir_lease *lease = NULL;
        weir_scope scope = {.label = "crowd", .trace_id = "one of many"};
        int r = weir_acquire(c->pool, &scope, &lease);
        expect(r == 0);
        if (r < 0)
            break;
        weir_scoped_result weir_result *result = NULL;
        expect(weir_query(lease, i % 2 ? &report : &nameless, NULL, &result) == 0);
        expect(weir_yield() == 0);
    }
    if (atomic_fetch_sub(&c->running, 1) == 1) {
        expect(weir_pool_close(c->pool) == 0);
        weir_runtime_stop(c->runtime);
    }
    return 0;
}

static void *run_crowd(void *arg)
{
    expect(weir_runtime_run(((crowd *)arg)->runtime) == 0);
    return NULL;
}

static void look_around(weir_pool *pool)
{
    weir_diagnosis diagnosis;
    weir_advice advice;
    weir_lease_info leases[8];
    weir_waiter_info waiters[8];
    weir_pool_diagnose(pool, 0, &diagnosis);
    weir_pool_advise(pool, &advice);
    expect(diagnosis.verdict < WEIR_VERDICT_COUNT && advice.reason[0]);
    uint32_t count = weir_pool_leases(pool, leases, 8);
    for (uint32_t i = 0; i < count; i++) {
        expect(strcmp(leases[i].label, "crowd") == 0);
        expect(!leases[i].query[0] || strcmp(leases[i].query, report.name) == 0 ||
               strcmp(leases[i].query, nameless.sql) == 0);
    }
    count = weir_pool_waiters(pool, waiters, 8);
    for (uint32_t i = 0; i < count; i++)
        expect(strcmp(waiters[i].trace_id, "one of many") == 0);
}

/* The pool goes once the last of the crowd has finished: one member of it is kept back until the
 * looking is done. */
static void any_thread_may_ask_while_lanes_are_at_work(void **state)
{
    crowd c = {.running = 21};
    weir_fake *fake;
    pthread_t thread;
    weir_runtime_options options = {.lanes = 2};
    assert_int_equal(weir_fake_open(&fake), 0);
    assert_int_equal(weir_runtime_open(&options, &c.runtime), 0);
    /* However slow the machine, nobody is turned away. */
    weir_pool_options pool = {
        .driver = weir_fake_driver(), .driver_arg = fake, .max = 3, .shed_target_ns = WEIR_NEVER};
    assert_int_equal(weir_pool_open(c.runtime, &pool, &c.pool, NULL), 0);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(weir_spawn_on(weir_runtime_lane(c.runtime, i % 2), use_often, &c), 0);
    assert_int_equal(pthread_create(&thread, NULL, run_crowd, &c), 0);
    while (atomic_load(&c.running) > 1) {
        look_around(c.pool);
        usleep(200); /* the lanes are to get on with it, where threads take turns */
    }
    assert_int_equal(weir_spawn_on(weir_runtime_lane(c.runtime, 0), use_often, &c), 0);
    pthread_join(thread, NULL);
    weir_runtime_close(c.runtime);
    weir_fake_close(fake);
    assert_expectations();
}

static void every_verdict_has_its_name(void **state)
{
    assert_string_equal(weir_verdict_name(WEIR_VERDICT_PAUSED), "paused");
    assert_string_equal(weir_verdict_name(WEIR_VERDICT_SATURATED), "saturated");
    assert_string_equal(weir_verdict_name(WEIR_VERDICT_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_connections_free_or_to_be_had_all_is_ok),
        cmocka_unit_test(failing_dials_are_told_without_host_and_user),
        cmocka_unit_test(a_first_dial_that_takes_its_time_is_connecting),
        cmocka_unit_test(a_pool_that_cannot_grow_because_dials_fail_is_connecting),
        cmocka_unit_test(who_waits_for_a_further_dial_is_told_connecting),
        cmocka_unit_test(one_of_many_that_is_being_replaced_is_not_the_reason),
        cmocka_unit_test(a_server_without_room_makes_a_pool_saturated),
        cmocka_unit_test(a_pool_whose_connections_are_all_at_work_is_saturated),
        cmocka_unit_test(who_was_refused_is_never_told_that_all_is_ok),
        cmocka_unit_test(before_it_is_known_what_is_usual_nothing_is_slow),
        cmocka_unit_test(leases_far_older_than_usual_are_slow),
        cmocka_unit_test(one_slow_query_among_many_leases_is_not_the_reason),
        cmocka_unit_test(where_leases_last_long_as_a_rule_that_is_not_slow),
        cmocka_unit_test(beyond_what_is_measured_nothing_is_slow),
        cmocka_unit_test(queries_that_do_not_stop_when_cancelled_are_slow),
        cmocka_unit_test(a_third_of_the_connections_held_past_the_limit_is_a_leak),
        cmocka_unit_test(one_of_many_held_past_the_limit_is_not_the_reason),
        cmocka_unit_test(a_long_lease_that_runs_a_query_is_slow_and_not_a_leak),
        cmocka_unit_test(under_lasting_overload_the_verdict_is_shed),
        cmocka_unit_test(a_paused_pool_says_who_is_still_out),
        cmocka_unit_test(leases_are_told_oldest_first_with_what_they_run),
        cmocka_unit_test(of_a_long_path_the_end_is_told),
        cmocka_unit_test(waiters_are_told_longest_waiting_first),
        cmocka_unit_test(the_expected_wait_is_that_of_the_queue_or_of_a_dial),
        cmocka_unit_test(any_thread_may_ask_while_lanes_are_at_work),
        cmocka_unit_test(every_verdict_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
