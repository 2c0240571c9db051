/* outcome.h: all that has been seen, judged and printed as a table. */
#ifndef WEIR_CHAOS_OUTCOME_H
#define WEIR_CHAOS_OUTCOME_H

#include "calm.h"
#include "faults.h"
#include "ledger.h"

enum { KINDS_MAX = 64 };

typedef struct outcome {
    const scene *scene;
    fault_record records[KINDS_MAX];
    calm before, after;      /* the faults */
    bool telling;            /* memory is */
    uint32_t quiet_sessions; /* at the server at once, while nothing went wrong */
    uint32_t most_sessions, most_wanted, most_proxied; /* while all did; see watch.h, proxy.h */
    uint64_t looks;                                    /* at the server's sessions */
    ledger_verdict ledger;
    int exit_code;    /* weir's, told to end */
    bool ended;       /* weir, by itself */
    bool enough_time; /* for a hundred faults */
    uint32_t passed, failed;
} outcome;

/* Prints the table, and counts in passed and failed what is as it must be and what is not. */
void outcome_judge(outcome *o);

#endif
