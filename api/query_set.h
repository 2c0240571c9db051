/* query_set.h: all queries of a folder, with their routes; replaced as a whole on reload. */
#ifndef WEIR_QUERY_SET_H
#define WEIR_QUERY_SET_H

#include "etag.h"
#include "query.h"

/* Immutable once described, and shared by all lanes: counted, freed with the last reference. */
typedef struct query_set query_set;

/* Pools at most, the default one included. */
#define QUERY_POOLS_MAX 16

/* Reads every .sql file below `folder` (sub-folders make names like reports/daily). `pools` are the
 * names that an @pool may say, up to NULL; the first is the default one. All files or none:
 * WEIR_EINVAL with `fault` for the first that is wrong, for two files with one route, and for a
 * folder that cannot be read. Blocking: before the lanes run, or from weir_work. */
int query_set_read(const char *folder, const char *const *pools, query_set **set,
                   query_fault *fault);

/* Gives each query that says no @auth this one, and sees that it can be met: `met` has a bit
 * 1 << query_auth for each that can. WEIR_EINVAL with `fault` for a query that nobody could ask, or
 * whose answer proxies would give to others than asked. Once, before the set is described. */
int query_set_guard(query_set *set, query_auth fallback, uint32_t met, query_fault *fault);

/* Has the server describe every query of one pool, on a lease of it: parameter types, columns,
 * shapes. WEIR_EINVAL with `fault` (file, line, the server's message) for one that does not
 * prepare; as weir_query otherwise, and then it may be tried again. Not shared before this has
 * returned 0 for every pool. */
weir_async int query_set_describe(query_set *set, uint32_t pool, weir_lease *lease,
                                  query_fault *fault);

query_set *query_set_ref(query_set *set); /* any thread */
void query_set_unref(query_set *set);     /* any thread; takes NULL */

uint32_t query_set_count(const query_set *set);
/* In the order of their names. */
const query *query_set_at(const query_set *set, uint32_t index);
/* The query of this name, or NULL. */
const query *query_set_find(const query_set *set, const char *name);
/* Those of one pool's database, for shape_of and encode_…; NULL while not described, and when
 * built-in types are all there are. */
const shape_set *query_set_shapes(const query_set *set, uint32_t pool);

/* A text made from a set, such as its description. */
typedef struct query_set_text {
    char *bytes; /* malloc'ed */
    size_t length;
    char etag[ETAG_SIZE];
} query_set_text;

/* The text kept with the set; NULL: none yet. Any thread. */
const query_set_text *query_set_kept(const query_set *set);
/* Keeps a text until the set is freed, and takes it over. What another thread has kept before
 * stays, and is returned. WEIR_ENOMEM becomes NULL, and the text is freed. Any thread. */
const query_set_text *query_set_keep(query_set *set, query_set_text text);

/* A path parameter's value, as it stands in the URL after percent-decoding. Points into the
 * caller's decoded path. */
#define ROUTE_VALUES_MAX 16
typedef struct route_match {
    const query *query;
    const char *route; /* the route's pattern, for labels: never the raw path */
    uint32_t value_count;
    struct {
        const char *name;
        const char *value;
        size_t length;
    } values[ROUTE_VALUES_MAX];
    uint32_t allowed; /* bits 1 << query_method: what the path would allow, for 405's Allow */
} route_match;

/* Finds the query for a method and a percent-decoded path. Literal segments win over {params}. 0,
 * WEIR_EINVAL with allowed 0 (no such path: 404) or not 0 (405). */
int query_set_match(const query_set *set, query_method method, const char *path,
                    route_match *match);

#endif
