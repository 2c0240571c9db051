/* server.h: HTTP on each lane: what the lanes share, what each has of its own, its listeners. */
#ifndef WEIR_SERVER_H
#define WEIR_SERVER_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <uv.h>

#include "api.h"
#include "certificate.h"
#include "credentials.h"
#include "event_stream.h"
#include "feed.h"
#include "guards.h"
#include "metrics.h"
#include "request_id.h"

typedef struct weir_request weir_request;
typedef struct api_lane api_lane;

/* One libmicrohttpd daemon on a lane's loop. */
typedef struct listener {
    api_lane *lane;
    struct MHD_Daemon *daemon; /* NULL: there is none */
    uv_poll_t poll;            /* on the daemon's epoll descriptor */
    weir_timer timer;          /* when libmicrohttpd wants to run without an event */
    uint64_t ran_ns;
    uint32_t held;            /* connections that wait for their answer without being suspended */
    uint32_t turns_wanted;    /* that libmicrohttpd needs before it has nothing left to do */
    _Atomic uint32_t clients; /* after its last turn; any thread */
    uint32_t clients_max;
    uint32_t event_streams; /* of them */
    int fd;                 /* where it listens */
    struct client *first_client, *last_client;
    weir_timer look_timer; /* when they are looked at next */
    bool admin;            /* serves operators, and nobody else */
    bool tls;              /* speaks HTTPS */
    bool started;
} listener;

/* A query set as one lane holds it; counted by that lane alone. */
typedef struct lane_queries {
    query_set *set;
    uint32_t refs;
} lane_queries;

/* Requests in a queue or list of a lane. */
typedef struct request_list {
    weir_request *first, *last;
} request_list;

/* The part of the API that lives on one lane. Used on that lane only, but for what is _Atomic. */
struct api_lane {
    weir_api *api;
    weir_lane *lane;
    listener front, admin;
    lane_queries *queries; /* NULL: none yet */
    request_list finished; /* tasks that ended: answered in one batch a tick */
    request_list fresh;    /* under way for less than 20 ms, oldest first */
    request_list watched;  /* under way for longer: their clients are watched */
    event_stream *event_streams;
    weir_timer watch_timer;
    weir_hook hook; /* answers the finished ones */
    weir_job job;   /* starts it, and later ends it */
    weir_job cancel_job, close_job, drain_job, judge_job;
    metrics_shard *metrics;
    id_source ids;
    struct gzip *gzip;       /* NULL: not needed yet */
    struct shared_run *runs; /* those that may be joined; uthash */
    uint32_t runs_alive;     /* and those that may not */
    char *scratch;           /* decoded path of the request at hand; connection_memory bytes */
    bool stirred;            /* libmicrohttpd has something to do that no event tells it of */
    bool closing, stopped;
    uint32_t handles;        /* whose close callback has not run */
    _Atomic bool cancelling; /* cancel_job is queued */
    _Atomic bool judging;    /* judge_job is */
    _Atomic uint32_t requests;
    _Atomic uint64_t shared_requests;               /* that joined a run which another had begun */
    _Atomic uint64_t clients_cut[CLIENT_CUT_COUNT]; /* written here, read by any thread */
    _Atomic uint64_t requests_limited[RATE_LIMIT_COUNT];
};

struct weir_api {
    weir_runtime *runtime;
    weir_pool **pools; /* the default one first */
    uint32_t pool_count;
    feed **feeds; /* with a pool of its own each */
    uint32_t feed_count;
    weir_pool_log *pool_log; /* NULL: there is none */
    event_limit event_clients, pool_log_clients;
    uint64_t events_heartbeat_ns;
    pthread_mutex_t credentials_lock;
    credentials *credentials;
    uint64_t pass_secret[2];
    query_auth auth; /* what /events asks for */
    certificate_slot certificate;
    weir_api_operator operator;
    /* What weir_api_adjust changes: each is read by itself. */
    _Atomic uint32_t batch_max, batch_concurrency;
    _Atomic uint64_t batch_timeout_ns;
    _Atomic uint64_t acquire_timeout_ns, query_timeout_ns, stream_timeout_ns;
    _Atomic size_t body_max, gzip_min;
    _Atomic bool expose_sql;
    uint64_t idle_timeout_ns;
    size_t connection_memory;
    uint32_t connections_max;
    guards guards;
    bool separate_admin; /* what is for operators is on a listener of its own */
    void (*on_request)(void *arg, const weir_request_record *record);
    void (*on_client_cut)(void *arg, const char *reason, const char *address);
    void *arg;

    uint16_t port, admin_port;
    api_lane **lanes;
    metrics_shard **shards; /* of all lanes, in order */
    uint32_t lane_count;
    _Atomic bool leaving; /* before it drains, and from then on */
    _Atomic bool draining;

    /* Whoever waits for the last request, or for the lanes to close. */
    _Atomic(weir_lane *) waiting_lane;
    struct weir_wait *wait; /* waiting_lane's; NULL: nobody waits */
    _Atomic bool woken;     /* wake_job is queued */
    weir_job wake_job;
    uint32_t lanes_open; /* on waiting_lane */
};

/* ---- listener.c ---- */

/* Takes a bound, listening socket over. `tls`: GnuTLS's priorities; NULL: HTTP is spoken.
 * WEIR_EIO, WEIR_ENOMEM: then it is closed. */
int listener_open(listener *l, api_lane *lane, int fd, bool admin, const char *tls);
/* How many seconds a client may say nothing. */
unsigned listener_idle_s(const weir_api *api);
/* Serves, from now on. On the lane. */
void listener_start(listener *l);
/* Closes all clients; no request may be under way. On the lane. */
void listener_stop(listener *l);
/* Lets libmicrohttpd do what there is to do. On the loop's own stack. */
void listener_run(listener *l);
/* So many turns of libmicrohttpd, from the next on, have something to do. */
void listener_want(listener *l, uint32_t turns);

/* ---- server.c ---- */

/* A request has come whole; it has been answered in full, or its client is gone. */
void server_request_began(api_lane *lane);
void server_request_ended(api_lane *lane);

/* How many were answered by a run that another had begun, so far. */
uint64_t server_shared_requests(const weir_api *api);

/* A handle counted in lane->handles is closed. */
void server_lane_released(api_lane *lane);

/* The pool of this name, or NULL. */
weir_pool *server_pool(const weir_api *api, const char *name);

/* Those of now: credentials_unref them. Any thread. */
credentials *server_credentials(weir_api *api);

lane_queries *lane_queries_ref(api_lane *lane); /* NULL when none are installed */
void lane_queries_unref(lane_queries *queries); /* takes NULL */

/* ---- disconnect.c ---- */

/* The request's task runs: see that its client stays. */
void disconnect_expect(weir_request *req);
/* It no longer does. */
void disconnect_forget(weir_request *req);
/* From now on see that its client stays: it has a task, or is a stream of events. */
void disconnect_watch_now(weir_request *req);
/* Its task goes on, and its client has gone. */
void disconnect_unwatch(weir_request *req);
/* Once closed, the connection is reset: what the client has not read yet is not kept for it, and it
 * sees no end. `now`: it is closed at once. */
void disconnect_cut(weir_request *req, bool now);

#endif
