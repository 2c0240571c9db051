/* proxy.c: a TCP proxy before the server, for a network that misbehaves on command. */
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loopback.h"
#include "moment.h"

enum { LINES_MAX = 256, HELD_MAX = 32768, CANCEL_CODE = 80877102, CANCEL_LENGTH = 16 };
enum { WEIR, SERVER };

/* What has come from one side and not gone to the other. */
typedef struct stream {
    char bytes[HELD_MAX];
    size_t from, to;
    uint64_t due_ns;
    bool ended;
} stream;

typedef enum caller { CALLER_UNKNOWN, CALLER_SESSION, CALLER_CANCEL } caller;

typedef struct line {
    int fd[2];
    uint16_t port;  /* at the server's far end */
    stream said[2]; /* by each side */
    bool probe;
    bool up; /* the server's side is connected */
    caller who;
    int64_t fuse; /* bytes from the server until a reset; negative: none */
} line;

struct proxy {
    pthread_t thread;
    uint16_t server_port, port, probe_port;
    int listener[2]; /* for weir, for the probe */
    int wake;
    bool listening;
    line *lines[LINES_MAX];
    uint32_t count;
    uint64_t seed;
    atomic_bool stop;
    _Atomic weather weather;
    _Atomic uint32_t strength;
    _Atomic uint32_t cancel_ms; /* see proxy_delay_cancels */
    _Atomic uint32_t sessions, most_sessions;
    _Atomic uint64_t cancels, dials;
    atomic_bool cut_off[65536]; /* by port: the line was cut, with weir still there */
    pthread_mutex_t lock;       /* of what follows */
    pthread_cond_t done;
    cut cut;
    uint32_t one_in; /* 0: nothing is asked */
    bool shown;      /* the weather asked for is the one that is */
};

static void die(const char *what)
{
    fprintf(stderr, "proxy: %s: %s\n", what, strerror(errno));
    exit(99);
}

/* ---- Sockets ---- */

static int listening(uint16_t *port)
{
    int fd = loopback_bound(port);
    if (listen(fd, 128) != 0)
        die("listen");
    return fd;
}

static void end_fd(int *fd, bool reset)
{
    if (*fd < 0)
        return;
    if (reset)
        setsockopt(*fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(*fd);
    *fd = -1;
}

/* ---- Lines ---- */

/* Asked of the kernel, as nothing else would know of an end while nothing is read. */
static bool is_there(const line *l)
{
    struct pollfd look = {.fd = l->fd[WEIR], .events = POLLRDHUP};
    return !l->said[WEIR].ended && poll(&look, 1, 0) == 0;
}

static void line_end(proxy *p, uint32_t at, bool reset)
{
    line *l = p->lines[at];
    atomic_store(&p->cut_off[l->port], is_there(l));
    end_fd(&l->fd[WEIR], reset);
    end_fd(&l->fd[SERVER], reset);
    free(l);
    p->lines[at] = p->lines[--p->count];
}

static void count_sessions(proxy *p)
{
    uint32_t sessions = 0;
    for (uint32_t i = 0; i < p->count; i++)
        sessions += p->lines[i]->who == CALLER_SESSION && is_there(p->lines[i]);
    atomic_store(&p->sessions, sessions);
    if (sessions > atomic_load(&p->most_sessions))
        atomic_store(&p->most_sessions, sessions);
}

static void delay_cancel(proxy *p, line *l)
{
    uint32_t ms = atomic_load(&p->cancel_ms);
    stream *s = &l->said[WEIR];
    if (ms == 0 || s->to - s->from < CANCEL_LENGTH)
        return;
    s->due_ns = now_ns() + chance(&p->seed, ms + 1) * MS;
    s->ended = true;
    end_fd(&l->fd[WEIR], true);
}

/* By the code that each first message has in its second word. */
static void recognise(proxy *p, line *l)
{
    const stream *s = &l->said[WEIR];
    uint32_t code;
    if (l->probe || l->who != CALLER_UNKNOWN || s->to - s->from < 8)
        return;
    memcpy(&code, s->bytes + s->from + 4, sizeof code);
    l->who = ntohl(code) == CANCEL_CODE ? CALLER_CANCEL : CALLER_SESSION;
    if (l->who == CALLER_CANCEL) {
        atomic_fetch_add(&p->cancels, 1);
        delay_cancel(p, l);
        return;
    }
    atomic_fetch_add(&p->dials, 1);
    count_sessions(p);
}

static void line_begin(proxy *p, int fd, bool probe)
{
    struct sockaddr_in at = loopback(p->server_port);
    socklen_t size = sizeof at;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    line *l = p->count < LINES_MAX ? malloc(sizeof *l) : NULL;
    bool begun = l && server >= 0 &&
                 (connect(server, (struct sockaddr *)&at, size) == 0 || errno == EINPROGRESS) &&
                 getsockname(server, (struct sockaddr *)&at, &size) == 0;
    if (!begun) {
        end_fd(&fd, true);
        end_fd(&server, true);
        free(l);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    memset(l, 0, offsetof(line, said));
    for (int side = 0; side < 2; side++) {
        stream *s = &l->said[side];
        s->from = s->to = 0;
        s->due_ns = 0;
        s->ended = false;
    }
    l->fd[WEIR] = fd;
    l->port = ntohs(at.sin_port);
    atomic_store(&p->cut_off[l->port], false);
    l->fd[SERVER] = server;
    l->probe = probe;
    l->up = false;
    l->who = CALLER_UNKNOWN;
    l->fuse = -1;
    p->lines[p->count++] = l;
}

/* False: the line has been reset by this side. */
static bool hear(proxy *p, line *l, int side)
{
    stream *s = &l->said[side];
    if (s->from == s->to)
        s->from = s->to = 0;
    if (s->to == HELD_MAX)
        return true;
    ssize_t got = recv(l->fd[side], s->bytes + s->to, HELD_MAX - s->to, 0);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    s->ended = got == 0;
    if (s->from == s->to) {
        bool slow = atomic_load(&p->weather) == WEATHER_SLOW;
        s->due_ns = slow ? now_ns() + atomic_load(&p->strength) * MS : 0;
    }
    s->to += (size_t)got;
    if (side == WEIR)
        recognise(p, l);
    return true;
}

/* False: this side can no longer be told anything. */
static bool tell(proxy *p, line *l, int side)
{
    stream *s = &l->said[!side];
    weather w = atomic_load(&p->weather);
    size_t length = s->to - s->from;
    if (length == 0 || (side == SERVER && !l->up) || w == WEATHER_STALL || now_ns() < s->due_ns)
        return true;
    if (w == WEATHER_TRICKLE) {
        if (length > atomic_load(&p->strength))
            length = atomic_load(&p->strength);
        s->due_ns = now_ns() + MS;
    }
    if (side == WEIR && l->fuse >= 0 && (int64_t)length > l->fuse)
        length = (size_t)l->fuse;
    ssize_t sent = length ? send(l->fd[side], s->bytes + s->from, length, MSG_NOSIGNAL) : 0;
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR;
    s->from += (size_t)sent;
    if (side == WEIR && l->fuse >= 0)
        l->fuse -= sent;
    return l->fuse != 0;
}

/* Nothing is left to say for a side that has ended. */
static bool said_all(const line *l)
{
    for (int side = 0; side < 2; side++)
        if (l->said[side].ended && l->said[side].from == l->said[side].to)
            return true;
    return false;
}

/* ---- What is asked of it ---- */

static void listen_or_not(proxy *p)
{
    bool wanted = atomic_load(&p->weather) != WEATHER_DOWN;
    for (int i = 0; i < 2 && wanted != p->listening; i++) {
        /* Not listening it stays bound, so that the port cannot become another's. */
        if (wanted ? listen(p->listener[i], 128) : shutdown(p->listener[i], SHUT_RD))
            die("listen again");
    }
    p->listening = wanted;
    while (!wanted && p->count > 0)
        line_end(p, 0, true);
}

static void cut_lines(proxy *p)
{
    for (uint32_t i = p->count; i-- > 0;) {
        line *l = p->lines[i];
        if (l->probe || chance(&p->seed, p->one_in) != 0)
            continue;
        if (p->cut == CUT_IN_ANSWER)
            l->fuse = (int64_t)between(&p->seed, 1, 40);
        else
            line_end(p, i, p->cut == CUT_RESET);
    }
}

static void obey(proxy *p)
{
    pthread_mutex_lock(&p->lock);
    listen_or_not(p);
    if (p->one_in)
        cut_lines(p);
    p->one_in = 0;
    p->shown = true;
    pthread_cond_broadcast(&p->done);
    pthread_mutex_unlock(&p->lock);
}

/* ---- Its thread ---- */

static short events_of(const proxy *p, const line *l, int side)
{
    const stream *in = &l->said[side], *out = &l->said[!side];
    bool stalled = atomic_load(&p->weather) == WEATHER_STALL;
    short events = side == WEIR ? POLLRDHUP : 0;
    if (!in->ended && in->to < HELD_MAX)
        events |= POLLIN;
    if (in->ended)
        events = 0;
    bool due = out->to > out->from && !stalled && now_ns() >= out->due_ns;
    if ((side == SERVER && !l->up) || (due && (side == WEIR || l->up)))
        events |= POLLOUT;
    return events;
}

static uint32_t ask_kernel(proxy *p, struct pollfd *look)
{
    uint32_t n = 0;
    bool waiting = false;
    look[n++] = (struct pollfd){.fd = p->wake, .events = POLLIN};
    for (int i = 0; i < 2; i++)
        look[n++] = (struct pollfd){.fd = p->listening ? p->listener[i] : -1, .events = POLLIN};
    for (uint32_t i = 0; i < p->count; i++)
        for (int side = 0; side < 2; side++) {
            const stream *s = &p->lines[i]->said[side];
            waiting |= s->to > s->from;
            look[n++] = (struct pollfd){.fd = p->lines[i]->fd[side],
                                        .events = events_of(p, p->lines[i], side)};
        }
    return poll(look, n, waiting ? 1 : 50) < 0 ? 0 : n;
}

/* False: the line is to be ended, by a reset. */
static bool attend(proxy *p, line *l, const struct pollfd *look)
{
    for (int side = 0; side < 2; side++) {
        short got = look[side].revents;
        if (side == SERVER && (got & POLLOUT))
            l->up = true;
        if ((got & POLLERR) || ((got & (POLLIN | POLLRDHUP | POLLHUP)) && !hear(p, l, side)))
            return false;
    }
    return tell(p, l, WEIR) && tell(p, l, SERVER);
}

static void *run(void *arg)
{
    proxy *p = arg;
    static struct pollfd look[3 + 2 * LINES_MAX];
    while (!atomic_load(&p->stop)) {
        uint64_t woken;
        uint32_t n = ask_kernel(p, look);
        if (n == 0)
            continue;
        for (uint32_t i = p->count; i-- > 0;) {
            bool well = attend(p, p->lines[i], &look[3 + 2 * i]);
            if (!well || said_all(p->lines[i]))
                line_end(p, i, !well);
        }
        for (int i = 0; i < 2; i++) {
            int fd = look[1 + i].revents & POLLIN
                         ? accept4(p->listener[i], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)
                         : -1;
            if (fd >= 0)
                line_begin(p, fd, i == 1);
        }
        if (look[0].revents && read(p->wake, &woken, sizeof woken) > 0)
            obey(p);
        count_sessions(p);
    }
    while (p->count > 0)
        line_end(p, 0, true);
    return NULL;
}

/* ---- For its users ---- */

static void wake(proxy *p)
{
    if (write(p->wake, &(uint64_t){1}, sizeof(uint64_t)) < 0)
        die("eventfd");
}

proxy *proxy_start(uint16_t server_port)
{
    proxy *p = calloc(1, sizeof *p);
    if (!p)
        die("memory");
    p->server_port = server_port;
    p->listener[0] = listening(&p->port);
    p->listener[1] = listening(&p->probe_port);
    p->listening = true;
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->seed = server_port;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->done, NULL);
    if (p->wake < 0 || pthread_create(&p->thread, NULL, run, p) != 0)
        die("thread");
    return p;
}

void proxy_stop(proxy *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    wake(p);
    pthread_join(p->thread, NULL);
    close(p->listener[0]);
    close(p->listener[1]);
    close(p->wake);
    free(p);
}

static void ask(proxy *p)
{
    p->shown = false;
    wake(p);
    while (!p->shown)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void proxy_weather(proxy *p, weather w, uint32_t strength)
{
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->strength, strength);
    atomic_store(&p->weather, w);
    ask(p);
}

void proxy_cut(proxy *p, cut how, uint32_t one_in)
{
    pthread_mutex_lock(&p->lock);
    p->cut = how;
    p->one_in = one_in;
    ask(p);
}

void proxy_delay_cancels(proxy *p, uint32_t ms)
{
    atomic_store(&p->cancel_ms, ms);
}

uint16_t proxy_port(const proxy *p)
{
    return p->port;
}

uint16_t proxy_probe_port(const proxy *p)
{
    return p->probe_port;
}

uint32_t proxy_sessions(const proxy *p)
{
    return atomic_load(&p->sessions);
}

uint32_t proxy_most_sessions(const proxy *p)
{
    return atomic_load(&p->most_sessions);
}

uint64_t proxy_cancels(const proxy *p)
{
    return atomic_load(&p->cancels);
}

uint64_t proxy_dials(const proxy *p)
{
    return atomic_load(&p->dials);
}

void proxy_forget(proxy *p)
{
    atomic_store(&p->most_sessions, 0);
}

bool proxy_is_wanted(const proxy *p, uint16_t port)
{
    return !atomic_load(&p->cut_off[port]);
}
