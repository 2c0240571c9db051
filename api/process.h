/* process.h: what the operating system says of this process. */
#ifndef WEIR_PROCESS_H
#define WEIR_PROCESS_H

#include <stdint.h>

typedef struct process_figures {
    double cpu_seconds;    /* user and system */
    double start_seconds;  /* since 1970 */
    uint64_t resident;     /* bytes */
    uint64_t virtual_size; /* bytes */
    uint64_t open_fds, max_fds;
} process_figures;

/* Figures that cannot be had are 0. Opens files below /proc: not for a hot path. */
void process_look(process_figures *figures);

#endif
