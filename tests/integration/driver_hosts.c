/* driver_hosts.c: several servers behind one connection string, and servers without room. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "../support/driver_world.h"

enum { SERVERS = 3 };
static postgres_server *servers[SERVERS];

static int start_servers(void **state)
{
    for (int i = 0; i < SERVERS; i++)
        servers[i] = postgres_start("max_connections = 30");
    server = servers[0];
    return 0;
}

static int stop_servers(void **state)
{
    for (int i = 0; i < SERVERS; i++)
        postgres_stop(servers[i]);
    return 0;
}

static void assert_no_backend_is_left(postgres_server *s)
{
    int left = postgres_backends(s);
    for (int i = 0; i < 500 && left > 0; i++) {
        usleep(10000);
        left = postgres_backends(s);
    }
    assert_int_equal(left, 0);
}

/* Which of the servers that port is; -1: none. */
static int server_of(const char *port)
{
    for (int i = 0; i < SERVERS; i++)
        if (atoi(port) == postgres_port(servers[i]))
            return i;
    return -1;
}

enum { LEASES = 20 };

/* All held at once, so that each has a connection of its own. */
static int many_leases(world *w)
{
    weir_lease *leases[LEASES] = {NULL};
    int r = 0;
    for (int i = 0; i < LEASES && r == 0; i++) {
        r = take(w, &leases[i]);
        if (r == 0)
            ask(w, leases[i], i, "select current_setting('port')");
    }
    for (int i = 0; i < LEASES; i++)
        weir_release(leases[i]);
    return r;
}

static void count_servers(const world *w, int used[SERVERS])
{
    assert_all_well(w, 0, LEASES - 1);
    memset(used, 0, SERVERS * sizeof *used);
    for (int i = 0; i < LEASES; i++) {
        int at = server_of(w->text[i]);
        assert_true(at >= 0);
        used[at]++;
    }
    for (int i = 0; i < SERVERS; i++)
        assert_no_backend_is_left(servers[i]);
}

/* ---- Order ---- */

static void hosts_are_tried_in_order_or_all_at_random(void **state)
{
    char conninfo[300];
    int used[SERVERS];
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1,127.0.0.1,localhost port=%u,%u,%u user=postgres dbname=postgres",
             postgres_port(servers[1]), postgres_port(servers[2]), postgres_port(servers[0]));

    world in_order = {.options = {.conninfo = conninfo, .max = LEASES}};
    play(&in_order, many_leases);
    count_servers(&in_order, used);
    assert_int_equal(used[1], LEASES);

    world at_random = {
        .options = {.conninfo = conninfo, .max = LEASES, .random_hosts = true, .seed = 7}};
    play(&at_random, many_leases);
    count_servers(&at_random, used);
    for (int i = 0; i < SERVERS; i++)
        assert_true(used[i] >= 2);
}

static int silent_listener(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, size) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) != 0)
        fail();
    *port = ntohs(a.sin_port);
    return fd;
}

static void a_host_found_silent_is_tried_last_from_then_on(void **state)
{
    uint16_t silent;
    int fd = silent_listener(&silent), used[SERVERS];
    char conninfo[300];
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1,127.0.0.1,127.0.0.1 port=%u,%u,%u user=postgres dbname=postgres",
             silent, postgres_port(servers[1]), postgres_port(servers[2]));
    for (int at_random = 0; at_random < 2; at_random++) {
        world w = {.options = {.conninfo = conninfo,
                               .max = LEASES,
                               .connect_timeout_ns = WEIR_MS(800),
                               .random_hosts = at_random,
                               .seed = 7}};
        play(&w, many_leases);
        count_servers(&w, used);
        assert_int_equal(w.failed[WEIR_RETIRE_CONNECT_TIMEOUT], 1);
        assert_true(used[1] > 0);
        assert_int_equal(used[2] > 0, at_random);
    }
    close(fd);
}

static void await_dials(const world *w, uint32_t count)
{
    for (int i = 0; i < 2000 && w->events[WEIR_CONNECTION_DIALING] < count; i++)
        weir_sleep(WEIR_MS(1));
}

/* Of two dials one is too many for a moment. */
static int shrinks_and_grows(world *w)
{
    await_dials(w, 2);
    weir_sleep(WEIR_MS(20));
    w->r[0] = weir_pool_resize(w->pool, 1, 1);
    weir_sleep(WEIR_MS(20));
    w->r[1] = weir_pool_resize(w->pool, 2, 2);
    await_dials(w, 3);
    weir_sleep(WEIR_MS(50));
    w->number[0] = w->events[WEIR_CONNECTION_OPENED];
    return 0;
}

static void a_dial_given_up_for_another_reason_does_not_make_its_host_silent(void **state)
{
    uint16_t silent;
    int fd = silent_listener(&silent);
    char conninfo[300];
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1,127.0.0.1 port=%u,%u user=postgres dbname=postgres", silent,
             postgres_port(server));
    world w = {.options = {.conninfo = conninfo, .max = 2, .min = 2}};
    play(&w, shrinks_and_grows);
    close(fd);
    assert_all_well(&w, 0, 1);
    assert_int_equal(w.events[WEIR_CONNECTION_DIALING], 3);
    assert_int_equal(w.number[0], 0); /* the third one waits there, too */
}

/* ---- No room ---- */

/* Takes all the room a server has. Returns how many there were. */
static int fill_up(PGconn *clients[], int most)
{
    for (int i = 0; i < most; i++) {
        clients[i] = PQconnectdb(postgres_conninfo(server));
        if (PQstatus(clients[i]) != CONNECTION_OK) {
            PQfinish(clients[i]);
            return i;
        }
    }
    return most;
}

static int finds_no_room(world *w)
{
    PGconn *clients[40];
    int count = fill_up(clients, 40);
    {
        weir_scoped_lease weir_lease *lease = NULL;
        weir_scope scope = {.deadline_ns = weir_after(WEIR_MS(300))};
        w->r[0] = weir_acquire(w->pool, &scope, &lease);
        weir_pool_connect_error(w->pool, &w->error[0]);
    }
    for (int i = 0; i < count; i++)
        PQfinish(clients[i]);
    w->number[1] = (uint64_t)count;
    return take_and_ask(w, 2, "select 1");
}

static void a_server_without_room_is_told_from_one_that_fails(void **state)
{
    world w = {.options = {.max = 2}};
    play(&w, finds_no_room);
    assert_true(w.number[1] > 0 && w.number[1] < 40);
    assert_int_equal(w.r[0] == WEIR_ECONNECT || w.r[0] == WEIR_ETIMEDOUT, 1);
    assert_string_equal(w.error[0].sqlstate, "53300");
    assert_true(w.error[0].retryable);
    assert_true(w.failed[WEIR_RETIRE_SERVER_FULL] >= 1);
    assert_int_equal(w.failed[WEIR_RETIRE_CONNECT_FAILED], 0);
    assert_all_well(&w, 2, 2);
}

/* The first server has no room; what is behind it? */
static int goes_elsewhere(world *w)
{
    PGconn *clients[40];
    int count = fill_up(clients, 40);
    if (w->options.min > 0)
        first_dial(w);
    else
        w->r[2] = take_and_ask(w, 0, "select current_setting('port')");
    for (int i = 0; i < count; i++)
        PQfinish(clients[i]);
    return w->r[2];
}

static void where_one_server_is_full_the_next_is_tried(void **state)
{
    char conninfo[300];
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1,127.0.0.1 port=%u,%u user=postgres dbname=postgres",
             postgres_port(servers[0]), postgres_port(servers[1]));
    world has_room = {.options = {.conninfo = conninfo, .max = 1}};
    play(&has_room, goes_elsewhere);
    assert_all_well(&has_room, 0, 0);
    assert_int_equal(server_of(has_room.text[0]), 1);
    assert_int_equal(has_room.events[WEIR_CONNECTION_FAILED], 0);

    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1,127.0.0.1 port=%u,1 user=postgres dbname=postgres",
             postgres_port(servers[0]));
    world is_dead = {.options = {.conninfo = conninfo, .min = 1}};
    play(&is_dead, goes_elsewhere);
    assert_string_equal(is_dead.error[0].sqlstate, "53300");
    assert_true(is_dead.failed[WEIR_RETIRE_SERVER_FULL] >= 1);
    assert_int_equal(is_dead.failed[WEIR_RETIRE_CONNECT_FAILED], 0);
}

/* ---- Read-only ---- */

static void make_read_only(postgres_server *s, bool on)
{
    postgres_sql(s, on ? "alter system set default_transaction_read_only = on"
                       : "alter system reset default_transaction_read_only");
    postgres_sql(s, "select pg_reload_conf()");
    postgres_await_true(s, on ? "select current_setting('default_transaction_read_only') = 'on'"
                              : "select current_setting('default_transaction_read_only') = 'off'");
}

static const char write_and_say[] =
    "with w as (insert into notes values (1)) select current_setting('port')";

static int writes_on(world *w)
{
    int r = take_and_ask(w, 0, write_and_say);
    if (r < 0)
        return r;
    make_read_only(servers[0], true);
    for (int i = 1; i < 3 && r == 0; i++)
        r = take_and_ask(w, i, write_and_say);
    make_read_only(servers[0], false);
    return r;
}

static void a_server_that_takes_no_writes_any_more_is_left(void **state)
{
    char conninfo[300];
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1,127.0.0.1 port=%u,%u user=postgres dbname=postgres "
             "target_session_attrs=read-write",
             postgres_port(servers[0]), postgres_port(servers[1]));
    for (int i = 0; i < 2; i++)
        postgres_sql(servers[i], "create table notes (n int)");
    world w = {.options = {.conninfo = conninfo, .max = 1}};
    play(&w, writes_on);
    assert_all_well(&w, 0, 0);
    assert_string_equal(w.error[1].sqlstate, "25006");
    assert_true(w.error[1].retryable);
    assert_all_well(&w, 2, 2);
    assert_int_equal(server_of(w.text[0]), 0);
    assert_int_equal(server_of(w.text[2]), 1);
    assert_int_equal(w.retired[WEIR_RETIRE_READ_ONLY], 1);
}

static int mistaken_writes(world *w)
{
    {
        weir_scoped_lease weir_lease *lease = NULL;
        int r = take(w, &lease);
        if (r < 0)
            return r;
        ask(w, lease, 0, "begin read only");
        ask(w, lease, 1, "create table unwanted ()");
        ask(w, lease, 2, "rollback");
        read_only(w, lease, 3, "create table unwanted ()");
    }
    return take_and_ask(w, 4, "create temp table wanted ()");
}

static void a_write_its_user_forbade_does_not_end_the_connection(void **state)
{
    char conninfo[300];
    snprintf(conninfo, sizeof conninfo, "%s target_session_attrs=read-write",
             postgres_conninfo(server));
    world w = {.options = {.conninfo = conninfo, .max = 1}};
    play(&w, mistaken_writes);
    assert_string_equal(w.error[1].sqlstate, "25006");
    assert_false(w.error[1].retryable);
    assert_string_equal(w.error[3].sqlstate, "25006");
    assert_all_well(&w, 4, 4);
    assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_tried_in_order_or_all_at_random),
        cmocka_unit_test(a_host_found_silent_is_tried_last_from_then_on),
        cmocka_unit_test(a_dial_given_up_for_another_reason_does_not_make_its_host_silent),
        cmocka_unit_test(a_server_without_room_is_told_from_one_that_fails),
        cmocka_unit_test(where_one_server_is_full_the_next_is_tried),
        cmocka_unit_test(a_server_that_takes_no_writes_any_more_is_left),
        cmocka_unit_test(a_write_its_user_forbade_does_not_end_the_connection),
    };
    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
