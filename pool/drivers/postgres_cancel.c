/* postgres_cancel.c: having the server stop what a session runs. */
#include <stdlib.h>

#include "postgres.h"

/* A request can arrive before the server has begun, or between two statements of a flight, and then
 * stops nothing: it is repeated, at growing intervals, while results are outstanding. */
#define AGAIN_FIRST WEIR_MS(50)

/* Not in the session: a request under way may outlive it. */
struct canceller {
    session *session; /* NULL: gone */
    uv_loop_t *loop;  /* where it asks */
    bool wanted;      /* something still runs that is to stop */
    bool busy;        /* a request is under way */
    uint64_t pause_ns;
    weir_timer again;
#ifdef LIBPQ_HAS_ASYNC_CANCEL
    PGcancelConn *pg;
    watch *watch;
#else
    PGcancel *pg;
    uv_work_t work;
#endif
};

static void ask(canceller *k);

static void ask_again(weir_timer *timer)
{
    canceller *k = weir_container(timer, canceller, again);
    k->pause_ns *= 2;
    ask(k);
}

static void canceller_free(canceller *k);

/* The server has been told, or cannot be. */
static void told(canceller *k)
{
    k->busy = false;
    session *s = k->session;
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
        k->watch = watch_open(k->loop, PQcancelSocket(k->pg),
                              next == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE, go_on, k);
    if (!k->watch)
        told(k);
}

static void ask(canceller *k)
{
    k->busy = true;
    PQcancelReset(k->pg);
    if (PQcancelStart(k->pg))
        k->watch = watch_open(k->loop, PQcancelSocket(k->pg), UV_WRITABLE, go_on, k);
    if (!k->watch)
        told(k);
}

#else

static bool prepare(canceller *k, PGconn *pg)
{
    k->pg = PQgetCancel(pg);
    return k->pg;
}

static void canceller_free(canceller *k)
{
    PQfreeCancel(k->pg);
    free(k);
}

static void on_thread(uv_work_t *work)
{
    canceller *k = work->data;
    char why[256];
    PQcancel(k->pg, why, sizeof why);
}

static void on_told(uv_work_t *work, int status)
{
    (void)status;
    told(work->data);
}

static void ask(canceller *k)
{
    k->busy = true;
    k->work.data = k;
    if (uv_queue_work(k->loop, &k->work, on_thread, on_told) < 0)
        told(k);
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
    k->loop = k->session->c->lane->loop;
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

void canceller_leave(canceller *k)
{
    if (!k)
        return;
    canceller_rest(k);
    k->session = NULL;
    if (!k->busy)
        canceller_free(k);
}
