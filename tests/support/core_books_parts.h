/* core_books_parts.h: what the parts of the books have from each other. */
#ifndef WEIR_CORE_BOOKS_PARTS_H
#define WEIR_CORE_BOOKS_PARTS_H

#include "core_books.h"

/* ---- core_books_figures.c ---- */

bool want(books *b, bool kept, const char *promise);
void enter(books *b, session *s, connection_state state);
uint64_t least(uint64_t a, uint64_t b);
/* Now is a random moment between the two; later, because of a late tick, it does not count. */
void note_moment(const books *b, tally *t, uint64_t from_ns, uint64_t to_ns);

uint32_t size(const books *b);          /* all but FREE */
uint32_t open_sessions(const books *b); /* neither FREE nor CLOSING */
uint32_t supply(const books *b);        /* on their way to a waiter */
bool stale(const books *b, const session *s);
/* The session has been in `state` for as long as it may. */
bool overdue(const books *b, const session *s, connection_state state);
/* When the core has to do something about a session, at the latest. */
uint64_t due_ns(const books *b, const session *s);

uint32_t window_now(const books *b); /* how many dials may be under way */
void note_failed_dial(books *b, const session *s);
void ceiling_fell(books *b);
void ceiling_passes_time(books *b);
void ceiling_seen(books *b);
void ceiling_reached(books *b); /* a dial has succeeded */
uint32_t room_at_least(const books *b);
uint32_t room_at_most(const books *b);

/* No connection is up or on its way, nor can be before the deadline. */
bool hopeless(const books *b, const waiter *w);
/* Everyone who holds a connection waits for one, with `room` for so many connections. */
bool deadlocked(const books *b, uint32_t room);
/* Who is refused when they do. */
const client *deadlock_victim(const books *b);
/* Of this claimant in the queue. */
uint32_t waiting_of(const books *b, const claimant *who);

void shed_follows_grant(books *b, uint64_t waited_ns);
void shed_rests(books *b);
uint64_t shed_due_ns(const books *b, const client *who);
bool late_at_arrival(const books *b, const waiter *w);

/* ---- core_books_effects.c ---- */

void judge_effect(books *b, const event *e, const effect *f);

/* ---- core_books_after.c ---- */

void judge_step(books *b);

/* ---- core_books_trace.c ---- */

void trace_event(const books *b, const event *e);
void trace_effects(const books *b);

#endif
