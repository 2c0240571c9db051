/* faults.h: what goes wrong, each with its end, and how long weir took to recover from it. */
#ifndef WEIR_CHAOS_FAULTS_H
#define WEIR_CHAOS_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "../support/postgres.h"
#include "blackhole.h"
#include "load.h"
#include "probe.h"
#include "proxy.h"

/* All that can be harmed. */
typedef struct scene {
    postgres_server *server;
    proxy *proxy;
    blackhole blackhole;
    probe *probe;
    load *load;
    uint16_t port; /* weir's */
    uint32_t pool_max;
    bool control; /* weir has endpoints to steer its pool by */
    uint64_t seed;
    double slower;
    uint32_t disobeyed; /* calls of those endpoints that did not succeed */
} scene;

/* How the time to recover counts. */
typedef enum fault_class {
    FAULT_OUTAGE, /* from when the server accepts connections again; to be within a second */
    FAULT_APART,  /* bounded by something else, which the table names */
    FAULT_NO_OUTAGE
} fault_class;

enum { FAULT_RECOVERIES_MAX = 512, FAULT_WAIT_MS = 10000 };

typedef struct fault_record {
    uint32_t injected, measured;
    uint64_t recovery_ns[FAULT_RECOVERIES_MAX]; /* FAULT_WAIT_MS: it did not */
} fault_record;

extern const uint32_t fault_count;
const char *fault_name(uint32_t fault);
fault_class fault_class_of(uint32_t fault);
const char *fault_bound(uint32_t fault); /* of FAULT_APART: by what */
/* Cannot be done here: weir has no endpoint for it. */
bool fault_skipped(const scene *s, uint32_t fault);

/* Does it, ends it, and waits until weir answers again. */
void fault_inject(scene *s, uint32_t fault, fault_record *record);

#endif
