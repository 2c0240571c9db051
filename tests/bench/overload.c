/* overload.c: an open loop of HTTP requests: they come at an even rate, whatever becomes of those
 * before them, as they do from many users who know nothing of each other.
 *
 * overload PORT PATH RATE SECONDS: prints what became of the requests of the second half of the
 * time, as `name value` lines. Latency counts from the moment a request was due. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 3000
#define ANSWER_MAX  8192

typedef struct client {
    int fd;
    uint64_t due_ns;
    size_t length;
    char answer[ANSWER_MAX];
} client;

typedef struct load {
    uint16_t port;
    char request[512];
    size_t request_length;
    uint64_t begun_ns, measured_ns, until_ns, gap_ns;
    int epoll;
    client clients[CLIENTS_MAX];
    uint32_t free[CLIENTS_MAX], free_count;
    uint64_t sent, good, refused, other, unsent, lost, without_retry;
    uint32_t retry_least, retry_most;
    uint32_t *good_us, *refused_us; /* latencies */
} load;

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void open_client(load *l, uint32_t i)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(l->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    client *c = &l->clients[i];

    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        fail("overload: connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
        fail("overload: epoll_ctl");
    l->free[l->free_count++] = i;
}

static void send_due(load *l, uint64_t now_ns)
{
    for (uint64_t due_ns;
         (due_ns = l->begun_ns + l->sent * l->gap_ns) <= now_ns && due_ns < l->until_ns;
         l->sent++) {
        bool measured = due_ns >= l->measured_ns;
        if (l->free_count == 0) { /* the client is out of breath, not the server */
            l->unsent += measured;
            continue;
        }
        client *c = &l->clients[l->free[--l->free_count]];
        c->due_ns = due_ns;
        c->length = 0;
        if (write(c->fd, l->request, l->request_length) != (ssize_t)l->request_length)
            l->lost += measured;
    }
}

/* All of it is there: headers, and as much body as they say. */
static bool complete(client *c)
{
    c->answer[c->length] = '\0';
    char *end = strstr(c->answer, "\r\n\r\n");
    char *length = end ? strcasestr(c->answer, "\r\ncontent-length:") : NULL;

    return length && length < end &&
           c->length >= (size_t)(end + 4 - c->answer) + strtoul(length + 17, NULL, 10);
}

static void note_retry(load *l, const char *answer)
{
    const char *header = strcasestr(answer, "\r\nretry-after:");
    uint32_t seconds = header ? (uint32_t)strtoul(header + 14, NULL, 10) : 0;

    if (!seconds) {
        l->without_retry++;
        return;
    }
    if (!l->retry_least || seconds < l->retry_least)
        l->retry_least = seconds;
    if (seconds > l->retry_most)
        l->retry_most = seconds;
}

static void take_answer(load *l, client *c, uint64_t now_ns)
{
    int status = atoi(c->answer + sizeof "HTTP/1.1");
    uint32_t took_us = (uint32_t)((now_ns - c->due_ns) / 1000);

    l->free[l->free_count++] = (uint32_t)(c - l->clients);
    if (c->due_ns < l->measured_ns)
        return;
    if (status == 200) {
        l->good_us[l->good++] = took_us;
    } else if (status == 503) {
        l->refused_us[l->refused++] = took_us;
        note_retry(l, c->answer);
    } else {
        l->other++;
    }
}

static void receive(load *l, client *c)
{
    ssize_t got = recv(c->fd, c->answer + c->length, ANSWER_MAX - 1 - c->length, MSG_DONTWAIT);

    if (got <= 0) {
        if (got < 0 && errno == EAGAIN)
            return;
        l->lost++;
        close(c->fd);
        return;
    }
    c->length += (size_t)got;
    if (complete(c))
        take_answer(l, c, clock_ns());
}

/* Until all are sent and answered, or five seconds more have passed. */
static void run(load *l)
{
    struct epoll_event ready[256];
    uint64_t now_ns;

    while ((now_ns = clock_ns()) < l->until_ns + UINT64_C(5000000000)) {
        send_due(l, now_ns);
        if (now_ns >= l->until_ns && l->free_count == CLIENTS_MAX)
            return;
        int n = epoll_wait(l->epoll, ready, 256, 1);
        for (int i = 0; i < n; i++)
            receive(l, &l->clients[ready[i].data.u32]);
    }
}

static int by_size(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double quantile_ms(uint32_t *values, uint64_t count, uint32_t percent)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, by_size);
    uint64_t at = (count - 1) * percent / 100;
    return values[at] / 1e3;
}

int main(int argc, char **argv)
{
    static load l;

    if (argc != 5) {
        fprintf(stderr, "overload PORT PATH RATE SECONDS\n");
        return 64;
    }
    uint64_t rate = strtoull(argv[3], NULL, 10), seconds = strtoull(argv[4], NULL, 10);
    if (rate == 0 || seconds < 2 || rate * seconds > 2000000)
        return 64;
    l.port = (uint16_t)atoi(argv[1]);
    l.request_length = (size_t)snprintf(l.request, sizeof l.request,
                                        "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[2]);
    l.good_us = calloc(rate * seconds + 1, sizeof *l.good_us);
    l.refused_us = calloc(rate * seconds + 1, sizeof *l.refused_us);
    l.epoll = epoll_create1(0);
    if (!l.good_us || !l.refused_us || l.epoll < 0)
        fail("overload");
    for (uint32_t i = 0; i < CLIENTS_MAX; i++)
        open_client(&l, i);
    l.begun_ns = clock_ns();
    l.until_ns = l.begun_ns + seconds * 1000000000u;
    l.measured_ns = l.begun_ns + seconds * 500000000u;
    l.gap_ns = 1000000000u / rate;
    run(&l);
    printf("good_per_s %.0f\n", (double)l.good * 2 / (double)seconds);
    printf("good_p50_ms %.1f\n", quantile_ms(l.good_us, l.good, 50));
    printf("good_p99_ms %.1f\n", quantile_ms(l.good_us, l.good, 99));
    printf("refused_per_s %.0f\n", (double)l.refused * 2 / (double)seconds);
    printf("refused_p99_ms %.1f\n", quantile_ms(l.refused_us, l.refused, 99));
    printf("retry_after_least_s %u\nretry_after_most_s %u\n", l.retry_least, l.retry_most);
    printf("without_retry_after %llu\n", (unsigned long long)l.without_retry);
    printf("other %llu\nlost %llu\nunsent %llu\n", (unsigned long long)l.other,
           (unsigned long long)l.lost, (unsigned long long)l.unsent);
    return 0;
}
