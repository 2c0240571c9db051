/* blackhole.c: a port of 127.0.0.1 that refuses, or, when told to, swallows whoever dials it. */
#include "blackhole.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loopback.h"

void blackhole_start(blackhole *b)
{
    b->fd = loopback_bound(&b->port);
    for (int i = 0; i < BLACKHOLE_FILL; i++)
        b->fill[i] = -1;
}

void blackhole_open(blackhole *b)
{
    struct sockaddr_in at = loopback(b->port);
    if (listen(b->fd, 0) != 0)
        perror("blackhole");
    for (int i = 0; i < BLACKHOLE_FILL; i++) {
        b->fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(b->fill[i], (struct sockaddr *)&at, sizeof at); /* ends when we do */
    }
}

void blackhole_close(blackhole *b)
{
    shutdown(b->fd, SHUT_RD); /* bound still, so that the port cannot become another's */
    for (int i = 0; i < BLACKHOLE_FILL; i++) {
        if (b->fill[i] >= 0)
            close(b->fill[i]);
        b->fill[i] = -1;
    }
}

void blackhole_stop(blackhole *b)
{
    blackhole_close(b);
    close(b->fd);
}
