/* diagnosis.c (test): what a pool says of why its takers wait, on a server made of a script and in
 * virtual time. */
#include "../support/diagnosis_world.h"

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
        cmocka_unit_test(under_lasting_overload_the_verdict_is_shed),
        cmocka_unit_test(a_paused_pool_says_who_is_still_out),
        cmocka_unit_test(every_verdict_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
