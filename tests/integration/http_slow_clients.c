/* http_slow_clients.c: tests of clients that are slow, silent, or too many. */
#include "../support/items.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a client has to itself, in ms (times slower()). */
#define LIMIT_MS 400

static char limit[32], long_limit[32];

static int serve_with(const char *header, const char *body, const char *answer)
{
    serve_ready((const char *const[]){"--lanes", "1", "--log-level", "debug", "--header-timeout",
                                      header, "--body-timeout", body, "--stream-timeout", answer,
                                      "--body-max", "8m", NULL});
    return 0;
}

static int start(void **state)
{
    snprintf(limit, sizeof limit, "%.0fms", LIMIT_MS * slower());
    snprintf(long_limit, sizeof long_limit, "%.0fs", 60 * slower());
    return items_start(state);
}

static int serve_hastily(void **state)
{
    return serve_with(limit, limit, limit);
}

static int serve_patiently(void **state)
{
    return serve_with(long_limit, long_limit, long_limit);
}

static double cuts(const char *reason)
{
    char name[96];
    snprintf(name, sizeof name, "weir_clients_cut_total{reason=\"%s\"}", reason);
    return metric(name);
}

/* Whether the other side has ended the connection; what it has said before is thrown away. */
static bool is_closed(int fd)
{
    char bytes[4096];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        continue;
    return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* Says it a byte at a time, each well within any limit, until the other side has enough of it. */
static char *dribble(int fd, const char *text)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    double until = now() + 20 * slower();
    for (; *text && now() < until; text++) {
        if (send(fd, text, 1, MSG_NOSIGNAL) != 1 || poll(&wait, 1, LIMIT_MS / 10) == 1)
            break;
        if (!text[1])
            text--; /* for ever */
    }
    return raw_hear(fd, "never", 1);
}

static void assert_sent_away(char *heard)
{
    assert_memory_equal(heard, "HTTP/1.1 408 ", 13);
    assert_int_equal(raw_count(heard, "Connection: close\r\n"), 1);
    assert_int_equal(raw_count(heard, "\"code\":\"request_timeout\""), 1);
    free(heard);
}

/* ---- Headers ---- */

static void a_header_that_never_ends_is_cut(void **state)
{
    static const char *const beginnings[] = {
        "GET /livez", "GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: yyyyyy", "G", "\r\n\r\n\r\nGET /"};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        int fd = raw_dial(weir_port(weir));
        assert_sent_away(dribble(fd, beginnings[i]));
        close(fd);
        assert_true(cuts("header_timeout") == (double)i + 1);
    }
    json_t *line = weir_await_event(weir, "http.client_cut", 1, 5);
    assert_string_equal(json_string_value(json_object_get(line, "reason")), "header_timeout");
    assert_string_equal(json_string_value(json_object_get(line, "address")), "127.0.0.1");
    json_decref(line);
}

static void who_says_nothing_at_all_is_cut_without_a_word(void **state)
{
    int fd = raw_dial(weir_port(weir));
    char *heard = raw_hear(fd, "never", 1);
    assert_string_equal(heard, "");
    free(heard);
    close(fd);
    assert_true(cuts("header_timeout") == 1);
}

static void a_further_request_has_no_more_time_than_the_first(void **state)
{
    int fd = raw_dial(weir_port(weir));
    say(fd, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    free(raw_hear(fd, "alive", 1));
    assert_sent_away(dribble(fd, "GET /livez HTTP/1.1\r\nX: y"));
    close(fd);
    fd = raw_dial(weir_port(weir));
    say(fd, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    free(raw_hear(fd, "alive", 1));
    assert_sent_away(dribble(fd, "GET /livezzzzz"));
    close(fd);
}

static void a_kept_connection_may_be_idle_for_longer(void **state)
{
    int fd = raw_dial(weir_port(weir));
    for (int i = 0; i < 3; i++) {
        say(fd, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
        char *heard = raw_hear(fd, "alive", 1);
        assert_memory_equal(heard, "HTTP/1.1 200", 12);
        free(heard);
        /* A time that has to pass, with nothing to wait for. */
        poll(NULL, 0, (int)(3 * LIMIT_MS * slower()));
    }
    assert_false(is_closed(fd));
    assert_true(cuts("header_timeout") == 0);
    close(fd);
}

/* ---- Bodies ---- */

#define POST_ITEMS                                                                                 \
    "POST /items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Request-Id: "          \
    "slow-1\r\n"

static void a_body_that_dribbles_is_cut(void **state)
{
    static const char *const framings[] = {"Content-Length: 5000\r\n\r\n{",
                                           "Transfer-Encoding: chunked\r\n\r\n1388\r\n{"};
    for (size_t i = 0; i < sizeof framings / sizeof *framings; i++) {
        int fd = raw_dial(weir_port(weir));
        say(fd, POST_ITEMS);
        say(fd, framings[i]);
        char *heard = dribble(fd, "      ");
        assert_int_equal(raw_count(heard, "\"request_id\":\"slow-1\""), 1);
        assert_sent_away(heard);
        close(fd);
    }
    assert_true(cuts("body_timeout") == 2);
    assert_true(metric("http_server_request_duration_seconds_count{route=\"\",method=\"POST\","
                       "status=\"408\"}") == 2);
}

static void a_body_that_never_comes_is_cut(void **state)
{
    int fd = raw_dial(weir_port(weir));
    say(fd, POST_ITEMS "Content-Length: 20\r\n\r\n");
    assert_sent_away(raw_hear(fd, "never", 1));
    close(fd);
}

static void a_large_body_at_a_fair_pace_is_taken(void **state)
{
    enum { PIECES = 12, SIZE = 20000 };
    int fd = raw_dial(weir_port(weir));
    const char *last = "{\"id\":1,\"name\":\"dup\"}";
    char head[256], *blanks = repeated("", " ", SIZE, "");
    snprintf(head, sizeof head, POST_ITEMS "Content-Length: %d\r\n\r\n",
             PIECES * SIZE + (int)strlen(last));
    say(fd, head);
    for (int i = 0; i < PIECES; i++) { /* twice and more the limit, all in all */
        say(fd, blanks);
        poll(NULL, 0, (int)(LIMIT_MS * slower() / 4));
    }
    say(fd, last);
    char *heard = raw_hear(fd, "23505", 1);
    assert_memory_equal(heard, "HTTP/1.1 409", 12);
    free(heard);
    free(blanks);
    close(fd);
}

/* ---- Answers ---- */

static int dial_narrowly(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), size = 4096;
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(weir_port(weir)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

#define LARGE "GET /q/big?n=9000 HTTP/1.1\r\nHost: x\r\n\r\n"

static void an_answer_that_is_not_read_is_given_up(void **state)
{
    int fd = dial_narrowly();
    say(fd, LARGE);
    assert_true(BECOMES(cuts("answer_unread") == 1, 20));
    assert_true(BECOMES(metric("http_server_active_requests") == 1, 5));
    assert_true(metric("http_server_request_duration_seconds_count{route=\"/q/big\",method="
                       "\"GET\",status=\"499\"}") == 1);
    close(fd);
}

static void an_answer_that_is_read_slowly_arrives_whole(void **state)
{
    int fd = dial_narrowly();
    size_t length = 0;
    char bytes[16384];
    say(fd, LARGE);
    ssize_t n = 1;
    double began = now();
    while (n > 0 && length < 9000 * 1000) {
        if (now() - began < 3 * LIMIT_MS / 1000.0 * slower())
            poll(NULL, 0, 5);
        n = recv(fd, bytes, sizeof bytes, 0);
        length += n > 0 ? (size_t)n : 0;
    }
    assert_true(length >= 9000 * 1000);
    assert_true(cuts("answer_unread") == 0);
    close(fd);
}

/* ---- Too many ---- */

static int serve_a_small_house(void **state)
{
    serve_ready((const char *const[]){"--lanes", "1", "--clients-max", "8", "--header-timeout",
                                      long_limit, "--pool-max", "4", NULL});
    http_close(client); /* whose place is needed */
    client = NULL;
    return 0;
}

static int kept(const char *path)
{
    char request[128];
    int fd = raw_dial(weir_port(weir));
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    say(fd, request);
    return fd;
}

static void a_newcomer_takes_the_place_of_who_was_idle_for_longest(void **state)
{
    enum { HOUSE = 8 };
    int fds[HOUSE];
    for (int i = 0; i < HOUSE; i++) {
        fds[i] = kept("/livez");
        free(raw_hear(fds[i], "alive", 1));
    }
    int at_work = fds[0], longest = fds[1];
    say(at_work, "GET /nap?s=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(BECOMES(naps() == 1, 5));
    int newcomer = kept("/livez");
    char *heard = raw_hear(newcomer, "alive", 1);
    assert_memory_equal(heard, "HTTP/1.1 200", 12);
    free(heard);
    assert_true(is_closed(longest));
    heard = raw_hear(at_work, "slept", 1);
    assert_memory_equal(heard, "HTTP/1.1 200", 12);
    free(heard);
    for (int i = 0; i < HOUSE; i++)
        close(fds[i]);
    close(newcomer);
    client = http_open(weir_port(weir));
    assert_true(cuts("crowded_out") >= 1);
}

static void a_full_house_with_nobody_at_the_door_sends_nobody_away(void **state)
{
    enum { HOUSE = 8 };
    int fds[HOUSE];
    for (int i = 0; i < HOUSE; i++) {
        fds[i] = kept("/livez");
        free(raw_hear(fds[i], "alive", 1));
    }
    poll(NULL, 0, (int)(600 * slower()));
    for (int i = 0; i < HOUSE; i++)
        assert_false(is_closed(fds[i]));
    for (int i = 0; i < HOUSE; i++)
        close(fds[i]);
    client = http_open(weir_port(weir));
}

static void a_house_full_of_beginnings_still_lets_in_who_asks(void **state)
{
    enum { HOUSE = 8 };
    int fds[HOUSE];
    for (int i = 0; i < HOUSE; i++) {
        fds[i] = raw_dial(weir_port(weir));
        say(fds[i], i % 2 ? "GET /li" : "GET /livez HTTP/1.1\r\nHo");
    }
    int newcomer = kept("/livez");
    char *heard = raw_hear(newcomer, "alive", 1);
    assert_memory_equal(heard, "HTTP/1.1 200", 12);
    free(heard);
    for (int i = 0; i < HOUSE; i++)
        close(fds[i]);
    close(newcomer);
    client = http_open(weir_port(weir));
}

static int serve_few_each(void **state)
{
    serve_ready((const char *const[]){"--lanes", "2", "--clients-per-address", "3", NULL});
    return 0;
}

static void an_address_has_so_many_connections_and_no_more(void **state)
{
    int fds[2], one_more;
    assert_int_equal(http_status(weir_port(weir), "/livez"), 200); /* and goes again */
    http_reply r = get("/livez");                                  /* the first, which stays */
    http_reply_free(&r);
    for (int i = 0; i < 2; i++) {
        fds[i] = kept("/livez");
        free(raw_hear(fds[i], "alive", 1));
    }
    for (int i = 0; i < 5; i++) {
        one_more = kept("/livez");
        char *heard = raw_hear(one_more, "never", 1);
        assert_string_equal(heard, "");
        free(heard);
        close(one_more);
    }
    assert_true(cuts("address_limit") == 5);
    close(fds[0]);
    assert_true(BECOMES(metric("weir_clients") == 2, 5));
    assert_int_equal(http_status(weir_port(weir), "/livez"), 200);
    close(fds[1]);
}

/* ---- A crowd of them ---- */

enum { STALLED = 500 };

static void let_many_in(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < STALLED + 100) {
        files.rlim_cur = STALLED + 100;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void dial_stalled(int fds[STALLED])
{
    static const char *const stalls[] = {"", "GET /li", "GET /livez HTTP/1.1\r\nHost: x\r\nX: ",
                                         POST_ITEMS "Content-Length: 50\r\n\r\n{\"id\"", LARGE};
    for (int i = 0; i < STALLED; i++) {
        int kind = i % 50 == 4 ? 4 : i % 4; /* of the unread answers, which cost memory, ten */
        fds[i] = kind == 4 ? dial_narrowly() : raw_dial(weir_port(weir));
        assert_true(fds[i] >= 0);
        if (*stalls[kind])
            say(fds[i], stalls[kind]);
    }
}

static void service_goes_on_beside_500_stalled_clients(void **state)
{
    static int fds[STALLED];
    let_many_in();
    dial_stalled(fds);
    assert_true(BECOMES(metric("weir_clients") == STALLED + 1, 20));
    assert_true(BECOMES(pool("in_use") == 0, 20)); /* the answers nobody reads have been made */
    for (int i = 0; i < 200; i++) {
        http_reply r = get("/items/7");
        assert_status(&r, 200);
        http_reply_free(&r);
    }
    assert_true(metric("weir_clients") == STALLED + 1); /* they were there all the while */
    for (int i = 0; i < STALLED; i++)
        close(fds[i]);
    assert_true(BECOMES(metric("weir_clients") == 1, 20));
}

static void five_hundred_stalled_clients_are_cut_in_time(void **state)
{
    static int fds[STALLED];
    int before = weir_descriptors(weir);
    let_many_in();
    dial_stalled(fds);
    assert_true(BECOMES(metric("weir_clients") == 1, 30));
    assert_true(BECOMES(weir_descriptors(weir) <= before + 24, 10)); /* a pool's own */
    http_reply r = get("/items/7");
    assert_status(&r, 200);
    http_reply_free(&r);
    for (int i = 0; i < STALLED; i++)
        close(fds[i]);
}

#define with(serve, name) cmocka_unit_test_setup_teardown(name, serve, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with(serve_hastily, a_header_that_never_ends_is_cut),
        with(serve_hastily, who_says_nothing_at_all_is_cut_without_a_word),
        with(serve_hastily, a_further_request_has_no_more_time_than_the_first),
        with(serve_hastily, a_kept_connection_may_be_idle_for_longer),
        with(serve_hastily, a_body_that_dribbles_is_cut),
        with(serve_hastily, a_body_that_never_comes_is_cut),
        with(serve_hastily, a_large_body_at_a_fair_pace_is_taken),
        with(serve_hastily, an_answer_that_is_not_read_is_given_up),
        with(serve_hastily, an_answer_that_is_read_slowly_arrives_whole),
        with(serve_a_small_house, a_newcomer_takes_the_place_of_who_was_idle_for_longest),
        with(serve_a_small_house, a_full_house_with_nobody_at_the_door_sends_nobody_away),
        with(serve_a_small_house, a_house_full_of_beginnings_still_lets_in_who_asks),
        with(serve_few_each, an_address_has_so_many_connections_and_no_more),
        with(serve_patiently, service_goes_on_beside_500_stalled_clients),
        with(serve_hastily, five_hundred_stalled_clients_are_cut_in_time),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("http_slow_clients", tests, start, items_end);
}
