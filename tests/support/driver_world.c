/* driver_world.c: a pool on a real server, and what one test's task has seen of it. */
#include "driver_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

postgres_server *server;

int start_server(void **state)
{
    server = postgres_start("max_connections = 30");
    return 0;
}

int stop_server(void **state)
{
    postgres_stop(server);
    return 0;
}

static void on_event(void *arg, const weir_event *event)
{
    world *w = arg;
    w->events[event->kind]++;
    if (event->kind == WEIR_CONNECTION_RETIRED)
        w->retired[event->reason]++;
    if (event->kind == WEIR_CONNECTION_FAILED)
        w->failed[event->reason]++;
    if (event->kind == WEIR_SERVER_NOTICE)
        snprintf(w->notice, sizeof w->notice, "%s %s", event->sqlstate, event->message);
}

static int run_body(void *arg)
{
    world *w = arg;
    w->opened = weir_pool_open(NULL, &w->options, &w->pool, NULL);
    if (w->opened < 0)
        return w->opened;
    w->body_result = w->body(w);
    w->closed = weir_pool_close(w->pool);
    return 0;
}

/* A backend takes a moment to see that its client has gone. */
static int backends_left(void)
{
    int left = postgres_backends(server);
    for (int i = 0; left > 0 && i < 500; i++) {
        usleep(10000);
        left = postgres_backends(server);
    }
    return left;
}

int play_through(world *w, int (*body)(world *w))
{
    w->body = body;
    if (!w->options.conninfo)
        w->options.conninfo = postgres_conninfo(server);
    w->options.on_event = on_event;
    w->options.on_event_arg = w;
    return weir_run(NULL, run_body, w);
}

void play(world *w, int (*body)(world *w))
{
    assert_int_equal(play_through(w, body), 0);
    assert_int_equal(w->opened, 0);
    assert_int_equal(w->body_result, 0);
    assert_int_equal(w->closed, 0);
    assert_int_equal(backends_left(), 0);
}

int take(world *w, weir_lease **lease)
{
    weir_scope scope = {.deadline_ns = weir_after(WEIR_S(5)), .timings = &w->timings};
    return weir_acquire(w->pool, &scope, lease);
}

static int leased_body(world *w)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    return r < 0 ? r : w->leased(w, lease);
}

void play_leased(world *w, int (*body)(world *w, weir_lease *lease))
{
    w->leased = body;
    play(w, leased_body);
}

static int one_turn(world *w, int turn)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    return r < 0 ? r : w->turn(w, lease, turn);
}

static int turns_body(world *w)
{
    int r = 0;
    for (int i = 0; i < w->turns && r == 0; i++)
        r = one_turn(w, i);
    return r;
}

void play_turns(world *w, int turns, int (*turn)(world *w, weir_lease *lease, int turn))
{
    w->turns = turns;
    w->turn = turn;
    play(w, turns_body);
}

void say(world *w, weir_lease *lease, int at, const weir_statement *statement, uint32_t count,
         const char *const *values)
{
    weir_scoped_result weir_result *result = NULL;
    w->r[at] = weir_query(lease, statement, &(weir_params){count, values}, &result);
    w->error[at] = *weir_lease_error(lease);
    if (w->r[at] < 0)
        return;
    w->number[at] = weir_result_affected(result);
    if (weir_result_rows(result) == 0)
        return;
    bool null = weir_result_is_null(result, 0, 0);
    snprintf(w->text[at], sizeof w->text[at], "%s", null ? "∅" : weir_result_value(result, 0, 0));
}

void ask(world *w, weir_lease *lease, int at, const char *sql)
{
    say(w, lease, at, &(weir_statement){.sql = sql}, 0, NULL);
}

void read_only(world *w, weir_lease *lease, int at, const char *sql)
{
    say(w, lease, at, &(weir_statement){.sql = sql, .read_only = true}, 0, NULL);
}

void adhoc(world *w, weir_lease *lease, int at, const char *sql)
{
    say(w, lease, at, &(weir_statement){.sql = sql, .adhoc = true}, 0, NULL);
}

int take_and_ask(world *w, int at, const char *sql)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = take(w, &lease);
    if (r == 0)
        ask(w, lease, at, sql);
    return r;
}

int first_dial(world *w)
{
    for (int i = 0; i < 4000; i++) {
        if (w->events[WEIR_CONNECTION_FAILED] || w->events[WEIR_CONNECTION_OPENED])
            break;
        weir_sleep(WEIR_MS(5));
    }
    weir_pool_connect_error(w->pool, &w->error[0]);
    return 0;
}

void assert_all_well(const world *w, int from, int to)
{
    for (int i = from; i <= to; i++)
        if (w->r[i] != 0)
            fail_msg("step %d: %s [%s] %s", i, weir_strerror(w->r[i]), w->error[i].sqlstate,
                     w->error[i].message);
}
