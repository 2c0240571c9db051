/* events_served.h: a program that tells what two databases NOTIFY, and its clients.
 *
 * Its streams are /events/orders, /events/"name"/x, and /events/news of the second database. */
#ifndef WEIR_TESTS_EVENTS_SERVED_H
#define WEIR_TESTS_EVENTS_SERVED_H

#include "event_client.h"
#include "served.h"

extern postgres_server *other; /* of the pool `far` */

/* Set-up and teardown of a group: the databases and the folder, with a query `nap` of 2 s. */
int events_start(void **state);
int events_end(void **state);

/* Starts the program with further flags, up to NULL (or NULL for none). */
void serve_events(const char *const *more);

/* Set-ups of a test: without further flags; or with a pulse of 100 ms, and of 64 events and 3
 * clients at the most. */
int serve_streams(void **state);
int serve_hastily(void **state);

#define usual(name) cmocka_unit_test_setup_teardown(name, serve_streams, stop)
#define hasty(name) cmocka_unit_test_setup_teardown(name, serve_hastily, stop)

/* A client of the stream. events_close it. */
event_client *hear(const char *path);
/* One of /events/orders, from its beginning to where it hears everything. */
event_client *hear_orders(void);

/* Of /events/orders, by the metric. */
int clients_of_orders(void);

/* pg_notify in the first database. */
void notify(const char *channel, const char *payload);
/* One of `orders` for each i from `first` to `last`; `payload` is SQL. */
void notify_each(int first, int last, const char *payload);

/* Whether the program listens at the first database, as a number of leases. */
int listening(void);

/* The next event is this one; it. */
#define assert_event(client, expected_name, expected_data)                                         \
    ({                                                                                             \
        heard_event e_;                                                                            \
        if (!events_next(client, SOON, &e_))                                                       \
            fail_msg("no event came, but %s was to", expected_data);                               \
        assert_string_equal(e_.name, expected_name);                                               \
        assert_string_equal(e_.data, expected_data);                                               \
        e_;                                                                                        \
    })

#endif
