/* serve.c: the service from its start to its end. */
#include "serve.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../api/api.h"
#include "access.h"
#include "certificate_file.h"
#include "events.h"
#include "exits.h"
#include "feeds.h"
#include "loader.h"
#include "log.h"
#include "reload.h"
#include "reloadables.h"
#include "secret.h"
#include "signals.h"

/* How long what was cancelled may take to end, and then the pool to close. */
#define LAST_WAIT_NS WEIR_S(5)

/* How long clients that keep their connections are still told that they come too late: a request
 * on its way when its connection is closed would be lost. */
#define LINGER_NS WEIR_MS(100)

/* On lane 0, but for what is set before the lanes run. */
typedef struct service {
    const config *start;
    const config *config; /* in force: `start`, or that of the last reload */
    uint32_t clients_max;
    weir_runtime *runtime;
    const char *pool_names[QUERY_POOLS_MAX + 1]; /* the default one's first */
    weir_pool *pools[QUERY_POOLS_MAX];
    uint32_t pool_count; /* those that are open */
    feeds feeds;
    weir_pool_log *pool_log;
    weir_api *api;
    credentials *known; /* until the API has them */
    signals signals;
    loader loader;
    reload_desk desk;
    weir_job drain_job;            /* brings an operator's wish here */
    weir_certificate *certificate; /* of the start; NULL: HTTP is served */
    _Atomic bool drain_asked;      /* it is under way */
    weir_semaphore wake;           /* there is something new below */
    bool stop, reload;             /* asked for by a signal or an operator */
    weir_task *loading;            /* NULL: no load is under way */
    bool loaded;                   /* that load has ended */
    bool ready;                    /* some load has succeeded */
    uint64_t began_ns;
    int exit_code;
} service;

static void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    fprintf(stderr, "weir: %s\n", line);
}

/* Ends the process where it stands, for when an orderly end is out of reach. */
static void leave(int exit_code)
{
    log_close();
    _exit(exit_code);
}

/* ---- Signals ---- */

static void caught(void *arg, int number)
{
    service *s = arg;
    if (number == SIGINT && s->stop)
        leave(EXIT_INTERRUPTED);
    if (number == SIGHUP)
        s->reload = true;
    else
        s->stop = true;
    weir_semaphore_release(&s->wake);
}

/* ---- Operators ---- */

static void drain_wanted(weir_job *job)
{
    service *s = weir_container(job, service, drain_job);
    s->stop = true;
    weir_semaphore_release(&s->wake);
}

static void ask_for_drain(void *arg)
{
    service *s = arg;
    if (!atomic_exchange(&s->drain_asked, true))
        weir_lane_post(weir_runtime_lane(s->runtime, 0), &s->drain_job);
}

static void reload_wanted(reload_desk *desk)
{
    service *s = weir_container(desk, service, desk);
    s->reload = true;
    weir_semaphore_release(&s->wake);
}

static int ask_for_reload(void *arg, char **report, query_fault *fault)
{
    service *s = arg;
    return reload_ask(&s->desk, report, fault);
}

/* ---- Loading ---- */

static void tell_failure(service *s, int error, const query_fault *fault)
{
    char text[sizeof fault->file + sizeof fault->message + 16];
    fault_text(fault, text, sizeof text);
    const char *why = *fault->message ? text : weir_strerror(error);
    const log_field where[] = {
        field_text("file", *fault->file ? fault->file : NULL),
        fault->line ? field_uint("line", fault->line) : field_text("line", NULL),
    };
    log_line(WEIR_ERROR, s->ready ? "service.reload_failed" : "service.start_failed", why, where,
             2);
}

static int first_load(service *s, query_fault *fault)
{
    query_set *set;
    const loader_source source = {.folder = s->config->queries,
                                  .auth = (query_auth)s->config->auth,
                                  .auth_met = access_kinds(s->known)};
    credentials_unref(weir_api_trust(s->api, s->known));
    s->known = NULL;
    int r = loader_prepare_patiently(&s->loader, &source, &set, fault);
    if (r < 0)
        return r;
    uint32_t queries = query_set_count(set);
    loader_install(&s->loader, set);
    log_say(WEIR_INFO, "service.ready", "ready", field_uint("queries", queries),
            field_uint("port", weir_api_port(s->api)),
            field_ms("duration_ms", weir_now() - s->began_ns));
    s->ready = true;
    return 0;
}

static int load_again(service *s, buffer *report, query_fault *fault)
{
    reload *again = calloc(1, sizeof *again);
    if (!again)
        return WEIR_ENOMEM;
    *again = (reload){.start = s->start,
                      .now = &s->config,
                      .api = s->api,
                      .pools = s->pools,
                      .loader = &s->loader};
    int r = reload_all(again, fault);
    if (r == 0) {
        reload_tell(again);
        reload_report(again, report);
    }
    reload_forget(again);
    free(again);
    return r;
}

static int load(void *arg)
{
    service *s = arg;
    buffer report = {0};
    query_fault *fault = calloc(1, sizeof *fault); /* too large to waste a task's stack on */
    int r = !fault ? WEIR_ENOMEM : s->ready ? load_again(s, &report, fault) : first_load(s, fault);
    if (r < 0 && r != WEIR_ECANCELED && fault)
        tell_failure(s, r, fault);
    if (report.failed) /* in force, and nobody can be told */
        r = WEIR_ENOMEM;
    reload_end(&s->desk, r, r == 0 ? report.data : NULL, fault);
    buffer_free(&report);
    free(fault);
    s->loaded = true;
    weir_semaphore_release(&s->wake);
    return r;
}

/* Who asks before the first load has ended is answered by the second: that one says what changes.
 */
static void start_load(service *s)
{
    s->loaded = false;
    s->reload = !s->ready && s->desk.asked;
    if (s->ready)
        reload_begin(&s->desk);
    if (weir_spawn(load, s, &s->loading) < 0) {
        s->loading = NULL;
        reload_end(&s->desk, WEIR_ENOMEM, NULL, NULL);
        log_say(WEIR_ERROR, "service.reload_failed", weir_strerror(WEIR_ENOMEM));
        if (!s->ready) {
            s->stop = true;
            s->exit_code = EXIT_SYSTEM;
        }
    }
}

/* Takes the end of a load over. A first one that failed ends the service. */
static void end_load(service *s)
{
    int r = 0;
    weir_join(s->loading, &r);
    s->loading = NULL;
    if (r < 0 && !s->ready && !s->stop) {
        s->stop = true;
        s->exit_code = r == WEIR_EINVAL ? EXIT_QUERIES : EXIT_SYSTEM;
    }
}

static void watch(service *s)
{
    start_load(s);
    while (!s->stop) {
        weir_semaphore_acquire(&s->wake);
        if (s->loading && s->loaded)
            end_load(s);
        if (s->reload && !s->stop && !s->loading) {
            log_say(WEIR_INFO, "service.reloading", "reading queries and settings again");
            start_load(s);
        }
    }
    if (s->loading) {
        weir_cancel(s->loading);
        end_load(s);
    }
}

/* ---- The end ---- */

static bool drained_within(service *s, uint64_t limit_ns)
{
    weir_scoped_timeout(limit, limit_ns);
    return weir_api_drained(s->api) == 0;
}

/* Proxies and the like need a moment to see that it is not ready any more. */
static void give_notice(service *s)
{
    uint64_t delay_ns = s->config->drain_delay_ns;
    if (delay_ns == WEIR_NEVER || !s->ready)
        return;
    weir_api_leave(s->api);
    log_say(WEIR_INFO, "service.leaving", "not ready any more; serving on for --drain-delay",
            field_ms("delay_ms", delay_ns));
    weir_sleep(delay_ns);
}

static void drain(service *s)
{
    weir_api_drain(s->api);
    reload_close(&s->desk);
    log_say(WEIR_INFO, "service.draining", "no new requests; waiting for those under way",
            field_uint("requests", weir_api_requests(s->api)));
    if (drained_within(s, s->config->drain_timeout_ns)) {
        weir_sleep(LINGER_NS);
        drained_within(s, LINGER_NS); /* the last ones to be refused */
        return;
    }
    log_say(WEIR_WARN, "service.cancelling", "the drain timeout passed: cancelling what still runs",
            field_uint("requests", weir_api_requests(s->api)));
    weir_api_cancel(s->api);
    if (!drained_within(s, LAST_WAIT_NS)) {
        log_say(WEIR_WARN, "service.stopped", "left clients that do not take their answer",
                field_uint("requests", weir_api_requests(s->api)));
        leave(s->exit_code);
    }
}

static bool close_pools(service *s)
{
    weir_scoped_timeout(limit, LAST_WAIT_NS);
    while (s->pool_count > 0) {
        if (weir_pool_close(s->pools[s->pool_count - 1]) != 0)
            return false;
        s->pool_count--;
    }
    return feeds_close(&s->feeds) == 0;
}

static void close_all(service *s)
{
    weir_api_close(s->api);
    if (!close_pools(s)) {
        log_say(WEIR_WARN, "service.stopped", "left connections that do not close");
        leave(s->exit_code);
    }
    signals_close(&s->signals);
    log_say(WEIR_INFO, "service.stopped", "stopped",
            field_ms("duration_ms", weir_now() - s->began_ns));
}

static int run(void *arg)
{
    service *s = arg;
    if (loader_open(&s->loader, s->runtime, s->pools, s->pool_names, s->api) < 0) {
        log_say(WEIR_ERROR, "service.start_failed", weir_strerror(WEIR_ENOMEM));
        s->exit_code = EXIT_SYSTEM;
    } else if (signals_open(&s->signals, caught, s) == 0) {
        watch(s);
    } else {
        log_say(WEIR_ERROR, "service.start_failed", "signals cannot be watched");
        s->exit_code = EXIT_SYSTEM;
    }
    give_notice(s);
    drain(s);
    close_all(s);
    weir_runtime_stop(s->runtime);
    return 0;
}

/* ---- The start ---- */

weir_pool_options serve_pool_options(const config *c, uint32_t index, void *pool_log)
{
    const pool_entry *further = index > 0 ? &c->pools.entries[index - 1] : NULL;
    const char *conninfo = further ? further->conninfo : c->database;
    return (weir_pool_options){
        .name = further ? further->name : NULL,
        .conninfo = conninfo,
        .max = further ? further->max : c->pool_max,
        .min = further ? further->min : c->pool_min,
        .max_limit = c->pool_limit,
        .queue_max = c->queue_max,
        .queue_reserve = c->queue_reserve,
        .connect_timeout_ns = c->connect_timeout_ns,
        .idle_timeout_ns = c->idle_timeout_ns,
        .max_lifetime_ns = c->max_lifetime_ns,
        .keepalive_ns = c->keepalive_ns,
        .leak_after_ns = c->leak_after_ns,
        .reclaim_leaked = c->leak_reclaim,
        .shed_target_ns = c->shed_target_ns,
        .shed_interval_ns = c->shed_interval_ns,
        .on_connect = c->on_connect,
        .no_server_timeout = !c->server_timeout,
        .random_hosts = c->host_order == HOSTS_RANDOM,
        .max_lag_ns = conninfo_wants_standby(conninfo) ? c->replica_lag_ns : 0,
        .on_event = events_log_pool,
        .on_event_arg = pool_log,
    };
}

int serve_open_pool(weir_runtime *runtime, const weir_pool_options *options, uint32_t index,
                    weir_pool **pool)
{
    weir_error why = {0};
    int r = weir_pool_open(runtime, options, pool, &why);
    if (r == 0)
        return EXIT_FINE;
    secret_blot(options->conninfo, why.message);
    complain("%s%s: %s", index ? "--pool " : "--database", index ? options->name : "",
             *why.message ? why.message : weir_strerror(r));
    return r == WEIR_EINVAL ? EXIT_USAGE : EXIT_SYSTEM;
}

static int open_pools(service *s)
{
    int code = EXIT_FINE;
    for (uint32_t i = 0; code == EXIT_FINE && s->pool_names[i]; i++) {
        const weir_pool_options options = serve_pool_options(s->config, i, s->pool_log);
        code = serve_open_pool(s->runtime, &options, i, &s->pools[i]);
        s->pool_count += code == EXIT_FINE;
    }
    return code == EXIT_FINE ? feeds_open(&s->feeds, s->config, s->runtime, s->pool_log) : code;
}

void serve_api_options(const config *c, weir_api_options *options)
{
    *options = (weir_api_options){
        .listen = c->listen,
        .admin_listen = c->admin_listen,
        .acquire_timeout_ns = c->acquire_timeout_ns,
        .query_timeout_ns = c->query_timeout_ns,
        .batch_max = c->batch_max,
        .batch_concurrency = c->batch_concurrency,
        .batch_timeout_ns = c->batch_timeout_ns,
        .stream_timeout_ns = c->stream_timeout_ns,
        .body_max = c->body_max,
        .connection_memory = c->header_max,
        .gzip_min = c->gzip_min,
        .idle_timeout_ns = c->client_timeout_ns,
        .events_kept = c->events_buffer,
        .events_clients_max = c->events_clients_max,
        .events_heartbeat_ns = c->events_heartbeat_ns,
        .on_feed = events_log_feed,
        .cors_origins = c->cors_origin,
        .rate_limit = c->rate_limit,
        .trusted_proxies = c->trusted_proxies,
        .clients_per_address = c->clients_per_address == UINT32_MAX ? 0 : c->clients_per_address,
        .url_max = c->url_max,
        .params_max = c->params_max,
        .rows_max = c->rows_max,
        .answer_max = c->answer_max,
        .header_timeout_ns = c->header_timeout_ns,
        .body_timeout_ns = c->body_timeout_ns,
        .on_client_cut = events_log_client,
        .auth = (query_auth)c->auth,
        .expose_sql = c->expose_sql,
        .tls_priorities = c->tls_priorities,
        .admin_plain = !c->admin_tls,
        .on_request = events_log_request,
    };
}

static int complain_of(const query_fault *fault, int error, int exit_code)
{
    char text[sizeof fault->file + sizeof fault->message + 16];
    fault_text(fault, text, sizeof text);
    complain("%s", error == WEIR_EINVAL ? text : weir_strerror(error));
    return error == WEIR_EINVAL ? exit_code : EXIT_SYSTEM;
}

static int read_certificate(service *s)
{
    query_fault fault = {0};
    int r = certificate_file_read(s->config, &s->certificate, &fault);
    return r == 0 ? EXIT_FINE : complain_of(&fault, r, EXIT_USAGE);
}

static int open_api(service *s)
{
    char why[256] = "";
    weir_api_options options;
    serve_api_options(s->config, &options);
    options.certificate = s->certificate;
    options.runtime = s->runtime;
    options.pools = s->pools;
    options.pool_count = s->pool_count;
    options.connections_max = s->clients_max;
    options.feeds = s->feeds.list;
    options.feed_count = s->feeds.count;
    options.pool_log = options.arg = s->pool_log;
    options.operator=(weir_api_operator){
        .arg = s, .reload = ask_for_reload, .drain = ask_for_drain};
    int r = weir_api_open(&options, &s->api, why, sizeof why);
    if (r == 0)
        return EXIT_FINE;
    complain("%s", *why ? why : weir_strerror(r));
    return r == WEIR_EINVAL ? EXIT_USAGE : r == WEIR_EIO ? EXIT_UNAVAILABLE : EXIT_SYSTEM;
}

static int task_close(void *arg)
{
    service *s = arg;
    weir_api_close(s->api);
    close_pools(s);
    weir_runtime_stop(s->runtime);
    return 0;
}

/* A wrong file is known before anything is opened. */
static int check_files(service *s)
{
    query_set *set = NULL;
    query_fault fault = {0};
    int r = access_read(s->config, &s->known, &fault);
    if (r < 0)
        return complain_of(&fault, r, EXIT_USAGE);
    r = query_set_read(s->config->queries, s->pool_names, &set, &fault);
    if (r == 0)
        r = query_set_guard(set, (query_auth)s->config->auth, access_kinds(s->known), &fault);
    query_set_unref(set);
    return r == 0 ? EXIT_FINE : complain_of(&fault, r, EXIT_QUERIES);
}

/* To which the pools may grow: as far as somebody has said, for each. */
static uint32_t most_connections(const config *c)
{
    uint32_t sum = c->channels.count > 0 ? 1 + c->pools.count : 0;
    if (c->pool_limit)
        return sum + c->pool_limit * (1 + c->pools.count);
    sum += c->pool_max;
    for (uint32_t i = 0; i < c->pools.count; i++)
        sum += c->pools.entries[i].max;
    return sum;
}

/* How many clients there are descriptors for, once their limit is raised as far as it goes. What
 * the service itself needs comes first: files, loops and listeners, operators, and for each
 * connection to the database its socket, the watching of it, and the cancelling of its query. */
static uint32_t affordable_clients(const config *c)
{
    struct rlimit limit;
    rlim_t own = 16 + 8 * (rlim_t)config_lanes(c) + 3 * (rlim_t)most_connections(c);
    rlim_t wanted = c->clients_max + (own += c->admin_listen ? 64 : 0);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return c->clients_max;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted)
        return c->clients_max;
    return limit.rlim_cur > own ? (uint32_t)(limit.rlim_cur - own) : 0;
}

static void tell_start(const service *s)
{
    char database[256], expires[DATE_SIZE] = "";
    secret_hide(s->config->database, database, sizeof database);
    if (s->certificate)
        certificate_file_date(weir_certificate_look(s->certificate).expires, expires);
    const log_field fields[] = {
        field_text("version", WEIR_VERSION),
        field_text("config", s->config->config),
        field_text("listen", s->config->listen),
        field_uint("port", weir_api_port(s->api)),
        s->config->admin_listen ? field_uint("admin_port", weir_api_admin_port(s->api))
                                : field_text("admin_port", NULL),
        field_text("tls_expires", s->certificate ? expires : NULL),
        field_text("database", *database ? database : "from the environment"),
        field_text("queries", s->config->queries),
        field_uint("lanes", weir_runtime_lanes(s->runtime)),
        field_uint("pool_max", s->config->pool_max),
        field_uint("pools", s->pool_count),
        field_uint("pid", (uint64_t)getpid()),
    };
    log_line(WEIR_INFO, "service.started", "listening", fields, sizeof fields / sizeof *fields);
    if (s->certificate)
        certificate_file_warn(s->config, weir_certificate_look(s->certificate));
    if (s->clients_max < s->config->clients_max)
        log_say(WEIR_WARN, "service.limited",
                "the limit of open files leaves room for fewer clients than --clients-max",
                field_uint("clients_max", s->clients_max));
}

/* Runs the lanes; the service's own task decides when they end. */
static int run_lanes(service *s, int (*task)(void *))
{
    if (weir_spawn_on(weir_runtime_lane(s->runtime, 0), task, s) < 0 ||
        weir_runtime_run(s->runtime) < 0) {
        complain("%s", "the lanes cannot be started: out of memory or threads");
        leave(EXIT_SYSTEM); /* what has been opened can be closed only while the lanes run */
    }
    return s->exit_code;
}

static int open_and_run(service *s)
{
    int code = open_pools(s);
    if (code == EXIT_FINE)
        code = open_api(s);
    if (code != EXIT_FINE) {
        run_lanes(s, task_close);
        return code;
    }
    /* Only now, so that what keeps it from starting stands alone. */
    const log_options log = {
        .fd = STDERR_FILENO, .format = s->config->log_format, .level = s->config->log_level};
    if (log_open(&log) < 0) {
        complain("%s", "the log cannot be opened: out of memory or threads");
        leave(EXIT_SYSTEM);
    }
    tell_start(s);
    return run_lanes(s, run);
}

static int start(service *s)
{
    const weir_runtime_options options = {.lanes = config_lanes(s->config)};

    int code = check_files(s);
    if (code == EXIT_FINE)
        code = read_certificate(s);
    if (code != EXIT_FINE)
        return code;
    if (s->clients_max == 0) {
        complain("%s", "the limit of open files leaves no room for clients: raise it (ulimit -n) "
                       "or lower --pool-max");
        return EXIT_SYSTEM;
    }
    if (weir_runtime_open(&options, &s->runtime) < 0 ||
        weir_pool_log_open(s->runtime, &s->pool_log) < 0) {
        complain("%s", "out of memory, threads or descriptors");
        weir_runtime_close(s->runtime);
        return EXIT_SYSTEM;
    }
    s->desk.lane = weir_runtime_lane(s->runtime, 0);
    code = open_and_run(s);
    weir_runtime_close(s->runtime);
    weir_pool_log_close(s->pool_log);
    loader_close(&s->loader);
    log_close();
    return code;
}

int serve(const config *c)
{
    service s = {
        .start = c, .config = c, .clients_max = affordable_clients(c), .began_ns = weir_now()};

    config_pool_names(c, s.pool_names);
    s.drain_job.run = drain_wanted;
    s.desk.wanted = reload_wanted;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* until it can be heeded */
    int code = start(&s);
    credentials_unref(s.known);
    weir_certificate_unref(s.certificate);
    reload_drop(c, s.config);
    return code;
}
