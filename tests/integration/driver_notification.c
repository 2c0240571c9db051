/* driver_notification.c: notifications through the PostgreSQL driver, on a real server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/driver_world.h"
#include "../support/patience.h"

/* The next one within five seconds; its payload goes to text[at], its length to number[at]. */
static void hear(world *w, weir_lease *lease, int at)
{
    weir_scoped_timeout(limit, (uint64_t)(slower() * 5e9));
    weir_scoped_notification weir_notification *n = NULL;
    w->r[at] = weir_notified(lease, &n);
    w->error[at] = *weir_lease_error(lease);
    if (w->r[at] < 0)
        return;
    snprintf(w->text[at], sizeof w->text[at], "%s:%.200s", n->channel, n->payload);
    w->number[at] = n->length + n->lost;
}

static void run_sql(void *arg)
{
    postgres_sql(server, arg);
}

/* In another session, and another thread, so that the loop goes on. */
static void elsewhere(const char *sql)
{
    weir_work(run_sql, (void *)sql);
}

static int hear_of_two_channels(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    adhoc(w, lease, 0, "listen orders");
    adhoc(w, lease, 1, "listen \"Other, \"\"odd\"\" one\"");
    elsewhere("notify orders, 'one'; notify elsewhere, 'unheard'; "
              "select pg_notify('Other, \"odd\" one', 'žluť'); notify orders; "
              "select pg_notify('orders', repeat('x', 7999))");
    for (int i = 0; i < 4; i++)
        hear(w, lease, 2 + i);
    return 0;
}

static void they_come_in_order_from_the_channels_listened_to(void **state)
{
    world w = {.options.max = 1};
    play(&w, hear_of_two_channels);
    assert_all_well(&w, 0, 5);
    assert_string_equal(w.text[2], "orders:one");
    assert_string_equal(w.text[3], "Other, \"odd\" one:žluť");
    assert_string_equal(w.text[4], "orders:");
    assert_int_equal(w.number[5], 7999);
}

/* One's own come with the answer; those of others while a query runs, behind it. */
static int hear_between_queries(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    ask(w, lease, 0, "listen orders");
    ask(w, lease, 1, "select pg_notify('orders', 'own')");
    hear(w, lease, 2);
    elsewhere("notify orders, 'from elsewhere'");
    ask(w, lease, 3, "select pg_sleep(0.05)");
    hear(w, lease, 4);
    ask(w, lease, 5, "begin");
    elsewhere("notify orders, 'while in a transaction'");
    ask(w, lease, 6, "select 'goes on'");
    ask(w, lease, 7, "commit");
    hear(w, lease, 8);
    return 0;
}

static void they_come_also_where_queries_run(void **state)
{
    world w = {.options.max = 1};
    play(&w, hear_between_queries);
    assert_all_well(&w, 0, 8);
    assert_string_equal(w.text[2], "orders:own");
    assert_string_equal(w.text[4], "orders:from elsewhere");
    assert_string_equal(w.text[6], "goes on");
    assert_string_equal(w.text[8], "orders:while in a transaction");
}

enum { MANY = 5000 };

static int hear_many(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    ask(w, lease, 0, "listen orders");
    elsewhere("select pg_notify('orders', i::text) from generate_series(1, 5000) i");
    for (int i = 1; i <= MANY; i++) {
        hear(w, lease, 1);
        if (w->r[1] < 0 || strtol(w->text[1] + strlen("orders:"), NULL, 10) != i)
            break;
        w->number[2] = (uint64_t)i;
    }
    return 0;
}

static void thousands_at_once_come_whole(void **state)
{
    world w = {.options.max = 1};
    play(&w, hear_many);
    assert_all_well(&w, 0, 1);
    assert_int_equal(w.number[2], MANY);
}

static int be_killed(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    char sql[128];
    int r = take(w, &lease);
    if (r < 0)
        return r;
    ask(w, lease, 0, "listen orders");
    elsewhere("notify orders, 'last words'");
    hear(w, lease, 1);
    snprintf(sql, sizeof sql, "select pg_terminate_backend(%d)", weir_lease_backend_pid(lease));
    elsewhere(sql);
    hear(w, lease, 2);
    hear(w, lease, 3);
    ask(w, lease, 4, "select 1");
    return 0;
}

static void a_backend_that_is_killed_ends_the_wait(void **state)
{
    world w = {.options.max = 1};
    play(&w, be_killed);
    assert_all_well(&w, 0, 1);
    assert_string_equal(w.text[1], "orders:last words");
    for (int i = 2; i <= 4; i++)
        assert_int_equal(w.r[i], WEIR_ELOST);
    assert_string_equal(w.error[2].sqlstate, "57P01");
    assert_int_equal(w.retired[WEIR_RETIRE_SERVER_SHUTDOWN], 1);
}

static int hear_nothing_in_time(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    ask(w, lease, 0, "listen orders");
    {
        weir_scoped_timeout(limit, WEIR_MS(20));
        hear(w, lease, 1);
    }
    ask(w, lease, 2, "select pg_notify('orders', 'after all')");
    hear(w, lease, 3);
    return 0;
}

static void a_wait_in_vain_costs_the_session_nothing(void **state)
{
    world w = {.options.max = 1};
    play(&w, hear_nothing_in_time);
    assert_int_equal(w.r[1], WEIR_ETIMEDOUT);
    assert_all_well(&w, 2, 3);
    assert_string_equal(w.text[3], "orders:after all");
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
    assert_int_equal(w.events[WEIR_QUERY_CANCELLED], 0);
}

static int leave_a_session_that_listens(world *w)
{
    {
        weir_scoped_lease weir_lease *lease = NULL;
        int r = take(w, &lease);
        if (r < 0)
            return r;
        ask(w, lease, 0, "listen orders");
        elsewhere("notify orders, 'left behind'");
    }
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    elsewhere("notify orders, 'for nobody'");
    ask(w, lease, 1, "select count(*) from pg_listening_channels()");
    weir_scoped_timeout(limit, WEIR_MS(50));
    hear(w, lease, 2);
    return 0;
}

static void the_next_lease_of_the_session_listens_to_nothing(void **state)
{
    world w = {.options.max = 1};
    play(&w, leave_a_session_that_listens);
    assert_all_well(&w, 0, 1);
    assert_string_equal(w.text[1], "0");
    assert_int_equal(w.r[2], WEIR_ETIMEDOUT);
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
}

static int hear_behind_a_stream(world *w)
{
    static const weir_statement series = {.sql = "select generate_series(1, 50000)"};
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r < 0)
        return r;
    ask(w, lease, 0, "listen orders");
    {
        weir_scoped_stream weir_stream *stream = NULL;
        w->r[1] = weir_stream_open(lease, &series, NULL, &stream);
        elsewhere("notify orders, 'meanwhile'");
        weir_notification *n = NULL;
        w->r[2] = weir_notified(lease, &n);
        for (int more = 1; more && w->r[1] == 0;) {
            weir_scoped_result weir_result *rows = NULL;
            w->r[1] = weir_stream_next(stream, &rows);
            more = rows != NULL;
        }
    }
    hear(w, lease, 3);
    return 0;
}

/* It has come with the stream's end: nothing more on the socket tells of it. */
static void one_that_came_with_a_streams_end_is_not_forgotten(void **state)
{
    world w = {.options.max = 1};
    play(&w, hear_behind_a_stream);
    assert_all_well(&w, 0, 1);
    assert_int_equal(w.r[2], WEIR_EBUSY);
    assert_string_equal(w.text[3], "orders:meanwhile");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_in_order_from_the_channels_listened_to),
        cmocka_unit_test(they_come_also_where_queries_run),
        cmocka_unit_test(thousands_at_once_come_whole),
        cmocka_unit_test(a_backend_that_is_killed_ends_the_wait),
        cmocka_unit_test(a_wait_in_vain_costs_the_session_nothing),
        cmocka_unit_test(the_next_lease_of_the_session_listens_to_nothing),
        cmocka_unit_test(one_that_came_with_a_streams_end_is_not_forgotten),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
