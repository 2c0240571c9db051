/* watch.c: counts weir's sessions at the server, all the time. */
#include "watch.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "moment.h"

struct watch {
    pthread_t thread;
    char conninfo[256];
    atomic_bool stop;
    const proxy *network;
    _Atomic uint32_t most, most_wanted;
    _Atomic uint64_t looks;
};

static PGresult *look(PGconn *pg)
{
    return PQexec(pg, "select client_port from pg_stat_activity where usename = 'weir' "
                      "and backend_type = 'client backend'");
}

static void ignore(void *arg, const PGresult *notice)
{
    (void)arg;
    (void)notice;
}

static void note(watch *w, const PGresult *seen)
{
    uint32_t sessions = (uint32_t)PQntuples(seen), wanted = 0;
    for (uint32_t i = 0; i < sessions; i++)
        wanted += proxy_is_wanted(w->network, (uint16_t)atoi(PQgetvalue(seen, (int)i, 0)));
    if (sessions > atomic_load(&w->most))
        atomic_store(&w->most, sessions);
    if (wanted > atomic_load(&w->most_wanted))
        atomic_store(&w->most_wanted, wanted);
    atomic_fetch_add(&w->looks, 1);
}

static void *run(void *arg)
{
    watch *w = arg;
    PGconn *pg = NULL;
    while (!atomic_load(&w->stop)) {
        if (PQstatus(pg) != CONNECTION_OK) {
            PQfinish(pg);
            pg = PQconnectdb(w->conninfo);
            PQsetNoticeReceiver(pg, ignore, NULL);
        }
        PGresult *seen = look(pg);
        if (PQresultStatus(seen) == PGRES_TUPLES_OK)
            note(w, seen);
        PQclear(seen);
        sleep_ms(10);
    }
    PQfinish(pg);
    return NULL;
}

watch *watch_start(const char *conninfo, const proxy *network)
{
    watch *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->network = network;
    snprintf(w->conninfo, sizeof w->conninfo, "%s", conninfo);
    if (pthread_create(&w->thread, NULL, run, w) != 0)
        abort();
    return w;
}

void watch_stop(watch *w)
{
    if (!w)
        return;
    atomic_store(&w->stop, true);
    pthread_join(w->thread, NULL);
    free(w);
}

uint32_t watch_most(const watch *w)
{
    return atomic_load(&w->most);
}

uint32_t watch_most_wanted(const watch *w)
{
    return atomic_load(&w->most_wanted);
}

uint64_t watch_looks(const watch *w)
{
    return atomic_load(&w->looks);
}

void watch_forget(watch *w)
{
    atomic_store(&w->most, 0);
    atomic_store(&w->most_wanted, 0);
}
