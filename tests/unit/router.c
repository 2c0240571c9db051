/* router.c: which route a path takes, among many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../api/router.h"

typedef struct routes {
    router *router;
    query *queries[1024];
    uint32_t count;
} routes;

static int set_up(void **state)
{
    routes *r = calloc(1, sizeof *r);
    *state = r;
    return r ? router_new(&r->router) : -1;
}

static int tear_down(void **state)
{
    routes *r = *state;
    router_free(r->router);
    for (uint32_t i = 0; i < r->count; i++)
        query_free(r->queries[i]);
    free(r);
    return 0;
}

/* Adds a route; its query takes all single-letter names. */
static int add(routes *r, const char *route)
{
    char text[256];
    query_fault fault = {0};
    const query *clash = NULL;
    query *q = NULL;
    snprintf(text, sizeof text, "-- @route %s\nselect :a, :b, :c, :d", route);
    assert_int_equal(query_parse("x.sql", text, strlen(text), &q, &fault), 0);
    r->queries[r->count++] = q;
    int status = router_add(r->router, q, &clash);
    assert_true((status == WEIR_EINVAL) == (clash != NULL));
    return status;
}

static void added(routes *r, const char *route)
{
    assert_int_equal(add(r, route), 0);
}

/* Matches, and writes the values as name=value pairs. */
static const char *taken(const routes *r, query_method method, const char *path, char *values)
{
    route_match match;
    values[0] = '\0';
    if (router_match(r->router, method, path, &match) != 0)
        return NULL;
    for (uint32_t i = 0; i < match.value_count; i++)
        sprintf(values + strlen(values), "%s%s=%.*s", i > 0 ? " " : "", match.values[i].name,
                (int)match.values[i].length, match.values[i].value);
    assert_ptr_equal(match.route, match.query->path);
    return match.route;
}

static void takes(const routes *r, const char *path, const char *route, const char *values)
{
    char got[512];
    const char *pattern = taken(r, METHOD_GET, path, got);
    if (!pattern)
        fail_msg("no route for %s", path);
    assert_string_equal(pattern, route);
    assert_string_equal(got, values);
}

static void takes_none(const routes *r, const char *path)
{
    route_match match;
    assert_int_equal(router_match(r->router, METHOD_GET, path, &match), WEIR_EINVAL);
    assert_int_equal(match.allowed, 0);
}

static void values_come_from_the_path(void **state)
{
    routes *r = *state;
    added(r, "GET /orders");
    added(r, "GET /customers/{a}/orders/{b}");
    takes(r, "/orders", "/orders", "");
    takes(r, "/customers/17/orders/x y", "/customers/{a}/orders/{b}", "a=17 b=x y");
    takes(r, "/customers/{a}/orders/é", "/customers/{a}/orders/{b}", "a={a} b=é");
}

static void only_the_whole_path_counts(void **state)
{
    routes *r = *state;
    added(r, "GET /orders");
    added(r, "GET /orders/{a}");
    takes_none(r, "/");
    takes_none(r, "");
    takes_none(r, "orders");
    takes_none(r, "/orders/");
    takes_none(r, "//orders");
    takes_none(r, "/orders//");
    takes_none(r, "/orders/1/");
    takes_none(r, "/orders/1/2");
    takes_none(r, "/order");
    takes_none(r, "/Orders");
}

static void a_literal_wins_over_a_parameter_from_the_left(void **state)
{
    routes *r = *state;
    added(r, "GET /{a}/c");
    added(r, "GET /x/{a}");
    added(r, "GET /x/y/{a}/z");
    added(r, "GET /x/{a}/y/w");
    takes(r, "/x/c", "/x/{a}", "a=c");
    takes(r, "/w/c", "/{a}/c", "a=w");
    takes(r, "/x/y/1/z", "/x/y/{a}/z", "a=1");
    takes(r, "/x/y/y/w", "/x/{a}/y/w", "a=y");
    takes_none(r, "/x/y/y/v");
}

static void a_wrong_method_tells_the_right_ones(void **state)
{
    routes *r = *state;
    route_match match;
    char values[64];
    added(r, "GET /orders/{a}");
    added(r, "DELETE /orders/{b}");
    added(r, "POST /orders/new");
    assert_int_equal(router_match(r->router, METHOD_PUT, "/orders/new", &match), WEIR_EINVAL);
    assert_int_equal(match.allowed, 1u << METHOD_GET | 1u << METHOD_DELETE | 1u << METHOD_POST);
    assert_int_equal(router_match(r->router, METHOD_POST, "/orders/1", &match), WEIR_EINVAL);
    assert_int_equal(match.allowed, 1u << METHOD_GET | 1u << METHOD_DELETE);
    /* The literal has no GET, so the parameter gets it. */
    assert_string_equal(taken(r, METHOD_GET, "/orders/new", values), "/orders/{a}");
    assert_string_equal(taken(r, METHOD_POST, "/orders/new", values), "/orders/new");
    assert_string_equal(taken(r, METHOD_DELETE, "/orders/7", values), "/orders/{b}");
    assert_string_equal(values, "b=7");
}

static void one_shape_and_method_is_taken_once(void **state)
{
    routes *r = *state;
    added(r, "GET /orders/{a}");
    assert_int_equal(add(r, "GET /orders/{b}"), WEIR_EINVAL);
    added(r, "POST /orders/{b}");
    added(r, "GET /orders/{b}/{c}");
}

static void many_routes_stay_apart(void **state)
{
    routes *r = *state;
    char text[64], path[64], values[64];
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "GET /r%d", i);
        added(r, text);
        snprintf(text, sizeof text, "GET /r%d/{a}/s%d", i, i);
        added(r, text);
    }
    for (int i = 0; i < 500; i++) {
        snprintf(path, sizeof path, "/r%d/v%d/s%d", i, i, i);
        snprintf(text, sizeof text, "a=v%d", i);
        assert_non_null(taken(r, METHOD_GET, path, values));
        assert_string_equal(values, text);
        snprintf(path, sizeof path, "/r%d/v/s%d", i, i + 1);
        takes_none(r, path);
    }
}

#define route_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        route_test(values_come_from_the_path),
        route_test(only_the_whole_path_counts),
        route_test(a_literal_wins_over_a_parameter_from_the_left),
        route_test(a_wrong_method_tells_the_right_ones),
        route_test(one_shape_and_method_is_taken_once),
        route_test(many_routes_stay_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
