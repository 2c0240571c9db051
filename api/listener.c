/* listener.c: one libmicrohttpd daemon, driven by a lane's loop. */
#include <assert.h>
#include <gnutls/abstract.h>
#include <unistd.h>

#include "clients.h"
#include "request.h"

/* Turns within one tick, before other work of the loop has its turn again. */
#define TURNS_MAX 16

#define RUN_ANYWAY WEIR_MS(2)

/* Operators are few. */
#define ADMIN_CLIENTS_MAX 64

static void due(weir_timer *timer)
{
    listener *l = weir_container(timer, listener, timer);
    uint64_t now = weir_now();

    if (l->held > 0 && now < l->ran_ns + RUN_ANYWAY)
        weir_timer_start(timer, l->ran_ns + RUN_ANYWAY, due);
    else
        listener_run(l);
}

/* Sets the timer to `at_ns` unless it will fire before: then it is looked at anew. A timer set anew
 * for every request would cost more than one that fires for nothing now and then. */
static void run_by(listener *l, uint64_t at_ns)
{
    if (!l->timer.armed || l->timer.node.key > at_ns)
        weir_timer_start(&l->timer, at_ns, due);
}

/* Where there are as many clients as there may be, or no descriptor for one more, the daemon leaves
 * off listening, and takes it up again in the next turn after one has gone. It has no event and no
 * time-out for that, so that it might never come. */
static bool client_went(listener *l)
{
    uint32_t before = atomic_load_explicit(&l->clients, memory_order_relaxed);
    uint32_t now =
        MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;

    atomic_store_explicit(&l->clients, now, memory_order_relaxed);
    if (now >= l->clients_max)
        clients_crowded(l);
    return now < before;
}

/* Client sockets are edge-triggered inside the daemon: what is left for later has no event of its
 * own, so that its time-out of 0 means now. Connections that are held have it say 0 all the time;
 * then `turns_wanted` tells whether there is more to do, and should it ever miss something, a short
 * timer finds it. */
void listener_run(listener *l)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    bool timed, more, went = false;
    int turns = 0;

    do {
        if (l->turns_wanted > 0)
            l->turns_wanted--;
        MHD_run(l->daemon);
        went |= client_went(l);
        timed = MHD_get_timeout(l->daemon, &wait_ms) == MHD_YES;
        more = timed && wait_ms == 0 && (l->held == 0 || l->turns_wanted > 0);
    } while (more && ++turns < TURNS_MAX);
    l->ran_ns = weir_now();
    if (more)
        run_by(l, l->ran_ns);
    else if (timed)
        run_by(l, l->ran_ns + (wait_ms ? WEIR_MS(wait_ms) : RUN_ANYWAY));
    if (went && !more)
        run_by(l, l->ran_ns + RUN_ANYWAY);
}

void listener_want(listener *l, uint32_t turns)
{
    if (l->turns_wanted < turns)
        l->turns_wanted = turns;
}

/* Its turn comes behind the tasks that were woken along with it: they give connections back and
 * send the next queries, so that the database works while answers are written and requests are
 * read. */
static void readable(uv_poll_t *poll, int status, int events)
{
    listener *l = poll->data;
    l->lane->stirred = true;
}

/* Decoding is left to us: %2F must not part two segments of a path, and a wrong escape is an error.
 */
static size_t leave_escaped(void *arg, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

unsigned listener_idle_s(const weir_api *api)
{
    return (unsigned)((api->idle_timeout_ns + WEIR_S(1) - 1) / WEIR_S(1));
}

/* ---- HTTPS ---- */

/* Each connection is given a certificate before its handshake begins; libmicrohttpd asks for one
 * where it could not. */
static int no_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                          gnutls_pcert_st **certificates, unsigned *count,
                          gnutls_ocsp_data_st **ocsp, unsigned *ocsp_count, gnutls_privkey_t *key,
                          unsigned *flags)
{
    return -1;
}

int listener_open(listener *l, api_lane *lane, int fd, bool admin, const char *tls)
{
    const weir_api *api = lane->api;
    unsigned share = (api->connections_max + api->lane_count - 1) / api->lane_count;
    unsigned clients = admin && share > ADMIN_CLIENTS_MAX ? ADMIN_CLIENTS_MAX : share;

    l->lane = lane;
    l->admin = admin;
    l->fd = fd;
    l->clients_max = clients;
    l->tls = tls != NULL;
    const struct MHD_OptionItem https[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)no_certificate},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)tls},
        {MHD_OPTION_END, 0, NULL},
    };
    l->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO | (tls ? MHD_USE_TLS : 0), 0, NULL,
        NULL, request_access, l, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED,
        request_completed, l, MHD_OPTION_NOTIFY_CONNECTION, clients_changed, l,
        MHD_OPTION_URI_LOG_CALLBACK, request_announced, l, MHD_OPTION_UNESCAPE_CALLBACK,
        leave_escaped, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, api->connection_memory,
        MHD_OPTION_CONNECTION_LIMIT, clients, MHD_OPTION_CONNECTION_TIMEOUT, listener_idle_s(api),
        MHD_OPTION_ARRAY, tls ? https : https + 2, MHD_OPTION_END);
    if (!l->daemon) {
        close(fd);
        return WEIR_EIO;
    }
    return 0;
}

void listener_start(listener *l)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int r = uv_poll_init(weir_lane_loop(l->lane->lane), &l->poll, info->epoll_fd);

    assert(r == 0); /* fails only for a descriptor that cannot be polled */
    l->poll.data = l;
    r = uv_poll_start(&l->poll, UV_READABLE, readable);
    assert(r == 0);
    l->started = true;
    l->lane->handles++;
    listener_run(l); /* puts the listening socket into its epoll set */
}

static void closed(uv_handle_t *handle)
{
    listener *l = handle->data;
    server_lane_released(l->lane);
}

void listener_stop(listener *l)
{
    if (!l->daemon)
        return;
    weir_timer_stop(&l->timer);
    clients_stop(l);
    if (l->started)
        uv_close((uv_handle_t *)&l->poll, closed);
    /* The handle has left the loop's epoll set already; now its descriptor may go. */
    MHD_stop_daemon(l->daemon);
    l->daemon = NULL;
}
