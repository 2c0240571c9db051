/* bind.h: the values of one request as the parameters of its query. */
#ifndef WEIR_BIND_H
#define WEIR_BIND_H

#include "query_set.h"

/* Which parameter is wrong and why, in words for the client. */
typedef struct bind_fault {
    char parameter[64];
    char message[256];
} bind_fault;

/* Bound values, ready for weir_query. Owns its memory. */
typedef struct bound {
    weir_params params;
    char **values; /* params.values; each NULL or malloc'ed */
} bound;

/* One name=value of the query string, decoded, in order; a name may occur several times. */
typedef struct bind_pair {
    const char *name;
    const char *value; /* NULL when there was no '=' */
} bind_pair;

/* Values come from the path, then the JSON object body, then the query string; each parameter once,
 * else a fault. Names that the query does not have are a fault, but for names that begin with '_'
 * in the query string. Values are checked against the parameter's type where that can be told
 * without the server: numbers and their range, booleans, uuid, json, dates roughly; an array
 * parameter takes a JSON array, a repeated name, or Postgres's {…} form. `body` may be NULL or
 * empty: none. Recursive in jansson: call it on a loop's own stack, not on a task's. WEIR_EINVAL
 * with `fault`, WEIR_ENOMEM. */
int bind_request(const query *q, const route_match *match, const bind_pair *pairs,
                 uint32_t pair_count, const char *body, size_t body_length, bound *out,
                 bind_fault *fault);
void bound_free(bound *b);

#endif
