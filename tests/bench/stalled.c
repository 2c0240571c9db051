/* stalled.c: so many clients that begin requests and never end them, until they are killed: who is
 * sent away comes back.
 *
 *   stalled PORT CLIENTS */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 10000 };

#define HALF_A_BODY                                                                                \
    "POST /batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"                        \
    "Content-Length: 1000000\r\n\r\n["

/* Nothing at all; half a line; half a header; half a body. */
static const char *const beginnings[] = {"", "GET /li",
                                         "GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ", HALF_A_BODY};

static int dial(int port, int kind)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        fprintf(stderr, "stalled: cannot connect\n");
        exit(1);
    }
    (void)!send(fd, beginnings[kind], strlen(beginnings[kind]), MSG_NOSIGNAL);
    return fd;
}

/* One byte more, but of those that say nothing; false: it has been sent away. */
static int goes_on(int fd, int kind)
{
    char heard[512];
    if (recv(fd, heard, sizeof heard, MSG_DONTWAIT) >= 0)
        return 0;
    return kind == 0 || send(fd, "1", 1, MSG_NOSIGNAL) == 1;
}

int main(int argc, char **argv)
{
    static int fds[MOST];
    struct rlimit files = {.rlim_cur = MOST + 16, .rlim_max = MOST + 16};
    int port = argc == 3 ? atoi(argv[1]) : 0, clients = argc == 3 ? atoi(argv[2]) : 0;
    if (port <= 0 || clients <= 0 || clients > MOST) {
        fprintf(stderr, "usage: stalled PORT CLIENTS\n");
        return 64;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    for (int i = 0; i < clients; i++)
        fds[i] = dial(port, i % 4);
    printf("stalled\n");
    fflush(stdout);
    for (;;) {
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        for (int i = 0; i < clients; i++)
            if (!goes_on(fds[i], i % 4)) {
                close(fds[i]);
                fds[i] = dial(port, i % 4);
            }
    }
}
