/* clients.c: the connections of a listener, and what is done about those that are slow. */
#include "clients.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "problem.h"
#include "request.h"
#include "tcp_bytes.h"

/* Of a body or an answer so much has to move in each of its time limits, unless that is the rest.
 */
#define PROGRESS_LEAST ((uint64_t)16 << 10)

/* A limit is kept to an eighth of itself, and to a second. */
#define LOOK_SHARE 8
#define LOOK_MOST  WEIR_S(1)
#define LOOK_LEAST WEIR_MS(5)

/* So many are cut off at once: the requests of others are not to wait for more. */
#define CUTS_MAX 16

/* While all places are taken: how often to see whether somebody waits for one, how long a client
 * has to have done nothing to be sent away for that. */
#define CROWDED_LOOK WEIR_MS(20)
#define IDLE_LEAST   WEIR_MS(250)
#define HEADER_LEAST WEIR_S(1)

/* ---- A listener's clients, in a list ---- */

static void append(client *c)
{
    listener *l = c->listener;

    c->prev = l->last_client;
    c->next = NULL;
    *(l->last_client ? &l->last_client->next : &l->first_client) = c;
    l->last_client = c;
}

static void take_out(client *c)
{
    listener *l = c->listener;

    *(c->prev ? &c->prev->next : &l->first_client) = c->next;
    *(c->next ? &c->next->prev : &l->last_client) = c->prev;
}

client *client_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* ---- HTTPS ---- */

static void limit_silence(const client *c, unsigned seconds)
{
    MHD_set_connection_option(c->connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

/* libmicrohttpd's own limit must not end a connection before its handshake is done: it would
 * neither close nor forget it, and have us run it all the time. Without a certificate the handshake
 * fails. */
static void begin_handshake(client *c)
{
    c->shaking_hands = true;
    c->certificate = certificate_bind(&c->listener->lane->api->certificate, c->connection);
    limit_silence(c, 0);
}

static void end_handshake(client *c)
{
    c->shaking_hands = false;
    limit_silence(c, listener_idle_s(c->listener->lane->api));
}

/* ---- What they do ---- */

/* Without asking for the time, which every request would have to pay for. */
void client_enter(client *c, client_phase phase)
{
    if (!c || c->phase == CLIENT_CUT)
        return;
    if (c->shaking_hands)
        end_handshake(c);
    if (phase != CLIENT_HEADER || (c->phase != CLIENT_NEW && c->phase != CLIENT_HEADER))
        c->since_ns = 0; /* else its time has begun already */
    c->phase = phase;
    if (phase == CLIENT_IDLE) {
        take_out(c);
        append(c);
    }
}

/* ---- What has gone over a connection ---- */

/* Where the system does not say, nothing is held against a client. */
static uint64_t bytes_received(const client *c)
{
    uint64_t received, taken;
    return tcp_bytes(c->fd, &received, &taken) ? received : c->progress;
}

static uint64_t bytes_taken(const client *c)
{
    uint64_t received, taken;
    return tcp_bytes(c->fd, &received, &taken) ? taken : c->progress + PROGRESS_LEAST;
}

/* ---- Cutting one off ---- */

static const char *const farewells[CLIENT_CUT_COUNT] = {
    [CLIENT_CUT_HEADER] = "The header did not come whole in time.",
    [CLIENT_CUT_BODY] = "The body did not come in time.",
};

static bool is_plain(const client *c)
{
    return !MHD_get_connection_info(c->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
}

/* libmicrohttpd takes no answer before it has the request, so this is said past it: nothing else
 * has been said in answer to it yet. */
static void say_goodbye(const client *c, client_cut why)
{
    buffer body = {0}, out = {0};
    const weir_request *req = c->request;
    bool named = req && req->step == REQUEST_RECEIVING;

    problem_open(&body, &(problem){.kind = PROBLEM_REQUEST_TIMEOUT,
                                   .detail = farewells[why],
                                   .instance = named ? req->path : NULL,
                                   .request_id = named ? req->request_id : NULL,
                                   .retryable = true});
    buffer_text(&body, "}\n");
    buffer_printf(&out,
                  "HTTP/1.1 408 Request Timeout\r\nContent-Type: application/problem+json\r\n"
                  "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                  body.length);
    buffer_append(&out, body.data, body.length);
    if (!body.failed && !out.failed)
        (void)!send(c->fd, out.data, out.length, MSG_DONTWAIT | MSG_NOSIGNAL);
    buffer_free(&body);
    buffer_free(&out);
}

static void count(listener *l, client_cut why)
{
    _Atomic uint64_t *counter = &l->lane->clients_cut[why];
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + 1, memory_order_relaxed); /* this lane alone writes */
}

static void tell(const client *c, client_cut why)
{
    const weir_api *api = c->listener->lane->api;
    char address[IP_TEXT];

    if (!api->on_client_cut)
        return;
    ip_text(&c->address, address);
    api->on_client_cut(api->arg, client_cut_name(why), address);
}

/* libmicrohttpd learns of it from the socket, and closes as it does for a client that has gone.
 * True, for those who ask whether it was done. */
static bool cut(client *c, client_cut why)
{
    const struct linger none = {.l_onoff = 1};

    count(c->listener, why);
    tell(c, why);
    if (farewells[why] && is_plain(c) && (c->request || bytes_received(c) > 0))
        say_goodbye(c, why);
    if (why == CLIENT_CUT_ANSWER) /* the system would go on offering what is left of the answer */
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    c->phase = CLIENT_CUT;
    shutdown(c->fd, SHUT_RDWR);
    return true;
}

/* ---- Looking at them ---- */

/* Whether enough has moved since this was last asked: from now on it counts anew. */
static bool moves(client *c, uint64_t bytes, uint64_t now_ns)
{
    bool enough = bytes - c->progress >= PROGRESS_LEAST;

    c->since_ns = now_ns;
    c->progress = bytes;
    return enough;
}

/* A further request whose first line has not come whole is known by bytes that have. Not before
 * the second look: what the first one finds may belong to the request before. */
static void look_at_idle(client *c, uint64_t now_ns)
{
    uint64_t bytes = bytes_received(c);

    if (c->progress && bytes != c->progress)
        client_enter(c, CLIENT_HEADER);
    c->since_ns = now_ns;
    c->progress = bytes;
}

static void begin_phase(client *c, uint64_t now_ns)
{
    c->since_ns = now_ns;
    c->progress = c->phase == CLIENT_BODY     ? c->request->body_seen
                  : c->phase == CLIENT_ANSWER ? bytes_taken(c)
                                              : 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* That of silence, too, is ours to keep as long as libmicrohttpd must not. */
static uint64_t header_limit_ns(const client *c)
{
    const weir_api *api = c->listener->lane->api;
    uint64_t limit_ns = api->guards.header_timeout_ns;
    return c->shaking_hands ? smaller(limit_ns, api->idle_timeout_ns) : limit_ns;
}

/* Whether it has been cut off. */
static bool look_at(client *c, uint64_t now_ns)
{
    const weir_api *api = c->listener->lane->api;
    const guards *g = &api->guards;
    uint64_t lasted_ns = now_ns - c->since_ns;

    switch (c->phase) {
    case CLIENT_NEW:
    case CLIENT_HEADER: return lasted_ns >= header_limit_ns(c) && cut(c, CLIENT_CUT_HEADER);
    case CLIENT_IDLE:
        if (lasted_ns >= g->header_timeout_ns)
            look_at_idle(c, now_ns);
        return false;
    case CLIENT_BODY:
        return lasted_ns >= g->body_timeout_ns && !moves(c, c->request->body_seen, now_ns) &&
               cut(c, CLIENT_CUT_BODY);
    case CLIENT_ANSWER:
        return lasted_ns >= api->stream_timeout_ns && !moves(c, bytes_taken(c), now_ns) &&
               cut(c, CLIENT_CUT_ANSWER);
    case CLIENT_SERVED:
    case CLIENT_CUT: break;
    }
    return false;
}

/* ---- A full house ---- */

static bool is_full(const listener *l)
{
    return atomic_load_explicit(&l->clients, memory_order_relaxed) >= l->clients_max;
}

static bool somebody_waits(const listener *l)
{
    struct pollfd at_the_door = {.fd = l->fd, .events = POLLIN};
    return poll(&at_the_door, 1, 0) == 1;
}

/* Sends those away that have kept a place for longest without using it; of those whose request is
 * still on its way, only when there is nobody else to be sent. */
static uint32_t make_room(listener *l, client_phase phase, uint64_t least_ns, uint32_t wanted,
                          uint64_t now_ns)
{
    uint32_t made = 0;

    for (client *c = l->first_client; c && made < wanted; c = c->next)
        if (c->phase == phase && c->since_ns && now_ns - c->since_ns >= least_ns) {
            cut(c, CLIENT_CUT_CROWDED);
            made++;
        }
    return made;
}

static void relieve(listener *l, uint64_t now_ns)
{
    if (!is_full(l) || !somebody_waits(l))
        return;
    if (make_room(l, CLIENT_IDLE, IDLE_LEAST, CUTS_MAX, now_ns) > 0 ||
        make_room(l, CLIENT_NEW, HEADER_LEAST, CUTS_MAX, now_ns) > 0)
        return;
    make_room(l, CLIENT_HEADER, HEADER_LEAST, CUTS_MAX, now_ns);
}

/* ---- When ---- */

static uint64_t pause_ns(const listener *l)
{
    const weir_api *api = l->lane->api;
    uint64_t limit = smaller(smaller(api->guards.header_timeout_ns, api->guards.body_timeout_ns),
                             api->stream_timeout_ns);
    uint64_t pause = smaller(limit / LOOK_SHARE, LOOK_MOST);

    if (is_full(l))
        pause = smaller(pause, CROWDED_LOOK);
    return pause > LOOK_LEAST ? pause : LOOK_LEAST;
}

static void look(weir_timer *timer)
{
    listener *l = weir_container(timer, listener, look_timer);
    uint64_t now_ns = weir_now();
    uint32_t cuts = 0;

    for (client *c = l->first_client; c && cuts < CUTS_MAX; c = c->next) {
        if (!c->since_ns)
            begin_phase(c, now_ns);
        else
            cuts += look_at(c, now_ns);
    }
    if (cuts < CUTS_MAX)
        relieve(l, now_ns);
    if (l->first_client)
        weir_timer_start(&l->look_timer, now_ns + (cuts < CUTS_MAX ? pause_ns(l) : LOOK_LEAST),
                         look);
}

void clients_crowded(listener *l)
{
    uint64_t soon_ns = weir_now() + CROWDED_LOOK;

    if (l->first_client && (!l->look_timer.armed || l->look_timer.node.key > soon_ns))
        weir_timer_start(&l->look_timer, soon_ns, look);
}

void clients_stop(listener *l)
{
    weir_timer_stop(&l->look_timer);
}

/* ---- Coming and going ---- */

/* An operator's proxies come with many clients each. */
static bool is_one_too_many(client *c)
{
    const guards *g = &c->listener->lane->api->guards;
    ip household = ip_household(&c->address);

    if (!g->crowd || c->listener->admin || proxies_trust(g->proxies, &c->address))
        return false;
    c->counted = crowd_enter(g->crowd, &household);
    return !c->counted;
}

static void arrive(listener *l, struct MHD_Connection *connection, void **context)
{
    client *c = calloc(1, sizeof *c);

    if (!c) { /* it goes unwatched, but for silence, which ends no handshake */
        if (l->tls)
            shutdown(
                MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
                SHUT_RDWR);
        return;
    }
    c->listener = l;
    c->connection = connection;
    c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    ip_of_socket(
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
        &c->address);
    append(c);
    *context = c;
    if (l->tls)
        begin_handshake(c);
    if (is_one_too_many(c))
        cut(c, CLIENT_CUT_ADDRESS);
    if (!l->look_timer.armed)
        weir_timer_start(&l->look_timer, weir_now() + pause_ns(l), look);
}

static void leave(client *c)
{
    ip household = ip_household(&c->address);

    if (c->counted)
        crowd_leave(c->listener->lane->api->guards.crowd, &household);
    take_out(c);
    weir_certificate_unref(c->certificate);
    free(c);
}

void clients_changed(void *arg, struct MHD_Connection *connection, void **context,
                     enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        arrive(arg, connection, context);
    else if (*context)
        leave(*context);
}
