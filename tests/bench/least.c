/* least.c: the least that a service over a database can do, to measure Weir by: four calls of the
 * system a request, from one thread, and next to nothing between them.
 *
 *   least PORT CONNECTIONS <ANSWER
 *
 * It listens on loopback, runs the bench's select for the parameter `aid` of each request, and
 * gives every client the same answer, its standard input. Requests are taken to come whole and to
 * be good, clients to stay for their answers, rows to come in one piece; where they do not, it
 * ends. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SELECT "select abalance from pgbench_accounts where aid = $1"

enum { CONNECTIONS_MAX = 256, DESCRIPTORS_MAX = 1024, EVENTS = 128 };

/* Both wait in the order they came, connections for a client and clients for a connection: one of
 * the two is empty. */
typedef struct line {
    int fds[DESCRIPTORS_MAX];
    unsigned head, tail;
} line;

static line idle, waiting;
static int asker[DESCRIPTORS_MAX];          /* by connection: whose query it runs */
static bool is_connection[DESCRIPTORS_MAX]; /* else a client */
static uint32_t parameter[DESCRIPTORS_MAX]; /* by client */
static char answer[4096];
static size_t answer_length;
static int set, listening;

static void fail(const char *what)
{
    fprintf(stderr, "least: %s\n", what);
    exit(1);
}

static void push(line *l, int fd)
{
    l->fds[l->tail++ % DESCRIPTORS_MAX] = fd;
}

static bool shift(line *l, int *fd)
{
    if (l->head == l->tail)
        return false;
    *fd = l->fds[l->head++ % DESCRIPTORS_MAX];
    return true;
}

static void watch(int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};
    if (fd >= DESCRIPTORS_MAX || epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) != 0)
        fail("too many descriptors");
}

/* ---- The database ---- */

static void dial(void)
{
    PGconn *c = PQconnectdb("");
    PGresult *prepared = PQprepare(c, "q", SELECT, 0, NULL);
    if (PQresultStatus(prepared) != PGRES_COMMAND_OK)
        fail(PQerrorMessage(c));
    PQclear(prepared);
    int fd = PQsocket(c); /* from here on without libpq */
    watch(fd, EPOLLIN);
    is_connection[fd] = true;
    push(&idle, fd);
}

/* Bind with one value in text, Describe, Execute, Sync: what libpq sends, too. */
static void ask(int connection, int client)
{
    char message[64] = "B\0\0\0\0\0q\0\0\0\0\1\0\0\0\0", *at = message + 16;
    static const char rest[] = "\0\1\0\0D\0\0\0\6P\0E\0\0\0\x9\0\0\0\0\0S\0\0\0\4";
    int digits = sprintf(at, "%u", parameter[client]);
    message[4] = (char)(digits + 19);
    message[15] = (char)digits;
    memcpy(at + digits, rest, sizeof rest - 1);
    size_t length = 16 + (size_t)digits + sizeof rest - 1;
    asker[connection] = client;
    if (send(connection, message, length, MSG_NOSIGNAL) != (ssize_t)length)
        fail("the database takes no query");
}

static void answered(int connection)
{
    char row[4096];
    int client = asker[connection], next;
    ssize_t got = recv(connection, row, sizeof row, 0);
    if (got < 6 || row[0] != '2' || row[got - 6] != 'Z')
        fail("the database does not answer with a row in one piece");
    if (shift(&waiting, &next))
        ask(connection, next);
    else
        push(&idle, connection);
    (void)!send(client, answer, answer_length, MSG_NOSIGNAL);
}

/* ---- Clients ---- */

static void welcome(void)
{
    int fd, on = 1;
    while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(fd, EPOLLIN);
    }
}

static void asked(int client)
{
    char request[4096];
    int connection;
    ssize_t got = recv(client, request, sizeof request - 1, 0);
    if (got <= 0) {
        close(client);
        return;
    }
    request[got] = '\0';
    const char *value = strstr(request, "aid=");
    parameter[client] = value ? (uint32_t)strtoul(value + 4, NULL, 10) : 1;
    if (shift(&idle, &connection))
        ask(connection, client);
    else
        push(&waiting, client);
}

static void listen_on(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listening, (struct sockaddr *)&at, sizeof at) != 0 || listen(listening, 512) != 0)
        fail("the port is taken");
    watch(listening, EPOLLIN);
}

int main(int argc, char **argv)
{
    int port = argc == 3 ? atoi(argv[1]) : 0, connections = argc == 3 ? atoi(argv[2]) : 0;
    struct epoll_event events[EVENTS];
    if (port <= 0 || connections <= 0 || connections > CONNECTIONS_MAX) {
        fprintf(stderr, "usage: least PORT CONNECTIONS <ANSWER\n");
        return 64;
    }
    answer_length = fread(answer, 1, sizeof answer, stdin);
    set = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < connections; i++)
        dial();
    listen_on((uint16_t)port);
    for (;;) {
        int count = epoll_wait(set, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            fd == listening ? welcome() : is_connection[fd] ? answered(fd) : asked(fd);
        }
    }
}
