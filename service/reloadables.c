/* reloadables.c: what a reload reads anew: all of it is prepared before any of it takes effect. */
#include "reloadables.h"

#include <inttypes.h>
#include <stdlib.h>

#include "access.h"
#include "certificate_file.h"
#include "log.h"
#include "serve_api.h"

/* The most that weir_pool_resize takes where --pool-limit does not say. */
#define USUAL_LIMIT 100

/* One thing that can be reloaded. */
typedef struct reloadable {
    /* Reads and checks what there is now. WEIR_EINVAL with `fault`. */
    weir_async int (*prepare)(reload *r, query_fault *fault);
    /* Puts it in force; cannot fail. */
    weir_async void (*commit)(reload *r);
    /* Frees what was prepared and is not in force, and what was kept for being told of. */
    void (*forget)(reload *r);
} reloadable;

/* ---- Reading, off the loop ---- */

typedef struct reading {
    int (*read)(reload *r, query_fault *fault);
    reload *reload;
    query_fault *fault;
    int outcome;
} reading;

static void read_now(void *arg)
{
    reading *g = arg;
    g->outcome = g->read(g->reload, g->fault);
}

static weir_async int read_aside(int (*read)(reload *r, query_fault *fault), reload *r,
                                 query_fault *fault)
{
    reading g = {.read = read, .reload = r, .fault = fault};
    int error = weir_work(read_now, &g);
    return error < 0 ? error : g.outcome;
}

/* ---- Settings ---- */

static uint32_t limit_of(const config *start, uint32_t pool)
{
    uint32_t max = pool == 0 ? start->pool_max : start->pools.entries[pool - 1].max;
    if (start->pool_limit)
        return start->pool_limit;
    return max > USUAL_LIMIT ? max : USUAL_LIMIT;
}

static int check_limits(const reload *r, query_fault *fault)
{
    for (uint32_t i = 0; i <= r->next->pools.count; i++) {
        uint32_t limit = limit_of(r->start, i);
        uint32_t max = i == 0 ? r->next->pool_max : r->next->pools.entries[i - 1].max;
        if (max > limit)
            return query_fail(fault, 0,
                              "pool \"%s\": a maximum of %" PRIu32 " is more than the %" PRIu32
                              " that it can grow to without a restart (--pool-limit)",
                              weir_pool_name(r->pools[i]), max, limit);
    }
    return 0;
}

static int read_settings(reload *r, query_fault *fault)
{
    r->next = calloc(1, sizeof *r->next);
    if (!r->next)
        return WEIR_ENOMEM;
    if (config_read_again(r->start, r->next, fault->message, sizeof fault->message) != CONFIG_OK)
        return WEIR_EINVAL;
    r->change_count = config_changes(r->start, *r->now, r->next, r->changes);
    config_settle(r->start, *r->now, r->next);
    return check_limits(r, fault);
}

static weir_async int prepare_settings(reload *r, query_fault *fault)
{
    return read_aside(read_settings, r, fault);
}

/* Only where the configuration says another size: what an operator has set stays. */
static void resize(weir_pool *pool, uint32_t max_before, uint32_t min_before, uint32_t max,
                   uint32_t min)
{
    weir_pool_stats now;
    if (max == max_before && min == min_before)
        return;
    weir_pool_stats_read(pool, &now);
    max = max == max_before ? now.max : max;
    min = min == min_before ? now.min : min;
    weir_pool_resize(pool, max, min < max ? min : max);
}

static void resize_all(const reload *r)
{
    const config *before = *r->now, *next = r->next;
    resize(r->pools[0], before->pool_max, before->pool_min, next->pool_max, next->pool_min);
    for (uint32_t i = 0; i < next->pools.count; i++) {
        const pool_entry *was = &before->pools.entries[i], *is = &next->pools.entries[i];
        resize(r->pools[i + 1], was->max, was->min, is->max, is->min);
    }
}

static weir_async void commit_settings(reload *r)
{
    weir_api_options options = {0};
    resize_all(r);
    serve_api_options(r->next, &options);
    weir_api_adjust(r->api, &options);
    log_set_level(r->next->log_level);
    r->before = *r->now;
    *r->now = r->next;
    r->next = NULL;
}

void reload_drop(const config *start, const config *old)
{
    config *mine = old == start ? NULL : (config *)old;
    if (mine)
        config_free(mine);
    free(mine);
}

static void forget_settings(reload *r)
{
    reload_drop(r->start, r->next);
    reload_drop(r->start, r->before);
}

/* ---- Tokens and keys ---- */

static int read_known(reload *r, query_fault *fault)
{
    return access_read(r->next, &r->known, fault);
}

static weir_async int prepare_known(reload *r, query_fault *fault)
{
    return read_aside(read_known, r, fault);
}

static weir_async void commit_known(reload *r)
{
    r->known_now = credentials_ref(r->known);
    r->known_before = weir_api_trust(r->api, r->known);
    r->known = NULL;
}

static void forget_known(reload *r)
{
    credentials_unref(r->known);
    credentials_unref(r->known_before);
    credentials_unref(r->known_now);
}

/* ---- The certificate ---- */

static int read_certificate(reload *r, query_fault *fault)
{
    return certificate_file_read(r->next, &r->certificate, fault);
}

static weir_async int prepare_certificate(reload *r, query_fault *fault)
{
    return read_aside(read_certificate, r, fault);
}

static weir_async void commit_certificate(reload *r)
{
    if (!r->certificate)
        return;
    certificate_file_warn(*r->now, weir_certificate_look(r->certificate));
    r->certificate_differs = weir_api_put_certificate(r->api, r->certificate);
    r->certificate = NULL;
}

static void forget_certificate(reload *r)
{
    weir_certificate_unref(r->certificate);
}

/* ---- Queries ---- */

static weir_async int prepare_queries(reload *r, query_fault *fault)
{
    const loader_source source = {.folder = r->next->queries,
                                  .auth = (query_auth)r->next->auth,
                                  .auth_met = access_kinds(r->known)};
    return loader_prepare(r->loader, &source, &r->queries, fault);
}

static weir_async void commit_queries(reload *r)
{
    r->queries_before = query_set_ref(r->loader->served);
    r->queries_now = query_set_ref(r->queries);
    loader_install(r->loader, r->queries);
    r->queries = NULL;
}

static void forget_queries(reload *r)
{
    query_set_unref(r->queries);
    query_set_unref(r->queries_before);
    query_set_unref(r->queries_now);
}

/* ---- All of it ---- */

/* Settings come first: the others are read as the new ones say. Queries come last: they take the
 * longest, because the database is asked. */
static const reloadable reloadables[] = {
    {prepare_settings, commit_settings, forget_settings},
    {prepare_known, commit_known, forget_known},
    {prepare_certificate, commit_certificate, forget_certificate},
    {prepare_queries, commit_queries, forget_queries},
};
enum { RELOADABLES = sizeof reloadables / sizeof *reloadables };

int reload_all(reload *r, query_fault *fault)
{
    for (size_t i = 0; i < RELOADABLES; i++) {
        int error = reloadables[i].prepare(r, fault);
        if (error < 0)
            return error;
    }
    for (size_t i = 0; i < RELOADABLES; i++)
        reloadables[i].commit(r);
    return 0;
}

void reload_forget(reload *r)
{
    for (size_t i = 0; i < RELOADABLES; i++)
        reloadables[i].forget(r);
}
