/* core_books.h: the books kept beside the core: what it does, judged step by step from outside.
 *
 * The books know the promises of core.h and nothing of the core's insides. They follow each event
 * and effect, and stop at the first that breaks a promise. */
#ifndef WEIR_CORE_BOOKS_H
#define WEIR_CORE_BOOKS_H

#include "core.h"

#define BOOKS_SESSIONS 64
#define BOOKS_CLIENTS  256

/* One slot of the core, as the shell sees it. */
typedef struct session {
    connection_state state;
    uint32_t lane;
    uint64_t since_ns, born_ns;
    bool ending;                /* told to be down, or released broken: to be closed in this step */
    bool released_dirty;        /* to be reset in this step, or closed */
    bool released_running;      /* to be cancelled in this step */
    weir_retire_reason expects; /* why it is ending */
    uint32_t orders;            /* dials, checks, resets, cancels and closes asked for so far */
} session;

typedef enum client_state { CLIENT_AWAY, CLIENT_WAITING, CLIENT_HOLDING } client_state;

typedef struct client {
    waiter waiter; /* first, so that a waiter is its client */
    client_state state;
    uint64_t asked_ns;
    uint32_t takes; /* so far */
} client;

typedef struct books {
    core *core;
    core_options options;
    uint64_t now_ns, wake_ns;
    const char *wrong; /* the first broken promise */
    bool trace;

    session sessions[BOOKS_SESSIONS];
    uint32_t count[CONNECTION_STATE_COUNT];
    client clients[BOOKS_CLIENTS];
    client *queue[BOOKS_CLIENTS]; /* in order of arrival */
    uint32_t waiting;

    uint32_t failures, window; /* of dials: failed in a row, allowed at once */
    uint64_t failed_ns;
    bool lone_failure; /* of a dial begun after all earlier failures, with no other under way */
    bool draining, drained;

    uint64_t takes, grants, refusals, dials, closed;
    uint64_t pauses, short_pauses; /* after failed dials; those below a tenth of backoff_base_ns */
    effects out;                   /* of the last step */
} books;

/* Makes a core and opens its books. Options as for core_new, with max ≤ BOOKS_SESSIONS. */
void books_open(books *b, const core_options *options);
void books_close(books *b);

/* Has the core take one step and judges it. False once anything is wrong. For EVENT_TAKE, `e` names
 * the waiter of a client that is away. */
bool books_step(books *b, const event *e, uint64_t now_ns);

/* Nobody waits or holds, and min to max connections are up and idle. */
bool books_calm(const books *b);

#endif
