/* feeds.h: the connections over which notifications come for /events. */
#ifndef WEIR_FEEDS_H
#define WEIR_FEEDS_H

#include "../api/api.h"
#include "config.h"

/* A feed for each pool that channels are named of: a pool of its own, of one connection to the same
 * database, so that those that serve requests lack none. */
typedef struct feeds {
    weir_api_feed list[QUERY_POOLS_MAX];
    uint32_t count;
    const char *channels[CHANNEL_LIST_MAX]; /* of all, one feed's behind the other's */
} feeds;

/* An exit code, after one line on stderr where that is not EXIT_FINE; those opened are to be closed
 * all the same. `on_event_arg` as in serve_pool_options. */
int feeds_open(feeds *f, const config *c, weir_runtime *runtime, void *on_event_arg);
/* 0, or as weir_pool_close: then some are left. */
weir_async int feeds_close(feeds *f);

#endif
