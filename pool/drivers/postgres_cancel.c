/* postgres_cancel.c: having the server stop what a session runs. */
#include <pthread.h>
#include <stdlib.h>

#include "postgres.h"

/* A request can arrive before the server has begun, or between two statements of a flight, and then
 * stops nothing: it is repeated, at growing intervals, while results are outstanding. */
#define AGAIN_FIRST WEIR_MS(50)

/* Not in the session: a request under way may outlive it. */
struct canceller {
    session *session; /* NULL: gone */
    weir_lane *lane;  /* where it asks */
    bool wanted;      /* something still runs that is to stop */
    bool busy;        /* a request is under way */
    uint64_t pause_ns;
    weir_timer again;
#ifdef LIBPQ_HAS_ASYNC_CANCEL
    PGcancelConn *pg;
    watch *watch;
#else
    PGcancel *pg;
    weir_job heard;
    pthread_mutex_t lock;
    bool posted; /* the thread has sent `heard`; under the lock */
    bool left;   /* nobody wants to hear: the thread frees it; under the lock */
#endif
};

static void ask(canceller *k);

/* A thread that nobody need wait for. */
static bool thread_start(void *(*run)(void *), canceller *k)
{
    pthread_t thread;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int r = pthread_create(&thread, &detached, run, k);
    pthread_attr_destroy(&detached);
    return r == 0;
}

static void ask_again(weir_timer *timer)
{
    canceller *k = weir_container(timer, canceller, again);
    k->pause_ns *= 2;
    ask(k);
}

static void canceller_free(canceller *k);

/* For how long a cancel that the network has cut off may still be on its way. */
#define STRAY WEIR_S(2)

/* The server has been told, or cannot be. `heard`: it has said so itself, hence nothing is left
 * that could strike later. */
static void told(canceller *k, bool heard)
{
    k->busy = false;
    session *s = k->session;
    if (s && !heard)
        s->stray_until_ns = weir_after(STRAY);
    if (!s)
        canceller_free(k);
    else if (k->wanted)
        weir_timer_start(&k->again, weir_after(k->pause_ns), ask_again);
    else if (s->activity == ACTIVITY_NONE)
        session_rest(s);
}

#ifdef LIBPQ_HAS_ASYNC_CANCEL

static bool prepare(canceller *k, PGconn *pg)
{
    k->pg = PQcancelCreate(pg);
    return k->pg && PQcancelStatus(k->pg) != CONNECTION_BAD;
}

static void canceller_free(canceller *k)
{
    watch_close(k->watch);
    PQcancelFinish(k->pg);
    free(k);
}

static void go_on(void *arg, int events)
{
    canceller *k = arg;
    (void)events;
    watch_close(k->watch);
    k->watch = NULL;
    PostgresPollingStatusType next = PQcancelPoll(k->pg);
    if (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING)
        k->watch = watch_open(k->lane->loop, PQcancelSocket(k->pg),
                              next == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE, go_on, k);
    if (!k->watch)
        told(k, next == PGRES_POLLING_OK);
}

static void ask(canceller *k)
{
    k->busy = true;
    PQcancelReset(k->pg);
    if (PQcancelStart(k->pg))
        k->watch = watch_open(k->lane->loop, PQcancelSocket(k->pg), UV_WRITABLE, go_on, k);
    if (!k->watch)
        told(k, false);
}

static void *on_thread(void *arg)
{
    canceller *k = arg;
    PQcancelBlocking(k->pg);
    canceller_free(k);
    return NULL;
}

/* The lane may be gone before a server that stands still has answered: so nothing of this stays on
 * its loop. */
static void leave(canceller *k, bool stop)
{
    watch_close(k->watch);
    k->watch = NULL;
    PQcancelReset(k->pg);
    if (!stop || !thread_start(on_thread, k))
        canceller_free(k);
}

#else

static bool prepare(canceller *k, PGconn *pg)
{
    pthread_mutex_init(&k->lock, NULL);
    k->pg = PQgetCancel(pg);
    return k->pg;
}

static void canceller_free(canceller *k)
{
    pthread_mutex_destroy(&k->lock);
    PQfreeCancel(k->pg);
    free(k);
}

static void *on_thread(void *arg)
{
    canceller *k = arg;
    char why[256];
    PQcancel(k->pg, why, sizeof why);
    pthread_mutex_lock(&k->lock);
    bool left = k->left;
    k->posted = !left;
    if (k->posted)
        weir_lane_post(k->lane, &k->heard);
    pthread_mutex_unlock(&k->lock);
    if (left)
        canceller_free(k);
    return NULL;
}

static void on_heard(weir_job *job)
{
    canceller *k = weir_container(job, canceller, heard);
    pthread_mutex_lock(&k->lock); /* until the thread has let go of it */
    pthread_mutex_unlock(&k->lock);
    told(k, false); /* PQcancel takes a reset for the server's own end of it */
}

/* PQcancel waits for the server without an end, and one that stands still never answers. So each
 * request has a thread of its own, and hinders neither a look-up in libuv's few threads, nor the
 * end of the lane. There are no more of them than there are connections to cancel on. */
static void ask(canceller *k)
{
    k->busy = true;
    k->posted = k->left = false;
    k->heard.run = on_heard;
    if (!thread_start(on_thread, k))
        told(k, true);
}

/* A request under way ends by itself, or has just done so and its job frees it. */
static void leave(canceller *k, bool stop)
{
    if (k->busy) {
        pthread_mutex_lock(&k->lock);
        k->left = !k->posted;
        pthread_mutex_unlock(&k->lock);
        return;
    }
    k->left = true;
    if (!stop || !thread_start(on_thread, k))
        canceller_free(k);
}

#endif

canceller *canceller_new(session *s)
{
    canceller *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->session = s;
    if (prepare(k, s->pg))
        return k;
    canceller_free(k);
    return NULL;
}

void canceller_start(canceller *k)
{
    k->wanted = true;
    k->lane = k->session->c->lane;
    k->pause_ns = AGAIN_FIRST;
    ask(k);
}

void canceller_rest(canceller *k)
{
    k->wanted = false;
    weir_timer_stop(&k->again);
}

bool canceller_busy(const canceller *k)
{
    return k->busy;
}

void canceller_leave(canceller *k, bool stop)
{
    if (!k)
        return;
    canceller_rest(k);
    k->session = NULL;
    leave(k, stop);
}
