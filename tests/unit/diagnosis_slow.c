/* diagnosis_slow.c: leases that last too long: slow queries, leaks, and what is usual. */
#include "../support/diagnosis_world.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leases_far_older_than_usual_are_slow),
        cmocka_unit_test(one_slow_query_among_many_leases_is_not_the_reason),
        cmocka_unit_test(where_leases_last_long_as_a_rule_that_is_not_slow),
        cmocka_unit_test(beyond_what_is_measured_nothing_is_slow),
        cmocka_unit_test(queries_that_do_not_stop_when_cancelled_are_slow),
        cmocka_unit_test(a_third_of_the_connections_held_past_the_limit_is_a_leak),
        cmocka_unit_test(one_of_many_held_past_the_limit_is_not_the_reason),
        cmocka_unit_test(a_long_lease_that_runs_a_query_is_slow_and_not_a_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
