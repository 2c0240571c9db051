/* core_books.h: the books kept beside the core: what it does, judged step by step from outside.
 *
 * The books know the promises of core.h, shed.h and pace.h and nothing of the core's insides. They
 * follow each event and effect, and stop at the first that breaks a promise. */
#ifndef WEIR_CORE_BOOKS_H
#define WEIR_CORE_BOOKS_H

#include "core.h"

#define BOOKS_SESSIONS 64
#define BOOKS_CLIENTS  256

typedef enum client_state {
    CLIENT_AWAY,
    CLIENT_WAITING,
    CLIENT_HOLDING,
    CLIENT_RECLAIMED, /* its connection was taken from it; its release is still to come */
} client_state;

typedef struct client {
    waiter waiter; /* first, so that a waiter is its client */
    client_state state;
    uint64_t asked_ns;
    uint32_t takes; /* so far */
} client;

/* A claimant of clients. Some of its strands may wait for a connection of another pool. */
typedef struct kin {
    claimant claimant; /* first, so that a claimant is its kin */
    uint32_t elsewhere;
} kin;

/* One slot of the core, as the shell sees it. */
typedef struct session {
    connection_state state;
    uint32_t lane;
    uint64_t since_ns, born_ns;
    uint64_t alive_ns;          /* in this state since, or the last progress; WEIR_NEVER: rests */
    uint64_t used_ns;           /* end of the last lease, or opened */
    uint64_t heard_ns;          /* last known to be well */
    client *holder;             /* while LEASED */
    bool told_leaked;           /* in this lease */
    bool taken_back;            /* its close said LEAKED */
    bool evicted;               /* to be replaced, */
    uint64_t evicted_from_ns;   /* between this time (the latest, if there were several) */
    uint64_t evicted_by_ns;     /* and this (the earliest) */
    bool ending;                /* told to be down, or released broken: to be closed in this step */
    bool released_dirty;        /* to be reset in this step, or closed */
    bool released_running;      /* to be cancelled in this step */
    bool came_back;             /* in this step */
    weir_retire_reason expects; /* why it is ending */
    uint32_t orders;            /* dials, checks, resets, cancels and closes asked for so far */
} session;

/* What the server has room for, as far as it has said: between low and high, as the moment of the
 * next rise is random. */
typedef struct ceiling {
    uint32_t low, high;
    bool rising; /* by one, between half and the whole of full_pause_ns after full_ns */
    uint64_t full_ns;
} ceiling;

/* Of moments that are random within a span, how many there were and how many in its first half. So
 * many pools or connections do not act all at once. */
typedef struct tally {
    uint64_t all, early;
} tally;

typedef struct books {
    core *core;
    core_options options; /* max and min as they are now */
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
    uint64_t dial_least_ns,
        dial_most_ns; /* how long a dial that succeeded took; most 0: none did */
    ceiling ceiling;
    uint64_t use_ns;         /* how long a lease lasts, as core_view has it */
    uint64_t above_since_ns; /* as shed.h has it */
    bool shedding;
    bool draining, drained, paused, told_paused;
    uint32_t must_refuse; /* this take, by the rules of arrival: 1 + its client's number */
    bool arrived_full, arrived_late;

    uint64_t takes, grants, refusals, dials, closed;
    uint64_t leaked, quarantined, unquarantined;
    uint64_t pauses, short_pauses; /* after failed dials; those below a tenth of backoff_base_ns */
    tally ends_of_life, kept_alive, evicted, lifted;
    uint64_t shed, shed_at_arrival, deadlocks, hopeless, surplus, keepalives, evictions, full,
        reclaimed, spared;
    effects out;    /* of the last step */
    core_view view; /* after it */
} books;

/* Makes a core and opens its books. Options as for core_new, with slots ≤ BOOKS_SESSIONS. */
void books_open(books *b, const core_options *options);
void books_close(books *b);

/* Has the core take one step and judges it. False once anything is wrong. For EVENT_TAKE, `e` names
 * the waiter of a client that is away. */
bool books_step(books *b, const event *e, uint64_t now_ns);

/* Nobody waits or holds, and min to max connections are up and idle. */
bool books_calm(const books *b);

#endif
