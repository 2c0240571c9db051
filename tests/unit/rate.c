/* rate.c: tests of how often each client may ask, and how many connections it may have. */
#include "../../api/rate.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../api/crowd.h"
#include "../../api/siphash.h"
#include "../../pool/weir.h"

static char why[256];

static rate *opened(const char *text)
{
    rate *r;
    assert_int_equal(rate_open(text, &r, why, sizeof why), 0);
    return r;
}

/* How many in a row are let through at this moment. */
static int taken(rate *r, uint64_t key, uint64_t now_ns)
{
    uint64_t wait_ns;
    int n = 0;
    while (n < 1000 && rate_take(r, &key, 1, 0, now_ns, &wait_ns) < 0)
        n++;
    return n;
}

static void a_burst_is_let_through_and_then_the_rate(void **state)
{
    rate *r = opened("10/s:3");
    uint64_t now = WEIR_S(1000), key = 7, wait_ns = 0;
    assert_int_equal(taken(r, key, now), 3);
    assert_int_equal(rate_take(r, &key, 1, 0, now, &wait_ns), 0);
    assert_int_equal(wait_ns, WEIR_MS(100));
    assert_int_equal(taken(r, key, now + WEIR_MS(99)), 0);
    assert_int_equal(taken(r, key, now + WEIR_MS(100)), 1);
    assert_int_equal(taken(r, key, now + WEIR_MS(350)), 2);
    assert_int_equal(taken(r, key, now + WEIR_S(60)), 3); /* what was not used is not saved up */
    rate_close(r);
}

static void rates_are_read_as_written(void **state)
{
    static const struct {
        const char *text;
        int burst;
        uint64_t each_ns;
    } cases[] = {{"1/s", 1, WEIR_S(1)},   {"20/s", 20, WEIR_MS(50)}, {"20/s:50", 50, WEIR_MS(50)},
                 {"60/m", 60, WEIR_S(1)}, {"60/m:1", 1, WEIR_S(1)},  {"2/h:1", 1, WEIR_S(1800)}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rate *r = opened(cases[i].text);
        uint64_t wait_ns = 0, key = 1;
        assert_int_equal(taken(r, key, WEIR_S(1)), cases[i].burst);
        assert_int_equal(rate_take(r, &key, 1, 0, WEIR_S(1), &wait_ns), 0);
        assert_int_equal(wait_ns, cases[i].each_ns);
        rate_close(r);
    }
}

static void what_is_no_rate_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "10",
                                      "10/",
                                      "/s",
                                      "0/s",
                                      "-1/s",
                                      "10/d",
                                      "10/s:",
                                      "10/s:0",
                                      "10/s:x",
                                      "1.5/s",
                                      "10/s:5x",
                                      "10/ss",
                                      "10 /s",
                                      "1000001/s",
                                      " 1/s",
                                      "10/s:99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rate *r = NULL;
        assert_int_equal(rate_open(bad[i], &r, why, sizeof why), WEIR_EINVAL);
        assert_null(r);
        assert_non_null(strstr(why, "--rate-limit: \""));
    }
}

static void both_keys_have_to_have_it_left_and_neither_pays_for_a_refusal(void **state)
{
    rate *r = opened("1/s:2");
    uint64_t now = WEIR_S(5), wait_ns, address = 1, both[2] = {address, 2};
    assert_int_equal(taken(r, 2, now), 2); /* the token, from elsewhere */
    assert_int_equal(rate_take(r, both, 2, 0, now, &wait_ns), 1);
    assert_int_equal(taken(r, address, now), 2);
    rate_close(r);
}

/* A request for several queries, of a client known by `key`: whether it is let in. */
static bool asks(rate *r, uint64_t key, uint32_t queries, uint64_t now_ns, uint64_t *wait_ns)
{
    return rate_take(r, &key, 1, 0, now_ns, wait_ns) < 0 &&
           rate_take(r, &key, 1, queries - 1, now_ns, wait_ns) < 0;
}

static void each_query_of_a_request_is_paid_for(void **state)
{
    rate *r = opened("10/s:5");
    uint64_t now = WEIR_S(1000), wait_ns;
    assert_true(asks(r, 7, 4, now, &wait_ns));
    assert_int_equal(taken(r, 7, now), 1);
    assert_true(asks(r, 8, 5, now, &wait_ns));
    assert_int_equal(taken(r, 8, now), 0);
    rate_close(r);
}

/* Who comes back when told, and asks for as many, is let in; a moment before, not. */
static void queries_that_cannot_be_paid_for_have_a_true_wait(void **state)
{
    static const struct {
        const char *rate;
        int before;
        uint32_t queries;
        uint64_t wait_ns;
    } cases[] = {{"10/s:5", 2, 4, WEIR_MS(200)},
                 {"10/s:5", 4, 2, WEIR_MS(200)},
                 {"10/s:5", 1, 5, WEIR_MS(200)},
                 {"10/s:5", 1, 50, WEIR_MS(200)}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (uint64_t early = 0; early < 2; early++) {
            rate *r = opened(cases[i].rate);
            uint64_t now = WEIR_S(1000), wait_ns = 0, again_ns, key = 7;
            for (int n = 0; n < cases[i].before; n++)
                assert_true(rate_take(r, &key, 1, 0, now, &wait_ns) < 0);
            assert_false(asks(r, key, cases[i].queries, now, &wait_ns));
            assert_int_equal(wait_ns, cases[i].wait_ns);
            again_ns = now + wait_ns - early;
            assert_int_equal(asks(r, key, cases[i].queries, again_ns, &wait_ns), !early);
            rate_close(r);
        }
}

static void more_queries_than_the_burst_pass_alone_and_are_paid_for_afterwards(void **state)
{
    rate *r = opened("10/s:3");
    uint64_t now = WEIR_S(1000), wait_ns, key = 7;
    assert_true(asks(r, key, 8, now, &wait_ns));
    assert_int_equal(rate_take(r, &key, 1, 0, now, &wait_ns), 0);
    assert_int_equal(wait_ns, WEIR_MS(600));
    assert_int_equal(taken(r, key, now + WEIR_MS(600)), 1);
    rate_close(r);
    r = opened("1/s:1");
    assert_true(asks(r, key, 2, now, &wait_ns));
    assert_false(asks(r, key, 2, now, &wait_ns));
    assert_int_equal(wait_ns, WEIR_S(2));
    assert_true(asks(r, key, 2, now + WEIR_S(2), &wait_ns));
    rate_close(r);
}

static void no_number_of_queries_makes_a_debt_turn_over(void **state)
{
    rate *r = opened("1/h:1000000");
    uint64_t now = WEIR_S(1000), wait_ns;
    assert_true(asks(r, 7, UINT32_MAX, now, &wait_ns));
    assert_int_equal(taken(r, 7, now), 0);
    assert_false(asks(r, 7, UINT32_MAX, now, &wait_ns));
    rate_close(r);
}

static void clients_do_not_pay_for_each_other(void **state)
{
    rate *r = opened("1/s:1");
    uint64_t now = WEIR_S(5);
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t key = rate_key(r, &i, sizeof i);
        assert_int_equal(taken(r, key, now), 1);
    }
    rate_close(r);
}

/* More than there is room for: nobody is refused for another's sake, and one who has most to pay
 * for is not the one who is forgotten. */
static void many_clients_are_counted_in_a_fixed_memory(void **state)
{
    rate *r = opened("1/s:4");
    uint64_t now = WEIR_S(5), wait_ns, greedy = rate_key(r, "greedy", 6);
    assert_int_equal(taken(r, greedy, now), 4);
    for (uint64_t i = 0; i < 4 * RATE_CLIENTS; i++) {
        uint64_t key = rate_key(r, &i, sizeof i);
        assert_int_equal(rate_take(r, &key, 1, 0, now, &wait_ns), -1);
    }
    assert_int_equal(taken(r, greedy, now), 0);
    rate_close(r);
}

static rate *shared;
static _Atomic int let_through;

static void *ask_often(void *arg)
{
    uint64_t key = 3, wait_ns;
    for (int i = 0; i < 2000; i++)
        let_through += rate_take(shared, &key, 1, 0, WEIR_S(1), &wait_ns) < 0;
    return NULL;
}

static void threads_share_one_count(void **state)
{
    pthread_t threads[4];
    shared = opened("100/s");
    let_through = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(let_through, 100);
    rate_close(shared);
}

/* The vectors of the paper: its key, and the bytes 0, 1, 2 … */
static void the_hash_is_siphash(void **state)
{
    static const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    unsigned char bytes[15];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    assert_true(siphash(key, bytes, 15) == UINT64_C(0xa129ca6149be45e5));
    assert_true(siphash(key, bytes, 0) == UINT64_C(0x726fdb47dd0e0e31));
}

static void an_address_has_so_many_connections_and_no_more(void **state)
{
    crowd *c;
    ip a = {{1}}, b = {{2}};
    assert_int_equal(crowd_open(2, &c), 0);
    assert_true(crowd_enter(c, &a) && crowd_enter(c, &a));
    assert_false(crowd_enter(c, &a));
    assert_true(crowd_enter(c, &b));
    crowd_leave(c, &a);
    assert_true(crowd_enter(c, &a));
    crowd_leave(c, &a);
    crowd_leave(c, &a);
    crowd_leave(c, &b);
    assert_true(crowd_enter(c, &b));
    crowd_close(c); /* with one inside */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_let_through_and_then_the_rate),
        cmocka_unit_test(rates_are_read_as_written),
        cmocka_unit_test(what_is_no_rate_is_refused),
        cmocka_unit_test(both_keys_have_to_have_it_left_and_neither_pays_for_a_refusal),
        cmocka_unit_test(each_query_of_a_request_is_paid_for),
        cmocka_unit_test(queries_that_cannot_be_paid_for_have_a_true_wait),
        cmocka_unit_test(more_queries_than_the_burst_pass_alone_and_are_paid_for_afterwards),
        cmocka_unit_test(no_number_of_queries_makes_a_debt_turn_over),
        cmocka_unit_test(clients_do_not_pay_for_each_other),
        cmocka_unit_test(many_clients_are_counted_in_a_fixed_memory),
        cmocka_unit_test(threads_share_one_count),
        cmocka_unit_test(the_hash_is_siphash),
        cmocka_unit_test(an_address_has_so_many_connections_and_no_more),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
