/* reloadables.h: what a reload reads anew: all of it is prepared before any of it takes effect. */
#ifndef WEIR_RELOADABLES_H
#define WEIR_RELOADABLES_H

#include "../api/api.h"
#include "../api/buffer.h"
#include "config_change.h"
#include "loader.h"

/* One reload. */
typedef struct reload {
    const config *start; /* what the service has started with */
    const config **now;  /* what is in force: replaced */
    weir_api *api;
    weir_pool *const *pools; /* the default one first */
    loader *loader;

    /* Prepared; handed over when it takes effect. */
    config *next;
    credentials *known;
    weir_certificate *certificate;
    query_set *queries;

    /* What is told of it. */
    const config *before;
    config_change changes[CONFIG_FLAGS_MAX];
    uint32_t change_count;
    credentials *known_before, *known_now;
    bool certificate_differs;
    query_set *queries_before, *queries_now;
} reload;

/* Reads, checks and puts in force: all or nothing. WEIR_EINVAL with `fault`, or as loader_prepare.
 */
weir_async int reload_all(reload *r, query_fault *fault);

/* Frees what it has kept, however it ended. */
void reload_forget(reload *r);

/* Frees what was in force, unless that is what the service has started with; takes NULL. */
void reload_drop(const config *start, const config *old);

/* What has changed, as a JSON object for whoever has asked, and in the log. */
void reload_report(const reload *r, buffer *out);
void reload_tell(const reload *r);

#endif
