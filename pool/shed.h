/* shed.h: whom to turn away, so that under overload those who are let through are in time. Part of
 * the core.
 *
 * At arrival: a take is refused when it could not be done by its deadline: (waiters + 1) × use /
 * connections until it has one, by Little's law, and `use` with it. That has to hold for the
 * connections that are open or being opened and, where more may be opened and the last dial did not
 * fail, also for as many as there may be, once a dial has passed: else a pool that was at rest
 * would turn away a burst that it can grow to meet. `use` is an exponentially weighted mean over
 * about the last sixteen leases; one that was cut short or lost counts only if it lasted longer
 * than that. Nobody is refused so while fewer wait than there are connections, so that leases, and
 * with them the measure, always go on.
 *
 * Under lasting overload: once every grant out of the queue has come later than `target` for the
 * length of `interval`, there is a standing queue (Nichols and Jacobson, CoDel, RFC 8289), which
 * makes all wait and serves nobody more. From then on who has waited for `target` is refused,
 * longest first. It ends with a grant that waited for half of `target` at most, or with an empty
 * queue. Dropping by age and not at CoDel's rising rate, because HTTP clients, unlike TCP, do not
 * slow down when they are refused (Ben Maurer, Fail at Scale, ACM Queue 13/8, 2015).
 *
 * The urgent are never shed, and nobody is while the pool is paused. */
#ifndef WEIR_SHED_H
#define WEIR_SHED_H

#include "core.h"

typedef struct shed {
    uint64_t target_ns, interval_ns;
    uint64_t above_since_ns; /* every grant since then has waited for more than target; 0: not so */
    bool active;
} shed;

void shed_init(shed *s, const core_options *options);
/* A waiter has been granted a connection after `waited_ns` in the queue. */
void shed_granted(shed *s, uint64_t waited_ns, uint64_t now_ns);
/* Nobody waits, or the pool has been paused. */
void shed_rest(shed *s);
/* When a waiter that came at `since_ns` is shed, as things stand; WEIR_NEVER: not. */
uint64_t shed_at(const shed *s, uint64_t since_ns);

#endif
