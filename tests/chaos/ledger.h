/* ledger.h: what each writer was told about its writes, against what the table says in the end. */
#ifndef WEIR_CHAOS_LEDGER_H
#define WEIR_CHAOS_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

typedef enum write_fate {
    WRITE_NEVER,        /* not asked for */
    WRITE_OPEN,         /* asked for, not acknowledged: there at most once */
    WRITE_REFUSED,      /* told that it was not even begun: not there */
    WRITE_ACKNOWLEDGED, /* there exactly once */
} write_fate;

/* The writes of one writer, numbered from 0. The writer's own thread only, until it has ended. */
typedef struct ledger_page {
    uint8_t *fates;
    uint32_t size, capacity;
} ledger_page;

/* A new number, WRITE_OPEN. */
uint32_t ledger_open(ledger_page *p);
void ledger_settle(ledger_page *p, uint32_t number, write_fate fate);
void ledger_free(ledger_page *p);

typedef struct ledger_verdict {
    uint64_t acknowledged, unacknowledged;
    uint64_t present_unacknowledged; /* carried out though nobody was told */
    uint64_t missing;                /* acknowledged and not there */
    uint64_t doubled;
    uint64_t present_refused; /* there, though refused */
    uint64_t strange;         /* rows that nobody wrote */
    char first[128];          /* the first that is wrong */
} ledger_verdict;

/* Compares with the table `ledger` (token text, "writer-number"). False when it cannot be read. */
bool ledger_judge(ledger_page *pages, uint32_t count, const char *conninfo, ledger_verdict *v);

#endif
