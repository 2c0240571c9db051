/* events.c: what the pool and the API tell, as lines of the log. */
#include "events.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

/* Lines a second that one kind of event may write. */
#define LINES_MAX 5

/* The second at hand, the lines written in it, and those left out since the last that was. Lanes
 * that meet where a second begins may each write one line more: that matters less than a lock. */
typedef struct repeat {
    _Atomic uint64_t began_ns, written, left_out;
} repeat;

static repeat repeats[WEIR_EVENT_COUNT];
static repeat refused_requests, refused_answers, unknown_askers; /* 503, 507, 401 */

/* Kinds that come by the thousand when the database is away or the pool is short. */
static bool may_flood(weir_event_kind kind)
{
    return kind == WEIR_CONNECTION_FAILED || kind == WEIR_LEASE_TIMED_OUT ||
           kind == WEIR_LEASE_REFUSED || kind == WEIR_QUERY_CANCELLED;
}

/* Whether to write this one; then `*left_out` is how many before it were not. */
static bool is_due(repeat *r, uint64_t *left_out)
{
    uint64_t now = weir_now(), began = atomic_load(&r->began_ns);
    if ((!began || now - began >= WEIR_S(1)) &&
        atomic_compare_exchange_strong(&r->began_ns, &began, now))
        atomic_store(&r->written, 0);
    if (atomic_fetch_add(&r->written, 1) >= LINES_MAX) {
        atomic_fetch_add(&r->left_out, 1);
        return false;
    }
    *left_out = atomic_exchange(&r->left_out, 0);
    return true;
}

static log_field field_some(const char *name, uint64_t value)
{
    return value ? field_uint(name, value) : field_text(name, NULL);
}

static log_field field_span(const char *name, uint64_t value_ns)
{
    return value_ns ? field_ms(name, value_ns) : field_text(name, NULL);
}

/* What to say where the event has no words of its own. */
static const char *const sentences[WEIR_EVENT_COUNT] = {
    [WEIR_POOL_OPENED] = "the pool is open",
    [WEIR_POOL_PAUSED] = "the pool is paused: takers wait",
    [WEIR_POOL_RESUMED] = "the pool goes on",
    [WEIR_POOL_RESIZED] = "the pool has another size",
    [WEIR_POOL_EVICTED] = "every connection there is now will be replaced",
    [WEIR_POOL_DRAINING] = "the pool closes as its leases come back",
    [WEIR_POOL_CLOSED] = "the pool is closed",
    [WEIR_CONNECTION_DIALING] = "connecting",
    [WEIR_CONNECTION_OPENED] = "connected",
    [WEIR_CONNECTION_FAILED] = "could not connect",
    [WEIR_CONNECTION_RETIRED] = "disconnected",
    [WEIR_LEASE_GRANTED] = "got a connection",
    [WEIR_LEASE_RELEASED] = "gave its connection back",
    [WEIR_LEASE_TIMED_OUT] = "waited too long for a connection",
    [WEIR_LEASE_REFUSED] = "was refused a connection",
    [WEIR_LEASE_LEAKED] = "has held its connection for too long",
    [WEIR_LEASE_CANCELLED] = "gave up waiting for a connection",
    [WEIR_QUERY_CANCELLED] = "stopping a query at the server",
    [WEIR_QUERY_FAILED] = "the query failed",
    [WEIR_SERVER_NOTICE] = "the server says something",
};

static const char *event_message(const weir_event *event)
{
    if (event->message && *event->message)
        return event->message;
    const char *sentence = sentences[event->kind];
    return sentence ? sentence : weir_event_name(event->kind);
}

static const char *text_or_null(const char *text)
{
    return text && *text ? text : NULL;
}

/* To the log, and to those whom /pool/events tells. */
static void tell(weir_pool_log *kept, weir_level level, const char *event, const char *message,
                 const char *pool, const log_field *fields, size_t count)
{
    char json[LOG_LINE_MAX];
    log_line(level, event, message, fields, count);
    if (weir_pool_log_wants(kept, level))
        weir_pool_log_add(kept, level, pool, json,
                          log_json(json, level, event, message, fields, count));
}

void events_log_pool(void *arg, const weir_event *event)
{
    weir_pool_log *kept = arg;
    weir_level level = weir_event_level(event->kind);
    uint64_t left_out = 0;
    if (!log_wants(level) && !weir_pool_log_wants(kept, level))
        return;
    if (may_flood(event->kind) && !is_due(&repeats[event->kind], &left_out))
        return;
    const char *reason =
        event->reason == WEIR_RETIRE_NOT ? NULL : weir_retire_reason_name(event->reason);
    const log_field fields[] = {
        field_text("pool", event->pool),
        field_some("connection", event->connection),
        field_some("backend_pid", (uint64_t)event->backend_pid),
        field_uint("lane", event->lane),
        field_text("reason", reason),
        field_text("error", event->error ? weir_error_name(event->error) : NULL),
        field_text("sqlstate", text_or_null(event->sqlstate)),
        field_text("label", text_or_null(event->label)),
        field_text("trace_id", text_or_null(event->trace_id)),
        field_span("duration_ms", event->duration_ns),
        field_some("left_out", left_out),
    };
    tell(kept, level, weir_event_name(event->kind), event_message(event), event->pool, fields,
         sizeof fields / sizeof *fields);
}

void events_log_feed(void *arg, const weir_feed_event *event)
{
    bool idle = event->reason && strcmp(event->reason, "idle") == 0;
    weir_level level = event->listening || idle ? WEIR_INFO : WEIR_WARN;
    const char *message = event->listening ? "listening to the database's notifications"
                          : idle           ? "nobody is left to listen for"
                                           : "not listening to the database's notifications";
    const log_field fields[] = {
        field_text("pool", event->pool),
        field_uint("channels", event->channels),
        field_text("reason", event->reason),
        field_text("error", text_or_null(event->message)),
        field_span("duration_ms", event->duration_ns),
    };
    tell(arg, level, event->listening ? "events.listening" : "events.deaf", message, event->pool,
         fields, sizeof fields / sizeof *fields);
}

void events_log_client(void *arg, const char *reason, const char *address)
{
    (void)arg;
    log_say(WEIR_DEBUG, "http.client_cut", "disconnected a client", field_text("reason", reason),
            field_text("address", address));
}

/* One who tries tokens is worth a line, too. */
static weir_level request_level(int status)
{
    if (status >= 500 || status == 401)
        return WEIR_WARN;
    return status == 499 ? WEIR_INFO : WEIR_DEBUG;
}

void events_log_request(void *arg, const weir_request_record *record)
{
    weir_level level = request_level(record->status);
    uint64_t left_out = 0;
    (void)arg;
    repeat *flood = record->status == 503   ? &refused_requests
                    : record->status == 507 ? &refused_answers
                    : record->status == 401 ? &unknown_askers
                                            : NULL;
    if (!log_wants(level) || (flood && !is_due(flood, &left_out)))
        return;
    const char *message = record->message;
    char client[IP_TEXT];
    ip_text(record->client, client);
    if (!text_or_null(message))
        message = record->status == 499 ? "the client went away" : record->code ? record->code : "";
    const log_field fields[] = {
        field_text("method", record->method),
        field_text("route", record->route),
        field_text("client", client),
        field_uint("status", (uint64_t)record->status),
        field_ms("duration_ms", record->duration_ns),
        field_span("wait_ms", record->wait_ns),
        field_span("query_ms", record->query_ns),
        field_uint("bytes", record->bytes),
        field_text("request_id", record->request_id),
        field_text("traceparent", record->traceparent),
        field_text("code", record->code),
        field_text("label", text_or_null(record->label)),
        field_some("left_out", left_out),
    };
    log_line(level, "http.request", message, fields, sizeof fields / sizeof *fields);
}
