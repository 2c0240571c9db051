/* query_describe.h: what the server says of queries. */
#ifndef WEIR_QUERY_DESCRIBE_H
#define WEIR_QUERY_DESCRIBE_H

#include "query.h"

/* As query_set_describe, for a list; `shapes` is the caller's to free. */
weir_async int queries_describe(query **queries, uint32_t count, weir_lease *lease,
                                shape_set **shapes, query_fault *fault);

/* Whether an answer can have the columns that the server says the query returns: each has a name of
 * its own, and a row has one at least. WEIR_EINVAL with `fault`, but for its file. */
int query_check_columns(const query *q, const weir_result *described, query_fault *fault);

#endif
