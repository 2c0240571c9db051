/* pace.h: how many dials may be under way at once, and when the next may start. Part of the core.
 *
 * After a failed dial comes a pause, random between nothing and a bound that doubles with each
 * failure in a row ("full jitter": Marc Brooker, Exponential Backoff and Jitter, AWS Architecture
 * Blog, 2015), so that many pools do not come back to a server all at once. After the pause one
 * dial probes; each success then allows one dial more at a time, which doubles them a round.
 *
 * Without trouble a round begins with two dials at once, whenever none was under way: a burst of
 * takes on a cold pool is mostly served by the first connections before many more are made.
 *
 * A server that says it has no room (53300) is taken at its word: what is open now is the ceiling,
 * for a time, random between half of and the whole of `full_pause`; then one dial above it probes.
 * A success lifts the ceiling: to what is then open while that time lasts, and to one more after
 * it, until it no longer matters. */
#ifndef WEIR_PACE_H
#define WEIR_PACE_H

#include "core.h"

typedef struct pace {
    uint64_t base_ns, max_ns;
    uint64_t not_before_ns; /* the pause ends */
    uint32_t failures;      /* dials failed in a row */
    uint32_t doublings;     /* of the pause's bound */
    uint32_t window;        /* dials at once */
    uint32_t window_max;
    uint32_t ceiling; /* connections the server has room for; UINT32_MAX: not known to be bounded */
    uint64_t lift_ns; /* one more is tried then; WEIR_NEVER: when a dial has succeeded */
    uint64_t full_pause_ns;
} pace;

void pace_init(pace *p, const core_options *options);
/* The first of a round of dials is about to begin. */
void pace_round(pace *p);
/* A dial succeeded; with it so many connections are open. */
void pace_succeeded(pace *p, uint32_t open);

/* A dial begun at `begun_ns` failed. Of dials begun before the pause, only the first failure
 * counts: the others are news of the same trouble. `random` is the state of the generator. */
void pace_failed(pace *p, uint64_t begun_ns, uint64_t now_ns, uint64_t *random);

/* The server had no room for one more than `open` connections. */
void pace_full(pace *p, uint32_t open, uint64_t now_ns, uint64_t *random);
/* Tries one above the ceiling, if it is time. */
void pace_lift(pace *p, uint64_t now_ns);

#endif
