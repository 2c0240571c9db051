/* events_served.c: a program that tells what two databases NOTIFY, and its clients. */
#include "events_served.h"

#include <stdio.h>

postgres_server *other;

int events_start(void **state)
{
    database = postgres_start("max_connections = 40\n");
    other = postgres_start("max_connections = 10\n");
    folder = scratch_folder();
    query_file("nap", "-- @returns row\nselect pg_sleep(2)::text as slept\n");
    return 0;
}

int events_end(void **state)
{
    scratch_remove(folder);
    postgres_stop(other);
    postgres_stop(database);
    return 0;
}

void serve_events(const char *const *more)
{
    char far[512];
    snprintf(far, sizeof far, "far=%s", postgres_conninfo_tcp(other));
    serve_ready(joined_flags(
        (const char *const[]){"--pool-max", "2", "--lanes", "2", "--log-level", "debug", "--pool",
                              far, "--events", "orders, \"name\"/x", "--events", "news@far", NULL},
        more));
}

int serve_streams(void **state)
{
    serve_events(NULL);
    return 0;
}

int serve_hastily(void **state)
{
    serve_events((const char *const[]){"--events-heartbeat", "100ms", "--events-buffer", "64",
                                       "--events-clients-max", "3", NULL});
    return 0;
}

event_client *hear(const char *path)
{
    return events_open(weir_port(weir), path, NULL);
}

event_client *hear_orders(void)
{
    event_client *c = hear("/events/orders");
    assert_int_equal(events_status(c), 200);
    assert_event(c, "listening", "{\"stream\":\"/events/orders\"}");
    return c;
}

int clients_of_orders(void)
{
    return (int)metric("weir_event_clients{stream=\"/events/orders\"}");
}

void notify(const char *channel, const char *payload)
{
    char sql[256];
    snprintf(sql, sizeof sql, "select pg_notify('%s', '%s')", channel, payload);
    postgres_sql(database, sql);
}

void notify_each(int first, int last, const char *payload)
{
    char sql[256];
    snprintf(sql, sizeof sql, "select pg_notify('orders', %s) from generate_series(%d, %d) i",
             payload, first, last);
    postgres_sql(database, sql);
}

/* By the lease: what its session runs, as the server says, is now and then another statement. */
int listening(void)
{
    http_reply r = get("/pool?name=events@default");
    assert_status(&r, 200);
    int in_use = (int)json_integer_value(json_object_get(r.json, "in_use"));
    http_reply_free(&r);
    return in_use;
}
