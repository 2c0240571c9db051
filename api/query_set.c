/* query_set.c: all queries of a folder, with their routes. */
#include "query_set.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "findings.h"
#include "query_describe.h"
#include "query_folder.h"
#include "router.h"
#include "utf8.h"

typedef struct named {
    const query *query;
    UT_hash_handle hh;
} named;

struct query_set {
    atomic_uint references;
    query **queries; /* sorted by name */
    uint32_t count;
    named *names, *by_name; /* one a query; the hash over them */
    router *router;
    shape_set *shapes[QUERY_POOLS_MAX]; /* each database has its own types */
    _Atomic(query_set_text *) text;     /* NULL: none kept */
};

/* ---- Names and routes ---- */

/* What the service answers itself; with a * also everything below. */
static const char *const reserved[] = {
    "/",    "/livez", "/readyz", "/metrics", "/pool*",   "/q*",   "/problems*",
    "/sql", "/tx",    "/batch",  "/reload",  "/events*", "/docs", "/openapi.json",
};

static bool is_reserved(const char *path)
{
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        size_t length = strcspn(reserved[i], "*");
        if (strncmp(path, reserved[i], length) != 0)
            continue;
        if (path[length] == '\0' || (reserved[i][length] == '*' && path[length] == '/'))
            return true;
    }
    return false;
}

static int fail_in(const query *q, query_fault *fault)
{
    snprintf(fault->file, sizeof fault->file, "%s", q->file);
    utf8_mend(fault->file);
    return WEIR_EINVAL;
}

/* ---- Pools ---- */

static void list_pools(const char *const *pools, char *text, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; pools[i] && length < size; i++) {
        const char *between = i == 0 ? "" : pools[i + 1] ? ", " : " and ";
        length += (size_t)snprintf(text + length, size - length, "%s\"%s\"", between, pools[i]);
    }
}

/* A query that names a pool must not quietly run on another. */
static int find_pool(query *q, const char *const *pools, query_fault *fault)
{
    char there_are[QUERY_POOLS_MAX * 40];
    for (q->pool_index = 0; q->pool && pools[q->pool_index]; q->pool_index++) {
        if (strcmp(pools[q->pool_index], q->pool) == 0)
            return 0;
    }
    if (!q->pool)
        return 0;
    list_pools(pools, there_are, sizeof there_are);
    query_fail(fault, q->pool_line, "there is no pool \"%.60s\", only %s", q->pool, there_are);
    return fail_in(q, fault);
}

/* ---- Routes ---- */

static int add_route(query_set *set, const query *q, query_fault *fault)
{
    const query *clash = NULL;
    if (is_reserved(q->path)) {
        query_fail(fault, q->route_line, "%.200s is a path of the service itself: choose another",
                   q->path);
        return fail_in(q, fault);
    }
    int status = router_add(set->router, q, &clash);
    if (status == WEIR_EINVAL) {
        query_fail(fault, q->route_line, "%s %.150s is already the route of %.200s (%.150s)",
                   query_method_name(q->method), q->path, clash->file, clash->path);
        return fail_in(q, fault);
    }
    return status;
}

static int add_name(query_set *set, const query *q, named *entry)
{
    entry->query = q;
    HASH_ADD_KEYPTR(hh, set->by_name, q->name, strlen(q->name), entry);
    return entry->hh.tbl ? 0 : WEIR_ENOMEM;
}

static int index_query(query_set *set, query *q, named *entry, const char *const *pools,
                       query_fault *fault)
{
    int status = findings_keep(fault, find_pool(q, pools, fault));
    if (status == 0)
        status = add_name(set, q, entry);
    if (status == 0 && q->path)
        status = findings_keep(fault, add_route(set, q, fault));
    return status;
}

static int index_queries(query_set *set, const char *const *pools, query_fault *fault)
{
    set->names = calloc(set->count + 1, sizeof *set->names);
    int status = set->names ? router_new(&set->router) : WEIR_ENOMEM;
    for (uint32_t i = 0; status == 0 && i < set->count; i++)
        status = index_query(set, set->queries[i], &set->names[i], pools, fault);
    return status;
}

const query *query_set_find(const query_set *set, const char *name)
{
    named *entry;
    HASH_FIND(hh, set->by_name, name, strlen(name), entry);
    return entry ? entry->query : NULL;
}

static int match_name(const query_set *set, query_method method, const char *name,
                      route_match *match)
{
    const query *q = query_set_find(set, name);
    match->allowed = 0;
    if (!q)
        return WEIR_EINVAL;
    match->allowed = 1u << METHOD_GET | 1u << METHOD_POST;
    if (!(match->allowed & 1u << method))
        return WEIR_EINVAL;
    match->query = q;
    match->route = q->named_path;
    match->value_count = 0;
    return 0;
}

int query_set_match(const query_set *set, query_method method, const char *path, route_match *match)
{
    if (strncmp(path, "/q/", 3) == 0)
        return match_name(set, method, path + 3, match);
    return router_match(set->router, method, path, match);
}

/* ---- Life ---- */

int query_set_read(const char *folder, const char *const *pools, query_set **set,
                   query_fault *fault)
{
    query_set *s = calloc(1, sizeof *s);
    if (!s)
        return WEIR_ENOMEM;
    atomic_init(&s->references, 1);
    int status = query_folder_read(folder, &s->queries, &s->count, fault);
    if (status == 0)
        status = index_queries(s, pools, fault);
    if (status != 0) {
        query_set_unref(s);
        return status;
    }
    *set = s;
    return 0;
}

int query_set_describe(query_set *set, uint32_t pool, weir_lease *lease, query_fault *fault)
{
    shape_set *shapes = NULL;
    query **own = calloc(set->count + 1, sizeof(query *));
    uint32_t count = 0;
    if (!own)
        return WEIR_ENOMEM;
    for (uint32_t i = 0; i < set->count; i++)
        if (set->queries[i]->pool_index == pool)
            own[count++] = set->queries[i];
    int status = queries_describe(own, count, lease, &shapes, fault);
    free(own);
    if (status != 0)
        return status;
    shape_set_free(set->shapes[pool]);
    set->shapes[pool] = shapes;
    return 0;
}

/* ---- Who may ask ---- */

static int guard_query(query *q, query_auth fallback, uint32_t met, query_fault *fault)
{
    if (!q->auth_line)
        q->auth = fallback;
    if (!(met & 1u << q->auth)) {
        query_fail(fault, q->auth_line,
                   q->auth == AUTH_JWT
                       ? "@auth jwt, but no key to know one by: say --jwt-secret-file or --jwt-keys"
                       : "@auth token, but there is none: say --client-token-file");
        return fail_in(q, fault);
    }
    if (q->auth != AUTH_NONE && q->cache_public) {
        query_fail(fault, q->cache_line,
                   "@cache public would have proxies give one client's answer to others: leave "
                   "public out, or say @auth none");
        return fail_in(q, fault);
    }
    return 0;
}

int query_set_guard(query_set *set, query_auth fallback, uint32_t met, query_fault *fault)
{
    int status = 0;
    for (uint32_t i = 0; status == 0 && i < set->count; i++)
        status = findings_keep(fault, guard_query(set->queries[i], fallback, met, fault));
    return status;
}

static void text_free(query_set_text *text)
{
    if (text)
        free(text->bytes);
    free(text);
}

query_set *query_set_ref(query_set *set)
{
    atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    return set;
}

void query_set_unref(query_set *set)
{
    if (!set || atomic_fetch_sub_explicit(&set->references, 1, memory_order_acq_rel) != 1)
        return;
    HASH_CLEAR(hh, set->by_name);
    free(set->names);
    router_free(set->router);
    query_folder_free(set->queries, set->count);
    for (uint32_t i = 0; i < QUERY_POOLS_MAX; i++)
        shape_set_free(set->shapes[i]);
    text_free(atomic_load_explicit(&set->text, memory_order_relaxed));
    free(set);
}

/* ---- Looking at it ---- */

uint32_t query_set_count(const query_set *set)
{
    return set->count;
}

const query *query_set_at(const query_set *set, uint32_t index)
{
    return set->queries[index];
}

const shape_set *query_set_shapes(const query_set *set, uint32_t pool)
{
    return set->shapes[pool];
}

const query_set_text *query_set_kept(const query_set *set)
{
    return atomic_load_explicit(&set->text, memory_order_acquire);
}

const query_set_text *query_set_keep(query_set *set, query_set_text text)
{
    query_set_text *kept = malloc(sizeof *kept), *before = NULL;

    if (!kept) {
        free(text.bytes);
        return NULL;
    }
    *kept = text;
    if (atomic_compare_exchange_strong(&set->text, &before, kept))
        return kept;
    text_free(kept);
    return before;
}
