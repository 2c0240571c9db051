/* load.c: clients that ask weir all the time, and judge each answer. */
#include "load.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "moment.h"

enum { THINK_MS = 8, STORM_MAX = 256, SUCCESSES = 8192, GRACE_MS = 5000 };

const char *const load_schema =
    "create table ledger (token text not null);"
    "create table wide (id int primary key, a text, b int);"
    "insert into wide select n, 'row ' || n, n from generate_series(0, 99) n;"
    "grant all on ledger, wide to weir;";

/* A name, its query, the share it has of all, whether it writes, how long it may run. */
#define ROUTES(X)                                                                                  \
    X(ECHO, "echo", "select :token::text as token, pg_backend_pid() as pid", 8, false, QUERY_MS)   \
    X(WIDE, "wide", "select :token::text as token, w.* from wide w where id = :id", 4, false,      \
      QUERY_MS)                                                                                    \
    X(NAP, "nap",                                                                                  \
      "-- @timeout 100ms\nselect :token::text as token from pg_sleep(:seconds::float8)", 3, false, \
      NAP_MS)                                                                                      \
    X(WRITE, "write", "insert into ledger values (:token) returning token", 6, true, QUERY_MS)     \
    X(LATE_WRITE, "late_write",                                                                    \
      "-- @timeout 100ms\ninsert into ledger select :token from pg_sleep(:seconds::float8) "       \
      "returning token",                                                                           \
      2, true, NAP_MS)                                                                             \
    X(HELD_WRITE, "held_write",                                                                    \
      "-- @timeout 100ms\nwith w as (insert into ledger values (:token) returning token)\n"        \
      "select w.token from w, pg_sleep(:seconds::float8)",                                         \
      1, true, NAP_MS)

enum {
#define X(name, word, sql, share, writes, ms) ROUTE_##name,
    ROUTES(X)
#undef X
        ROUTE_COUNT
};

static const struct route {
    const char *name, *sql;
    uint32_t share;
    bool writes;
    uint32_t timeout_ms;
} routes[] = {
#define X(name, word, sql, share, writes, ms) {word, sql, share, writes, ms},
    ROUTES(X)
#undef X
};

typedef struct worker {
    load *load;
    pthread_t thread;
    uint32_t number;
    bool vanishes;
    uint64_t seed;
    uint32_t asked; /* reads, for their tokens */
    client client;
    ledger_page page;
} worker;

struct load {
    load_options options;
    uint32_t count; /* of workers; the last one is the storm's, and has no thread */
    worker *workers;
    atomic_bool stop;
    tally tally;
    pthread_mutex_t lock; /* of tally.first */
    _Atomic uint64_t success_count;
    _Atomic uint64_t successes[SUCCESSES]; /* when the last ones came */
};

/* ---- One request ---- */

typedef struct request {
    const struct route *route;
    uint32_t number; /* of the write */
    char token[32], path[160], body[128];
    uint64_t sent_ns;
} request;

static const struct route *choose(worker *w)
{
    uint32_t all = 0, at;
    for (int i = 0; i < ROUTE_COUNT; i++)
        all += routes[i].share;
    at = (uint32_t)chance(&w->seed, all);
    for (int i = 0;; i++) {
        if (at < routes[i].share)
            return &routes[i];
        at -= routes[i].share;
    }
}

static void compose(worker *w, request *r)
{
    double seconds = (double)between(&w->seed, 5, 250) / 1000;
    r->route = choose(w);
    r->body[0] = '\0';
    if (r->route->writes) {
        r->number = ledger_open(&w->page);
        snprintf(r->token, sizeof r->token, "%u-%u", w->number, r->number);
        snprintf(r->path, sizeof r->path, "/q/%s", r->route->name);
        if (r->route->timeout_ms == NAP_MS)
            snprintf(r->body, sizeof r->body, "{\"token\":\"%s\",\"seconds\":%.3f}", r->token,
                     seconds);
        else
            snprintf(r->body, sizeof r->body, "{\"token\":\"%s\"}", r->token);
        return;
    }
    snprintf(r->token, sizeof r->token, "%u-r%u", w->number, w->asked++);
    int length = snprintf(r->path, sizeof r->path, "/q/%s?token=%s", r->route->name, r->token);
    char *more = r->path + length;
    size_t left = sizeof r->path - (size_t)length;
    if (r->route == &routes[ROUTE_NAP])
        snprintf(more, left, "&seconds=%.3f", seconds);
    else if (r->route == &routes[ROUTE_WIDE])
        snprintf(more, left, "&id=%u", (unsigned)chance(&w->seed, 100));
}

static bool send_request(worker *w, request *r)
{
    atomic_fetch_add(&w->load->tally.asked, 1);
    r->sent_ns = now_ns();
    return client_send(&w->client, r->route->writes ? "POST" : "GET", r->path, r->token,
                       r->body[0] ? r->body : NULL);
}

/* ---- Its answer ---- */

static void wrong(load *l, _Atomic uint64_t *count, const request *r, const char *what,
                  const answer *a)
{
    atomic_fetch_add(count, 1);
    pthread_mutex_lock(&l->lock);
    if (!l->tally.first[0])
        snprintf(l->tally.first, sizeof l->tally.first, "%s: %s (%s) after %.3f s: %d %.300s", what,
                 r->path, r->token, (double)(now_ns() - r->sent_ns) / 1e9, a ? a->status : 0,
                 a ? a->body : "");
    pthread_mutex_unlock(&l->lock);
}

static bool bears_its_token(const request *r, const answer *a)
{
    char token[64];
    if (!answer_header(a, "X-Request-Id", token, sizeof token) || strcmp(token, r->token) != 0)
        return false;
    return a->status != 200 ||
           (answer_member(a, "token", token, sizeof token) && strcmp(token, r->token) == 0);
}

/* The words for: it never reached the server. */
static bool was_refused(const answer *a)
{
    static const char *const words[] = {"pool_timeout", "queue_full", "shed"};
    char code[64];
    for (size_t i = 0;
         answer_member(a, "code", code, sizeof code) && i < sizeof words / sizeof *words; i++)
        if (strcmp(code, words[i]) == 0)
            return true;
    return false;
}

/* A query ended by a cancel which its own deadline had not asked for. */
static bool is_foreign(const load *l, const request *r, const answer *a)
{
    char code[64] = "";
    uint64_t took_ns = now_ns() - r->sent_ns;
    if (a->status != 504)
        return false;
    answer_member(a, "code", code, sizeof code);
    return strcmp(code, "57014") == 0 || took_ns < r->route->timeout_ms * MS;
}

static void judge(worker *w, const request *r, const answer *a)
{
    load *l = w->load;
    tally *t = &l->tally;
    uint32_t status = a->status > 0 && a->status < STATUS_MAX ? (uint32_t)a->status : 0;
    atomic_fetch_add(&t->statuses[status], 1);
    if (!bears_its_token(r, a))
        wrong(l, &t->crossed, r, "crossed", a);
    if (is_foreign(l, r, a))
        wrong(l, &t->foreign, r, "stopped by another's cancel", a);
    if (status != 200 && status != 503 && status != 504)
        wrong(l, &t->strange, r, "strange", a);
    if (status == 200)
        atomic_store(&l->successes[atomic_fetch_add(&l->success_count, 1) % SUCCESSES], now_ns());
    if (r->route->writes && status == 200)
        ledger_settle(&w->page, r->number, WRITE_ACKNOWLEDGED);
    else if (r->route->writes && status == 503 && was_refused(a))
        ledger_settle(&w->page, r->number, WRITE_REFUSED);
}

static void ask(worker *w)
{
    load *l = w->load;
    request r;
    answer a = {0};
    compose(w, &r);
    if (!send_request(w, &r)) {
        wrong(l, &l->tally.cut_off, &r, "could not be sent", NULL);
        return;
    }
    double bound_ms = (ACQUIRE_MS + r.route->timeout_ms + GRACE_MS) * l->options.slower;
    client_end end = client_await(&w->client, r.sent_ns + (uint64_t)bound_ms * MS, &a);
    uint64_t took_ns = now_ns() - r.sent_ns;
    if (took_ns > atomic_load(&l->tally.longest_ns))
        atomic_store(&l->tally.longest_ns, took_ns);
    if (end == CLIENT_ANSWERED)
        judge(w, &r, &a);
    else if (end == CLIENT_HUNG)
        wrong(l, &l->tally.hung, &r, "hung", NULL);
    else
        wrong(l, &l->tally.cut_off, &r, "cut off", NULL);
}

static void leave(worker *w, client *c)
{
    if (chance(&w->seed, 2))
        client_reset(c);
    else
        client_close(c);
    atomic_fetch_add(&w->load->tally.vanished, 1);
}

static void ask_and_vanish(worker *w)
{
    request r;
    compose(w, &r);
    if (send_request(w, &r))
        sleep_ms(chance(&w->seed, 60));
    leave(w, &w->client);
}

void load_storm(load *l, uint32_t clients)
{
    static client storm[STORM_MAX];
    worker *w = &l->workers[l->count - 1];
    if (clients > STORM_MAX)
        clients = STORM_MAX;
    for (uint32_t i = 0; i < clients; i++) {
        request r;
        client_init(&storm[i], l->options.port);
        compose(w, &r);
        atomic_fetch_add(&l->tally.asked, 1);
        client_send(&storm[i], r.route->writes ? "POST" : "GET", r.path, r.token,
                    r.body[0] ? r.body : NULL);
    }
    sleep_ms(chance(&w->seed, 40));
    for (uint32_t i = 0; i < clients; i++)
        leave(w, &storm[i]);
}

/* ---- Their lives ---- */

static void *run(void *arg)
{
    worker *w = arg;
    while (!atomic_load(&w->load->stop)) {
        if (w->vanishes)
            ask_and_vanish(w);
        else
            ask(w);
        sleep_ms(chance(&w->seed, THINK_MS));
    }
    client_close(&w->client);
    return NULL;
}

load *load_new(const load_options *options)
{
    load *l = calloc(1, sizeof *l);
    uint32_t count = options->clients + options->vanishers + 1;
    worker *workers = calloc(count, sizeof *workers);
    if (!l || !workers)
        abort();
    *l = (load){.options = *options, .count = count, .workers = workers};
    pthread_mutex_init(&l->lock, NULL);
    for (uint32_t i = 0; i < count; i++) {
        worker *w = &workers[i];
        w->load = l;
        w->number = i;
        w->vanishes = i >= options->clients;
        w->seed = options->seed + i;
        client_init(&w->client, options->port);
    }
    return l;
}

void load_free(load *l)
{
    if (!l)
        return;
    for (uint32_t i = 0; i < l->count; i++)
        ledger_free(&l->workers[i].page);
    free(l->workers);
    free(l);
}

void load_go(load *l)
{
    atomic_store(&l->stop, false);
    for (uint32_t i = 0; i + 1 < l->count; i++)
        if (pthread_create(&l->workers[i].thread, NULL, run, &l->workers[i]) != 0)
            abort();
}

void load_stop(load *l)
{
    atomic_store(&l->stop, true);
    for (uint32_t i = 0; i + 1 < l->count; i++)
        pthread_join(l->workers[i].thread, NULL);
}

const tally *load_tally(const load *l)
{
    return &l->tally;
}

static uint64_t success_after(load *l, uint64_t after_ns)
{
    uint64_t first = 0;
    for (uint32_t i = 0; i < SUCCESSES; i++) {
        uint64_t at = atomic_load(&l->successes[i]);
        if (at > after_ns && (first == 0 || at < first))
            first = at;
    }
    return first;
}

uint64_t load_await_success(load *l, uint64_t after_ns, uint64_t deadline_ns)
{
    uint64_t found;
    while (!(found = success_after(l, after_ns)) && now_ns() < deadline_ns)
        sleep_ms(1);
    return found;
}

ledger_page *load_pages(load *l, uint32_t *count)
{
    ledger_page *pages = calloc(l->count, sizeof *pages);
    if (!pages)
        abort();
    for (uint32_t i = 0; i < l->count; i++)
        pages[i] = l->workers[i].page;
    *count = l->count;
    return pages;
}

bool load_write_queries(const char *folder)
{
    bool written = true;
    for (int i = 0; i < ROUTE_COUNT && written; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s.sql", folder, routes[i].name);
        FILE *f = fopen(path, "w");
        written = f && fprintf(f, "%s\n", routes[i].sql) > 0;
        written = f && fclose(f) == 0 && written;
    }
    return written;
}
