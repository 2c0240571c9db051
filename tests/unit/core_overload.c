/* core_overload.c: the pool's rules when there is more to do than can be done, or nowhere to do it.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "../support/core_stand.h"

static core_view look(const bench *b)
{
    core_view view;

    core_look(b->core, &view);
    return view;
}

/* Has the only connection leased `times` times for `use_ns` each, always with others waiting. */
static void keep_busy(bench *b, waiter *w, uint32_t times, uint64_t use_ns)
{
    for (uint32_t i = 0; i < times; i++) {
        b->now_ns += use_ns;
        release(b, &w[i], RELEASE_CLEAN);
    }
}

/* ---- Shedding ---- */

static void who_waits_too_long_under_lasting_overload_is_shed(void **state)
{
    bench *b = *state;
    waiter w[30] = {0}, young = {0};

    b->options.shed_target_ns = WEIR_MS(200);
    open_idle(b, 1, 0);
    for (int i = 0; i < 30; i++)
        take(b, &w[i]);
    keep_busy(b, w, 12, WEIR_MS(100)); /* from the fourth on, at 300 ms, all waited too long */
    assert_false(look(b).shedding);
    take(b, &young);
    keep_busy(b, w + 12, 1, WEIR_MS(100));
    assert_true(look(b).shedding);
    assert_int_equal(w[13].state, WAITER_GRANTED);
    assert_refused(b, &w[14], WEIR_ESHED);
    assert_int_equal(b->out.count, 17);
    assert_int_equal(look(b).waiting, 1);
    assert_true(b->out.wake_ns <= b->now_ns + WEIR_MS(100));
    tick_after(b, WEIR_MS(100));
    assert_refused(b, &young, WEIR_ESHED);
}

static void a_burst_alone_sheds_nobody(void **state)
{
    bench *b = *state;
    waiter w[10] = {0};

    b->options.shed_target_ns = WEIR_MS(200);
    open_idle(b, 1, 0);
    for (int i = 0; i < 10; i++)
        take(b, &w[i]);
    keep_busy(b, w, 9, WEIR_MS(100));
    assert_false(look(b).shedding);
    assert_int_equal(w[9].state, WAITER_GRANTED);
}

static void the_urgent_are_not_shed(void **state)
{
    bench *b = *state;
    waiter w[14] = {0}, urgent = {.urgent = true};

    b->options.shed_target_ns = WEIR_MS(200);
    open_idle(b, 1, 0);
    for (int i = 0; i < 13; i++)
        take(b, &w[i]);
    take(b, &urgent);
    take(b, &w[13]);
    keep_busy(b, w, 12, WEIR_MS(100));
    b->now_ns += WEIR_MS(100);
    release(b, &w[12], RELEASE_CLEAN);
    assert_granted(b, &urgent);
    assert_refused(b, &w[13], WEIR_ESHED);
}

static void an_empty_queue_ends_the_shedding(void **state)
{
    bench *b = *state;
    waiter w[14] = {0};

    b->options.shed_target_ns = WEIR_MS(200);
    open_idle(b, 1, 0);
    for (int i = 0; i < 14; i++)
        take(b, &w[i]);
    keep_busy(b, w, 13, WEIR_MS(100));
    assert_int_equal(look(b).waiting, 0);
    assert_false(look(b).shedding);
}

static void who_cannot_be_in_time_is_refused_on_arrival(void **state)
{
    bench *b = *state;
    waiter first[2] = {0}, w[9] = {0}, late, patient;

    b->options.shed_target_ns = WEIR_S(60);
    open_idle(b, 1, 0);
    take(b, &first[0]);
    b->now_ns += WEIR_MS(100);
    release(b, &first[0], RELEASE_CLEAN); /* a lease lasts 100 ms */
    take(b, &first[1]);
    for (int i = 0; i < 9; i++)
        take(b, &w[i]);
    late = (waiter){.deadline_ns = b->now_ns + WEIR_MS(50)};
    patient = (waiter){.deadline_ns = b->now_ns + WEIR_S(2)};
    take(b, &late);
    assert_refused(b, &late, WEIR_ESHED);
    take(b, &patient);
    assert_int_equal(patient.state, WAITER_WAITING);
}

static void a_pool_that_can_grow_turns_nobody_away_whom_it_will_then_serve(void **state)
{
    bench *b = *state;
    waiter first[2] = {0}, w[12] = {0}, patient, hasty, late;

    b->options.max = 10;
    b->options.shed_target_ns = WEIR_S(60);
    open_idle(b, 1, 0);
    take(b, &first[0]);
    b->now_ns += WEIR_MS(100);
    release(b, &first[0], RELEASE_CLEAN); /* leases last 6.25 ms on average */
    take(b, &first[1]);
    for (int i = 0; i < 12; i++)
        take(b, &w[i]);
    patient = (waiter){.deadline_ns = b->now_ns + WEIR_MS(20)}; /* 14.4 ms with ten */
    take(b, &patient);
    assert_int_equal(patient.state, WAITER_WAITING);
    hasty = (waiter){.deadline_ns = b->now_ns + WEIR_MS(14)};
    take(b, &hasty);
    assert_refused(b, &hasty, WEIR_ESHED);
    tell(b, EVENT_DOWN, 1);
    late = (waiter){.deadline_ns = b->now_ns + WEIR_MS(20)};
    take(b, &late);
    assert_refused(b, &late, WEIR_ESHED); /* nothing says that there will be more than there are */
}

static void an_empty_queue_takes_anyone(void **state)
{
    bench *b = *state;
    waiter w[2] = {0}, hasty;

    open_idle(b, 1, 0);
    take(b, &w[0]);
    b->now_ns += WEIR_S(10);
    release(b, &w[0], RELEASE_CLEAN);
    take(b, &w[1]);
    hasty = (waiter){.deadline_ns = b->now_ns + WEIR_MS(1)};
    take(b, &hasty);
    assert_int_equal(hasty.state, WAITER_WAITING);
}

static void the_reserve_is_for_the_urgent(void **state)
{
    bench *b = *state;
    waiter w[3] = {0}, urgent[2] = {{.urgent = true}, {.urgent = true}};

    b->options.queue_max = 3;
    b->options.queue_reserve = 1;
    open_core(b);
    for (int i = 0; i < 3; i++)
        take(b, &w[i]);
    assert_refused(b, &w[2], WEIR_EQUEUEFULL);
    take(b, &urgent[0]);
    assert_int_equal(urgent[0].state, WAITER_WAITING);
    take(b, &urgent[1]);
    assert_refused(b, &urgent[1], WEIR_EQUEUEFULL);
}

/* ---- A server out of reach ---- */

static void who_cannot_be_connected_in_time_is_told_at_once(void **state)
{
    bench *b = *state;
    waiter w = {0}, late, patient;

    b->options.backoff_base_ns = b->options.backoff_max_ns = WEIR_S(100);
    open_core(b);
    take(b, &w);
    tell(b, EVENT_DOWN, 0);
    tell(b, EVENT_CLOSED, 0);
    uint64_t next_ns = look(b).not_before_ns;
    assert_true(next_ns > b->now_ns + 2);
    late = (waiter){.deadline_ns = next_ns - 1};
    patient = (waiter){.deadline_ns = next_ns + 1};
    take(b, &late);
    assert_refused(b, &late, WEIR_ECONNECT);
    take(b, &patient);
    assert_int_equal(patient.state, WAITER_WAITING);
}

static void a_failed_dial_ends_the_hope_of_those_who_wait(void **state)
{
    bench *b = *state;
    waiter hasty = {.deadline_ns = WEIR_S(1) + 10}, patient = {0};

    b->options.backoff_base_ns = b->options.backoff_max_ns = WEIR_S(100);
    open_core(b);
    take(b, &hasty);
    take(b, &patient);
    tell(b, EVENT_DOWN, 0);
    assert_refused(b, &hasty, WEIR_ECONNECT);
    assert_int_equal(patient.state, WAITER_WAITING);
}

/* ---- A server that is full ---- */

static void a_full_server_lowers_what_is_asked_of_it(void **state)
{
    bench *b = *state;
    waiter w[4] = {0};

    b->options.max = 4;
    open_idle(b, 2, 0);
    for (int i = 0; i < 3; i++)
        take(b, &w[i]);
    uint32_t dialled = find_sure(b, EFFECT_DIAL)->connection;
    uint64_t refused_ns = b->now_ns;
    step(b, (event){.kind = EVENT_DOWN, .connection = dialled, .reason = WEIR_RETIRE_SERVER_FULL});
    tell(b, EVENT_CLOSED, dialled);
    assert_int_equal(look(b).ceiling, 2);
    while (!find(b, EFFECT_DIAL)) {
        b->now_ns = b->out.wake_ns;
        tick(b);
    }
    assert_in_range(b->now_ns, refused_ns + WEIR_S(1), refused_ns + WEIR_S(2));
    assert_int_equal(look(b).ceiling, 3);
}

static void room_found_is_used_at_once(void **state)
{
    bench *b = *state;
    waiter w[8] = {0};

    b->options.max = 8;
    open_idle(b, 1, 0);
    for (int i = 0; i < 8; i++)
        take(b, &w[i]);
    step(b, (event){.kind = EVENT_DOWN, .connection = 1, .reason = WEIR_RETIRE_SERVER_FULL});
    tell(b, EVENT_DOWN, 2);
    tell(b, EVENT_CLOSED, 1);
    tell(b, EVENT_CLOSED, 2);
    assert_int_equal(look(b).ceiling, 1);
    tick_after(b, WEIR_S(2));
    for (int up = 2; up < 8; up++)
        tell(b, EVENT_UP, find_sure(b, EFFECT_DIAL)->connection);
    assert_int_equal(look(b).count[CONNECTION_LEASED], 7);
    find_sure(b, EFFECT_DIAL);
}

/* ---- Deadlock ---- */

static void who_waits_for_himself_is_refused(void **state)
{
    bench *b = *state;
    claimant me = {.strands = 1};
    waiter held = {.claimant = &me}, again = {.claimant = &me};

    open_idle(b, 1, 0);
    take(b, &held);
    take(b, &again);
    assert_refused(b, &again, WEIR_EDEADLK);
}

static void two_who_wait_for_each_other_are_told_apart(void **state)
{
    bench *b = *state;
    claimant one = {.strands = 1}, other = {.strands = 1};
    waiter held[2] = {{.claimant = &one}, {.claimant = &other}};
    waiter again[2] = {{.claimant = &one}, {.claimant = &other}};

    b->options.max = 2;
    open_idle(b, 2, 0);
    take(b, &held[0]);
    take(b, &held[1]);
    take(b, &again[0]);
    assert_null(find(b, EFFECT_REFUSE));
    take(b, &again[1]);
    assert_refused(b, &again[1], WEIR_EDEADLK);
    assert_int_equal(again[0].state, WAITER_WAITING);
}

static void one_holder_at_work_is_no_deadlock(void **state)
{
    bench *b = *state;
    claimant one = {.strands = 1}, other = {.strands = 2};
    waiter held[2] = {{.claimant = &one}, {.claimant = &other}};
    waiter again[2] = {{.claimant = &one}, {.claimant = &other}};

    b->options.max = 2;
    open_idle(b, 2, 0);
    for (int i = 0; i < 2; i++)
        take(b, &held[i]);
    for (int i = 0; i < 2; i++)
        take(b, &again[i]);
    assert_null(find(b, EFFECT_REFUSE));
    other.strands = 1; /* its second strand waits for the first now */
    tick(b);
    assert_refused(b, &again[1], WEIR_EDEADLK);
}

static void a_wait_for_another_pool_is_no_deadlock_of_this_one(void **state)
{
    bench *b = *state;
    claimant me = {.strands = 1, .waiting = 1};
    waiter held = {.claimant = &me}, innocent = {0};

    open_idle(b, 1, 0);
    take(b, &held);
    take(b, &innocent);
    tick(b);
    assert_null(find(b, EFFECT_REFUSE));
}

static void who_still_can_get_a_connection_is_not_stuck(void **state)
{
    bench *b = *state;
    claimant me = {.strands = 1};
    waiter held = {.claimant = &me}, again = {.claimant = &me};

    b->options.max = 2;
    open_idle(b, 1, 0);
    take(b, &held);
    take(b, &again);
    assert_null(find(b, EFFECT_REFUSE));
    find_sure(b, EFFECT_DIAL);
}

typedef struct elsewhere {
    claimant claimant;
    atomic_bool over;
} elsewhere;

/* A family whose only task waits in another pool's queue, comes away, and ends; over and over. */
static void *come_and_go(void *arg)
{
    elsewhere *e = arg;

    while (!e->over) {
        e->claimant.strands = e->claimant.waiting = 1;
        e->claimant.waiting = e->claimant.strands = 0;
    }
    return NULL;
}

static void who_holds_and_waits_nowhere_here_closes_no_circle(void **state)
{
    bench *b = *state;
    elsewhere e = {.over = false};
    waiter holder = {.claimant = &e.claimant}, next = {0};
    pthread_t thread;

    open_idle(b, 1, 0);
    take(b, &holder);
    take(b, &next);
    assert_int_equal(pthread_create(&thread, NULL, come_and_go, &e), 0);
    for (int i = 0; i < 1000000; i++) /* while the counts change between one look and the next */
        tick_after(b, 1);
    e.over = true;
    pthread_join(thread, NULL);
    assert_int_equal(next.state, WAITER_WAITING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        behaviour(who_waits_too_long_under_lasting_overload_is_shed),
        behaviour(a_burst_alone_sheds_nobody),
        behaviour(the_urgent_are_not_shed),
        behaviour(an_empty_queue_ends_the_shedding),
        behaviour(who_cannot_be_in_time_is_refused_on_arrival),
        behaviour(a_pool_that_can_grow_turns_nobody_away_whom_it_will_then_serve),
        behaviour(an_empty_queue_takes_anyone),
        behaviour(the_reserve_is_for_the_urgent),
        behaviour(who_cannot_be_connected_in_time_is_told_at_once),
        behaviour(a_failed_dial_ends_the_hope_of_those_who_wait),
        behaviour(a_full_server_lowers_what_is_asked_of_it),
        behaviour(room_found_is_used_at_once),
        behaviour(who_waits_for_himself_is_refused),
        behaviour(two_who_wait_for_each_other_are_told_apart),
        behaviour(one_holder_at_work_is_no_deadlock),
        behaviour(a_wait_for_another_pool_is_no_deadlock_of_this_one),
        behaviour(who_still_can_get_a_connection_is_not_stuck),
        behaviour(who_holds_and_waits_nowhere_here_closes_no_circle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
