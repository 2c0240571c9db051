/* limit.c: requests of clients that ask too often. */
#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "reply.h"

/* The token alone: the word before it can be written in many ways. */
static uint64_t token_key(const rate *r, const char *authorization)
{
    const char *token = authorization + strcspn(authorization, " ");

    token += strspn(token, " ");
    return rate_key(r, token, strlen(token));
}

static void count(weir_request *req, int which)
{
    _Atomic uint64_t *counter = &req->lane->requests_limited[which];
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + 1, memory_order_relaxed); /* this lane alone writes */
}

static void refuse(weir_request *req, int which, uint64_t wait_ns)
{
    char detail[128];

    count(req, which);
    snprintf(detail, sizeof detail, "This %s has asked too often: it may again in %.1f s.",
             which == RATE_BY_TOKEN ? "token" : "address", (double)wait_ns / 1e9 + 0.05);
    weir_reply_problem(req,
                       (problem){.kind = PROBLEM_TOO_OFTEN, .detail = detail, .retryable = true});
    req->retry_after = (uint32_t)(wait_ns / WEIR_S(1) + 1);
}

static bool let_in(weir_request *req, uint32_t more)
{
    rate *r = req->lane->api->guards.rate;
    const char *authorization = r ? request_header(req, MHD_HTTP_HEADER_AUTHORIZATION) : NULL;
    uint64_t keys[RATE_LIMIT_COUNT], wait_ns = 0;
    int count = 1;

    /* Whoever has an operator's token may ask as often as they like; who guesses at one, not. */
    if (!r || auth_is_operator(req))
        return true;
    ip household = ip_household(&req->asker);
    keys[RATE_BY_ADDRESS] = rate_key(r, &household, sizeof household);
    if (authorization)
        keys[count++] = token_key(r, authorization);
    int which = rate_take(r, keys, count, more, weir_now(), &wait_ns);
    if (which >= 0)
        refuse(req, which, wait_ns);
    return which < 0;
}

bool limit_let_in(weir_request *req)
{
    return let_in(req, 0);
}

bool limit_let_all_in(weir_request *req, uint32_t queries)
{
    return queries < 2 || let_in(req, queries - 1);
}
