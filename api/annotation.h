/* annotation.h: the `-- @…` lines at the top of a query's file. */
#ifndef WEIR_ANNOTATION_H
#define WEIR_ANNOTATION_H

#include "query.h"

/* What an annotation says of one parameter, kept until the parameters are known. */
typedef struct annotation_note {
    char *name;
    char *value; /* of @default; NULL: @optional */
    uint32_t line;
} annotation_note;

typedef struct annotations {
    size_t length; /* bytes of the block: blank lines and -- comments before anything else */
    uint32_t line; /* the first line after it */
    char *description;
    bool routed;
    query_method method;
    char *path;
    uint32_t route_line;
    query_returns returns;
    uint64_t timeout_ns;
    char *pool;
    uint32_t pool_line;
    char *cache_control; /* of @cache; NULL without */
    uint64_t cache_ns;   /* the same time; 0 without */
    bool cache_public;
    uint32_t cache_line;
    query_auth auth;
    uint32_t auth_line; /* 0: there is no @auth */
    annotation_note *notes;
    uint32_t note_count;
} annotations;

/* Reads the leading block. WEIR_EINVAL with line and message in `fault` for an annotation that is
 * unknown, malformed or repeated; WEIR_ENOMEM. */
int annotations_read(const char *text, size_t length, annotations *read, query_fault *fault);
void annotations_free(annotations *a);

#endif
