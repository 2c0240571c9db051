/* findings.h: all that is wrong or doubtful in a folder of queries. */
#ifndef WEIR_FINDINGS_H
#define WEIR_FINDINGS_H

#include "query.h"

#define FINDINGS_MAX 10000 /* kept; further ones are only counted */

typedef struct finding {
    char *file, *message;
    uint32_t line; /* 0: the file as a whole */
    bool warning;
} finding;

/* Zeroed to begin with. */
typedef struct findings {
    finding *list;
    uint32_t count, capacity;
    uint32_t errors, warnings; /* also those that are not kept */
    uint32_t files;            /* that were looked at */
} findings;

/* Takes a WEIR_EINVAL's fault as an error into `fault->all` and returns 0, so that reading goes on.
 * Without `all`, and of any other status, returns the status. WEIR_ENOMEM. */
int findings_keep(const query_fault *fault, int status);
/* WEIR_ENOMEM. */
int findings_warn(findings *all, const query *q, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* How many errors are known of: 0 without `all`. */
uint32_t findings_errors(const query_fault *fault);

/* By file, line and message. */
void findings_sort(findings *all);
void findings_free(findings *all);

#endif
