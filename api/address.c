/* address.c: sockets that listen at a host and port. */
#include "address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../pool/weir.h"

int address_split(const char *address, char *host, size_t host_size, uint16_t *port)
{
    const char *colon = strrchr(address, ':');
    if (!colon || !colon[1])
        return WEIR_EINVAL;

    const char *first = address, *last = colon;
    if (*first == '[') {
        if (last == first || last[-1] != ']')
            return WEIR_EINVAL;
        first++;
        last--;
    } else if (memchr(first, ':', (size_t)(last - first))) {
        return WEIR_EINVAL; /* a bare v6 address: where would its port begin? */
    }
    if ((size_t)(last - first) >= host_size)
        return WEIR_EINVAL;

    char *end;
    errno = 0;
    unsigned long number = strtoul(colon + 1, &end, 10);
    if (*end || errno || number > 65535 || colon[1] < '0' || colon[1] > '9')
        return WEIR_EINVAL;
    memcpy(host, first, (size_t)(last - first));
    host[last - first] = '\0';
    *port = (uint16_t)number;
    return 0;
}

static int bind_one(const struct addrinfo *at, bool reuse_port)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (!reuse_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
        bind(fd, at->ai_addr, at->ai_addrlen) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage name = {0};
    socklen_t size = sizeof name;

    if (getsockname(fd, (struct sockaddr *)&name, &size) < 0)
        return 0;
    return ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&name)->sin6_port
                                            : ((struct sockaddr_in *)&name)->sin_port);
}

/* The first socket of several is bound alone for a moment: bound to be shared, it would join in
 * with another process on the same port, and half of the clients would end up there. */
static int listen_at(const struct addrinfo *at, bool shared, bool first)
{
    int fd = first ? bind_one(at, false) : -1;

    if (shared && (!first || fd >= 0)) {
        struct sockaddr_storage name;
        struct addrinfo again = *at;
        if (first) {
            socklen_t size = sizeof name;
            getsockname(fd, (struct sockaddr *)&name, &size);
            again.ai_addr = (struct sockaddr *)&name;
            close(fd);
        }
        fd = bind_one(&again, true);
    }
    if (fd >= 0 && listen(fd, SOMAXCONN) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int address_listen(const char *address, bool shared, uint16_t *port, int *fd, char *why,
                   size_t why_size)
{
    char host[256], service[8];
    uint16_t wanted;

    if (address_split(address, host, sizeof host, &wanted) < 0) {
        snprintf(why, why_size, "\"%s\" is not an address to listen at: host:port is", address);
        return WEIR_EINVAL;
    }
    bool first = *port == 0;
    snprintf(service, sizeof service, "%u", first ? wanted : *port);

    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(*host ? host : NULL, service, &hints, &found);
    if (error) {
        snprintf(why, why_size, "cannot listen at %s: %s", address, gai_strerror(error));
        return WEIR_EINVAL;
    }

    int made = -1;
    errno = 0;
    for (const struct addrinfo *at = found; at && made < 0; at = at->ai_next)
        made = listen_at(at, shared, first);
    freeaddrinfo(found);
    if (made < 0) {
        snprintf(why, why_size, "cannot listen at %s: %s", address, strerror(errno));
        return WEIR_EIO;
    }
    *port = port_of(made);
    *fd = made;
    return 0;
}
