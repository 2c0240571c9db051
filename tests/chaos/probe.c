/* probe.c: asks all the time whether the server accepts connections, by weir's own way to it. */
#include "probe.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "moment.h"

enum { KEPT = 1024 };

typedef struct sighting {
    uint64_t at_ns;
    bool success;
} sighting;

struct probe {
    pthread_t thread;
    char conninfo[256];
    atomic_bool stop, hurry;
    pthread_mutex_t lock;
    uint64_t count; /* under the lock, as are the last sightings */
    sighting last[KEPT];
};

static void note(probe *p, bool success)
{
    pthread_mutex_lock(&p->lock);
    p->last[p->count++ % KEPT] = (sighting){now_ns(), success};
    pthread_mutex_unlock(&p->lock);
}

static void *run(void *arg)
{
    probe *p = arg;
    while (!atomic_load(&p->stop)) {
        PGconn *pg = PQconnectdb(p->conninfo);
        note(p, PQstatus(pg) == CONNECTION_OK);
        PQfinish(pg);
        for (int i = 0; i < 10 && !atomic_load(&p->stop); i++) {
            sleep_ms(5);
            if (atomic_load(&p->hurry))
                break;
        }
    }
    return NULL;
}

probe *probe_start(const char *conninfo)
{
    probe *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    snprintf(p->conninfo, sizeof p->conninfo, "%s", conninfo);
    pthread_mutex_init(&p->lock, NULL);
    if (pthread_create(&p->thread, NULL, run, p) != 0)
        abort();
    return p;
}

void probe_stop(probe *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    pthread_join(p->thread, NULL);
    free(p);
}

void probe_hurry(probe *p, bool hurry)
{
    atomic_store(&p->hurry, hurry);
}

/* The first such sighting after `after_ns`, or 0. */
static uint64_t find(probe *p, bool success, uint64_t after_ns)
{
    uint64_t found = 0;
    pthread_mutex_lock(&p->lock);
    uint64_t first = p->count > KEPT ? p->count - KEPT : 0;
    for (uint64_t i = first; i < p->count && !found; i++) {
        const sighting *s = &p->last[i % KEPT];
        if (s->success == success && s->at_ns > after_ns)
            found = s->at_ns;
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

uint64_t probe_await(probe *p, bool success, uint64_t after_ns, uint64_t deadline_ns)
{
    uint64_t found;
    while (!(found = find(p, success, after_ns)) && now_ns() < deadline_ns)
        sleep_ms(1);
    return found;
}
