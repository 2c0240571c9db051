/* handler_test.c: unit tests of a handler: no server, and no waiting.
 *
 *     cc handler_test.c $(pkg-config --cflags --libs weir cmocka)
 *
 * The server is a script, and time jumps to whatever comes next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>
#include <weir.h>

/* ---- What is tested: answers an HTTP status for an order's total ---- */

static const weir_statement find_order = {.sql = "select total from orders where id = $1"};

static int show_order(weir_pool *pool, const char *id, char *total, size_t size)
{
    weir_scoped_timeout(limit, WEIR_S(5));
    weir_scope scope = {.deadline_ns = weir_after(WEIR_S(1)), .label = "GET /orders/{id}"};
    weir_scoped_lease weir_lease *lease = NULL;
    if (weir_acquire(pool, &scope, &lease) < 0)
        return 503;
    weir_scoped_result weir_result *rows = NULL;
    int r = weir_query(lease, &find_order, &(weir_params){.count = 1, .values = &id}, &rows);
    if (r == WEIR_ETIMEDOUT)
        return 504;
    if (r < 0)
        return 500;
    if (weir_result_rows(rows) == 0)
        return 404;
    snprintf(total, size, "%s", weir_result_value(rows, 0, 0));
    return 200;
}

/* ---- One call of it, against a script ---- */

/* The handler runs on a task: what it did is noted there and asserted here, on the main stack,
 * because cmocka leaves a failing test by longjmp. */
typedef struct call {
    void (*script)(weir_fake *fake);
    int status;
    char total[32];
    uint64_t took_ns;
    weir_fake_counts server;
    weir_pool_stats pool;
} call;

static int call_handler(void *arg)
{
    call *c = arg;
    weir_fake *fake;
    weir_pool *pool;
    int r = weir_fake_open(&fake);
    if (r < 0)
        return r;
    c->script(fake);
    weir_pool_options options = {.driver = weir_fake_driver(), .driver_arg = fake, .max = 1};
    r = weir_pool_open(NULL, &options, &pool, NULL);
    if (r == 0) {
        uint64_t began_ns = weir_now();
        c->status = show_order(pool, "7", c->total, sizeof c->total);
        c->took_ns = weir_now() - began_ns;
        weir_sleep(WEIR_S(1)); /* what was cut short is cleared up */
        weir_pool_stats_read(pool, &c->pool);
        c->server = weir_fake_counted(fake);
        weir_pool_close(pool);
    }
    weir_fake_close(fake);
    return r;
}

static call call_with(void (*script)(weir_fake *fake))
{
    call c = {.script = script};
    weir_runtime_options options = {.virtual_time = true};
    assert_int_equal(weir_run(&options, call_handler, &c), 0);
    assert_int_equal(c.pool.in_use, 0); /* whatever happened, the lease came back */
    return c;
}

/* ---- Scripts and tests ---- */

static void has_the_order(weir_fake *fake)
{
    static const char *total = "42.50";
    weir_fake_answer(fake, find_order.sql, 0,
                     &(weir_fake_step){.columns = 1, .rows = 1, .values = &total});
}

static void an_order_is_shown_with_its_total(void **state)
{
    (void)state;
    call c = call_with(has_the_order);
    assert_int_equal(c.status, 200);
    assert_string_equal(c.total, "42.50");
    assert_int_equal(c.server.queries, 1);
}

static void has_no_orders(weir_fake *fake)
{
    weir_fake_answer(fake, find_order.sql, 0, &(weir_fake_step){.columns = 1});
}

static void an_order_that_is_not_there_is_404(void **state)
{
    (void)state;
    assert_int_equal(call_with(has_no_orders).status, 404);
}

static void takes_a_minute(weir_fake *fake)
{
    weir_fake_answer(fake, find_order.sql, 0, &(weir_fake_step){.delay_ns = WEIR_S(60)});
}

static void a_slow_server_is_504_after_five_seconds_and_stops(void **state)
{
    (void)state;
    call c = call_with(takes_a_minute);
    assert_int_equal(c.status, 504);
    assert_int_equal(c.took_ns, WEIR_S(5));
    assert_int_equal(c.server.cancels, 1);
}

static void refuses_everyone(weir_fake *fake)
{
    weir_fake_script(fake, WEIR_FAKE_DIAL, 0, &(weir_fake_step){.outcome = WEIR_FAKE_FAIL});
}

static void a_server_that_is_down_is_503_within_the_second(void **state)
{
    (void)state;
    call c = call_with(refuses_everyone);
    assert_int_equal(c.status, 503);
    assert_true(c.took_ns <= WEIR_S(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_is_shown_with_its_total),
        cmocka_unit_test(an_order_that_is_not_there_is_404),
        cmocka_unit_test(a_slow_server_is_504_after_five_seconds_and_stops),
        cmocka_unit_test(a_server_that_is_down_is_503_within_the_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
