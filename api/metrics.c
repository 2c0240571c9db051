/* metrics.c: the one table that names every metric, and Prometheus's text formats. */
#include "metrics.h"

#include <stdlib.h>

#include "process.h"
#include "series.h"

/* One scrape being written. */
typedef struct scrape {
    buffer *out;
    const metrics_source *source;
    const char *pool; /* the name of the pool being written */
    const weir_pool_stats *stats;
    process_figures process;
    series_view *series;
    size_t series_count;
    bool openmetrics;
    const struct metric *metric; /* the one being written */
} scrape;

typedef enum metric_type { GAUGE, COUNTER, HISTOGRAM } metric_type;

typedef struct metric {
    const char *name; /* without the _total of a counter */
    metric_type type;
    const char *help;
    void (*write)(scrape *s); /* once, or once a pool */
    bool per_pool;
} metric;

static void label(buffer *out, const char *name, const char *value, bool first)
{
    buffer_char(out, first ? '{' : ',');
    buffer_text(out, name);
    buffer_text(out, "=\"");
    for (const char *at = value; *at; at++) {
        if (*at == '\\' || *at == '"')
            buffer_char(out, '\\');
        if (*at == '\n')
            buffer_text(out, "\\n");
        else
            buffer_char(out, *at);
    }
    buffer_char(out, '"');
}

static void name_sample(scrape *s)
{
    buffer_text(s->out, s->metric->name);
    if (s->metric->type == COUNTER)
        buffer_text(s->out, "_total");
}

static void plain_sample(scrape *s, double value)
{
    name_sample(s);
    buffer_printf(s->out, " %.17g\n", value);
}

/* One sample of the pool, with a further label unless its name is NULL. */
static void pool_sample(scrape *s, const char *name, const char *value, uint64_t number)
{
    name_sample(s);
    label(s->out, "pool", s->pool, true);
    if (name)
        label(s->out, name, value, false);
    buffer_text(s->out, "} ");
    buffer_uint(s->out, number);
    buffer_char(s->out, '\n');
}

/* `labels` has no closing brace and may be empty. */
static void histogram_samples(scrape *s, const buffer *labels, const weir_histogram *h)
{
    uint64_t below = 0;

    for (size_t i = 0; i <= WEIR_HISTOGRAM_BOUNDS; i++) {
        below += h->counts[i];
        buffer_text(s->out, s->metric->name);
        buffer_text(s->out, "_bucket");
        buffer_append(s->out, labels->data, labels->length);
        if (i < WEIR_HISTOGRAM_BOUNDS)
            buffer_printf(s->out, ",le=\"%.9g\"} ", (double)weir_histogram_bounds_ns[i] / 1e9);
        else
            buffer_text(s->out, ",le=\"+Inf\"} ");
        buffer_uint(s->out, below);
        buffer_char(s->out, '\n');
    }
    buffer_text(s->out, s->metric->name);
    buffer_text(s->out, "_sum");
    buffer_append(s->out, labels->data, labels->length);
    buffer_printf(s->out, "} %.9f\n", (double)h->sum_ns / 1e9);
    buffer_text(s->out, s->metric->name);
    buffer_text(s->out, "_count");
    buffer_append(s->out, labels->data, labels->length);
    buffer_printf(s->out, "} %llu\n", (unsigned long long)below);
}

static void pool_histogram(scrape *s, const weir_histogram *h)
{
    buffer labels = {0};

    label(&labels, "pool", s->pool, true);
    histogram_samples(s, &labels, h);
    s->out->failed |= labels.failed;
    buffer_free(&labels);
}

static void series_histograms(scrape *s, series_family family)
{
    for (size_t i = 0; i < s->series_count; i++) {
        const series_key *key = &s->series[i].key;
        buffer labels = {0};
        if (key->family != family)
            continue;
        if (family == SERIES_REQUEST) {
            char status[12] = {(char)('0' + key->status / 100 % 10),
                               (char)('0' + key->status / 10 % 10), (char)('0' + key->status % 10)};
            label(&labels, "route", key->name, true);
            label(&labels, "method", key->within, false);
            label(&labels, "status", status, false);
        } else {
            label(&labels, "pool", key->within, true);
            label(&labels, "query", key->name, false);
        }
        histogram_samples(s, &labels, &s->series[i].histogram);
        s->out->failed |= labels.failed;
        buffer_free(&labels);
    }
}

static void tokens_refused(scrape *s)
{
    for (size_t i = 0; i < s->series_count; i++) {
        if (s->series[i].key.family != SERIES_REFUSAL)
            continue;
        name_sample(s);
        label(s->out, "reason", s->series[i].key.name, true);
        buffer_text(s->out, "} ");
        buffer_uint(s->out, weir_histogram_count(&s->series[i].histogram));
        buffer_char(s->out, '\n');
    }
}

static void connection_count(scrape *s)
{
    const weir_pool_stats *p = s->stats;
    pool_sample(s, "state", "idle", p->idle);
    pool_sample(s, "state", "used", p->size - p->idle);
}

static void connections(scrape *s)
{
    const weir_pool_stats *p = s->stats;
    pool_sample(s, "state", "dialing", p->dialing);
    pool_sample(s, "state", "idle", p->idle);
    pool_sample(s, "state", "leased", p->in_use);
    pool_sample(s, "state", "resetting", p->resetting);
    pool_sample(s, "state", "checking", p->checking);
    pool_sample(s, "state", "cancelling", p->cancelling);
    pool_sample(s, "state", "closing", p->closing);
}

static void leases_refused(scrape *s)
{
    const weir_pool_stats *p = s->stats;
    pool_sample(s, "reason", weir_error_name(WEIR_ETIMEDOUT), p->timed_out);
    pool_sample(s, "reason", weir_error_name(WEIR_EQUEUEFULL), p->queue_full);
    pool_sample(s, "reason", weir_error_name(WEIR_ESHED), p->shed);
    pool_sample(s, "reason", weir_error_name(WEIR_EDEADLK), p->deadlocked);
    pool_sample(s, "reason", weir_error_name(WEIR_ECONNECT), p->connect_refused);
    pool_sample(s, "reason", weir_error_name(WEIR_ECANCELED), p->cancelled);
    pool_sample(s, "reason", weir_error_name(WEIR_ECLOSED), p->closed_refused);
}

static void connections_retired(scrape *s)
{
    for (int reason = WEIR_RETIRE_NOT + 1; reason < WEIR_RETIRE_REASON_COUNT; reason++)
        pool_sample(s, "reason", weir_retire_reason_name((weir_retire_reason)reason),
                    s->stats->retired[reason]);
}

static void cancels(scrape *s)
{
    pool_sample(s, "outcome", "drained", s->stats->cancels_drained);
    pool_sample(s, "outcome", "discarded", s->stats->cancels_discarded);
}

/* One sample a topic. */
static void topic_samples(scrape *s, size_t figure)
{
    for (uint32_t i = 0; i < s->source->topic_count; i++) {
        const metrics_topic *t = &s->source->topics[i];
        name_sample(s);
        label(s->out, "stream", t->path, true);
        buffer_text(s->out, "} ");
        buffer_uint(s->out, *(const uint64_t *)((const char *)&t->figures + figure));
        buffer_char(s->out, '\n');
    }
}

static void events_listening(scrape *s)
{
    for (uint32_t i = 0; i < s->source->topic_count; i++) {
        const metrics_topic *t = &s->source->topics[i];
        if (!t->pool)
            continue;
        name_sample(s);
        label(s->out, "stream", t->path, true);
        label(s->out, "pool", t->pool, false);
        buffer_text(s->out, t->live ? "} 1\n" : "} 0\n");
    }
}

static void counted_sample(scrape *s, const char *name, const char *value, uint64_t number)
{
    name_sample(s);
    label(s->out, name, value, true);
    buffer_text(s->out, "} ");
    buffer_uint(s->out, number);
    buffer_char(s->out, '\n');
}

static void clients_cut(scrape *s)
{
    for (int why = 0; why < CLIENT_CUT_COUNT; why++)
        counted_sample(s, "reason", client_cut_name((client_cut)why), s->source->clients_cut[why]);
}

static void requests_limited(scrape *s)
{
    counted_sample(s, "by", "address", s->source->requests_limited[RATE_BY_ADDRESS]);
    counted_sample(s, "by", "token", s->source->requests_limited[RATE_BY_TOKEN]);
}

static void build_info(scrape *s)
{
    name_sample(s);
    label(s->out, "version", WEIR_VERSION, true);
    buffer_text(s->out, "} 1\n");
}

static void certificate_expiry(scrape *s)
{
    if (s->source->certificate_expires)
        plain_sample(s, (double)s->source->certificate_expires);
}

#define WRITER(name, call)                                                                         \
    static void name(scrape *s)                                                                    \
    {                                                                                              \
        call;                                                                                      \
    }
WRITER(connection_max, pool_sample(s, NULL, NULL, s->stats->max))
WRITER(connection_idle_max, pool_sample(s, NULL, NULL, s->stats->max))
WRITER(connection_idle_min, pool_sample(s, NULL, NULL, s->stats->min))
WRITER(pending_requests, pool_sample(s, NULL, NULL, s->stats->waiting))
WRITER(timeouts, pool_sample(s, NULL, NULL, s->stats->timed_out))
WRITER(wait_time, pool_histogram(s, &s->stats->wait))
WRITER(use_time, pool_histogram(s, &s->stats->use))
WRITER(create_time, pool_histogram(s, &s->stats->create))
WRITER(operation_duration, series_histograms(s, SERIES_QUERY))
WRITER(request_duration, series_histograms(s, SERIES_REQUEST))
WRITER(active_requests, plain_sample(s, s->source->active_requests))
WRITER(connections_opened, pool_sample(s, NULL, NULL, s->stats->opened))
WRITER(dials, pool_sample(s, NULL, NULL, s->stats->dialed))
WRITER(dial_failures, pool_sample(s, NULL, NULL, s->stats->dial_failures))
WRITER(leases_granted, pool_sample(s, NULL, NULL, s->stats->granted))
WRITER(queries_cancelled, pool_sample(s, NULL, NULL, s->stats->queries_cancelled))
WRITER(leases_leaked, pool_sample(s, NULL, NULL, s->stats->leaked))
WRITER(leases_leaked_out, pool_sample(s, NULL, NULL, s->stats->leaked_out))
WRITER(connection_ceiling, pool_sample(s, NULL, NULL, s->stats->ceiling))
WRITER(paused, pool_sample(s, NULL, NULL, s->stats->paused))
WRITER(shedding, pool_sample(s, NULL, NULL, s->stats->shedding))
WRITER(queue_max, pool_sample(s, NULL, NULL, s->stats->queue_max))
WRITER(reachable, pool_sample(s, NULL, NULL, s->stats->reachable))
WRITER(requests_shared, plain_sample(s, (double)s->source->shared_requests))
WRITER(event_clients, topic_samples(s, offsetof(topic_figures, followers)))
WRITER(events_published, topic_samples(s, offsetof(topic_figures, published)))
WRITER(events_sent, topic_samples(s, offsetof(topic_figures, sent)))
WRITER(events_missed, topic_samples(s, offsetof(topic_figures, missed)))
WRITER(event_gaps, topic_samples(s, offsetof(topic_figures, gaps)))
WRITER(draining, plain_sample(s, s->source->draining))
WRITER(clients, plain_sample(s, s->source->clients))
WRITER(lanes, plain_sample(s, s->source->lanes))
WRITER(cpu_seconds, plain_sample(s, s->process.cpu_seconds))
WRITER(resident_memory, plain_sample(s, (double)s->process.resident))
WRITER(virtual_memory, plain_sample(s, (double)s->process.virtual_size))
WRITER(open_fds, plain_sample(s, (double)s->process.open_fds))
WRITER(max_fds, plain_sample(s, (double)s->process.max_fds))
WRITER(start_time, plain_sample(s, s->process.start_seconds))
#undef WRITER

/* Every metric there is. The db_client_ and http_server_ names are those of the OpenTelemetry
 * semantic conventions; but of db.client.connection.count its former one, because promtool takes a
 * gauge whose name ends in _count for a fault. */
static const metric metrics[] = {
    {"db_client_connections_usage", GAUGE, "Connections, idle or used for anything.",
     connection_count, true},
    {"db_client_connection_max", GAUGE, "Connections at most.", connection_max, true},
    {"db_client_connection_idle_max", GAUGE, "Idle connections at most.", connection_idle_max,
     true},
    {"db_client_connection_idle_min", GAUGE, "Connections kept even when idle.",
     connection_idle_min, true},
    {"db_client_connection_pending_requests", GAUGE, "Requests waiting for a connection.",
     pending_requests, true},
    {"db_client_connection_timeouts", COUNTER, "Waits for a connection that ended at a deadline.",
     timeouts, true},
    {"db_client_connection_wait_time_seconds", HISTOGRAM,
     "From asking for a connection to having it.", wait_time, true},
    {"db_client_connection_use_time_seconds", HISTOGRAM,
     "From having a connection to giving it back.", use_time, true},
    {"db_client_connection_create_time_seconds", HISTOGRAM, "Opening a connection.", create_time,
     true},
    {"db_client_operation_duration_seconds", HISTOGRAM, "Queries, from sent to answered in full.",
     operation_duration, false},
    {"http_server_request_duration_seconds", HISTOGRAM,
     "Requests, from their first byte to the last of the answer.", request_duration, false},
    {"http_server_active_requests", GAUGE, "Requests not yet answered in full.", active_requests,
     false},
    {"weir_requests_shared", COUNTER, "Requests that waited for a query which another had begun.",
     requests_shared, false},
    {"weir_connections", GAUGE, "Connections by what they are doing.", connections, true},
    {"weir_connections_opened", COUNTER, "Connections opened.", connections_opened, true},
    {"weir_connections_retired", COUNTER, "Connections closed, by reason.", connections_retired,
     true},
    {"weir_dials", COUNTER, "Attempts to open a connection.", dials, true},
    {"weir_dial_failures", COUNTER, "Attempts to open a connection that failed.", dial_failures,
     true},
    {"weir_leases_granted", COUNTER, "Leases granted.", leases_granted, true},
    {"weir_leases_refused", COUNTER, "Leases refused, by reason.", leases_refused, true},
    {"weir_queries_cancelled", COUNTER, "Queries cancelled at the server.", queries_cancelled,
     true},
    {"weir_cancels_ended", COUNTER,
     "Cancelled queries by what became of their connection: drained and kept, or discarded.",
     cancels, true},
    {"weir_leases_leaked", COUNTER, "Leases held past the leak limit.", leases_leaked, true},
    {"weir_leases_leaked_out", GAUGE, "Leases past the leak limit that are still out.",
     leases_leaked_out, true},
    {"weir_connection_ceiling", GAUGE,
     "Connections that the server has room for; the maximum, unless it has said that it is full.",
     connection_ceiling, true},
    {"weir_pool_paused", GAUGE, "Whether no lease is granted until the pool is resumed.", paused,
     true},
    {"weir_pool_shedding", GAUGE, "Whether those who have waited for long are turned away.",
     shedding, true},
    {"weir_queue_max", GAUGE, "Requests that may wait for a connection at most.", queue_max, true},
    {"weir_pool_reachable", GAUGE, "Whether the database was last seen to answer.", reachable,
     true},
    {"weir_event_clients", GAUGE, "Clients that are sent events.", event_clients, false},
    {"weir_events_listening", GAUGE,
     "Whether the database's notifications are heard; they are while a client wants them.",
     events_listening, false},
    {"weir_events_published", COUNTER, "Events that came in.", events_published, false},
    {"weir_events_sent", COUNTER, "Events sent, each time to one client.", events_sent, false},
    {"weir_events_missed", COUNTER, "Events that clients were too far behind for.", events_missed,
     false},
    {"weir_event_gaps", COUNTER, "Times that a client was told that it had missed some.",
     event_gaps, false},
    {"weir_tokens_refused", COUNTER,
     "Queries not begun because of the token or JWT that was shown or was not, by reason.",
     tokens_refused, false},
    {"weir_draining", GAUGE, "Whether new requests are refused.", draining, false},
    {"weir_clients", GAUGE, "HTTP clients connected.", clients, false},
    {"weir_clients_cut", COUNTER, "HTTP clients disconnected for what they did, by reason.",
     clients_cut, false},
    {"weir_requests_limited", COUNTER,
     "Requests refused because their address or their token had asked too often.", requests_limited,
     false},
    {"weir_lanes", GAUGE, "Threads that serve requests.", lanes, false},
    {"weir_tls_certificate_expiry_timestamp_seconds", GAUGE,
     "When the certificate, or one of its chain, expires, since 1970.", certificate_expiry, false},
    {"weir_build_info", GAUGE, "The version, as a label.", build_info, false},
    {"process_cpu_seconds", COUNTER, "Processor time used.", cpu_seconds, false},
    {"process_resident_memory_bytes", GAUGE, "Memory resident.", resident_memory, false},
    {"process_virtual_memory_bytes", GAUGE, "Memory mapped.", virtual_memory, false},
    {"process_open_fds", GAUGE, "File descriptors open.", open_fds, false},
    {"process_max_fds", GAUGE, "File descriptors that may be open.", max_fds, false},
    {"process_start_time_seconds", GAUGE, "When the process started, since 1970.", start_time,
     false},
};

static void describe(scrape *s)
{
    static const char *const types[] = {
        [GAUGE] = "gauge", [COUNTER] = "counter", [HISTOGRAM] = "histogram"};
    const metric *m = s->metric;
    /* OpenMetrics names the family, the older format the sample. */
    const char *suffix = m->type == COUNTER && !s->openmetrics ? "_total" : "";

    buffer_printf(s->out, "# HELP %s%s %s\n", m->name, suffix, m->help);
    buffer_printf(s->out, "# TYPE %s%s %s\n", m->name, suffix, types[m->type]);
}

void metrics_write(buffer *out, const metrics_source *source, bool openmetrics)
{
    scrape s = {.out = out, .source = source, .openmetrics = openmetrics};

    process_look(&s.process);
    if (series_gather(source->shards, source->shard_count, &s.series, &s.series_count) < 0)
        out->failed = true;
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        s.metric = &metrics[i];
        describe(&s);
        for (uint32_t p = 0; p < (s.metric->per_pool ? source->pool_count : 1); p++) {
            s.pool = source->pools[p].name;
            s.stats = &source->pools[p].stats;
            s.metric->write(&s);
        }
    }
    if (openmetrics)
        buffer_text(out, "# EOF\n");
    free(s.series);
}
