/* pool_deadlock.c: takers that would wait for themselves, and takers that only seem to. */
#include "../support/fake_pool.h"

/* One test's pool. Tasks expect; the main stack asserts. */
typedef struct world {
    weir_fake *fake;
    weir_pool *pool, *other;
    weir_pool_options options;
    int (*body)(struct world *w);
    weir_pool_stats stats;
    uint32_t refused;
    char said[512];
    weir_lease *passed;
    weir_task *root;
    uint64_t work_ns; /* a member works for so long before it ends */
} world;

static void note_event(void *arg, const weir_event *event)
{
    world *w = arg;
    if (event->kind != WEIR_LEASE_REFUSED)
        return;
    w->refused++;
    expect(event->error == WEIR_EDEADLK && event->message);
    if (event->message)
        strncpy(w->said, event->message, sizeof w->said - 1);
}

static int run_body(void *arg)
{
    world *w = arg;
    w->options.shed_target_ns = WEIR_NEVER;
    if (open_on_fake(w->fake, &w->options, note_event, w, &w->pool) < 0 ||
        open_on_fake(w->fake, &w->options, note_event, w, &w->other) < 0)
        return -1;
    w->body(w);
    weir_pool_stats_read(w->pool, &w->stats);
    expect(weir_pool_close(w->other) == 0);
    return weir_pool_close(w->pool);
}

static void play(world *w, int (*body)(world *w))
{
    w->body = body;
    play_on_fake(&w->fake, run_body, w);
    assert_int_equal(w->stats.granted, w->stats.released);
    assert_int_equal(w->stats.waiting, 0);
    assert_int_equal(w->stats.deadlocked, w->refused);
}

/* Gives up after ten seconds, which no test takes if all is well. */
static int take(weir_pool *pool, const char *label, weir_lease **lease)
{
    weir_scope scope = {.deadline_ns = weir_after(WEIR_S(10)), .label = label};
    return weir_acquire(pool, &scope, lease);
}

/* ---- Those who do ---- */

static int take_two_of_one(world *w)
{
    uint64_t asked_ns = weir_now();
    weir_lease *first = NULL, *second = NULL;
    expect(take(w->pool, "first", &first) == 0);
    expect(take(w->pool, "second", &second) == WEIR_EDEADLK);
    expect(weir_now() == asked_ns);
    weir_release(first);
    return 0;
}

static void a_task_that_waits_for_its_own_lease_is_refused_at_once(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, take_two_of_one);
    assert_int_equal(w.refused, 1);
    assert_string_equal(w.said,
                        "second was refused: every connection is held by those who wait for one; "
                        "first holds connection 1 for 0.0 s, and waits as second");
}

static int take_two(void *arg)
{
    world *w = arg;
    weir_scoped_lease weir_lease *first = NULL, *second = NULL;
    int r = take(w->pool, "outer", &first);
    if (r < 0 || (r = weir_sleep(WEIR_MS(10))) < 0)
        return r;
    return take(w->pool, "inner", &second);
}

static int cross(world *w)
{
    weir_task *one = NULL, *two = NULL;
    int r1 = 1, r2 = 1;
    uint64_t asked_ns = weir_now();
    expect(weir_spawn(take_two, w, &one) == 0 && weir_spawn(take_two, w, &two) == 0);
    expect(weir_join(one, &r1) == 0 && weir_join(two, &r2) == 0);
    expect(r1 == 0 && r2 == WEIR_EDEADLK); /* the later goes, and the other can go on */
    expect(weir_now() == asked_ns + WEIR_MS(10));
    return 0;
}

static void of_two_tasks_that_wait_for_each_other_one_is_refused(void **state)
{
    world w = {.options = {.max = 2}};
    play(&w, cross);
    assert_int_equal(w.refused, 1);
    assert_non_null(strstr(w.said, "outer holds connection 1"));
    assert_non_null(strstr(w.said, "outer holds connection 2"));
}

static int take_as_member(void *arg)
{
    world *w = arg;
    weir_scoped_lease weir_lease *lease = NULL;
    return take(w->pool, "member", &lease);
}

static int work(void *arg)
{
    return weir_sleep(((world *)arg)->work_ns);
}

static int nest(void *arg)
{
    world *w = arg;
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    expect(weir_group_spawn(&group, take_as_member, w) == 0);
    expect(weir_group_spawn(&group, take_as_member, w) == 0);
    return weir_group_wait(&group);
}

/* The members ask while the parent waits for them. */
static int hold_over_a_group(world *w)
{
    uint64_t asked_ns = weir_now();
    weir_lease *held = NULL;
    expect(take(w->pool, "parent", &held) == 0);
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_CANCEL_REST);
    expect(weir_group_spawn(&group, nest, w) == 0);
    expect(weir_group_wait(&group) == WEIR_EDEADLK);
    expect(weir_now() == asked_ns);
    weir_release(held);
    return 0;
}

static void a_parent_that_holds_what_its_members_wait_for_is_part_of_the_circle(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, hold_over_a_group);
    assert_int_equal(w.refused, 2); /* as long as one of them waits it is a deadlock */
    assert_non_null(strstr(w.said, "parent holds connection 1 for 0.0 s, and waits as member"));
}

/* The members have asked before the parent begins to wait, and one goes on for a while. */
static int join_members_that_wait(world *w)
{
    uint64_t asked_ns = weir_now();
    weir_lease *held = NULL;
    expect(take(w->pool, "parent", &held) == 0);
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    expect(weir_group_spawn(&group, take_as_member, w) == 0);
    if (w->work_ns)
        expect(weir_group_spawn(&group, work, w) == 0);
    weir_sleep(WEIR_MS(5));
    expect(w->refused == 0); /* the parent might yet release it */
    expect(weir_group_wait(&group) == WEIR_EDEADLK);
    expect(weir_now() == asked_ns + (w->work_ns ? w->work_ns : WEIR_MS(5)));
    weir_release(held);
    return 0;
}

static void the_circle_may_be_closed_by_the_parent(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, join_members_that_wait);
    assert_int_equal(w.refused, 1);
}

static void the_circle_may_be_closed_by_the_end_of_the_last_who_worked(void **state)
{
    world w = {.options = {.max = 1}, .work_ns = WEIR_MS(50)};
    play(&w, join_members_that_wait);
    assert_int_equal(w.refused, 1);
}

static int join_the_root(void *arg)
{
    return weir_join(((world *)arg)->root, NULL);
}

static int be_joined_by_a_member(void *arg)
{
    world *w = arg;
    weir_scoped_lease weir_lease *first = NULL, *second = NULL;
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    expect(take(w->pool, "root", &first) == 0);
    expect(weir_group_spawn(&group, join_the_root, w) == 0);
    weir_sleep(WEIR_MS(1));
    return take(w->pool, "second", &second);
}

static int join_within_a_family(world *w)
{
    int r = 1;
    expect(weir_spawn(be_joined_by_a_member, w, &w->root) == 0);
    weir_sleep(WEIR_MS(2));
    expect(weir_join(w->root, &r) == 0 && r == WEIR_EDEADLK);
    return 0;
}

static void a_member_that_joins_its_root_cannot_go_on_either(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, join_within_a_family);
    assert_int_equal(w.refused, 1);
}

/* ---- Those who only seem to ---- */

static int hold_and_work(void *arg)
{
    world *w = arg;
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w->pool, "worker", &lease);
    return r < 0 ? r : weir_sleep(WEIR_MS(100));
}

static int wait_for_a_worker(world *w)
{
    weir_task *worker = NULL;
    int r = 1;
    expect(weir_spawn(hold_and_work, w, &worker) == 0);
    weir_sleep(WEIR_MS(1));
    expect(take_two(w) == 0);
    expect(weir_join(worker, &r) == 0 && r == 0);
    return 0;
}

static void while_one_holder_works_nobody_is_refused(void **state)
{
    world w = {.options = {.max = 2}};
    play(&w, wait_for_a_worker);
    assert_int_equal(w.refused, 0);
}

static int gather_over_many(world *w)
{
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    for (int i = 0; i < 20; i++)
        expect(weir_group_spawn(&group, hold_and_work, w) == 0);
    expect(weir_group_wait(&group) == 0);
    return 0;
}

static void members_that_take_turns_are_not_stuck(void **state)
{
    world w = {.options = {.max = 3}};
    play(&w, gather_over_many);
    assert_int_equal(w.refused, 0);
}

/* Members that are cancelled leave the queue: none of them is a victim. */
static int leave_members_that_wait(world *w)
{
    weir_lease *held = NULL;
    expect(take(w->pool, "parent", &held) == 0);
    {
        weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_CANCEL_REST);
        for (int i = 0; i < 3; i++)
            expect(weir_group_spawn(&group, take_as_member, w) == 0);
        weir_sleep(WEIR_MS(5));
    }
    weir_pool_stats_read(w->pool, &w->stats);
    expect(w->stats.cancelled == 3);
    weir_release(held);
    return 0;
}

static void a_group_that_is_left_is_no_deadlock(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, leave_members_that_wait);
    assert_int_equal(w.refused, 0);
}

static int fail_one_of_three(world *w)
{
    weir_lease *held = NULL;
    expect(take(w->pool, "parent", &held) == 0);
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_CANCEL_REST);
    for (int i = 0; i < 3; i++)
        expect(weir_group_spawn(&group, take_as_member, w) == 0);
    expect(weir_group_wait(&group) == WEIR_EDEADLK);
    weir_release(held);
    return 0;
}

static void of_members_that_are_cancelled_together_one_is_the_victim(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, fail_one_of_three);
    assert_int_equal(w.refused, 1);
    assert_int_equal(w.stats.cancelled, 2);
}

static int give_up_on_members(world *w)
{
    weir_lease *held = NULL;
    expect(take(w->pool, "parent", &held) == 0);
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    expect(weir_group_spawn(&group, work, w) == 0);
    {
        weir_scoped_timeout(quick, WEIR_MS(10));
        expect(weir_group_wait(&group) == WEIR_ETIMEDOUT);
    }
    weir_task *other = NULL;
    int r = 1;
    expect(weir_spawn(take_as_member, w, &other) == 0);
    weir_sleep(WEIR_MS(10)); /* a parent that has given up works again */
    weir_release(held);
    expect(weir_join(other, &r) == 0 && r == 0);
    expect(take_two_of_one(w) == 0);
    return 0;
}

static void a_parent_whose_wait_was_cut_short_counts_again(void **state)
{
    world w = {.options = {.max = 1}, .work_ns = WEIR_S(5)};
    play(&w, give_up_on_members);
    assert_int_equal(w.refused, 1);
}

static int take_what_another_has_to_give(world *w)
{
    weir_lease *first = NULL, *second = NULL;
    weir_task *other = NULL;
    int r = 1;
    expect(weir_spawn(take_two, w, &other) == 0);
    expect(take(w->pool, "first", &first) == 0);
    weir_sleep(WEIR_MS(20));
    weir_cancel(other); /* it still stands in the queue, but will come away */
    expect(take(w->pool, "second", &second) == 0);
    weir_release(second);
    weir_release(first);
    expect(weir_join(other, &r) == 0 && r == WEIR_ECANCELED);
    return 0;
}

static void a_waiter_that_has_been_cancelled_gives_back_what_it_holds(void **state)
{
    world w = {.options = {.max = 2}};
    play(&w, take_what_another_has_to_give);
    assert_int_equal(w.refused, 0);
}

static int wait_in_the_other_pool(void *arg)
{
    world *w = arg;
    weir_scoped_lease weir_lease *lease = NULL;
    return take(w->other, "elsewhere", &lease);
}

static int wait_in_two_pools(world *w)
{
    weir_lease *here = NULL, *there = NULL;
    weir_task *one = NULL;
    int r = 1;
    expect(take(w->other, "there", &there) == 0);
    expect(weir_spawn(take_two, w, &one) == 0); /* holds the one of `pool` */
    weir_sleep(WEIR_MS(1));
    expect(weir_spawn(wait_in_the_other_pool, w, NULL) == 0);
    expect(weir_join(one, &r) == 0 && r == WEIR_EDEADLK); /* its own fault, in its own pool */
    expect(take(w->pool, "here", &here) == 0);
    weir_release(there);
    weir_release(here);
    weir_sleep(WEIR_MS(1));
    return 0;
}

static void pools_are_looked_at_one_by_one(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, wait_in_two_pools);
    assert_int_equal(w.refused, 1);
}

static int take_and_pass_on(void *arg)
{
    world *w = arg;
    return take(w->pool, "passed on", &w->passed);
}

static int outlive_the_taker(world *w)
{
    weir_task *taker = NULL, *waiter = NULL;
    int r = 1;
    expect(weir_spawn(take_and_pass_on, w, &taker) == 0);
    expect(weir_join(taker, &r) == 0 && r == 0); /* its memory is gone */
    expect(weir_spawn(take_as_member, w, &waiter) == 0);
    weir_sleep(WEIR_MS(10));
    weir_release(w->passed);
    expect(weir_join(waiter, &r) == 0 && r == 0);
    return 0;
}

static void a_lease_may_outlive_the_task_that_took_it(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, outlive_the_taker);
    assert_int_equal(w.refused, 0);
}

static int work_with_what_was_passed_on(void *arg)
{
    world *w = arg;
    static const weir_statement any = {.sql = "select 1"};
    expect(weir_query(w->passed, &any, NULL, NULL) == 0);
    weir_sleep(WEIR_MS(10));
    weir_release(w->passed);
    return 0;
}

static int pass_on_and_take(world *w)
{
    weir_lease *another = NULL;
    weir_task *worker = NULL;
    expect(take(w->pool, "passed on", &w->passed) == 0);
    expect(weir_spawn(work_with_what_was_passed_on, w, &worker) == 0);
    weir_sleep(WEIR_MS(1));
    expect(take(w->pool, "another", &another) == 0);
    weir_release(another);
    expect(weir_join(worker, NULL) == 0);
    return 0;
}

static void who_passed_its_lease_on_may_wait_for_it(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, pass_on_and_take);
    assert_int_equal(w.refused, 0);
}

static void by_callback(void *arg, int error, weir_lease *lease)
{
    expect(error == 0);
    ((world *)arg)->passed = lease;
}

static int wait_for_a_callback(world *w)
{
    weir_task *waiter = NULL;
    int r = 1;
    expect(weir_acquire_cb(w->pool, NULL, by_callback, w, NULL) == 0);
    weir_sleep(WEIR_MS(1));
    expect(weir_spawn(take_as_member, w, &waiter) == 0);
    weir_sleep(WEIR_MS(1));
    weir_release(w->passed);
    expect(weir_join(waiter, &r) == 0 && r == 0);
    return 0;
}

static void a_lease_taken_by_callback_may_come_back_at_any_time(void **state)
{
    world w = {.options = {.max = 1}};
    play(&w, wait_for_a_callback);
    assert_int_equal(w.refused, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_waits_for_its_own_lease_is_refused_at_once),
        cmocka_unit_test(of_two_tasks_that_wait_for_each_other_one_is_refused),
        cmocka_unit_test(a_parent_that_holds_what_its_members_wait_for_is_part_of_the_circle),
        cmocka_unit_test(the_circle_may_be_closed_by_the_parent),
        cmocka_unit_test(the_circle_may_be_closed_by_the_end_of_the_last_who_worked),
        cmocka_unit_test(a_member_that_joins_its_root_cannot_go_on_either),
        cmocka_unit_test(while_one_holder_works_nobody_is_refused),
        cmocka_unit_test(members_that_take_turns_are_not_stuck),
        cmocka_unit_test(a_group_that_is_left_is_no_deadlock),
        cmocka_unit_test(of_members_that_are_cancelled_together_one_is_the_victim),
        cmocka_unit_test(a_parent_whose_wait_was_cut_short_counts_again),
        cmocka_unit_test(a_waiter_that_has_been_cancelled_gives_back_what_it_holds),
        cmocka_unit_test(pools_are_looked_at_one_by_one),
        cmocka_unit_test(a_lease_may_outlive_the_task_that_took_it),
        cmocka_unit_test(who_passed_its_lease_on_may_wait_for_it),
        cmocka_unit_test(a_lease_taken_by_callback_may_come_back_at_any_time),
    };
    return cmocka_run_group_tests_name("pool_deadlock", tests, NULL, NULL);
}
