/* serve_query.c: a request that a query answers. */
#include "auth.h"
#include "patience.h"
#include "reply.h"

uint64_t query_limit_ns(const weir_api *api, const query *q)
{
    return q->timeout_ns ? q->timeout_ns : api->query_timeout_ns;
}

void query_hurry(weir_request *req)
{
    uint64_t until = patience_until(req, weir_deadline());
    if (until == WEIR_NEVER)
        return;
    uint64_t now = weir_now(), left = until > now ? until - now : 1;
    if (left >= req->query_timeout_ns)
        return;
    req->query_timeout_ns = left; /* which is what a late answer tells */
    req->hurried = patience_words(req, until);
}

/* The query's time begins when its lease is there: waiting for that has a deadline of its own. */
weir_async int query_run(weir_request *req, weir_lease *lease, weir_result **rows)
{
    query_hurry(req);
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
