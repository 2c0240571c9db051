/* load.h: clients that ask weir all the time, and judge each answer. */
#ifndef WEIR_CHAOS_LOAD_H
#define WEIR_CHAOS_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger.h"

enum { ACQUIRE_MS = 1000, QUERY_MS = 2000, NAP_MS = 100, STATUS_MAX = 600 };

typedef struct load load;

typedef struct load_options {
    uint16_t port;
    uint32_t clients;   /* that keep their connections, and wait for each answer */
    uint32_t vanishers; /* that leave before the answer */
    uint64_t seed;
    double slower; /* factor on all bounds */
} load_options;

/* What has been seen. */
typedef struct tally {
    _Atomic uint64_t asked, vanished;
    _Atomic uint64_t statuses[STATUS_MAX];
    _Atomic uint64_t hung, cut_off, crossed;
    _Atomic uint64_t foreign; /* stopped by a cancel that was not theirs */
    _Atomic uint64_t strange; /* an answer that nobody should get here */
    _Atomic uint64_t longest_ns;
    char first[512]; /* the first of all that should not be */
} tally;

load *load_new(const load_options *options);
void load_free(load *l); /* takes NULL */

/* Any number of times, in turn. All clients are connected anew, and gone when it has stopped. */
void load_go(load *l);
void load_stop(load *l);

/* So many clients connect at once, ask, and vanish. One thread at a time. */
void load_storm(load *l, uint32_t clients);

const tally *load_tally(const load *l);

/* The first 200 that came after `after_ns`, or 0 when none came until `deadline_ns`. */
uint64_t load_await_success(load *l, uint64_t after_ns, uint64_t deadline_ns);

/* One page a writer. After load_stop. */
ledger_page *load_pages(load *l, uint32_t *count);

/* The queries that are asked, as files in that folder. */
bool load_write_queries(const char *folder);
/* And the tables they are about. */
extern const char *const load_schema;

#endif
