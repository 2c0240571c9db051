/* serve_query.c: a request that a query answers. */
#include "auth.h"
#include "reply.h"

uint64_t query_limit_ns(const weir_api *api, const query *q)
{
    return q->timeout_ns ? q->timeout_ns : api->query_timeout_ns;
}

/* The query's time begins when its lease is there: waiting for that has a deadline of its own. */
weir_async int query_run(weir_request *req, weir_lease *lease, weir_result **rows)
{
    uint64_t until = weir_deadline(), now = until == WEIR_NEVER ? 0 : weir_now();
    if (until - now < req->query_timeout_ns && until > now)
        req->query_timeout_ns = until - now; /* which is what a late answer tells */
    weir_scoped_timeout(limit, req->query_timeout_ns);
    weir_lease_limit(lease, excess_limit(req));
    int r = auth_settle(lease, req->identity);
    if (r == 0)
        r = weir_query(lease, req->statement, req->params, rows);
    if (r == 0)
        excess_count(req, *rows);
    return r;
}

weir_async int query_answer(weir_request *req)
{
    weir_scoped_lease weir_lease *lease = NULL; /* given back on every path out */
    int r = weir_acquire(req->pool, &req->scope, &lease);
    if (r < 0) {
        weir_reply_refused(req, r); /* 503, with who holds the pool and when to try again */
        return r;
    }
    weir_scoped_result weir_result *rows = NULL;
    r = query_run(req, lease, &rows);
    if (r < 0) {
        weir_reply_failed(req, lease, r);
        return r;
    }
    weir_reply_result(req, &rows);
    return 0;
}

weir_async void serve_query(weir_request *req)
{
    query_answer(req);
}
