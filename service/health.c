/* health.c: asking a running weir whether it is ready. */
#include "health.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../api/address.h"
#include "../api/tls_ask.h"
#include "../pool/weir.h"
#include "exits.h"

#define PATIENCE_NS WEIR_S(3)

/* Of HTTP/1.0, so that the answer's end is the connection's. */
static const char request[] = "GET /readyz HTTP/1.0\r\n\r\n";

static int not_ready(const char *why)
{
    fprintf(stderr, "weir: not ready: %s\n", why);
    return EXIT_NOT_READY;
}

/* Waits until the socket is ready for `events`; false, with errno, at the deadline. */
static bool await(int fd, short events, uint64_t deadline_ns)
{
    struct pollfd one = {.fd = fd, .events = events};
    for (;;) {
        uint64_t now = weir_now();
        int left_ms = now < deadline_ns ? (int)((deadline_ns - now) / WEIR_MS(1)) + 1 : 0;
        int r = poll(&one, 1, left_ms);
        if (r > 0)
            return true;
        if (r == 0) {
            errno = ETIMEDOUT;
            return false;
        }
        if (errno != EINTR)
            return false;
    }
}

/* A connection; -1, with errno: none. */
static int dial(const struct addrinfo *at, uint64_t deadline_ns)
{
    int error = 0, fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = sizeof error;
    if (fd < 0)
        return -1;
    if (connect(fd, at->ai_addr, at->ai_addrlen) == 0)
        return fd;
    if (errno != EINPROGRESS || !await(fd, POLLOUT, deadline_ns))
        error = errno;
    else
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

static int dial_any(const struct addrinfo *found, uint64_t deadline_ns)
{
    int fd = -1;
    for (; found && fd < 0; found = found->ai_next)
        fd = dial(found, deadline_ns);
    return fd;
}

/* Sends the request, and reads what fits of its answer; false, with errno. */
static bool converse(int fd, char *answer, size_t size, uint64_t deadline_ns)
{
    size_t length = 0;
    ssize_t got = send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
    while (got > 0 && length < size - 1 && await(fd, POLLIN, deadline_ns)) {
        got = recv(fd, answer + length, size - 1 - length, 0);
        length += got > 0 ? (size_t)got : 0;
    }
    answer[length] = '\0';
    return got == 0 || length == size - 1;
}

/* The status, and what the answer says in its body. 0: it is none. */
static int read_answer(const char *answer, const char **body)
{
    int status = 0;
    const char *end = strstr(answer, "\r\n\r\n");
    if (!end || sscanf(answer, "HTTP/%*d.%*d %d", &status) != 1)
        return 0;
    *body = end + 4;
    return status;
}

/* In plain HTTP, or under TLS; NULL, or what went wrong. */
static const char *hear(int fd, bool tls, char *answer, size_t size, uint64_t deadline_ns)
{
    const char *why = NULL;
    if (tls)
        tls_ask(fd, request, answer, size, (unsigned)(PATIENCE_NS / WEIR_MS(1)), &why);
    else if (!converse(fd, answer, size, deadline_ns))
        why = strerror(errno);
    return why;
}

static int ask(const struct addrinfo *found, bool tls)
{
    char answer[4096];
    const char *body = NULL;
    uint64_t deadline_ns = weir_now() + PATIENCE_NS;
    int fd = dial_any(found, deadline_ns);
    if (fd < 0)
        return not_ready(strerror(errno));
    const char *wrong = hear(fd, tls, answer, sizeof answer, deadline_ns);
    close(fd);
    if (wrong)
        return not_ready(wrong);
    int status = read_answer(answer, &body);
    if (status == 0)
        return not_ready("what answers there is no HTTP");
    fputs(body, status == 200 ? stdout : stderr);
    return status == 200 ? EXIT_FINE : EXIT_NOT_READY;
}

int health(const config *c)
{
    char host[256], service[8];
    uint16_t port;
    const char *address = c->admin_listen ? c->admin_listen : c->listen;
    if (address_split(address, host, sizeof host, &port) < 0 || port == 0) {
        fprintf(stderr, "weir: \"%s\" does not tell where to ask: host:port does\n", address);
        return EXIT_USAGE;
    }
    snprintf(service, sizeof service, "%u", port);
    /* No host is loopback here, and to connect() so are 0.0.0.0 and ::. */
    struct addrinfo hints = {.ai_flags = AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(*host ? host : NULL, service, &hints, &found);
    if (error)
        return not_ready(gai_strerror(error));
    int code = ask(found, c->tls_cert && (!c->admin_listen || c->admin_tls));
    freeaddrinfo(found);
    return code;
}
