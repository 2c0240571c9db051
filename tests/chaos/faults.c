/* faults.c: what goes wrong, each with its end, and how long weir took to recover from it. */
#include "faults.h"

#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "moment.h"

#define OF_WEIR " from pg_stat_activity where usename = 'weir' and backend_type = 'client backend'"

static void hold(scene *s, uint64_t least_ms, uint64_t most_ms)
{
    sleep_ms(between(&s->seed, least_ms, most_ms));
}

/* Mostly short, at times long. */
static void hold_for_long(scene *s, uint64_t least_ms, uint64_t most_ms)
{
    uint64_t more = chance(&s->seed, 1000);
    sleep_ms(least_ms + (most_ms - least_ms) * more * more * more / 1000000000);
}

static void ignore(void *arg, const PGresult *notice)
{
    (void)arg;
    (void)notice;
}

/* A superuser's number; 0 when there is none, or the server is not there. */
static long sql(scene *s, const char *text)
{
    PGconn *pg = PQconnectdb(postgres_conninfo(s->server));
    PQsetNoticeReceiver(pg, ignore, NULL);
    PGresult *result = PQexec(pg, text);
    long number = PQntuples(result) ? atol(PQgetvalue(result, 0, 0)) : 0;
    PQclear(result);
    PQfinish(pg);
    return number;
}

/* ---- The server ---- */

static void terminate_one(scene *s)
{
    sql(s, "select pg_terminate_backend(pid)" OF_WEIR " order by random() limit 1");
}

static void terminate_all(scene *s)
{
    sql(s, "select count(pg_terminate_backend(pid))" OF_WEIR);
}

/* The postmaster ends all others then, and begins anew. */
static void kill_backend(scene *s)
{
    long pid = sql(s, "select pid" OF_WEIR " order by random() limit 1");
    uint64_t killed_ns = now_ns();
    if (pid <= 0)
        return;
    kill((pid_t)pid, SIGKILL);
    probe_await(s->probe, false, killed_ns, killed_ns + 1000 * MS);
}

static void kill_server(scene *s)
{
    postgres_kill(s->server);
    hold(s, 0, 300);
    postgres_launch(s->server);
}

static void restart_fast(scene *s)
{
    postgres_shut_down(s->server);
    hold(s, 0, 500);
    postgres_launch(s->server);
}

static void restart_at_once(scene *s)
{
    kill(postgres_pid(s->server), SIGQUIT);
    postgres_shut_down(s->server);
    hold(s, 0, 500);
    postgres_launch(s->server);
}

static void freeze(scene *s)
{
    postgres_freeze(s->server);
    hold_for_long(s, 200, 3000);
    postgres_thaw(s->server);
}

/* Someone else takes each place there is, while weir loses those it has. */
static void leave_no_room(scene *s)
{
    enum { HOGS = 40 };
    PGconn *hogs[HOGS];
    char conninfo[256];
    snprintf(conninfo, sizeof conninfo, "%s user=hog", postgres_conninfo(s->server));
    for (int i = 0; i < HOGS; i++)
        hogs[i] = NULL;
    for (int round = 0; round < 3; round++) {
        terminate_all(s);
        for (int i = 0; i < HOGS; i++) {
            if (PQstatus(hogs[i]) == CONNECTION_OK)
                continue;
            PQfinish(hogs[i]);
            hogs[i] = PQconnectdb(conninfo);
            if (PQstatus(hogs[i]) != CONNECTION_OK)
                break;
        }
    }
    hold_for_long(s, 200, 2000);
    for (int i = 0; i < HOGS; i++)
        PQfinish(hogs[i]);
}

/* Nobody gets in by that name for a while, and those who are in are sent away. */
static void lock_role_out(scene *s)
{
    sql(s, "alter role weir nologin");
    terminate_all(s);
    hold(s, 100, 600);
    sql(s, "alter role weir login");
}

static void change_tables(scene *s)
{
    static const char *const changes[] = {
        "alter table wide add column c text default 'new'",
        "alter table wide drop column c",
        "alter table wide alter b type bigint",
        "alter table wide alter b type int",
        "alter table ledger add column note text",
        "alter table ledger drop column note",
        "analyze",
    };
    enum { CHANGES = sizeof changes / sizeof *changes };
    char text[160];
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "set lock_timeout = 300; %s",
                 changes[chance(&s->seed, CHANGES)]);
        sql(s, text);
        hold(s, 0, 20);
    }
}

/* ---- The network ---- */

static void cut_all(scene *s)
{
    proxy_cut(s->proxy, CUT_CLOSE, 1);
}

static void reset_all(scene *s)
{
    proxy_cut(s->proxy, CUT_RESET, 1);
}

static void reset_some(scene *s)
{
    for (int i = 0; i < 10; i++) {
        proxy_cut(s->proxy, CUT_RESET, 4);
        hold(s, 0, 20);
    }
}

static void cut_in_answers(scene *s)
{
    for (int i = 0; i < 10; i++) {
        proxy_cut(s->proxy, CUT_IN_ANSWER, 2);
        hold(s, 0, 20);
    }
}

/* The worst that can happen to a cancel: weir hears that it is over, and then it strikes. */
static void delay_cancels(scene *s)
{
    proxy_delay_cancels(s->proxy, (uint32_t)between(&s->seed, 1, 100));
    hold(s, 300, 1000);
    proxy_delay_cancels(s->proxy, 0);
    sleep_ms(100);
}

static void slow_network(scene *s)
{
    proxy_weather(s->proxy, WEATHER_SLOW, (uint32_t)between(&s->seed, 5, 200));
    hold(s, 300, 1200);
    proxy_weather(s->proxy, WEATHER_FAIR, 0);
}

static void trickle(scene *s)
{
    proxy_weather(s->proxy, WEATHER_TRICKLE, (uint32_t)between(&s->seed, 1, 4));
    hold(s, 300, 1200);
    proxy_weather(s->proxy, WEATHER_FAIR, 0);
}

static void stall(scene *s)
{
    proxy_weather(s->proxy, WEATHER_STALL, 0);
    hold_for_long(s, 200, 2500);
    proxy_weather(s->proxy, WEATHER_FAIR, 0);
}

static void stall_and_reset(scene *s)
{
    proxy_weather(s->proxy, WEATHER_STALL, 0);
    hold_for_long(s, 200, 2500);
    proxy_cut(s->proxy, CUT_RESET, 1);
    proxy_weather(s->proxy, WEATHER_FAIR, 0);
}

static void refuse(scene *s)
{
    proxy_weather(s->proxy, WEATHER_DOWN, 0);
    hold_for_long(s, 100, 1500);
    proxy_weather(s->proxy, WEATHER_FAIR, 0);
}

/* The first host swallows dials; the second one is well all the time. */
static void swallow(scene *s)
{
    blackhole_open(&s->blackhole);
    proxy_cut(s->proxy, CUT_RESET, 1);
}

static void swallow_no_more(scene *s)
{
    blackhole_close(&s->blackhole);
}

/* ---- Weir itself ---- */

static void storm(scene *s)
{
    for (int i = 0; i < 3; i++)
        load_storm(s->load, (uint32_t)between(&s->seed, 30, 150));
}

/* What it is told to do by its endpoints, it does. */
static void steer(scene *s, const char *path, const char *body)
{
    client c;
    answer a = {0};
    uint64_t limit_ms = (uint64_t)(10000 * s->slower);
    client_init(&c, s->port);
    bool answered = client_send(&c, "POST", path, "steer", body) &&
                    client_await(&c, now_ns() + limit_ms * MS, &a) == CLIENT_ANSWERED;
    if (!answered || a.status != 200) {
        fprintf(stderr, "faults: %s %s: %d %s\n", path, body, a.status, answered ? a.body : "");
        s->disobeyed++;
    }
    client_close(&c);
}

static void evict(scene *s)
{
    char change[96];
    snprintf(change, sizeof change, "alter role weir set work_mem = '%u kB'",
             (unsigned)between(&s->seed, 100, 9000));
    sql(s, change);
    steer(s, "/pool/evict", chance(&s->seed, 2) ? "{}" : "{\"spread\":\"300ms\"}");
}

static void pause_and_resume(scene *s)
{
    steer(s, "/pool/pause", "{}");
    hold(s, 0, 400);
    steer(s, "/pool/resume", "{}");
}

static void resize_to(scene *s, uint64_t max)
{
    char body[64];
    snprintf(body, sizeof body, "{\"max\":%u,\"min\":%u}", (unsigned)max, max > 2 ? 2U : 1U);
    steer(s, "/pool/resize", body);
}

static void resize(scene *s)
{
    for (int i = 0; i < 4; i++) {
        resize_to(s, between(&s->seed, 1, s->pool_max));
        hold(s, 0, 200);
    }
    resize_to(s, s->pool_max);
}

static void reload(scene *s)
{
    steer(s, "/reload", "{}");
}

/* ---- All of them ---- */

static const struct fault {
    const char *name;
    void (*inject)(scene *s);
    void (*end)(scene *s); /* once weir has recovered in spite of it; NULL: it has ended before */
    fault_class class;
    const char *bound;
    bool by_control;
} faults[] = {
    {"backend killed (-9)", kill_backend, NULL, FAULT_OUTAGE, NULL, false},
    {"server killed (-9)", kill_server, NULL, FAULT_OUTAGE, NULL, false},
    {"restart, fast", restart_fast, NULL, FAULT_OUTAGE, NULL, false},
    {"restart, immediate", restart_at_once, NULL, FAULT_OUTAGE, NULL, false},
    {"server stopped (SIGSTOP)", freeze, NULL, FAULT_OUTAGE, NULL, false},
    {"one session terminated", terminate_one, NULL, FAULT_NO_OUTAGE, NULL, false},
    {"all sessions terminated", terminate_all, NULL, FAULT_OUTAGE, NULL, false},
    {"no room (53300)", leave_no_room, NULL, FAULT_OUTAGE, NULL, false},
    {"role locked out", lock_role_out, NULL, FAULT_OUTAGE, NULL, false},
    {"tables changed", change_tables, NULL, FAULT_NO_OUTAGE, NULL, false},
    {"network: all cut", cut_all, NULL, FAULT_OUTAGE, NULL, false},
    {"network: all reset", reset_all, NULL, FAULT_OUTAGE, NULL, false},
    {"network: some reset", reset_some, NULL, FAULT_NO_OUTAGE, NULL, false},
    {"network: reset in answers", cut_in_answers, NULL, FAULT_NO_OUTAGE, NULL, false},
    {"network: slow", slow_network, NULL, FAULT_NO_OUTAGE, NULL, false},
    {"network: trickles", trickle, NULL, FAULT_NO_OUTAGE, NULL, false},
    {"network: stands still", stall, NULL, FAULT_OUTAGE, NULL, false},
    {"network: still, then reset", stall_and_reset, NULL, FAULT_OUTAGE, NULL, false},
    {"network: refuses", refuse, NULL, FAULT_OUTAGE, NULL, false},
    {"network: cancels come late", delay_cancels, NULL, FAULT_NO_OUTAGE, NULL, false},
    {"first host a black hole", swallow, swallow_no_more, FAULT_APART, "connect timeout", false},
    {"client storm", storm, NULL, FAULT_NO_OUTAGE, NULL, false},
    {"evicted", evict, NULL, FAULT_NO_OUTAGE, NULL, true},
    {"paused and resumed", pause_and_resume, NULL, FAULT_NO_OUTAGE, NULL, true},
    {"resized", resize, NULL, FAULT_NO_OUTAGE, NULL, true},
    {"queries reloaded", reload, NULL, FAULT_NO_OUTAGE, NULL, true},
};

const uint32_t fault_count = sizeof faults / sizeof *faults;

const char *fault_name(uint32_t fault)
{
    return faults[fault].name;
}

fault_class fault_class_of(uint32_t fault)
{
    return faults[fault].class;
}

const char *fault_bound(uint32_t fault)
{
    return faults[fault].bound;
}

bool fault_skipped(const scene *s, uint32_t fault)
{
    return faults[fault].by_control && !s->control;
}

/* From when the server accepts connections again to the first 200. Where weir was first, nothing.
 */
static uint64_t recovery(scene *s, const char *name, uint64_t ended_ns)
{
    uint64_t limit = (uint64_t)(FAULT_WAIT_MS * s->slower) * MS;
    uint64_t up_ns = probe_await(s->probe, true, ended_ns, ended_ns + 3 * limit);
    if (!up_ns) {
        fprintf(stderr, "faults: the server has not come back after: %s\n", name);
        exit(99);
    }
    uint64_t answered_ns = load_await_success(s->load, up_ns, up_ns + limit);
    return answered_ns ? answered_ns - up_ns : limit;
}

void fault_inject(scene *s, uint32_t fault, fault_record *record)
{
    const struct fault *f = &faults[fault];
    probe_hurry(s->probe, true);
    f->inject(s);
    uint64_t took_ns = recovery(s, f->name, now_ns());
    probe_hurry(s->probe, false);
    if (f->end)
        f->end(s);
    record->injected++;
    if (record->measured < FAULT_RECOVERIES_MAX)
        record->recovery_ns[record->measured++] = took_ns;
}
