/* notification.c: what other sessions say to a leased one, by a server made of a script. */
#include <stdio.h>
#include <stdlib.h>

#include "../support/lease_world.h"

static const weir_statement listen = {.sql = "listen orders"};
static const weir_statement unlisten = {.sql = "unlisten orders"};
static const weir_statement nap = {.sql = "select pg_sleep(1)"};

static weir_fake_counts play(world *w, int (*body)(world *w, weir_lease *lease))
{
    w->first = &listen;
    w->step.delay_ns = WEIR_S(1);
    return play_scripted(w, &nap, body);
}

/* The next one's payload is this. */
static void hears(weir_lease *lease, const char *payload)
{
    weir_scoped_notification weir_notification *n = NULL;
    expect(weir_notified(lease, &n) == 0);
    expect(n && strcmp(n->channel, "orders") == 0);
    expect(n && strcmp(n->payload, payload) == 0 && n->length == strlen(payload));
}

static int fails(weir_lease *lease)
{
    weir_notification *n = NULL;
    int r = weir_notified(lease, &n);
    expect(r < 0 && !n);
    return r;
}

static int fails_within(weir_lease *lease, uint64_t limit_ns)
{
    weir_scoped_timeout(limit, limit_ns);
    return fails(lease);
}

static int speak_later(void *arg)
{
    world *w = arg;
    weir_sleep(WEIR_MS(50));
    weir_fake_notify(w->fake, "orders", "one");
    weir_fake_notify(w->fake, "orders", "two");
    weir_sleep(WEIR_MS(50));
    weir_fake_notify(w->fake, "orders", "");
    return 0;
}

static int hear_three(world *w, weir_lease *lease)
{
    uint64_t began = weir_now();
    weir_spawn(speak_later, w, NULL);
    hears(lease, "one");
    expect(weir_now() - began == WEIR_MS(50));
    hears(lease, "two");
    expect(weir_now() - began == WEIR_MS(50));
    hears(lease, "");
    expect(weir_now() - began == WEIR_MS(100));
    return 0;
}

static void they_come_in_order_as_they_are_sent(void **state)
{
    world w = {0};
    play(&w, hear_three);
}

static int hear_what_came_during_a_query(world *w, weir_lease *lease)
{
    weir_spawn(speak_later, w, NULL);
    expect(weir_query(lease, &nap, NULL, NULL) == 0);
    hears(lease, "one");
    hears(lease, "two");
    hears(lease, "");
    return 0;
}

static void those_that_come_while_a_query_runs_wait_for_their_taker(void **state)
{
    world w = {0};
    play(&w, hear_what_came_during_a_query);
}

static int wait_in_vain_and_go_on(world *w, weir_lease *lease)
{
    expect(fails_within(lease, WEIR_MS(20)) == WEIR_ETIMEDOUT);
    weir_fake_notify(w->fake, "orders", "late");
    hears(lease, "late");
    return weir_query(lease, &nap, NULL, NULL);
}

static void a_wait_in_vain_leaves_the_lease_as_it_was(void **state)
{
    world w = {0};
    weir_fake_counts counts = play(&w, wait_in_vain_and_go_on);
    assert_int_equal(w.error, 0);
    assert_int_equal(counts.cancels, 0);
    assert_int_equal(counts.dials, 1);
}

static int hear_on(void *arg)
{
    world *w = arg;
    return fails(w->lease);
}

static int cancel_the_hearer(world *w, weir_lease *lease)
{
    weir_task *task;
    int r;
    expect(weir_spawn(hear_on, w, &task) == 0);
    weir_sleep(WEIR_MS(10));
    expect(fails(lease) == WEIR_EBUSY);
    expect(weir_query(lease, &nap, NULL, NULL) == WEIR_EBUSY);
    weir_fake_notify(w->fake, "orders", "kept");
    weir_cancel(task); /* in the same tick: nothing is lost */
    weir_join(task, &r);
    expect(r == WEIR_ECANCELED);
    hears(lease, "kept");
    return 0;
}

static void one_at_a_time_waits_and_can_be_cancelled_without_loss(void **state)
{
    world w = {0};
    play(&w, cancel_the_hearer);
}

static int lose_it_later(void *arg)
{
    world *w = arg;
    weir_sleep(WEIR_MS(50));
    weir_fake_notify(w->fake, "orders", "last words");
    weir_fake_lose_quiet(w->fake);
    return 0;
}

static int hear_until_the_loss(world *w, weir_lease *lease)
{
    weir_spawn(lose_it_later, w, NULL);
    hears(lease, "last words");
    int r = fails(lease);
    expect(weir_lease_error(lease)->code == WEIR_ELOST);
    expect(fails(lease) == r);
    return r;
}

static void a_loss_is_told_once_what_came_before_it_is_taken(void **state)
{
    world w = {0};
    play(&w, hear_until_the_loss);
    assert_int_equal(w.error, WEIR_ELOST);
    assert_int_equal(w.stats.retired[WEIR_RETIRE_BROKEN], 1);
}

static int be_lost_while_waiting(world *w, weir_lease *lease)
{
    weir_task *task;
    int r;
    expect(weir_spawn(hear_on, w, &task) == 0);
    weir_sleep(WEIR_MS(10));
    weir_fake_lose_quiet(w->fake);
    weir_join(task, &r);
    return r;
}

static void a_loss_ends_the_wait(void **state)
{
    world w = {0};
    play(&w, be_lost_while_waiting);
    assert_int_equal(w.error, WEIR_ELOST);
}

/* ---- Leaks ---- */

static void hear_after(world *w, weir_lease *lease, uint64_t pause_ns)
{
    weir_fake_notify(w->fake, "orders", "here");
    weir_sleep(pause_ns);
    hears(lease, "here");
}

static int hear_for_long(world *w, weir_lease *lease)
{
    expect(fails_within(lease, WEIR_S(60)) == WEIR_ETIMEDOUT);
    for (int i = 0; i < 10; i++) /* taken without a wait */
        hear_after(w, lease, WEIR_MS(1500));
    return 0;
}

static void who_waits_for_one_or_takes_them_does_not_leak(void **state)
{
    world w = {.options = {.leak_after_ns = WEIR_S(2), .reclaim_leaked = true}};
    play(&w, hear_for_long);
    assert_int_equal(w.error, 0);
    assert_int_equal(w.stats.leaked, 0);
}

static int turn_away(world *w, weir_lease *lease)
{
    expect(fails_within(lease, WEIR_S(5)) == WEIR_ETIMEDOUT);
    weir_sleep(WEIR_MS(2100));
    return fails(lease);
}

static void who_turns_away_leaks(void **state)
{
    world w = {.options = {.leak_after_ns = WEIR_S(2), .reclaim_leaked = true}};
    play(&w, turn_away);
    assert_int_equal(w.error, WEIR_ERECLAIMED);
    assert_int_equal(w.stats.leaked, 1);
}

static int wait_in_the_instant(void *arg)
{
    world *w = arg;
    weir_sleep(WEIR_S(2));
    return fails(w->lease);
}

/* The order to close may be on its way when the wait begins. */
static int be_reclaimed_in_the_instant(world *w, weir_lease *lease)
{
    weir_task *task;
    int r;
    expect(weir_spawn(wait_in_the_instant, w, &task) == 0);
    weir_sleep(WEIR_S(3));
    weir_cancel(task);
    weir_join(task, &r);
    return r;
}

static void a_wait_that_begins_as_the_lease_is_reclaimed_ends(void **state)
{
    world w = {.options = {.leak_after_ns = WEIR_S(2), .reclaim_leaked = true}};
    play(&w, be_reclaimed_in_the_instant);
    assert_int_equal(w.error, w.stats.leaked ? WEIR_ERECLAIMED : WEIR_ECANCELED);
}

/* More than may wait: what is left is the newest, in order, and the first of it tells the loss. */
static int let_too_many_come(world *w, weir_lease *lease)
{
    static char payload[8001];
    enum { SENT = 1000 };
    uint64_t lost = 0;
    int heard = 0;
    for (int i = 0; i < SENT; i++) {
        memset(payload, ' ', 8000);
        payload[snprintf(payload, sizeof payload, "%d", i)] = ' ';
        weir_fake_notify(w->fake, "orders", payload);
    }
    for (; heard + (int)lost < SENT; heard++) {
        weir_scoped_notification weir_notification *n = NULL;
        expect(weir_notified(lease, &n) == 0);
        expect((n->lost > 0) == (heard == 0));
        lost += n->lost;
        expect(strtol(n->payload, NULL, 10) == heard + (int)lost);
    }
    expect(heard > 100 && lost > 200);
    expect(fails_within(lease, WEIR_MS(1)) == WEIR_ETIMEDOUT);
    return 0;
}

static void of_too_many_the_oldest_go_and_the_next_tells_how_many(void **state)
{
    world w = {0};
    play(&w, let_too_many_come);
}

static int stop_listening(world *w, weir_lease *lease)
{
    expect(weir_query(lease, &unlisten, NULL, NULL) == 0);
    weir_fake_notify(w->fake, "orders", "unheard");
    return fails_within(lease, WEIR_MS(5));
}

static void who_does_not_listen_hears_nothing(void **state)
{
    world w = {0};
    play(&w, stop_listening);
    assert_int_equal(w.error, WEIR_ETIMEDOUT);
}

static int leave_some_behind(world *w, weir_lease *lease)
{
    weir_fake_notify(w->fake, "orders", "left behind");
    weir_fake_notify(w->fake, "orders", "left behind, too");
    return 0;
}

static int take_again(void *arg)
{
    world *w = arg;
    weir_scoped_lease weir_lease *lease = NULL;
    weir_sleep(WEIR_S(1));
    weir_fake_notify(w->fake, "orders", "after the lease");
    expect(weir_acquire(w->pool, NULL, &lease) == 0);
    return fails_within(lease, WEIR_MS(5));
}

static int give_back_and_take_again(world *w, weir_lease *lease)
{
    expect(weir_spawn(take_again, w, NULL) == 0);
    return leave_some_behind(w, lease);
}

static void nothing_is_left_to_the_next_lease(void **state)
{
    world w = {0};
    weir_fake_counts counts = play(&w, give_back_and_take_again);
    assert_int_equal(counts.dials, 1);
    assert_int_equal(counts.resets, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_in_order_as_they_are_sent),
        cmocka_unit_test(those_that_come_while_a_query_runs_wait_for_their_taker),
        cmocka_unit_test(a_wait_in_vain_leaves_the_lease_as_it_was),
        cmocka_unit_test(one_at_a_time_waits_and_can_be_cancelled_without_loss),
        cmocka_unit_test(a_loss_is_told_once_what_came_before_it_is_taken),
        cmocka_unit_test(a_loss_ends_the_wait),
        cmocka_unit_test(who_waits_for_one_or_takes_them_does_not_leak),
        cmocka_unit_test(who_turns_away_leaks),
        cmocka_unit_test(a_wait_that_begins_as_the_lease_is_reclaimed_ends),
        cmocka_unit_test(of_too_many_the_oldest_go_and_the_next_tells_how_many),
        cmocka_unit_test(who_does_not_listen_hears_nothing),
        cmocka_unit_test(nothing_is_left_to_the_next_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
