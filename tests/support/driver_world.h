/* driver_world.h: a pool on a real server, and what one test's task has seen of it. */
#ifndef WEIR_TESTS_DRIVER_WORLD_H
#define WEIR_TESTS_DRIVER_WORLD_H

#include "postgres.h"
#include "weir.h"

/* The server of a test program, between start_server and stop_server. */
extern postgres_server *server;
int start_server(void **state);
int stop_server(void **state);

/* The task records, the main stack asserts. */
typedef struct world {
    weir_pool *pool;
    weir_pool_options options;
    int (*body)(struct world *w);
    int (*turn)(struct world *w, weir_lease *lease, int turn);
    int (*leased)(struct world *w, weir_lease *lease);
    int turns;
    int opened, closed, body_result;
    int r[24];
    weir_error error[24];
    char text[24][256];
    uint64_t number[24];
    uint64_t connection[8];
    uint32_t events[WEIR_EVENT_COUNT];
    uint32_t retired[WEIR_RETIRE_REASON_COUNT];
    uint32_t failed[WEIR_RETIRE_REASON_COUNT]; /* dials */
    char notice[256];
    weir_timings timings;
} world;

/* Runs `body` as a task with a pool open; asserts that all of it went well, and that the server has
 * no session left afterwards. */
void play(world *w, int (*body)(world *w));
/* The same with a lease for all of the body; or with one lease after the other for so many turns,
 * counted from 0. The first that returns an error ends it. */
void play_leased(world *w, int (*body)(world *w, weir_lease *lease));
void play_turns(world *w, int turns, int (*turn)(world *w, weir_lease *lease, int turn));
/* As play, without asserting anything. Returns what weir_run did. */
int play_through(world *w, int (*body)(world *w));

/* ---- What bodies say ---- */

/* Takes a lease within five seconds. */
int take(world *w, weir_lease **lease);
/* Runs a statement; the first value of its result goes to text[at], rows affected to number[at]. */
void say(world *w, weir_lease *lease, int at, const weir_statement *statement, uint32_t count,
         const char *const *values);
void ask(world *w, weir_lease *lease, int at, const char *sql);
void read_only(world *w, weir_lease *lease, int at, const char *sql);
void adhoc(world *w, weir_lease *lease, int at, const char *sql);
/* Takes a lease for one statement. Returns what the taking did. */
int take_and_ask(world *w, int at, const char *sql);
/* Waits until the pool's first dial has failed or succeeded; error[0] is the pool's last. With a
 * connection to be kept (options.min), the pool dials by itself. */
int first_dial(world *w);

/* Not in a body: none of the steps failed. */
void assert_all_well(const world *w, int from, int to);

#endif
