/* garbage.c: tests of what is not HTTP, or only half of it: it is answered with a refusal or not at
 * all, costs nothing lasting, and nobody else notices. What is HTTP but says two things at once is
 * in framing.c. */
#include "../support/items.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEARD_MAX = 1 << 16, CASES_MAX = 200 };

/* Bytes, which may have NULs in them. */
typedef struct words {
    const char *bytes;
    size_t length;
} words;
#define WORDS(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/* Says it on a connection of its own; `hang_up`: and that no more will come. */
static int say_all(const words *w, bool hang_up)
{
    int fd = raw_dial(weir_port(weir));
    struct timeval patience = {.tv_sec = (time_t)(10 * slower())};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    send(fd, w->bytes, w->length, MSG_NOSIGNAL); /* it may be cut off before it has said all */
    if (hang_up)
        shutdown(fd, SHUT_WR);
    return fd;
}

/* What comes in answer until the service closes the connection, which it must. free() it. */
static char *heard_to_the_end(int fd, const words *w)
{
    char *heard = calloc(1, HEARD_MAX);
    size_t got = 0;
    ssize_t n = 1;
    double began = now();
    while (got < HEARD_MAX - 1 && (n = recv(fd, heard + got, HEARD_MAX - 1 - got, 0)) > 0)
        got += (size_t)n;
    if (now() - began >= 10 * slower())
        fail_msg("the connection stays after %.60s, and has brought %.200s", w->bytes, heard);
    close(fd);
    return heard;
}

static int status_of(const char *heard)
{
    int status = 0;
    sscanf(heard, "HTTP/1.%*c %d", &status);
    return status;
}

/* Refused, or the end of the connection; nothing of it is taken for a request. */
static void is_not_taken(int fd, const words *w)
{
    char *heard = heard_to_the_end(fd, w);
    int status = status_of(heard);
    bool refused = status >= 400 && status < 600 && status != 500;
    if (!(refused || !*heard) || strstr(heard, "alive") || strstr(heard, "\"rows\""))
        fail_msg("%.80s was answered with %.300s", w->bytes, heard);
    free(heard);
}

/* All at once, because some are only found out by their silence. */
static void are_not_taken(const words *cases, size_t count, bool hang_up)
{
    int fds[CASES_MAX];
    assert_true(count <= CASES_MAX);
    for (size_t i = 0; i < count; i++)
        fds[i] = say_all(&cases[i], hang_up);
    for (size_t i = 0; i < count; i++)
        is_not_taken(fds[i], &cases[i]);
}

static void nothing_is_left(int descriptors)
{
    http_reply r = get("/q/ping");
    assert_status(&r, 200);
    http_reply_free(&r);
    assert_true(BECOMES(metric("http_server_active_requests") == 1, 5)); /* the one that asks */
    /* A full pool, at most: its sockets, and what watches them. */
    assert_true(BECOMES(weir_descriptors(weir) <= descriptors + 2 * 4, 5));
    assert_int_equal(pool("in_use"), 0);
}

static void other_protocols_are_not_taken(void **state)
{
    static const words cases[] = {
        WORDS("GET /livez\r\n"),     /* HTTP/0.9 */
        WORDS("GET /livez\r\n\r\n"), /* and the same in hope */
        WORDS("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"),
        WORDS("GET /livez HTTP/2.0\r\nHost: x\r\n\r\n"),
        WORDS("GET /livez HTTP/11\r\nHost: x\r\n\r\n"),
        WORDS("GET /livez HTTP/\r\nHost: x\r\n\r\n"),
        WORDS("GET /livez FTP/1.1\r\nHost: x\r\n\r\n"),
        WORDS("\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03 a hello of TLS\r\n\r\n"),
        WORDS("\x80\x2e\x01\x00\x02 and an older one\r\n\r\n"),
        WORDS("\0\0\0\x08\x04\xd2\x16\x2f"), /* a client of PostgreSQL asks for TLS */
        WORDS("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        WORDS("EHLO x\r\n\r\n"),
        WORDS("\0\0\0\0\0\0\0\0\r\n\r\n"),
        WORDS("\r\n\r\n\r\n\r\n"),
        WORDS("\r\r\r\r\r\r"),
        WORDS("hello\r\n\r\n"),
        WORDS("GET\r\n\r\n"),
        WORDS(" /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
        WORDS("GET  HTTP/1.1\r\nHost: x\r\n\r\n"),
    };
    int before = weir_descriptors(weir);
    are_not_taken(cases, sizeof cases / sizeof *cases, false);
    are_not_taken(cases, sizeof cases / sizeof *cases, true);
    nothing_is_left(before);
}

static void headers_that_are_none_are_not_taken(void **state)
{
    static const words cases[] = {
        WORDS("GET /q/ping HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n"),
        WORDS("GET /q/ping HTTP/1.1\r\nHost: x\r\nX Y: z\r\n\r\n"),
        WORDS("GET /q/ping HTTP/1.1\r\nHost: x\r\n\x01: z\r\n\r\n"),
        WORDS("GET /q/ping HTTP/1.1\r\nHost: x\r\n\xff: z\r\n\r\n"),
        WORDS("GET /q/ping HTTP/1.1\r\nHost : x\r\n\r\n"),
        WORDS("GET /q/ping HTTP/1.1\r\n Host: x\r\n\r\n"),
        WORDS("POST /q/ping HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n12345"),
        WORDS("POST /q/ping HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n12345"),
        WORDS("POST /q/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\n12345"),
        WORDS("POST /q/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\n12345"),
        WORDS("POST /q/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\n12345"),
        WORDS("POST /q/ping HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n12345"),
        WORDS("POST /q/ping HTTP/1.1\r\nHost: x\r\n"
              "Content-Length: 99999999999999999999999\r\n\r\n12345"),
        WORDS("POST /q/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n1"),
    };
    int before = weir_descriptors(weir);
    are_not_taken(cases, sizeof cases / sizeof *cases, true);
    nothing_is_left(before);
}

#define CHUNKED                                                                                    \
    "POST /q/ping HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"                       \
    "Transfer-Encoding: chunked\r\n\r\n"

static void chunks_that_are_none_are_not_taken(void **state)
{
    static const words cases[] = {
        WORDS(CHUNKED "-1\r\n{}\r\n0\r\n\r\n"),
        WORDS(CHUNKED "+2\r\n{}\r\n0\r\n\r\n"),
        WORDS(CHUNKED "0x2\r\n{}\r\n0\r\n\r\n"),
        WORDS(CHUNKED "zz\r\n{}\r\n0\r\n\r\n"),
        WORDS(CHUNKED "\r\n{}\r\n0\r\n\r\n"),
        WORDS(CHUNKED "ffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        WORDS(CHUNKED "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        WORDS(CHUNKED "1\r\n{}\r\n0\r\n\r\n"), /* longer than it says */
        WORDS(CHUNKED "9\r\n{}\r\n0\r\n\r\n"), /* and shorter */
        WORDS(CHUNKED "2{}0\r\n\r\n"),
        WORDS(CHUNKED "2\r\n{}"),
        WORDS(CHUNKED "2\r\n{}\r\n"),
        WORDS(CHUNKED "2\r\n{}\r\n0\r\n"),
        WORDS(CHUNKED "\0\0\0\0\0\0\0\0"),
    };
    int before = weir_descriptors(weir);
    are_not_taken(cases, sizeof cases / sizeof *cases, true);
    char *endless = repeated(CHUNKED "2;", "extended", 8000, "\r\n{}\r\n0\r\n\r\n");
    are_not_taken(&(words){endless, strlen(endless)}, 1, true);
    free(endless);
    nothing_is_left(before);
}

/* A request that ends anywhere but at its end is none. */
static void half_a_request_is_not_taken(void **state)
{
    static const char whole[] = "POST /q/ping HTTP/1.1\r\nHost: x\r\n"
                                "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    words halves[CASES_MAX];
    int before = weir_descriptors(weir);
    for (size_t length = 0; length < sizeof whole - 1; length++)
        halves[length] = (words){whole, length};
    are_not_taken(halves, sizeof whole - 1, true);
    const words all = {whole, sizeof whole - 1};
    char *heard = heard_to_the_end(say_all(&all, true), &all);
    assert_int_equal(status_of(heard), 200);
    free(heard);
    nothing_is_left(before);
}

/* Who says no more, but does not hang up, is sent away after --client-timeout. */
static void silence_in_the_middle_is_not_waited_for(void **state)
{
    static const words cases[] = {
        WORDS("\0"),
        WORDS("GET /q/ping HTT"),
        WORDS("GET /q/ping HTTP/1.1\r\nHost: x\r\nX-"),
        WORDS("POST /q/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf"),
        WORDS(CHUNKED "5\r\n{"),
        WORDS("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    };
    int before = weir_descriptors(weir);
    are_not_taken(cases, sizeof cases / sizeof *cases, false);
    nothing_is_left(before);
}

static uint64_t chance(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* Of a request here and there a byte, and any bytes at all. */
static void random_bytes_harm_nobody(void **state)
{
    static const char whole[] =
        "POST /q/ping HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\nX-Request-Id: a\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    enum { ROUNDS = 3, BYTES = 600 };
    static char bytes[CASES_MAX][BYTES];
    words cases[CASES_MAX];
    int fds[CASES_MAX];
    uint64_t seed = 7;
    int before = weir_descriptors(weir);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CASES_MAX; i++) {
            cases[i] = (words){bytes[i], i % 2 ? sizeof whole - 1 : 1 + chance(&seed) % BYTES};
            memcpy(bytes[i], whole, sizeof whole);
            for (size_t k = 0; k < (i % 2 ? 1 + (size_t)i % 5 : cases[i].length); k++)
                bytes[i][i % 2 ? chance(&seed) % cases[i].length : k] = (char)chance(&seed);
            fds[i] = say_all(&cases[i], true);
        }
        for (int i = 0; i < CASES_MAX; i++) {
            char *heard = heard_to_the_end(fds[i], &cases[i]);
            if (*heard && (status_of(heard) < 200 || status_of(heard) == 500))
                fail_msg("round %d: %.200s", round, heard);
            free(heard);
        }
    }
    nothing_is_left(before);
}

static int serve_impatiently(void **state)
{
    serve_ready(
        (const char *const[]){"--pool-max", "4", "--lanes", "2", "--client-timeout", "1s", NULL});
    return 0;
}

#define guarded(name) cmocka_unit_test_setup_teardown(name, serve_impatiently, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        guarded(other_protocols_are_not_taken),
        guarded(headers_that_are_none_are_not_taken),
        guarded(chunks_that_are_none_are_not_taken),
        guarded(half_a_request_is_not_taken),
        guarded(silence_in_the_middle_is_not_waited_for),
        guarded(random_bytes_harm_nobody),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("garbage", tests, items_start, items_end);
}
