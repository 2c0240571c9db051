/* raw_client.c: a client that says to a server of 127.0.0.1 exactly what it is told to. */
#include "raw_client.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "patience.h"

#define HEARD_MAX (1 << 20)

int raw_dial(uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

bool raw_say(int fd, const char *text)
{
    size_t length = strlen(text);
    return send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length;
}

int raw_count(const char *text, const char *needle)
{
    int n = 0;
    for (; (text = strstr(text, needle)); text += strlen(needle))
        n++;
    return n;
}

char *raw_hear(int fd, const char *needle, int times)
{
    size_t length = 0;
    char *text = calloc(1, HEARD_MAX);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int limit_ms = (int)(10000 * slower());
    while (raw_count(text, needle) < times && poll(&wait, 1, limit_ms) == 1) {
        ssize_t n = recv(fd, text + length, HEARD_MAX - 1 - length, 0);
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    return text;
}

void raw_vanish(int fd, bool abruptly)
{
    if (abruptly)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
                   sizeof(struct linger));
    close(fd);
}
