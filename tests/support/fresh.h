/* fresh.h: the program served over a folder of queries that each test fills anew. */
#ifndef WEIR_TESTS_FRESH_H
#define WEIR_TESTS_FRESH_H

#include "served.h"

#define ECHO "select :token::text as token\n"
#define NAP                                                                                        \
    "-- @route GET /nap\n-- @timeout 30s\n"                                                        \
    "select :seconds::float8 as slept from pg_sleep(:seconds)\n"

/* Set-up and teardown of a group: the database. */
int fresh_start(void **state);
int fresh_end(void **state);

/* Set-up and teardown of a test: the folder, and the end of the program, however it is. It fails
 * when a line of the program's log was no JSON object. */
int fresh_folder(void **state);
int fresh_over(void **state);

#define fresh(name) cmocka_unit_test_setup_teardown(name, fresh_folder, fresh_over)

#endif
