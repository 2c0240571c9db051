/* duration.h: a length of time as people write it. */
#ifndef WEIR_DURATION_H
#define WEIR_DURATION_H

#include <stdint.h>

/* Reads `250ms`, `2s`, `1.5s`, `5m`, `1h`, `1d`, `100us` or a bare `0`: a decimal number and one
 * unit, nothing else. WEIR_EINVAL also for what is beyond a uint64_t of ns, and for a fraction
 * finer than 1 ns. Any thread. */
int duration_parse(const char *text, uint64_t *ns);

#endif
