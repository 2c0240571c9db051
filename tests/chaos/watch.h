/* watch.h: counts weir's sessions at the server, all the time. */
#ifndef WEIR_CHAOS_WATCH_H
#define WEIR_CHAOS_WATCH_H

#include <stdint.h>

typedef struct watch watch;

watch *watch_start(const char *conninfo); /* a superuser's, not through the proxy */
void watch_stop(watch *w);                /* takes NULL */

/* The most at once since watch_forget, and how often was looked. */
uint32_t watch_most(const watch *w);
uint64_t watch_looks(const watch *w);
void watch_forget(watch *w);

#endif
