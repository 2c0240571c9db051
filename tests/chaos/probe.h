/* probe.h: asks all the time whether the server accepts connections, by weir's own way to it. */
#ifndef WEIR_CHAOS_PROBE_H
#define WEIR_CHAOS_PROBE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct probe probe;

probe *probe_start(const char *conninfo);
void probe_stop(probe *p); /* takes NULL */

/* In a tight loop, or at leisure. */
void probe_hurry(probe *p, bool hurry);

/* Waits for the first success, or failure, that was over after `after_ns`. When that was; 0: none
 * until `deadline_ns`. */
uint64_t probe_await(probe *p, bool success, uint64_t after_ns, uint64_t deadline_ns);

#endif
