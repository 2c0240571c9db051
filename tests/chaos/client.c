/* client.c: an HTTP client that hides nothing. */
#include "client.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loopback.h"
#include "moment.h"

void client_init(client *c, uint16_t port)
{
    c->port = port;
    c->fd = -1;
    c->length = 0;
}

void client_close(client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

void client_reset(client *c)
{
    if (c->fd >= 0)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    client_close(c);
}

static bool reach(client *c)
{
    struct sockaddr_in at = loopback(c->port);
    if (c->fd >= 0)
        return true;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(c->fd, (struct sockaddr *)&at, sizeof at) == 0)
        return true;
    client_close(c);
    return false;
}

bool client_send(client *c, const char *method, const char *path, const char *token,
                 const char *body)
{
    char text[1024];
    int length = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\nX-Request-Id: %s\r\n",
                          method, path, token);
    if (body)
        length += snprintf(text + length, sizeof text - (size_t)length,
                           "Content-Type: application/json\r\nAuthorization: Bearer chaos\r\n"
                           "Content-Length: %zu\r\n\r\n%s",
                           strlen(body), body);
    else
        length += snprintf(text + length, sizeof text - (size_t)length, "\r\n");
    c->length = 0;
    if (!reach(c))
        return false;
    if (send(c->fd, text, (size_t)length, MSG_NOSIGNAL) == length)
        return true;
    client_close(c);
    return false;
}

bool answer_header(const answer *a, const char *name, char *value, size_t size)
{
    size_t length = strlen(name);
    for (const char *line = a->head, *end; (end = strstr(line, "\r\n")); line = end + 2) {
        if (strncasecmp(line, name, length) != 0 || line[length] != ':')
            continue;
        const char *start = line + length + 1 + strspn(line + length + 1, " ");
        snprintf(value, size, "%.*s", (int)(end - start), start);
        return true;
    }
    return false;
}

bool answer_member(const answer *a, const char *name, char *value, size_t size)
{
    char pattern[64];
    snprintf(pattern, sizeof pattern, "\"%s\":\"", name);
    const char *start = strstr(a->body, pattern);
    if (!start)
        return false;
    start += strlen(pattern);
    snprintf(value, size, "%.*s", (int)strcspn(start, "\""), start);
    return true;
}

/* Whether all of it is there. What lies behind it, if anything, is kept by nobody: none was asked
 * for. */
static bool whole(client *c, answer *a)
{
    char length[32] = "0";
    c->heard[c->length] = '\0';
    char *end = strstr(c->heard, "\r\n\r\n");
    if (!end)
        return false;
    a->head = c->heard;
    a->body = end + 4;
    a->status = atoi(c->heard + strcspn(c->heard, " "));
    end[2] = '\0'; /* looked for again below, should the body not be there yet */
    bool measured = answer_header(a, "Content-Length", length, sizeof length);
    size_t have = c->length - (size_t)(a->body - c->heard);
    if (measured && have >= strtoul(length, NULL, 10))
        return true;
    end[2] = '\r';
    return false;
}

static void leave_if_told(client *c, const answer *a)
{
    char connection[16];
    if (answer_header(a, "Connection", connection, sizeof connection) &&
        strcasecmp(connection, "close") == 0)
        client_close(c);
}

client_end client_await(client *c, uint64_t deadline_ns, answer *a)
{
    struct pollfd wait = {.fd = c->fd, .events = POLLIN};
    for (uint64_t now; (now = now_ns()) < deadline_ns;) {
        if (poll(&wait, 1, (int)((deadline_ns - now) / MS) + 1) <= 0)
            continue;
        ssize_t got = recv(c->fd, c->heard + c->length, sizeof c->heard - 1 - c->length, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            client_close(c);
            return CLIENT_CUT_OFF;
        }
        c->length += (size_t)got;
        if (whole(c, a)) {
            leave_if_told(c, a);
            return CLIENT_ANSWERED;
        }
    }
    client_close(c);
    return CLIENT_HUNG;
}
