/* weir_process.h: the program weir, run by a test as its users run it. */
#ifndef WEIR_TESTS_WEIR_PROCESS_H
#define WEIR_TESTS_WEIR_PROCESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct weir_process weir_process;

/* Starts `weir` (from the build folder of the calling test) with these arguments, up to NULL; its
 * stderr and stdout are kept. It ends with the test program. Ends the test program when it cannot
 * be started. */
weir_process *weir_start(const char *const *arguments);

/* `weir serve` on a free port of 127.0.0.1, with JSON logs, this database and these queries, and
 * further flags up to NULL (or NULL for none). */
weir_process *weir_serve(const char *database, const char *queries, const char *const *flags);

/* Kills it if it still runs, and frees; takes NULL. */
void weir_stop(weir_process *w);

pid_t weir_pid(const weir_process *w);
void weir_signal(const weir_process *w, int number);

/* Waits for its end: the exit code, 128 + number after a signal, or -1 when it still runs after
 * `seconds`. */
int weir_await_exit(weir_process *w, double seconds);

/* Waits for the `nth` (from 1) log line with this event; NULL when none came within `seconds` or
 * the program ended without it. json_decref it. */
json_t *weir_await_event(weir_process *w, const char *event, int nth, double seconds);

/* Lines with this event so far. */
int weir_events(weir_process *w, const char *event);

/* Everything it has written so far, as text. Valid until the next call. */
const char *weir_output(weir_process *w);

/* The port it listens on, from its log; waits for that. 0: it did not come up. */
uint16_t weir_port(weir_process *w);

/* Waits for service.ready. */
bool weir_await_ready(weir_process *w);

/* Open file descriptors. */
int weir_descriptors(const weir_process *w);

#endif
