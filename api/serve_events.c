/* serve_events.c: GET /events/{channel} and GET /pool/events. */
#include <stdio.h>
#include <time.h>

#include "auth.h"
#include "percent.h"
#include "pool_log.h"
#include "reply.h"

static bool refuse_parameter(weir_request *req, const char *name)
{
    char detail[128];

    snprintf(detail, sizeof detail, "%s takes no parameter %.60s.", req->route, name);
    weir_reply_problem(
        req, (problem){.kind = PROBLEM_BAD_PARAMETER, .detail = detail, .parameter = name});
    return false;
}

/* ---- Channels ---- */

static feed *find_channel(const weir_api *api, const char *name, topic **found)
{
    for (uint32_t i = 0; i < api->feed_count; i++)
        if ((*found = feed_find(api->feeds[i], name)))
            return api->feeds[i];
    return NULL;
}

static bool takes_no_parameters(weir_request *req)
{
    arguments a;

    return route_arguments(req, &a) && (a.count == 0 || refuse_parameter(req, a.pairs[0].name));
}

/* Who listens by a JWT does so for as long as a request with it would be let in. */
static uint64_t may_listen_until(const weir_request *req)
{
    struct timespec now;

    if (!req->identity)
        return WEIR_NEVER;
    clock_gettime(CLOCK_REALTIME, &now);
    double left_s = json_number_value(jwt_claim(&req->identity->claims, "exp")) + JWT_LEEWAY_S -
                    ((double)now.tv_sec + (double)now.tv_nsec / 1e9);
    if (left_s > 1e9)
        return WEIR_NEVER;
    return left_s > 0 ? weir_after((uint64_t)(left_s * 1e9)) : weir_now();
}

void serve_events(weir_request *req)
{
    weir_api *api = req->lane->api;
    const char *asked = req->path + strlen("/events/");
    char *name = req->lane->scratch; /* as large as all that a client can send in a header */
    size_t length;
    topic *t;

    if (!auth_let_in(req, api->auth, req))
        return;
    if (!percent_decode(asked, strlen(asked), '/', name, &length)) {
        weir_reply_error(req, PROBLEM_BAD_REQUEST, "The path is not percent-encoded UTF-8.");
        return;
    }
    feed *f = find_channel(api, name, &t);
    if (!f) {
        weir_reply_problem(req, (problem){.kind = PROBLEM_NOT_FOUND,
                                          .detail = "No channel of this name is served.",
                                          .hint = "Channels are named at the start: --events."});
        return;
    }
    if (!takes_no_parameters(req))
        return;
    event_stream_begin(req,
                       &(event_wish){.topic = t,
                                     .limit = &api->event_clients,
                                     .only_new = true,
                                     .asked = api->auth == AUTH_TOKEN ? PASS_CLIENT : PASS_NONE,
                                     .until_ns = may_listen_until(req)});
    feed_wake(f);
}

/* ---- What happens in pools ---- */

static const char *const levels[] = {
    [WEIR_DEBUG] = "debug", [WEIR_INFO] = "info", [WEIR_WARN] = "warn", [WEIR_ERROR] = "error"};

static bool take_level(weir_request *req, const char *text, weir_level *level)
{
    for (int i = WEIR_DEBUG; i <= WEIR_ERROR; i++)
        if (text && strcmp(text, levels[i]) == 0) {
            *level = (weir_level)i;
            return true;
        }
    weir_reply_problem(req, (problem){.kind = PROBLEM_BAD_PARAMETER,
                                      .detail = "level must be debug, info, warn or error.",
                                      .parameter = "level"});
    return false;
}

static bool take_parameter(weir_request *req, const bind_pair *pair, event_wish *wish)
{
    if (strcmp(pair->name, "level") == 0)
        return take_level(req, pair->value, &wish->least);
    if (strcmp(pair->name, "name") == 0) {
        wish->subject = pair->value ? pair->value : "";
        return reply_any_pool_named(req, wish->subject);
    }
    return refuse_parameter(req, pair->name);
}

void serve_pool_events(weir_request *req)
{
    weir_api *api = req->lane->api;
    event_wish wish = {.limit = &api->pool_log_clients, .least = WEIR_INFO, .asked = PASS_OPERATOR};
    arguments a;

    if (!control_let_watch(req))
        return;
    if (!api->pool_log) {
        weir_reply_error(req, PROBLEM_NOT_FOUND, "No events are kept.");
        return;
    }
    if (!route_arguments(req, &a))
        return;
    for (uint32_t i = 0; i < a.count; i++)
        if (!take_parameter(req, &a.pairs[i], &wish))
            return;
    wish.topic = pool_log_topic(api->pool_log, wish.least == WEIR_DEBUG);
    wish.only_new = wish.least == WEIR_DEBUG;
    event_stream_begin(req, &wish);
}
