/* line.c: one connection through the proxy: what each side has said, and the other has not heard.
 */
#include "line.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loopback.h"
#include "moment.h"

static void end_fd(int *fd, bool reset)
{
    if (*fd < 0)
        return;
    if (reset)
        setsockopt(*fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(*fd);
    *fd = -1;
}

static int dial(uint16_t port, uint16_t *own)
{
    struct sockaddr_in at = loopback(port);
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if ((connect(fd, (struct sockaddr *)&at, size) != 0 && errno != EINPROGRESS) ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        end_fd(&fd, true);
    *own = ntohs(at.sin_port);
    return fd;
}

line *line_new(int fd, bool probe, uint16_t server_port)
{
    uint16_t own = 0;
    int server = dial(server_port, &own);
    line *l = server >= 0 ? calloc(1, sizeof *l) : NULL;
    if (!l) {
        end_fd(&fd, true);
        end_fd(&server, true);
        return NULL;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    l->fd[WEIR] = fd;
    l->fd[SERVER] = server;
    l->port = own;
    l->probe = probe;
    l->fuse = -1;
    return l;
}

void line_free(line *l, bool reset)
{
    end_fd(&l->fd[WEIR], reset);
    end_fd(&l->fd[SERVER], reset);
    free(l);
}

void line_drop_weir(line *l)
{
    l->said[WEIR].ended = true;
    end_fd(&l->fd[WEIR], true);
}

/* Asked of the kernel, as nothing else would know of an end while nothing is read. */
bool line_is_there(const line *l)
{
    struct pollfd look = {.fd = l->fd[WEIR], .events = POLLRDHUP};
    return !l->said[WEIR].ended && poll(&look, 1, 0) == 0;
}

short line_events(const line *l, int side, weather w)
{
    const stream *in = &l->said[side], *out = &l->said[!side];
    short events = side == WEIR ? POLLRDHUP : 0;
    if (!in->ended && in->to < HELD_MAX)
        events |= POLLIN;
    if (in->ended)
        events = 0;
    bool due = out->to > out->from && w != WEATHER_STALL && now_ns() >= out->due_ns;
    if ((side == SERVER && !l->up) || (due && (side == WEIR || l->up)))
        events |= POLLOUT;
    return events;
}

bool line_hear(line *l, int side, uint32_t delay_ms)
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
    if (s->from == s->to)
        s->due_ns = delay_ms ? now_ns() + delay_ms * MS : 0;
    s->to += (size_t)got;
    return true;
}

bool line_tell(line *l, int side, weather w, uint32_t strength)
{
    stream *s = &l->said[!side];
    size_t length = s->to - s->from;
    if (length == 0 || (side == SERVER && !l->up) || w == WEATHER_STALL || now_ns() < s->due_ns)
        return true;
    if (w == WEATHER_TRICKLE) {
        if (length > strength)
            length = strength;
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

bool line_is_over(const line *l)
{
    for (int side = 0; side < 2; side++)
        if (l->said[side].ended && l->said[side].from == l->said[side].to)
            return true;
    return false;
}
