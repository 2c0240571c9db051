/* loader.h: the queries' way from their folder into service. */
#ifndef WEIR_LOADER_H
#define WEIR_LOADER_H

#include "../api/api.h"
#include "../pool/weir.h"

/* A job that goes to a lane and comes back. */
typedef struct loader_visit {
    weir_job job;
    struct loader *loader;
} loader_visit;

/* What is to be loaded. */
typedef struct loader_source {
    const char *folder;
    query_auth auth;   /* as query_set_guard's `fallback` */
    uint32_t auth_met; /* and its `met` */
} loader_source;

/* Stays in place until the runtime is closed. */
typedef struct loader {
    weir_runtime *runtime;
    weir_pool *const *pools; /* the default one first; the caller's, as are their names */
    const char *const *names;
    uint32_t pool_count;
    weir_api *api;
    query_set *served;    /* installed last; NULL: none yet */
    uint32_t absent;      /* the pool that an attempt could not ask */
    loader_visit *visits; /* one a lane */
    weir_lane *home;      /* where it loads */
    weir_semaphore back;  /* visits that have returned */
} loader;

/* WEIR_ENOMEM. */
int loader_open(loader *l, weir_runtime *runtime, weir_pool *const *pools, const char *const *names,
                weir_api *api);
void loader_close(loader *l);

/* Reads the folder, and has every query described on its own pool: a set for loader_install.
 * WEIR_EINVAL with `fault`; WEIR_ECANCELED; what kept it from a database, with the reason as the
 * fault's message and no file. One at a time. */
weir_async int loader_prepare(loader *l, const loader_source *source, query_set **set,
                              query_fault *fault);

/* The same, waiting for databases that are not there for as long as it takes, and saying so in the
 * log. */
weir_async int loader_prepare_patiently(loader *l, const loader_source *source, query_set **set,
                                        query_fault *fault);

/* Installs a set, and takes it over: by the return every lane serves it. */
weir_async void loader_install(loader *l, query_set *set);

/* The last reason why the pool has no connection, or else the error's own words; never NULL. */
const char *absence_reason(weir_pool *pool, int error, weir_error *memory);

#endif
