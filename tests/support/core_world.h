/* core_world.h: the world around the core in simulation: a shell, a server, a network, clients.
 *
 * All that happens is a chore on an agenda, by virtual time. The server and the network
 * (core_world.c) answer what the core asks for with random delays and faults; clients
 * (core_clients.c) take, cancel and release at random, some of them several at once. */
#ifndef WEIR_CORE_WORLD_H
#define WEIR_CORE_WORLD_H

#include "../../pool/heap.h"
#include "core_books.h"

#define CHORES 4096
/* Times of chores are multiples of this, so that many fall into the same instant; the lower bits of
 * their keys put those in a random order. */
#define INSTANT UINT64_C(4096)

typedef enum chore_kind {
    CHORE_TAKE,     /* and plan the next */
    CHORE_CANCEL,   /* client, its take number `life` */
    CHORE_RELEASE,  /* client, unless it now takes one more (not when `well`) */
    CHORE_PROGRESS, /* client, in its take number `life` */
    CHORE_ANSWER,   /* connection, to its order number `life` */
    CHORE_LOSE,     /* connection, if still at order number `life` */
    CHORE_CLOSED,
    CHORE_DRAIN,
    CHORE_SERVER, /* goes down or comes back */
    CHORE_ROOM,   /* the server's room changes */
    CHORE_RESIZE,
    CHORE_PAUSE, /* or resume */
    CHORE_EVICT,
    CHORE_ELSEWHERE, /* family: its strand that waits for another pool need no longer */
    CHORE_TICK,      /* that nobody asked for */
} chore_kind;

typedef struct chore {
    heap_node at; /* first */
    chore_kind kind;
    uint32_t subject, life;
    bool well;
    struct chore *next_spare;
} chore;

/* What a client is to others: strands of one claimant, and leases taken while holding one. */
typedef struct role {
    kin *family;    /* NULL: takes one lease and waits for nobody while it holds it */
    uint32_t outer; /* the client (+ 1) that waits for this one; 0: none */
    uint32_t depth; /* leases that the strand held before this one */
} role;

typedef struct world {
    books books;
    uint64_t random;
    uint64_t now_ns;
    heap agenda;
    chore chores[CHORES], *spare;

    uint32_t clients;
    role roles[BOOKS_CLIENTS];
    kin families[BOOKS_CLIENTS];
    bool strands_fell; /* and the core does not know yet */
    uint32_t takes_left;
    uint64_t gap_ns, hold_ns, patience_ns, stream_gap_ns;
    uint32_t urgent_percent, family_percent, long_percent, stream_percent;
    bool patient; /* all deadlines are WEIR_NEVER */

    uint64_t lag_ns; /* how late the clock's ticks may be */
    uint32_t fault_percent, leap_permille;
    bool faults, server_up;
    uint32_t room; /* connections the server has room for */
    bool silently_dead[BOOKS_SESSIONS];
} world;

/* ---- Chance ---- */

uint64_t chance_bits(world *s);
uint64_t pick(world *s, uint64_t from, uint64_t to); /* both included */
bool percent(world *s, uint32_t p);

/* ---- The agenda ---- */

void agenda_init(world *s);
void plan(world *s, uint64_t in_ns, chore what);
uint64_t next_chore_ns(const world *s);

bool step(world *s, event e);
/* Goes on to whatever comes next: a chore, or the tick the core asked for. In one instant, either
 * may come first. False once the books find something wrong. */
bool advance(world *s);
/* Carries the effects of the last step out. */
void carry_out(world *s);
/* An idle connection may be lost, seen or unseen. */
void plan_loss(world *s, uint32_t connection);

/* ---- core_clients.c ---- */

client *client_away(world *s);
bool client_take(world *s, client *who, uint64_t deadline_ns, bool urgent);
void client_granted(world *s, client *who);
/* Is done with its take: who waited for that goes on, and gives all back. */
void client_done(world *s, const client *who);
bool do_take(world *s);
void do_elsewhere(world *s, const chore *c);
bool do_cancel(world *s, const chore *c);
bool do_release(world *s, const chore *c);
bool do_progress(world *s, const chore *c);

#endif
