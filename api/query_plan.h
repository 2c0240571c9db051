/* query_plan.h: what the server's plan of a query warns of. */
#ifndef WEIR_QUERY_PLAN_H
#define WEIR_QUERY_PLAN_H

#include "findings.h"

/* Has the server plan a described query for whatever values may come, without running it, and adds
 * a warning for each that would
 * - read a table of more than `big` rows in sequence,
 * - answer with more than `big` rows, with no limit to them,
 * - write, or lock rows, where its route is a GET, which runs read-only,
 * or that the server refuses to plan. What has no plan, such as a CALL, has no warnings. Errors as
 * weir_query, but for WEIR_EQUERY; WEIR_ENOMEM. The lease is then for nothing else. */
weir_async int query_plan_review(const query *q, uint32_t big, weir_lease *lease, findings *all);

#endif
