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

typedef struct json_item json_item;

/* One name=value of the query string, decoded, in order; a name may occur several times. */
typedef struct bind_pair {
    const char *name;
    const char *value; /* NULL when there was no '=' */
} bind_pair;

/* Values come from the path, then the JSON object body, then the query string; each parameter once,
 * else a fault. Names that the query does not have are a fault, but for names that begin with '_'
 * in the query string. An absent parameter takes its @default, or null when @optional, and is a
 * fault otherwise; null in the body is null.
 *
 * Values are checked against the parameter's type where that can be told without the server:
 * numbers and their range, booleans, uuid, json; dates and all else are the server's. Numbers in
 * the body keep the digits they are written with. An array parameter takes a JSON array in the
 * body, a repeated name, a single element, or Postgres's {…} form; a json or jsonb parameter takes
 * any JSON; a boolean one takes its bare name in the query string as true.
 *
 * `match` may be NULL, `body` NULL or empty: none. Not described queries are bound without checks.
 * Recursive in jansson: call it on a loop's own stack, not on a task's. WEIR_EINVAL with `fault`
 * (its parameter is "" when the body as a whole is wrong), WEIR_ENOMEM. */
int bind_request(const query *q, const route_match *match, const bind_pair *pairs,
                 uint32_t pair_count, const char *body, size_t body_length, bound *out,
                 bind_fault *fault);
/* What may take a member for itself before it is bound: 1, and the parameter is left null; 0;
 * WEIR_EINVAL with `fault`, WEIR_ENOMEM. */
typedef struct bind_later {
    int (*take)(void *arg, uint32_t parameter, const json_item *item, bind_fault *fault);
    void *arg;
} bind_later;

/* The same with values from a JSON object alone, NULL for none. `later` may be NULL. Not recursive.
 */
int bind_object(const query *q, const json_item *object, const bind_later *later, bound *out,
                bind_fault *fault);
void bound_free(bound *b);

#endif
