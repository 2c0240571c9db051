/* proxy.c: a TCP proxy before the server, for a network that misbehaves on command. */
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "line.h"
#include "loopback.h"
#include "moment.h"

enum { LINES_MAX = 256, CANCEL_CODE = 80877102, CANCEL_LENGTH = 16 };
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

/* ---- Lines ---- */

static void line_end(proxy *p, uint32_t at, bool reset)
{
    line *l = p->lines[at];
    atomic_store(&p->cut_off[l->port], line_is_there(l));
    line_free(l, reset);
    p->lines[at] = p->lines[--p->count];
}

static void count_sessions(proxy *p)
{
    uint32_t sessions = 0;
    for (uint32_t i = 0; i < p->count; i++)
        sessions += p->lines[i]->who == CALLER_SESSION && line_is_there(p->lines[i]);
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
    line_drop_weir(l);
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
    if (p->count == LINES_MAX) {
        close(fd);
        return;
    }
    line *l = line_new(fd, probe, p->server_port);
    if (!l)
        return;
    atomic_store(&p->cut_off[l->port], false);
    p->lines[p->count++] = l;
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
            look[n++] =
                (struct pollfd){.fd = p->lines[i]->fd[side],
                                .events = line_events(p->lines[i], side, atomic_load(&p->weather))};
        }
    return poll(look, n, waiting ? 1 : 50) < 0 ? 0 : n;
}

/* False: the line is to be ended, by a reset. */
static bool attend(proxy *p, line *l, const struct pollfd *look)
{
    weather w = atomic_load(&p->weather);
    uint32_t strength = atomic_load(&p->strength), delay_ms = w == WEATHER_SLOW ? strength : 0;
    for (int side = 0; side < 2; side++) {
        short got = look[side].revents;
        if (side == SERVER && (got & POLLOUT))
            l->up = true;
        if (got & POLLERR)
            return false;
        if ((got & (POLLIN | POLLRDHUP | POLLHUP)) && !line_hear(l, side, delay_ms))
            return false;
    }
    recognise(p, l);
    return line_tell(l, WEIR, w, strength) && line_tell(l, SERVER, w, strength);
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
            if (!well || line_is_over(p->lines[i]))
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
