/* lease_error.c: what went wrong last on a lease, whatever becomes of its connection meanwhile. */
#include "../support/lease_world.h"

static const weir_statement divide = {.sql = "select 1/0"}, other = {.sql = "select secret"};

static const weir_error by_zero = {.sqlstate = "22012", .message = "division by zero"};
static const weir_error forbidden = {.sqlstate = "42501", .message = "permission denied"};

static void play(world *w, int (*body)(world *w, weir_lease *lease))
{
    w->step = (weir_fake_step){.outcome = WEIR_FAKE_FAIL, .error = by_zero};
    play_scripted(w, &divide, body);
}

static const weir_error *fail_at(weir_lease *lease)
{
    expect(weir_query(lease, &divide, NULL, NULL) == WEIR_EQUERY);
    return weir_lease_error(lease);
}

static int lose_it_after_a_failure(world *w, weir_lease *lease)
{
    const weir_error *error = fail_at(lease);
    weir_fake_lose_quiet(w->fake);
    weir_sleep(WEIR_MS(1));
    expect(error->code == WEIR_EQUERY && strcmp(error->sqlstate, "22012") == 0);
    return weir_query(lease, &other, NULL, NULL);
}

static void an_error_stays_when_its_session_ends(void **state)
{
    world w = {0};
    play(&w, lose_it_after_a_failure);
    assert_int_equal(w.error, WEIR_ELOST);
    assert_int_equal(w.why.code, WEIR_ELOST);
}

static int see_another_fail(world *w, weir_lease *lease)
{
    weir_scoped_lease weir_lease *next = NULL;
    weir_fake_step step = {.outcome = WEIR_FAKE_FAIL, .error = forbidden};
    const weir_error *error = fail_at(lease);
    weir_sleep(WEIR_MS(110)); /* its connection is taken away, and goes to the next */
    expect(weir_fake_answer(w->fake, other.sql, 1, &step) == 0);
    expect(weir_acquire(w->pool, NULL, &next) == 0);
    expect(weir_query(next, &other, NULL, NULL) == WEIR_EQUERY);
    expect(strcmp(weir_lease_error(next)->sqlstate, "42501") == 0);
    expect(error->code == WEIR_EQUERY && strcmp(error->sqlstate, "22012") == 0);
    return 0;
}

static void an_error_is_never_anothers(void **state)
{
    world w = {.options = {.leak_after_ns = WEIR_MS(100), .reclaim_leaked = true}};
    play(&w, see_another_fail);
    assert_int_equal(w.why.code, WEIR_ERECLAIMED);
}

static int hear_nothing(world *w, weir_lease *lease)
{
    weir_notification *heard = NULL;
    fail_at(lease);
    weir_scoped_timeout(limit, WEIR_MS(10));
    expect(weir_notified(lease, &heard) == WEIR_ETIMEDOUT);
    return 0;
}

static void a_wait_that_ends_says_nothing_of_what_failed_before(void **state)
{
    world w = {0};
    play(&w, hear_nothing);
    assert_int_equal(w.why.code, WEIR_ETIMEDOUT);
    assert_string_equal(w.why.sqlstate, "");
    assert_string_equal(w.why.message, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_stays_when_its_session_ends),
        cmocka_unit_test(an_error_is_never_anothers),
        cmocka_unit_test(a_wait_that_ends_says_nothing_of_what_failed_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
