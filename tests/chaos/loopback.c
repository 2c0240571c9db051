/* loopback.c: sockets of 127.0.0.1 whose ports stay theirs while they do not listen. */
#include "loopback.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ATTEMPTS = 10 };

struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int bind_to(uint16_t port)
{
    struct sockaddr_in at = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Those it accepted must not keep it from listening again. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Of a port that it has chosen itself the kernel lets go once the socket listens no more: so the
 * port is asked for by its number. */
int loopback_bound(uint16_t *port)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        struct sockaddr_in at;
        socklen_t size = sizeof at;
        int chosen = bind_to(0);
        if (chosen < 0 || getsockname(chosen, (struct sockaddr *)&at, &size) != 0)
            break;
        close(chosen);
        *port = ntohs(at.sin_port);
        int fd = bind_to(*port);
        if (fd >= 0)
            return fd;
    }
    perror("loopback: no free port");
    exit(99);
}
