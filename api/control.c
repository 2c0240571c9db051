/* control.c: POST /pool/… and /reload: what operators may do while the service runs. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth.h"
#include "bind_json.h"
#include "duration.h"
#include "reply.h"

/* How long a pause waits for leases to come back, when the request does not say. */
#define PAUSE_TIMEOUT WEIR_S(10)

/* What a request asks for; a bit 1 << control_value in `given` where it says so. */
typedef struct control_values {
    uint32_t given;
    uint32_t max, min;
    uint64_t spread_ns, timeout_ns;
    char name[64];
} control_values;

typedef enum control_value { NAME, MAX, MIN, SPREAD, TIMEOUT, VALUE_COUNT } control_value;

static const struct {
    const char *name, *form;
} value_forms[VALUE_COUNT] = {
    [NAME] = {"name", "the name of a pool"},
    [MAX] = {"max", "a whole number of connections, 1 or more"},
    [MIN] = {"min", "a whole number of connections"},
    [SPREAD] = {"spread", "a time, such as 500ms, 30s or 2m"},
    [TIMEOUT] = {"timeout", "a time, such as 500ms, 30s or 2m"},
};

/* ---- Who may ---- */

static bool are_there_operators(const weir_request *req)
{
    credentials *known = server_credentials(req->lane->api);
    bool any = known->operators.count > 0;

    credentials_unref(known);
    return any;
}

bool control_let_watch(weir_request *req)
{
    return !are_there_operators(req) || control_let_in(req);
}

bool control_let_in(weir_request *req)
{
    const char *token = tokens_bearer(request_header(req, MHD_HTTP_HEADER_AUTHORIZATION));

    if (auth_is_operator(req))
        return true;
    if (!are_there_operators(req)) {
        weir_reply_problem(req, (problem){.kind = PROBLEM_NO_TOKEN,
                                          .detail = "No token is set, so nobody may do this.",
                                          .hint = "Start the service with --token-file FILE, or "
                                                  "with a token in WEIR_TOKEN."});
        return false;
    }
    req->challenge = token ? "The token is not one of the service's." : NULL;
    weir_reply_error(req, PROBLEM_UNAUTHORIZED, "%s",
                     token ? req->challenge
                           : "The request has no header Authorization: Bearer TOKEN.");
    return false;
}

/* ---- What is asked for ---- */

static bool whole_number(const char *text, uint32_t least, uint32_t *number)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end || value < least || value > UINT32_MAX)
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool store(control_values *v, control_value which, const char *text)
{
    switch (which) {
    case NAME: return (size_t)snprintf(v->name, sizeof v->name, "%s", text) < sizeof v->name;
    case MAX: return whole_number(text, 1, &v->max);
    case MIN: return whole_number(text, 0, &v->min);
    case SPREAD: return duration_parse(text, &v->spread_ns) == 0;
    case TIMEOUT: return duration_parse(text, &v->timeout_ns) == 0;
    case VALUE_COUNT: break;
    }
    return false;
}

static bool refuse_value(weir_request *req, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool refuse_value(weir_request *req, const char *name, const char *format, ...)
{
    char detail[256];
    va_list values;

    va_start(values, format);
    vsnprintf(detail, sizeof detail, format, values);
    va_end(values);
    weir_reply_problem(
        req, (problem){.kind = PROBLEM_BAD_PARAMETER, .detail = detail, .parameter = name});
    return false;
}

/* False when the request has been answered, because it says something wrong. */
static bool take(weir_request *req, uint32_t takes, const char *name, const char *text,
                 control_values *v)
{
    for (control_value i = 0; i < VALUE_COUNT; i++) {
        uint32_t bit = 1u << i;
        if (!(takes & bit) || strcmp(value_forms[i].name, name) != 0)
            continue;
        if (v->given & bit)
            return refuse_value(req, name, "%s is given twice.", name);
        v->given |= bit;
        return (text && store(v, i, text)) ||
               refuse_value(req, name, "%s must be %s.", name, value_forms[i].form);
    }
    return refuse_value(req, name, "%s takes no parameter %.60s.", req->route, name);
}

static bool take_member(weir_request *req, uint32_t takes, const char *name, const json_item *item,
                        control_values *v)
{
    char number[32];
    const char *text = json_string_value(item->value);

    if (json_is_number(item->value) && item->length < sizeof number) {
        snprintf(number, sizeof number, "%.*s", (int)item->length, item->text);
        text = number;
    }
    return take(req, takes, name, text, v);
}

static bool take_body(weir_request *req, uint32_t takes, control_values *v)
{
    json_body body;
    json_item item;
    const char *name;
    bind_fault fault = {0};
    int r = json_body_read(req->body, req->body_length, &body, &fault);
    bool good = r == 0;

    if (r == WEIR_EINVAL)
        weir_reply_problem(req, (problem){.kind = PROBLEM_BAD_REQUEST,
                                          .detail = fault.message,
                                          .parameter = fault.parameter});
    else if (r < 0)
        weir_reply_error(req, PROBLEM_OVERLOADED, "There was no memory for the body.");
    else
        while (good && json_body_next(&body, &name, &item))
            good = take_member(req, takes, name, &item, v);
    if (r == 0)
        json_body_free(&body);
    return good;
}

static bool read_values(weir_request *req, uint32_t takes, control_values *v)
{
    arguments a;

    if (!route_arguments(req, &a))
        return false;
    for (uint32_t i = 0; i < a.count; i++)
        if (!take(req, takes, a.pairs[i].name, a.pairs[i].value, v))
            return false;
    if (!take_body(req, takes, v))
        return false;
    return !(v->given & 1u << NAME) || reply_pool_named(req, v->name);
}

/* ---- What is done ---- */

static weir_async void pause_pool(weir_request *req)
{
    char detail[256];
    weir_pool_gauge gauge;

    weir_scope_enter(&req->scope);
    int r = weir_pool_pause(req->pool);
    weir_scope_leave(&req->scope);
    switch (r) {
    case 0: weir_reply_pool(req); return;
    case WEIR_EBUSY:
        weir_reply_error(req, PROBLEM_RESUMED, "The pool was resumed while this waited.");
        return;
    case WEIR_ETIMEDOUT:
        weir_pool_gauge_read(req->pool, &gauge);
        if (gauge.in_use == 0) { /* at rest by now, or from the start with ?timeout=0 */
            weir_reply_pool(req);
            return;
        }
        snprintf(detail, sizeof detail,
                 "The pool is paused, but after %.0f ms %u of its connections %s still in use.",
                 (double)req->query_timeout_ns / 1e6, gauge.in_use,
                 gauge.in_use == 1 ? "was" : "were");
        weir_reply_problem(
            req, (problem){.kind = PROBLEM_NOT_AT_REST, .detail = detail, .retryable = true});
        reply_holders(req, 0);
        return;
    default: weir_reply_refused(req, r);
    }
}

static void begin_pause(weir_request *req, const control_values *v)
{
    req->query_timeout_ns = v->given & 1u << TIMEOUT ? v->timeout_ns : PAUSE_TIMEOUT;
    req->scope = (weir_scope){.deadline_ns = weir_after(req->query_timeout_ns),
                              .label = req->route,
                              .trace_id = req->request_id,
                              .urgent = true};
    req->handler = pause_pool;
    route_start(req);
}

static void resume_pool(weir_request *req, const control_values *v)
{
    weir_pool_resume(req->pool);
    weir_reply_pool(req);
}

static void resize_pool(weir_request *req, const control_values *v)
{
    weir_pool_stats now;

    if (!(v->given & (1u << MAX | 1u << MIN))) {
        refuse_value(req, "max", "Say max, min, or both.");
        return;
    }
    weir_pool_stats_read(req->pool, &now);
    uint32_t max = v->given & 1u << MAX ? v->max : now.max;
    uint32_t min = v->given & 1u << MIN ? v->min : now.min;
    if (min > max) {
        refuse_value(req, v->given & 1u << MIN ? "min" : "max", "min %u is more than max %u.", min,
                     max);
        return;
    }
    int r = weir_pool_resize(req->pool, max, min);
    if (r == WEIR_EINVAL)
        refuse_value(req, "max", "%u is more than the pool's limit (--pool-limit).", max);
    else if (r < 0)
        weir_reply_refused(req, r);
    else
        weir_reply_pool(req);
}

static void evict_pool(weir_request *req, const control_values *v)
{
    weir_pool_evict(req->pool, v->spread_ns);
    weir_reply_pool(req);
}

static void drain_service(weir_request *req, const control_values *v)
{
    const weir_api *api = req->lane->api;

    api->operator.drain(api->operator.arg);
    buffer_printf(&req->out, "{\"draining\":true,\"requests\":%" PRIu32 "}\n",
                  weir_api_requests(api));
    weir_reply_body(req, 202, "application/json");
}

/* The fault is too large for a task's stack. */
static weir_async void reload(weir_request *req)
{
    const weir_api *api = req->lane->api;
    char *report = NULL;
    query_fault *fault = calloc(1, sizeof *fault);
    int r = fault ? api->operator.reload(api->operator.arg, &report, fault) : WEIR_ENOMEM;

    if (r == 0) {
        buffer_text(&req->out, report);
        free(report);
        weir_reply_body(req, 200, "application/json");
    } else if (r == WEIR_EINVAL) {
        char line[16];
        snprintf(line, sizeof line, ":%" PRIu32, fault->line);
        weir_reply_error(req, PROBLEM_RELOAD, "%s%s%s%s", fault->file, fault->line ? line : "",
                         *fault->file ? ": " : "", fault->message);
    } else if (r == WEIR_ECANCELED) {
        weir_reply_problem(req, (problem){.kind = PROBLEM_DRAINING,
                                          .detail = "The service is stopping.",
                                          .retryable = true});
        req->retry_after = 1;
    } else {
        weir_reply_problem(
            req, (problem){.kind = PROBLEM_DATABASE_DOWN,
                           .detail = fault && *fault->message ? fault->message : weir_strerror(r),
                           .retryable = true});
        req->retry_after = 1;
    }
    free(fault);
}

static void begin_reload(weir_request *req, const control_values *v)
{
    req->handler = reload;
    route_start(req);
}

/* ---- All of it ---- */

static const struct {
    const char *path;
    uint32_t takes;
    void (*act)(weir_request *req, const control_values *v);
} controls[] = {
    {"/pool/pause", 1u << NAME | 1u << TIMEOUT, begin_pause},
    {"/pool/resume", 1u << NAME, resume_pool},
    {"/pool/resize", 1u << NAME | 1u << MAX | 1u << MIN, resize_pool},
    {"/pool/evict", 1u << NAME | 1u << SPREAD, evict_pool},
    {"/pool/drain", 0, drain_service},
    {"/reload", 0, begin_reload},
};

/* Values are read here and not in the task: jansson's recursion needs more stack than that has. */
void serve_control(weir_request *req)
{
    size_t i = 0;
    control_values v = {0};

    while (strcmp(controls[i].path, req->route) != 0)
        i++;
    if (control_let_in(req) && read_values(req, controls[i].takes, &v))
        controls[i].act(req, &v);
}
