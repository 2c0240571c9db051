/* postgres_route.c: in which order the PostgreSQL driver tries its addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/postgres.h"

static server_options *read_well(const char *conninfo, bool random_hosts)
{
    server_options *o = NULL;
    weir_pool_options from = {.conninfo = conninfo, .random_hosts = random_hosts, .seed = 1};
    assert_int_equal(server_options_read(&from, &o, NULL), 0);
    return o;
}

/* The names, in the order they would be tried; host n of the options has n + 1 addresses. */
static void route_of(server_options *o, char *names, char *addresses)
{
    host_lists lists;
    route *r = route_new(16);
    for (uint32_t i = 0; i < o->host_count; i++)
        for (uint32_t k = 0; k <= i; k++) {
            route_stop *stop = route_add(r, &o->hosts[i]);
            snprintf(stop->address, sizeof stop->address, "10.0.%u.%u", i, k);
        }
    route_order(r, o);
    assert_true(route_lists(r, &lists));
    strcpy(names, lists.names);
    strcpy(addresses, lists.addresses);
    host_lists_free(&lists);
    route_free(r);
}

static void addresses_keep_the_order_of_their_hosts(void **state)
{
    char names[64], addresses[128];
    server_options *o = read_well("host=a,b port=1,2", false);
    for (int i = 0; i < 20; i++) {
        route_of(o, names, addresses);
        assert_string_equal(names, "a,b,b");
        assert_string_equal(addresses, "10.0.0.0,10.0.1.0,10.0.1.1");
    }
    server_options_free(o);
}

static void at_random_each_address_comes_first_as_often_as_the_others(void **state)
{
    char names[64], addresses[128];
    int first[3] = {0, 0, 0};
    server_options *o = read_well("host=a,b port=1,2", true);
    for (int i = 0; i < 3000; i++) {
        route_of(o, names, addresses);
        assert_int_equal(strlen(addresses), strlen("10.0.0.0,10.0.1.0,10.0.1.1"));
        first[0] += strncmp(addresses, "10.0.0.0", 8) == 0;
        first[1] += strncmp(addresses, "10.0.1.0", 8) == 0;
        first[2] += strncmp(addresses, "10.0.1.1", 8) == 0;
    }
    server_options_free(o);
    for (int i = 0; i < 3; i++)
        assert_true(first[i] > 800 && first[i] < 1200);
    assert_int_equal(first[0] + first[1] + first[2], 3000);
}

/* libpq is not connected, but knows where it would go. */
static PGconn *libpq_at(const char *conninfo)
{
    PGconn *pg = PQconnectStart(conninfo);
    assert_non_null(pg);
    return pg;
}

static void each_address_is_passed_over_once(void **state)
{
    server_options *o = read_well("host=127.0.0.1,127.0.0.1 port=1,2", false);
    PGconn *first = libpq_at("host=127.0.0.1 port=1"), *second = libpq_at("host=127.0.0.1 port=2");
    PGconn *stranger = libpq_at("host=127.0.0.1 port=3");
    host_lists lists;
    route *r = route_new(2);
    for (uint32_t i = 0; i < 2; i++)
        route_add(r, &o->hosts[i]);
    assert_false(route_pass_over(r, stranger));
    assert_true(route_pass_over(r, first));
    assert_true(route_lists(r, &lists));
    assert_string_equal(lists.ports, "2");
    host_lists_free(&lists);
    assert_false(route_pass_over(r, first));
    assert_false(route_pass_over(r, second));
    route_free(r);
    PQfinish(first);
    PQfinish(second);
    PQfinish(stranger);
    server_options_free(o);
}

static void the_address_that_was_silent_last_comes_last(void **state)
{
    server_options *o = read_well("host=127.0.0.1,127.0.0.1,127.0.0.1 port=1,2,3", false);
    const char *const hangs[] = {"host=127.0.0.1 port=2", "host=127.0.0.1 port=1",
                                 "host=127.0.0.1 port=2"};
    const char *const orders[] = {"1,3,2", "3,2,1", "3,1,2"};
    for (int i = 0; i < 3; i++) {
        PGconn *pg = libpq_at(hangs[i]);
        host_lists lists;
        for (int pass = 0; pass < 2; pass++) {
            route *r = route_new(3);
            for (uint32_t k = 0; k < 3; k++)
                route_add(r, &o->hosts[k]);
            route_order(r, o);
            if (pass == 0) {
                route_hung(r, o, pg);
            } else {
                assert_true(route_lists(r, &lists));
                assert_string_equal(lists.ports, orders[i]);
                host_lists_free(&lists);
            }
            route_free(r);
        }
        PQfinish(pg);
    }
    server_options_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_keep_the_order_of_their_hosts),
        cmocka_unit_test(at_random_each_address_comes_first_as_often_as_the_others),
        cmocka_unit_test(each_address_is_passed_over_once),
        cmocka_unit_test(the_address_that_was_silent_last_comes_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
