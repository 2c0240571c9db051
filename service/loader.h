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

/* Stays in place until the runtime is closed. */
typedef struct loader {
    weir_runtime *runtime;
    weir_pool *const *pools; /* the default one first; the caller's, as are their names */
    const char *const *names;
    uint32_t pool_count;
    weir_api *api;
    const char *folder;
    query_auth auth; /* as query_set_guard's `fallback` and `met`: to be set before a load */
    uint32_t auth_met;
    uint32_t absent;      /* the pool that an attempt could not ask */
    loader_visit *visits; /* one a lane */
    weir_lane *home;      /* where it loads */
    weir_semaphore back;  /* visits that have returned */
} loader;

/* WEIR_ENOMEM. */
int loader_open(loader *l, weir_runtime *runtime, weir_pool *const *pools, const char *const *names,
                weir_api *api, const char *folder);
void loader_close(loader *l);

/* Reads the folder, has every query described on its own pool, and installs them: all or none; by
 * its return every lane serves them. One at a time. With `patient` it waits for databases that are
 * not there, for as long as it takes, and says so in the log. WEIR_EINVAL with `fault`;
 * WEIR_ECANCELED; without patience also what kept it from the database, with the reason as the
 * fault's message and no file. */
weir_async int loader_run(loader *l, bool patient, uint32_t *queries, query_fault *fault);

/* "file:line: message", leaving out what is not known. */
void fault_text(const query_fault *fault, char *text, size_t size);

/* The last reason why the pool has no connection, or else the error's own words; never NULL. */
const char *absence_reason(weir_pool *pool, int error, weir_error *memory);

#endif
