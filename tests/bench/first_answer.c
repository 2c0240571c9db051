/* first_answer.c: starts the service and tells how long it took from exec to the first answer of a
 * query, as the median of several starts. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STARTS = 7, LIMIT_MS = 10000 };

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Whether the service answers the path with 200 now. */
static int answers(int port, const char *path)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    char buffer[256];
    int length = snprintf(buffer, sizeof buffer,
                          "GET %s HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n", path);
    ssize_t got = 0;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && write(fd, buffer, length) == length)
        got = read(fd, buffer, sizeof buffer - 1);
    close(fd);
    return got > 12 && memcmp(buffer + 9, "200", 3) == 0;
}

static double start_once(int port, const char *path, char **command)
{
    double began_ms = now_ms();
    pid_t child = fork();
    if (child == 0) {
        execvp(command[0], command);
        _exit(127);
    }
    double took_ms = -1;
    while (took_ms < 0 && now_ms() - began_ms < LIMIT_MS) {
        if (answers(port, path))
            took_ms = now_ms() - began_ms;
        else
            nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    }
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    return took_ms;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: first_answer PORT PATH COMMAND [ARGUMENT…]\n");
        return 64;
    }
    double ms[STARTS];
    for (int i = 0; i < STARTS; i++) {
        ms[i] = start_once(atoi(argv[1]), argv[2], argv + 3);
        if (ms[i] < 0) {
            fprintf(stderr, "first_answer: no answer within %d ms\n", LIMIT_MS);
            return 1;
        }
    }
    qsort(ms, STARTS, sizeof *ms, by_value);
    printf("first_answer_ms %.1f\n", ms[STARTS / 2]);
    return 0;
}
