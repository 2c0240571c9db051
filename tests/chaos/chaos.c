/* chaos.c: the program on a real server, under load, while all goes wrong that can. */
#include <libpq-fe.h>
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
#include "watch.h"

enum { POOL_MAX = 8, CLIENTS = 24, VANISHERS = 2, KINDS_MAX = 64, RECOVERY_MS = 1000 };

typedef struct run {
    scene scene;
    weir_process *weir;
    watch *watch;
    char *folder;
    uint64_t seconds;
    fault_record records[KINDS_MAX];
    calm before, after;
    bool telling; /* memory is */
    uint32_t quiet_sessions, most_sessions, most_wanted, most_proxied;
    uint64_t looks;
    ledger_verdict ledger;
    uint32_t passed, failed;
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
    r->telling = memory_is_telling(r->weir);
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
    if (watch_most(r->watch) > r->quiet_sessions)
        r->quiet_sessions = watch_most(r->watch);
}

static void warm_up(run *r)
{
    load_go(r->scene.load);
    quiet_time(r, 2000);
    load_storm(r->scene.load, 200);
    load_stop(r->scene.load);
    r->before = rest(r);
}

/* Each kind as often as any other, in an order of its own each time. */
static uint32_t next_fault(run *r)
{
    static uint32_t bag[KINDS_MAX], left;
    if (left == 0)
        for (uint32_t i = 0; i < fault_count; i++)
            if (!fault_skipped(&r->scene, i))
                bag[left++] = i;
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
        fault_record *record = &r->records[fault];
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
    r->most_sessions = watch_most(r->watch);
    r->most_wanted = watch_most_wanted(r->watch);
    r->looks = watch_looks(r->watch);
    sleep_ms((uint64_t)(2000 * s->slower)); /* sessions cut off at the server end as well */
    quiet_time(r, 2000);
    load_stop(s->load);
    r->most_proxied = proxy_most_sessions(s->proxy);
    r->after = rest(r);

    uint32_t writers;
    ledger_page *pages = load_pages(s->load, &writers);
    if (!ledger_judge(pages, writers, postgres_conninfo(s->server), &r->ledger)) {
        fputs("chaos: the table cannot be read\n", stderr);
        r->failed++;
    }
    free(pages);
}

/* ---- The table ---- */

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double quantile_ms(const uint64_t *sorted, uint32_t count, double q)
{
    return count ? (double)sorted[(uint32_t)(q * (count - 1) + 0.999)] / 1e6 : 0;
}

typedef struct recoveries {
    uint64_t ns[KINDS_MAX * FAULT_RECOVERIES_MAX];
    uint32_t count;
} recoveries;

static void add_recoveries(recoveries *all, const fault_record *f)
{
    memcpy(all->ns + all->count, f->recovery_ns, f->measured * sizeof *all->ns);
    all->count += f->measured;
}

static void sort_recoveries(recoveries *all)
{
    qsort(all->ns, all->count, sizeof *all->ns, by_size);
}

static uint32_t print_faults(run *r)
{
    static recoveries one;
    uint32_t injected = 0;
    printf("\n%-28s %8s   %s\n", "fault", "injected", "recovery in ms: median, most");
    for (uint32_t i = 0; i < fault_count; i++) {
        const fault_record *f = &r->records[i];
        const char *bound = fault_bound(i);
        if (fault_skipped(&r->scene, i)) {
            printf("%-28s %8s   weir has no endpoint for it\n", fault_name(i), "skipped");
            continue;
        }
        one.count = 0;
        add_recoveries(&one, f);
        sort_recoveries(&one);
        printf("%-28s %8u   %6.0f %6.0f%s%s\n", fault_name(i), f->injected,
               quantile_ms(one.ns, one.count, 0.5), quantile_ms(one.ns, one.count, 1),
               bound ? "  bounded by the " : "", bound ? bound : "");
        injected += f->injected;
    }
    printf("%-28s %8u\n", "all", injected);
    return injected;
}

static void print_answers(run *r)
{
    const tally *t = load_tally(r->scene.load);
    const scene *s = &r->scene;
    printf("\n%-28s %8lu\n", "requests", (unsigned long)t->asked);
    for (int i = 0; i < STATUS_MAX; i++)
        if (t->statuses[i])
            printf("  answered %-17d %8lu\n", i, (unsigned long)t->statuses[i]);
    printf("  %-26s %8lu\n", "client vanished", (unsigned long)t->vanished);
    printf("  %-26s %8.0f ms\n", "longest wait for an answer", (double)t->longest_ns / 1e6);
    printf("%-28s %8lu, of others %lu, of these carried out %lu\n", "writes acknowledged",
           (unsigned long)r->ledger.acknowledged, (unsigned long)r->ledger.unacknowledged,
           (unsigned long)r->ledger.present_unacknowledged);
    printf("%-28s %8lu, cancel requests %lu\n", "sessions opened",
           (unsigned long)proxy_dials(s->proxy), (unsigned long)proxy_cancels(s->proxy));
    printf(
        "sessions at most, of %d: in the network %u, at the server %u without faults, %u with, of "
        "which %u of lines not cut; looked %lu times\n",
        POOL_MAX, r->most_proxied, r->quiet_sessions, r->most_sessions, r->most_wanted,
        (unsigned long)r->looks);
    printf("%-28s %8ld descriptors, %ld threads, %ld KiB\n", "weir at rest before",
           r->before.descriptors, r->before.threads, r->before.memory_kib);
    printf("%-28s %8ld descriptors, %ld threads, %ld KiB\n", "weir at rest after",
           r->after.descriptors, r->after.threads, r->after.memory_kib);
}

static void check(run *r, const char *name, uint64_t count, bool fine)
{
    printf("%-28s %8lu   %s\n", name, (unsigned long)count, fine ? "ok" : "FAILED");
    *(fine ? &r->passed : &r->failed) += 1;
}

static void check_zero(run *r, const char *name, uint64_t count)
{
    check(r, name, count, count == 0);
}

/* Connections that are neither idle nor gone, and what a leak of any other kind would leave. */
static uint64_t leaked(const run *r)
{
    const calm *a = &r->after, *b = &r->before;
    uint64_t leaks = 0;
    leaks += !a->reached;
    leaks += a->in_use != 0 || a->waiting != 0 || a->granted != a->released;
    leaks += a->size != a->idle || a->size > POOL_MAX;
    leaks += a->descriptors - a->size > b->descriptors - b->size + 4;
    leaks += a->threads > b->threads;
    leaks += r->telling && a->memory_kib > b->memory_kib + b->memory_kib / 2 + 8 * 1024;
    return leaks;
}

static void check_recovery(run *r)
{
    static recoveries all;
    double limit = RECOVERY_MS * r->scene.slower;
    for (uint32_t i = 0; i < fault_count; i++)
        if (fault_class_of(i) == FAULT_OUTAGE)
            add_recoveries(&all, &r->records[i]);
    sort_recoveries(&all);
    double most = quantile_ms(all.ns, all.count, 1);
    printf("%-28s %8.0f ms median, %.0f ms p99, %.0f ms most, of %u   %s\n",
           "recovery from outages", quantile_ms(all.ns, all.count, 0.5),
           quantile_ms(all.ns, all.count, 0.99), most, all.count, most <= limit ? "ok" : "FAILED");
    *(most <= limit ? &r->passed : &r->failed) += 1;
}

static void print_verdict(run *r)
{
    const tally *t = load_tally(r->scene.load);
    const ledger_verdict *l = &r->ledger;
    putchar('\n');
    check_zero(r, "hung", t->hung);
    check_zero(r, "cut off without an answer", t->cut_off);
    check_zero(r, "crossed", t->crossed);
    check_zero(r, "lost: missing", l->missing);
    check_zero(r, "lost: doubled", l->doubled);
    check_zero(r, "written though refused", l->present_refused + l->strange);
    check_zero(r, "another's cancel (57014)", t->foreign);
    check_zero(r, "other answers", t->strange);
    check_zero(r, "control refused", r->scene.disobeyed);
    check_zero(r, "leaked", leaked(r));
    check(r, "sessions, in the network", r->most_proxied, r->most_proxied <= POOL_MAX);
    check(r, "sessions, no fault near", r->quiet_sessions, r->quiet_sessions <= POOL_MAX);
    check_recovery(r);
    check_zero(r, "weir ended", weir_await_exit(r->weir, 0) != -1);
    if (t->first[0])
        printf("\nfirst: %s\n", t->first);
    if (l->first[0])
        printf("\nfirst: %s\n", l->first);
}

static void show_leak(const run *r)
{
    const calm *a = &r->after;
    if (leaked(r))
        printf("\nat rest: %s, size %ld, idle %ld, in use %ld, waiting %ld, granted %ld, released "
               "%ld, sessions %ld, proxied %ld\n",
               a->reached ? "reached" : "not reached", a->size, a->idle, a->in_use, a->waiting,
               a->granted, a->released, a->sessions, a->proxied);
}

int main(void)
{
    static run r;
    uint64_t seed = (uint64_t)number_of("SEED", (double)(time(NULL) % 1000000));
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    r.seconds = (uint64_t)number_of("CHAOS_SECONDS", 130);
    r.scene.seed = seed;
    r.scene.slower = number_of("TEST_SLOWER", 1);
    printf("chaos: SEED=%lu, %lu s\n", (unsigned long)seed, (unsigned long)r.seconds);
    open_scene(&r);
    run_all(&r);
    uint32_t faults = print_faults(&r);
    print_answers(&r);
    print_verdict(&r);
    show_leak(&r);
    /* One a second or so is what the long run is for; the short one has no time for all kinds. */
    if (r.seconds >= 120)
        check(&r, "faults", faults, faults >= 100);
    close_scene(&r);
    printf("\n%u passed, %u failed (SEED=%lu)\n", r.passed, r.failed, (unsigned long)seed);
    printf("%u passed, %u failed\n", r.passed, r.failed);
    return r.failed ? 1 : 0;
}
