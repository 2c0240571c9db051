/* items.h: a table of items and the queries over it, for the tests of HTTP. */
#ifndef WEIR_TESTS_ITEMS_H
#define WEIR_TESTS_ITEMS_H

#include "served.h"

/* Set-up and teardown of a group: the database and the folder. */
int items_start(void **state);
int items_end(void **state);

/* Set-ups of a test: four connections on two lanes; or one, which a request waits for ACQUIRE_MS
 * (times slower()), with two places in the queue and a small body, and shows SQL. */
int serve_usually(void **state);
int serve_narrowly(void **state);
#define ACQUIRE_MS 300

#define usual(name)  cmocka_unit_test_setup_teardown(name, serve_usually, stop)
#define narrow(name) cmocka_unit_test_setup_teardown(name, serve_narrowly, stop)

/* Holds one connection for a multiple of the time that a request waits for it. */
void hold(double times);

/* raw_say, which must succeed. */
static inline void say(int fd, const char *words)
{
    assert_true(raw_say(fd, words));
}

#endif
