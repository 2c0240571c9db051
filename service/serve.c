/* serve.c: the service from its start to its end. */
#include "serve.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../api/api.h"
#include "events.h"
#include "exits.h"
#include "loader.h"
#include "log.h"
#include "secret.h"
#include "signals.h"

/* How long what was cancelled may take to end, and then the pool to close. */
#define LAST_WAIT_NS WEIR_S(5)

/* How long clients that keep their connections are still told that they come too late: a request
 * on its way when its connection is closed would be lost. */
#define LINGER_NS WEIR_MS(100)

/* On lane 0, but for what is set before the lanes run. */
typedef struct service {
    const config *config;
    uint32_t clients_max;
    weir_runtime *runtime;
    weir_pool *pool;
    weir_api *api;
    signals signals;
    loader loader;
    weir_semaphore wake; /* there is something new below */
    bool stop, reload;   /* asked for by a signal */
    weir_task *loading;  /* NULL: no load is under way */
    bool loaded;         /* that load has ended */
    bool ready;          /* some load has succeeded */
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

/* ---- Loading ---- */

static void tell_failure(service *s, const query_fault *fault)
{
    char text[sizeof fault->file + sizeof fault->message + 16];
    fault_text(fault, text, sizeof text);
    const log_field where[] = {
        field_text("file", *fault->file ? fault->file : NULL),
        fault->line ? field_uint("line", fault->line) : field_text("line", NULL),
    };
    log_line(WEIR_ERROR, s->ready ? "service.reload_failed" : "service.start_failed", text, where,
             2);
}

static void tell_success(service *s, uint32_t queries)
{
    if (s->ready)
        log_say(WEIR_INFO, "service.reloaded", "serving the queries as they are now",
                field_uint("queries", queries));
    else
        log_say(WEIR_INFO, "service.ready", "ready", field_uint("queries", queries),
                field_uint("port", weir_api_port(s->api)),
                field_ms("duration_ms", weir_now() - s->began_ns));
}

static int load(void *arg)
{
    service *s = arg;
    uint32_t queries = 0;
    query_fault *fault = malloc(sizeof *fault); /* too large for a task's stack to be wasted on */
    int r = fault ? loader_run(&s->loader, !s->ready, &queries, fault) : WEIR_ENOMEM;
    if (r == 0) {
        tell_success(s, queries);
        s->ready = true;
    } else if (r != WEIR_ECANCELED && fault) {
        tell_failure(s, fault);
    }
    free(fault);
    s->loaded = true;
    weir_semaphore_release(&s->wake);
    return r;
}

static void start_load(service *s)
{
    s->reload = s->loaded = false;
    if (weir_spawn(load, s, &s->loading) < 0) {
        s->loading = NULL;
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
            log_say(WEIR_INFO, "service.reloading", "reading the queries again");
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

static void drain(service *s)
{
    weir_api_drain(s->api);
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

static void close_all(service *s)
{
    weir_api_close(s->api);
    {
        weir_scoped_timeout(limit, LAST_WAIT_NS);
        if (weir_pool_close(s->pool) != 0) {
            log_say(WEIR_WARN, "service.stopped", "left connections that do not close");
            leave(s->exit_code);
        }
    }
    signals_close(&s->signals);
    log_say(WEIR_INFO, "service.stopped", "stopped",
            field_ms("duration_ms", weir_now() - s->began_ns));
}

static int run(void *arg)
{
    service *s = arg;
    if (loader_open(&s->loader, s->runtime, s->pool, s->api, s->config->queries) < 0) {
        log_say(WEIR_ERROR, "service.start_failed", weir_strerror(WEIR_ENOMEM));
        s->exit_code = EXIT_SYSTEM;
    } else if (signals_open(&s->signals, caught, s) == 0) {
        watch(s);
    } else {
        log_say(WEIR_ERROR, "service.start_failed", "signals cannot be watched");
        s->exit_code = EXIT_SYSTEM;
    }
    drain(s);
    close_all(s);
    weir_runtime_stop(s->runtime);
    return 0;
}

/* ---- The start ---- */

weir_pool_options serve_pool_options(const config *c)
{
    return (weir_pool_options){
        .conninfo = c->database,
        .max = c->pool_max,
        .min = c->pool_min,
        .queue_max = c->queue_max,
        .connect_timeout_ns = c->connect_timeout_ns,
        .idle_timeout_ns = c->idle_timeout_ns,
        .max_lifetime_ns = c->max_lifetime_ns,
        .on_event = events_log_pool,
    };
}

static int open_pool(service *s)
{
    weir_error why = {0};
    const weir_pool_options options = serve_pool_options(s->config);
    int r = weir_pool_open(s->runtime, &options, &s->pool, &why);
    if (r == 0)
        return EXIT_FINE;
    secret_blot(s->config->database, why.message);
    complain("--database: %s", *why.message ? why.message : weir_strerror(r));
    return r == WEIR_EINVAL ? EXIT_USAGE : EXIT_SYSTEM;
}

static int open_api(service *s)
{
    char why[256] = "";
    const config *c = s->config;
    const weir_api_options options = {
        .runtime = s->runtime,
        .pool = s->pool,
        .listen = c->listen,
        .admin_listen = c->admin_listen,
        .acquire_timeout_ns = c->acquire_timeout_ns,
        .query_timeout_ns = c->query_timeout_ns,
        .body_max = c->body_max,
        .connection_memory = c->header_max,
        .connections_max = s->clients_max,
        .idle_timeout_ns = c->client_timeout_ns,
        .expose_sql = c->expose_sql,
        .on_request = events_log_request,
    };
    int r = weir_api_open(&options, &s->api, why, sizeof why);
    if (r == 0)
        return EXIT_FINE;
    complain("%s", *why ? why : weir_strerror(r));
    return r == WEIR_EINVAL ? EXIT_USAGE : r == WEIR_EIO ? EXIT_UNAVAILABLE : EXIT_SYSTEM;
}

static int task_close_pool(void *arg)
{
    service *s = arg;
    weir_pool_close(s->pool);
    weir_runtime_stop(s->runtime);
    return 0;
}

/* A wrong file is known before anything is opened. */
static int check_files(const config *c)
{
    query_set *set = NULL;
    query_fault fault = {0};
    int r = query_set_read(c->queries, &set, &fault);
    query_set_unref(set);
    if (r == 0)
        return EXIT_FINE;
    char text[sizeof fault.file + sizeof fault.message + 16];
    fault_text(&fault, text, sizeof text);
    complain("%s", r == WEIR_EINVAL ? text : weir_strerror(r));
    return r == WEIR_EINVAL ? EXIT_QUERIES : EXIT_SYSTEM;
}

/* How many clients there are descriptors for, once their limit is raised as far as it goes. What
 * the service itself needs comes first: files, loops and listeners, operators, and for each
 * connection to the database its socket, the watching of it, and the cancelling of its query. */
static uint32_t affordable_clients(const config *c)
{
    struct rlimit limit;
    rlim_t own = 16 + 8 * (rlim_t)config_lanes(c) + 3 * (rlim_t)c->pool_max;
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
    char database[256];
    secret_hide(s->config->database, database, sizeof database);
    const log_field fields[] = {
        field_text("version", WEIR_VERSION),
        field_text("listen", s->config->listen),
        field_uint("port", weir_api_port(s->api)),
        s->config->admin_listen ? field_uint("admin_port", weir_api_admin_port(s->api))
                                : field_text("admin_port", NULL),
        field_text("database", *database ? database : "from the environment"),
        field_text("queries", s->config->queries),
        field_uint("lanes", weir_runtime_lanes(s->runtime)),
        field_uint("pool_max", s->config->pool_max),
        field_uint("pid", (uint64_t)getpid()),
    };
    log_line(WEIR_INFO, "service.started", "listening", fields, sizeof fields / sizeof *fields);
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
    int code = open_pool(s);
    if (code != EXIT_FINE)
        return code;
    code = open_api(s);
    if (code != EXIT_FINE) {
        run_lanes(s, task_close_pool);
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

int serve(const config *c)
{
    service s = {.config = c, .clients_max = affordable_clients(c), .began_ns = weir_now()};
    const weir_runtime_options options = {.lanes = config_lanes(c)};

    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* until it can be heeded */
    int code = check_files(c);
    if (code != EXIT_FINE)
        return code;
    if (s.clients_max == 0) {
        complain("%s", "the limit of open files leaves no room for clients: raise it (ulimit -n) "
                       "or lower --pool-max");
        return EXIT_SYSTEM;
    }
    if (weir_runtime_open(&options, &s.runtime) < 0) {
        complain("%s", "out of memory, threads or descriptors");
        return EXIT_SYSTEM;
    }
    code = open_and_run(&s);
    weir_runtime_close(s.runtime);
    loader_close(&s.loader);
    log_close();
    return code;
}
