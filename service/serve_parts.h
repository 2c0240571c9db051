/* serve_parts.h: the running service as the files that make it up see it. */
#ifndef WEIR_SERVE_PARTS_H
#define WEIR_SERVE_PARTS_H

#include <stdatomic.h>

#include "../api/api.h"
#include "config.h"
#include "feeds.h"
#include "loader.h"
#include "reload.h"
#include "signals.h"

/* How long what was cancelled may take to end, and then the pools to close. */
#define LAST_WAIT_NS WEIR_S(5)

/* On lane 0, but for what is set before the lanes run. */
typedef struct service {
    const config *start;
    const config *config; /* in force: `start`, or that of the last reload */
    uint32_t clients_max;
    weir_runtime *runtime;
    const char *pool_names[QUERY_POOLS_MAX + 1]; /* the default one's first */
    weir_pool *pools[QUERY_POOLS_MAX];
    uint32_t pool_count; /* those that are open */
    feeds feeds;
    weir_pool_log *pool_log;
    weir_api *api;
    credentials *known; /* until the API has them */
    signals signals;
    loader loader;
    reload_desk desk;
    weir_job drain_job;            /* brings an operator's wish here */
    weir_certificate *certificate; /* of the start; NULL: HTTP is served */
    _Atomic bool drain_asked;      /* it is under way */
    weir_semaphore wake;           /* there is something new below */
    bool stop, reload;             /* asked for by a signal or an operator */
    weir_task *loading;            /* NULL: no load is under way */
    bool loaded;                   /* that load has ended */
    bool ready;                    /* some load has succeeded */
    uint64_t began_ns;
    int exit_code;
} service;

/* Ends the process where it stands, for when an orderly end is out of reach. */
_Noreturn void service_leave(int exit_code);

/* ---- Pools (serve_pools.c) ---- */

/* Opens them all, and the feeds. EXIT_FINE, or an exit code after one line on stderr; those opened
 * are to be closed all the same. */
int service_open_pools(service *s);
/* False when some are left after LAST_WAIT_NS. */
weir_async bool service_close_pools(service *s);

/* ---- The HTTP side (serve_api.c) ---- */

/* Over the pools that are open. EXIT_FINE, or an exit code after one line on stderr. */
int service_open_api(service *s);

/* ---- What signals and operators ask (serve_wishes.c) ---- */

/* They set `stop` or `reload`, and release `wake`. Once the runtime is open, before its lanes run.
 */
void service_prepare_wishes(service *s);
/* How the API's operators ask. */
weir_api_operator service_operator(service *s);
/* From now on signals are heeded; a second SIGINT ends the process. As signals_open. */
int service_hear_signals(service *s);

/* ---- Loading (serve_load.c) ---- */

/* Starts the first load, or a reload, in a task of its own: `loading`, where there is memory for
 * it. At its end it sets `loaded`, and releases `wake`. */
void service_begin_load(service *s);
/* Takes the end of a load over, waiting for it. A first one that failed stops the service. */
weir_async void service_end_load(service *s);

/* ---- Draining (serve_drain.c) ---- */

/* Proxies and the like need a moment to see that it is not ready any more: serves on for
 * --drain-delay. */
weir_async void service_give_notice(service *s);
/* Takes no new requests, and waits for those under way; cancels what --drain-timeout has passed
 * for. Leaves when that does not help either. */
weir_async void service_drain(service *s);

#endif
