/* serve.c: the service from its start to its end. */
#include "serve.h"

#include <signal.h>
#include <unistd.h>

#include "access.h"
#include "certificate_file.h"
#include "complaint.h"
#include "descriptors.h"
#include "exits.h"
#include "log.h"
#include "reloadables.h"
#include "secret.h"
#include "serve_parts.h"

void service_leave(int exit_code)
{
    log_close();
    _exit(exit_code);
}

/* ---- While it runs ---- */

static void watch(service *s)
{
    service_begin_load(s);
    while (!s->stop) {
        weir_semaphore_acquire(&s->wake);
        if (s->loading && s->loaded)
            service_end_load(s);
        if (s->reload && !s->stop && !s->loading) {
            log_say(WEIR_INFO, "service.reloading", "reading queries and settings again");
            service_begin_load(s);
        }
    }
    if (s->loading) {
        weir_cancel(s->loading);
        service_end_load(s);
    }
}

static void close_all(service *s)
{
    weir_api_close(s->api);
    if (!service_close_pools(s)) {
        log_say(WEIR_WARN, "service.stopped", "left connections that do not close");
        service_leave(s->exit_code);
    }
    signals_close(&s->signals);
    log_say(WEIR_INFO, "service.stopped", "stopped",
            field_ms("duration_ms", weir_now() - s->began_ns));
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

static int run(void *arg)
{
    service *s = arg;
    if (loader_open(&s->loader, s->runtime, s->pools, s->pool_names, s->api) < 0) {
        log_say(WEIR_ERROR, "service.start_failed", weir_strerror(WEIR_ENOMEM));
        s->exit_code = EXIT_SYSTEM;
    } else if (service_hear_signals(s) == 0) {
        tell_start(s); /* who reads it may send one */
        watch(s);
    } else {
        log_say(WEIR_ERROR, "service.start_failed", "signals cannot be watched");
        s->exit_code = EXIT_SYSTEM;
    }
    service_give_notice(s);
    service_drain(s);
    close_all(s);
    weir_runtime_stop(s->runtime);
    return 0;
}

/* ---- The start ---- */

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

static int read_certificate(service *s)
{
    query_fault fault = {0};
    int r = certificate_file_read(s->config, &s->certificate, &fault);
    return r == 0 ? EXIT_FINE : complain_of(&fault, r, EXIT_USAGE);
}

static int task_close(void *arg)
{
    service *s = arg;
    weir_api_close(s->api);
    service_close_pools(s);
    weir_runtime_stop(s->runtime);
    return 0;
}

/* Runs the lanes; the service's own task decides when they end. */
static int run_lanes(service *s, int (*task)(void *))
{
    if (weir_spawn_on(weir_runtime_lane(s->runtime, 0), task, s) < 0 ||
        weir_runtime_run(s->runtime) < 0) {
        complain("%s", "the lanes cannot be started: out of memory or threads");
        /* What has been opened can be closed only while the lanes run. */
        service_leave(EXIT_SYSTEM);
    }
    return s->exit_code;
}

static int open_and_run(service *s)
{
    int code = service_open_pools(s);
    if (code == EXIT_FINE)
        code = service_open_api(s);
    if (code != EXIT_FINE) {
        run_lanes(s, task_close);
        return code;
    }
    /* Only now, so that what keeps it from starting stands alone. */
    const log_options log = {
        .fd = STDERR_FILENO, .format = s->config->log_format, .level = s->config->log_level};
    if (log_open(&log) < 0) {
        complain("%s", "the log cannot be opened: out of memory or threads");
        service_leave(EXIT_SYSTEM);
    }
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
    service_prepare_wishes(s);
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
        .start = c, .config = c, .clients_max = descriptors_for_clients(c), .began_ns = weir_now()};

    config_pool_names(c, s.pool_names);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* until it can be heeded */
    int code = start(&s);
    credentials_unref(s.known);
    weir_certificate_unref(s.certificate);
    reload_drop(c, s.config);
    return code;
}
