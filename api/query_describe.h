/* query_describe.h: what the server says of queries. */
#ifndef WEIR_QUERY_DESCRIBE_H
#define WEIR_QUERY_DESCRIBE_H

#include "query.h"

/* As query_set_describe, for a list; `shapes` is the caller's to free. */
weir_async int queries_describe(query **queries, uint32_t count, weir_lease *lease,
                                shape_set **shapes, query_fault *fault);

#endif
