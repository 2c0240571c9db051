/* router.h: which of many patterns like /customers/{id} a path matches. */
#ifndef WEIR_ROUTER_H
#define WEIR_ROUTER_H

#include "query_set.h"

/* Where the segments of a pattern or path are: between the slashes. */
typedef struct route_segment {
    const char *text; /* of a {param}: its name */
    size_t length;
    bool is_param;
} route_segment;

/* Takes the next segment of a well-formed pattern; `*at` begins at its first slash. False at the
 * end. */
bool route_segment_next(const char **at, route_segment *segment);

/* Whether this can be a route's pattern: /segments, each literal or {name}, no name twice. If not,
 * WEIR_EINVAL and `why` says what to change. */
int route_check(const char *pattern, char *why, size_t why_size);

/* A tree of segments. Built before the lanes run, then only read, by any thread. */
typedef struct router router;
int router_new(router **made); /* WEIR_ENOMEM */
void router_free(router *r);   /* takes NULL */

/* Adds a checked pattern of the query's own. When a query with the same method and the same shape
 * of path is there already: WEIR_EINVAL, and `*clash` is that one. WEIR_ENOMEM. */
int router_add(router *r, const query *q, const query **clash);

/* Finds the query for a method and a decoded path; from the left, a literal segment wins over a
 * {param}, and a pattern without the method loses to any with it. As query_set_match. */
int router_match(const router *r, query_method method, const char *path, route_match *match);

#endif
