/* load.h: what was asked of a pool in the last minutes, in spans of ten seconds.
 *
 * Kept under the pool's lock. Beside counts it adds up for how long connections were out: the
 * moments leases ended less the moments they began, where one that is still out counts as if it
 * ended now, or with the span. So leases that have not ended are in the figures too, and one that
 * lasts through many spans is in each of them. */
#ifndef WEIR_LOAD_H
#define WEIR_LOAD_H

#include "weir.h"

#define LOAD_SPANS   30
#define LOAD_SPAN_NS WEIR_S(10)
#define LOAD_KEPT_NS (LOAD_SPANS * LOAD_SPAN_NS)

typedef struct load_span {
    uint64_t length_ns; /* LOAD_SPAN_NS, but for the present one */
    uint64_t takes;     /* refused ones included */
    uint64_t refused;
    uint64_t ended;   /* leases */
    uint64_t used_ns; /* how long these lasted, added up; each up to all the time that is kept */
    uint64_t busy_ns; /* for so long connections were out on lease, added up; of the present span it
                         lacks those that are out, and may be below 0, modulo 2^64, until it ends */
} load_span;

typedef struct load {
    uint64_t began_ns; /* the present span */
    uint32_t out;      /* leases */
    uint32_t present;  /* which span */
    uint32_t count;    /* spans there are, the present one included */
    load_span spans[LOAD_SPANS];
} load;

void load_begin(load *l, uint64_t now_ns);

/* The present span is over: goes on to the one that `now_ns` is in. */
void load_turn(load *l, uint64_t now_ns);

/* The span that now is in. */
static inline load_span *load_present(load *l, uint64_t now_ns)
{
    if (now_ns - l->began_ns >= LOAD_SPAN_NS)
        load_turn(l, now_ns);
    return &l->spans[l->present];
}

/* Somebody asked for a lease; one was granted, refused, given back. */
static inline void load_taken(load *l, uint64_t now_ns)
{
    load_present(l, now_ns)->takes++;
}

static inline void load_granted(load *l, uint64_t now_ns)
{
    load_present(l, now_ns)->busy_ns -= now_ns;
    l->out++;
}

static inline void load_refused(load *l, uint64_t now_ns)
{
    load_present(l, now_ns)->refused++;
}

static inline void load_ended(load *l, uint64_t used_ns, uint64_t now_ns)
{
    load_span *present = load_present(l, now_ns);
    present->ended++;
    present->busy_ns += now_ns;
    present->used_ns += used_ns < LOAD_KEPT_NS ? used_ns : LOAD_KEPT_NS;
    l->out--;
}

/* Adds one span to another. */
void load_join(load_span *into, const load_span *from);

/* Copies the spans until now, oldest first, into `spans` (LOAD_SPANS of them); returns how many.
 * The present one is joined to the one before it, as it may be too short to mean anything. */
uint32_t load_read(const load *l, uint64_t now_ns, load_span *spans);

#endif
