/* query.h: one .sql file: its annotations, its route, and what the server said of its parameters
 * and columns. */
#ifndef WEIR_QUERY_H
#define WEIR_QUERY_H

#include "../pool/weir.h"
#include "etag.h"
#include "shape.h"

typedef enum query_method {
    METHOD_GET,
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_COUNT
} query_method;
const char *query_method_name(query_method method);

typedef enum query_returns { RETURNS_ROWS, RETURNS_ROW, RETURNS_COUNT } query_returns;

/* What a request must show before the query answers it. */
typedef enum query_auth { AUTH_NONE, AUTH_TOKEN, AUTH_JWT } query_auth;
const char *query_auth_name(query_auth auth);

typedef struct query_param {
    char *name;
    char *fallback; /* @default; NULL: none */
    uint32_t fallback_line;
    bool optional;      /* @optional: absent means null */
    bool in_path;       /* its value comes from the route's {name} */
    uint32_t type;      /* OID, once described */
    const shape *shape; /* of the type, once described; owned by the query set */
} query_param;

typedef struct query_column {
    char *name;
    uint32_t type; /* OID */
    const shape *shape;
} query_column;

typedef struct query {
    char *name;          /* the file's name without .sql */
    char *file;          /* its path, as errors show it */
    char tag[ETAG_SIZE]; /* of the file's text: tells it from another one of this name */
    char *description;   /* leading plain comment lines; may be "" */
    bool routed;         /* has an @route; else only /q/{name}, by GET and POST */
    query_method method;
    char *path;       /* the @route's path, with {params}; NULL without */
    char *named_path; /* /q/ and the name */
    uint32_t route_line;
    query_returns returns;
    uint64_t timeout_ns; /* @timeout; 0: the service's */
    char *pool;          /* @pool; NULL: the default one */
    uint32_t pool_line;
    char *cache_control; /* @cache, as the header Cache-Control of a GET; NULL without */
    uint64_t cache_ns;   /* for how long; 0 without */
    bool cache_public;   /* for proxies, too */
    uint32_t cache_line;
    query_auth auth;     /* @auth; the service's, once the set is guarded, where that says none */
    uint32_t auth_line;  /* 0: there is no @auth */
    uint32_t pool_index; /* among the pools of the query set */
    weir_statement
        statement; /* sql with $1…, each line where it is in the file; the name is ours */
    weir_statement read_only; /* the same text: see query_statement */
    query_param *params;      /* in the order of $1… */
    uint32_t param_count;
    query_column *columns;
    uint32_t column_count;
    bool described; /* the server has said what it takes and returns */
} query;

/* Where something is wrong in a file, and what. With `all`, reading and describing go on past what
 * is wrong: each fault is added to it, and what has one is left out. */
typedef struct query_fault {
    char file[512];
    uint32_t line; /* from 1; 0: the file as a whole */
    char message[512];
    struct findings *all; /* NULL: the first fault is the end */
} query_fault;

/* Writes where and what, but not the file, and returns WEIR_EINVAL. The message stays valid UTF-8.
 */
int query_fail(query_fault *fault, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Reads one file's text. `file` is shown in faults, and without its .sql is the name. WEIR_EINVAL
 * with `fault`, WEIR_ENOMEM. */
int query_parse(const char *file, const char *text, size_t length, query **parsed,
                query_fault *fault);
/* The same under another name than the file's. */
int query_parse_named(const char *file, const char *name, const char *text, size_t length,
                      query **parsed, query_fault *fault);
void query_free(query *q); /* takes NULL */

/* What runs when the query is asked for by itself, by this method: read-only when that is GET, or
 * the query's route is one. */
const weir_statement *query_statement(const query *q, query_method method);

/* The line of the file on which the SQL begins. */
uint32_t query_first_line(const query *q);

/* The parameter of this name, or NULL. */
query_param *query_param_find(const query *q, const char *name, size_t length);

#endif
