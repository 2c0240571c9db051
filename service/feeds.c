/* feeds.c: the connections over which notifications come for /events. */
#include "feeds.h"

#include <stdio.h>
#include <stdlib.h>

#include "exits.h"
#include "serve_pools.h"

/* Given back when nobody listens any more, the connection is closed after so long. */
#define IDLE WEIR_S(1)

static int open_pool(feeds *f, const config *c, uint32_t index, const char *pool,
                     weir_runtime *runtime, void *on_event_arg)
{
    weir_pool_options options = serve_pool_options(c, index, on_event_arg);
    char name[sizeof "events@" + POOL_NAME_MAX];
    char *conninfo = conninfo_to_primary(options.conninfo);
    snprintf(name, sizeof name, "events@%s", pool);
    options.name = name;
    options.conninfo = conninfo;
    options.max = options.max_limit = 1;
    options.min = 0;
    options.idle_timeout_ns = IDLE;
    options.leak_after_ns = WEIR_NEVER; /* a statement for each channel may come first */
    options.max_lag_ns = 0;
    int code =
        conninfo ? serve_open_pool(runtime, &options, index, &f->list[f->count].pool) : EXIT_SYSTEM;
    free(conninfo);
    return code;
}

int feeds_open(feeds *f, const config *c, weir_runtime *runtime, void *on_event_arg)
{
    const char *pools[QUERY_POOLS_MAX + 1];
    const char **channels = f->channels;
    int code = EXIT_FINE;
    config_pool_names(c, pools);
    for (uint32_t i = 0; code == EXIT_FINE && pools[i]; i++) {
        uint32_t count = channel_list_of(&c->channels, pools[i], channels);
        if (count == 0)
            continue;
        code = open_pool(f, c, i, pools[i], runtime, on_event_arg);
        if (code != EXIT_FINE)
            break;
        f->list[f->count].channels = channels;
        f->list[f->count++].channel_count = count;
        channels += count;
    }
    return code;
}

int feeds_close(feeds *f)
{
    for (; f->count > 0; f->count--) {
        int r = weir_pool_close(f->list[f->count - 1].pool);
        if (r < 0)
            return r;
    }
    return 0;
}
