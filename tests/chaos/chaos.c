/* chaos.c: the program on a real server, under load, while all goes wrong that can. */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/postgres.h"
#include "../support/scratch.h"
#include "../support/weir_process.h"
#include "calm.h"
#include "client.h"
#include "faults.h"
#include "moment.h"
#include "outcome.h"
#include "watch.h"

enum { POOL_MAX = 8, CLIENTS = 24, VANISHERS = 2 };

typedef struct run {
    scene scene;
    weir_process *weir;
    watch *watch;
    char *folder;
    uint64_t seconds;
    outcome outcome;
} run;

/* ---- Setting the scene ---- */

static double number_of(const char *variable, double otherwise)
{
    const char *text = getenv(variable);
    return text && *text ? strtod(text, NULL) : otherwise;
}

static bool has_flag(const char *flag)
{
    weir_process *help = weir_start((const char *const[]){"serve", "--help", NULL});
    weir_await_exit(help, 20);
    bool has = strstr(weir_output(help), flag) != NULL;
    weir_stop(help);
    return has;
}

static bool has_control(uint16_t port)
{
    client c;
    answer a = {0};
    client_init(&c, port);
    bool has = client_send(&c, "POST", "/pool/resume", "steer", "{}") &&
               client_await(&c, now_ns() + 5000 * MS, &a) == CLIENT_ANSWERED && a.status / 100 == 2;
    client_close(&c);
    return has;
}

static weir_process *serve(run *r)
{
    char database[256];
    const char *flags[] = {"--log-level",
                           "info",
                           "--lanes",
                           "2",
                           "--pool-max",
                           "8",
                           "--pool-min",
                           "2",
                           "--acquire-timeout",
                           "1s",
                           "--query-timeout",
                           "2s",
                           "--connect-timeout",
                           "1s",
                           NULL,
                           NULL,
                           NULL};
    if (has_flag("--token")) {
        flags[14] = "--token";
        flags[15] = "chaos";
    }
    snprintf(database, sizeof database,
             "host=127.0.0.1,127.0.0.1 port=%u,%u user=weir dbname=postgres sslmode=disable "
             "gssencmode=disable",
             r->scene.blackhole.port, proxy_port(r->scene.proxy));
    return weir_serve(database, r->folder, flags);
}

static void open_scene(run *r)
{
    scene *s = &r->scene;
    char text[256];
    /* What is acknowledged must be on disk when a backend is killed, which ends them all. */
    s->server = postgres_start("max_connections = 40\nsuperuser_reserved_connections = 6\n"
                               "synchronous_commit = on\nfull_page_writes = on\n");
    postgres_sql(s->server, "create role weir login; create role prober login;"
                            "create role hog login");
    postgres_sql(s->server, load_schema);
    s->proxy = proxy_start(postgres_port(s->server));
    blackhole_start(&s->blackhole);
    r->folder = scratch_folder();
    if (!load_write_queries(r->folder)) {
        perror(r->folder);
        exit(99);
    }
    r->weir = serve(r);
    if (!weir_await_ready(r->weir)) {
        fputs(weir_output(r->weir), stderr);
        exit(99);
    }
    r->outcome.telling = memory_is_telling(r->weir);
    s->port = weir_port(r->weir);
    s->pool_max = POOL_MAX;
    s->control = has_control(s->port);
    s->load = load_new(&(load_options){.port = s->port,
                                       .clients = CLIENTS,
                                       .vanishers = VANISHERS,
                                       .seed = s->seed,
                                       .slower = s->slower});
    snprintf(text, sizeof text,
             "host=127.0.0.1 port=%u user=prober dbname=postgres sslmode=disable "
             "gssencmode=disable options=-cclient_min_messages=error",
             proxy_probe_port(s->proxy));
    s->probe = probe_start(text);
    r->watch = watch_start(postgres_conninfo(s->server), s->proxy);
}

/* In an instrumented build its exit code tells of leaks and races too. */
static void end_weir(run *r)
{
    r->outcome.ended = weir_await_exit(r->weir, 0) != -1;
    weir_signal(r->weir, SIGTERM);
    r->outcome.exit_code = weir_await_exit(r->weir, 30 * r->scene.slower);
}

static void keep_log(run *r)
{
    const char *path = getenv("CHAOS_LOG");
    FILE *f = path && *path ? fopen(path, "we") : NULL;
    if (!f)
        return;
    fputs(weir_output(r->weir), f);
    fclose(f);
}

static void close_scene(run *r)
{
    scene *s = &r->scene;
    keep_log(r);
    watch_stop(r->watch);
    probe_stop(s->probe);
    load_free(s->load);
    weir_stop(r->weir);
    blackhole_stop(&s->blackhole);
    proxy_stop(s->proxy);
    scratch_remove(r->folder);
    postgres_stop(s->server);
}

/* ---- The run ---- */

static calm rest(run *r)
{
    return calm_await(r->weir, r->scene.port, r->scene.server, r->scene.proxy,
                      now_ns() + (uint64_t)(15000 * r->scene.slower) * MS);
}

/* A while without faults, though with deadlines and clients that vanish: then the server's own
 * count of sessions must be right too. A session whose line is cut may outlive it there. */
static void quiet_time(run *r, uint64_t ms)
{
    watch_forget(r->watch);
    sleep_ms(ms);
    if (watch_most(r->watch) > r->outcome.quiet_sessions)
        r->outcome.quiet_sessions = watch_most(r->watch);
}

static void warm_up(run *r)
{
    load_go(r->scene.load);
    quiet_time(r, 2000);
    load_storm(r->scene.load, 200);
    load_stop(r->scene.load);
    r->outcome.before = rest(r);
}

/* Each kind as often as any other, in an order of its own each time. */
static uint32_t next_fault(run *r)
{
    static uint32_t bag[KINDS_MAX], left;
    if (left == 0)
        for (uint32_t i = 0; i < fault_count; i++)
            if (!fault_skipped(&r->scene, i))
                bag[left++] = i;
    assert(left > 0);
    uint32_t at = (uint32_t)chance(&r->scene.seed, left), fault = bag[at];
    bag[at] = bag[--left];
    return fault;
}

static void rage(run *r)
{
    uint64_t began_ns = now_ns(), until_ns = began_ns + r->seconds * 1000 * MS;
    bool show = number_of("CHAOS_VERBOSE", 0) != 0;
    while (now_ns() < until_ns) {
        uint32_t fault = next_fault(r);
        fault_record *record = &r->outcome.records[fault];
        uint64_t at_ns = now_ns();
        fault_inject(&r->scene, fault, record);
        if (show)
            printf("%8.3f  %-26s took %.3f s, recovered in %.0f ms\n",
                   (double)(at_ns - began_ns) / 1e9, fault_name(fault),
                   (double)(now_ns() - at_ns) / 1e9,
                   (double)record->recovery_ns[record->measured - 1] / 1e6);
        sleep_ms(between(&r->scene.seed, 30, 300));
    }
}

static void run_all(run *r)
{
    scene *s = &r->scene;
    warm_up(r);
    watch_forget(r->watch);
    proxy_forget(s->proxy);
    load_go(s->load);
    rage(r);
    r->outcome.most_sessions = watch_most(r->watch);
    r->outcome.most_wanted = watch_most_wanted(r->watch);
    r->outcome.looks = watch_looks(r->watch);
    sleep_ms((uint64_t)(2000 * s->slower)); /* sessions cut off at the server end as well */
    quiet_time(r, 2000);
    load_stop(s->load);
    r->outcome.most_proxied = proxy_most_sessions(s->proxy);
    r->outcome.after = rest(r);

    uint32_t writers;
    ledger_page *pages = load_pages(s->load, &writers);
    if (!ledger_judge(pages, writers, postgres_conninfo(s->server), &r->outcome.ledger)) {
        fputs("chaos: the table cannot be read\n", stderr);
        r->outcome.failed++;
    }
    free(pages);
}

int main(void)
{
    static run r;
    outcome *o = &r.outcome;
    r.scene.seed = (uint64_t)number_of("SEED", (double)(time(NULL) % 1000000));
    r.seconds = (uint64_t)number_of("CHAOS_SECONDS", 130);
    r.scene.slower = number_of("TEST_SLOWER", 1);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("chaos: SEED=%lu, %lu s\n", (unsigned long)r.scene.seed, (unsigned long)r.seconds);
    open_scene(&r);
    run_all(&r);
    o->scene = &r.scene;
    end_weir(&r);
    o->enough_time = r.seconds >= 120;
    outcome_judge(o);
    close_scene(&r);
    printf("\n%u passed, %u failed\n", o->passed, o->failed);
    return o->failed ? 1 : 0;
}
