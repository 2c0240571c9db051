/* watch.h: counts weir's sessions at the server, all the time. */
#ifndef WEIR_CHAOS_WATCH_H
#define WEIR_CHAOS_WATCH_H

#include <stdint.h>

#include "proxy.h"

typedef struct watch watch;

/* The conninfo is a superuser's, not through the proxy. */
watch *watch_start(const char *conninfo, const proxy *network);
void watch_stop(watch *w); /* takes NULL */

/* The most at once since watch_forget: of all, and of those whose line was not cut, which the
 * server would otherwise have seen end. And how often was looked. */
uint32_t watch_most(const watch *w);
uint32_t watch_most_wanted(const watch *w);
uint64_t watch_looks(const watch *w);
void watch_forget(watch *w);

#endif
