/* http_limits.c: tests of bodies, headers and paths that are too large, or odd. */
#include "../support/items.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The status of one request, said word for word on a connection of its own. */
static int status_of(const char *request)
{
    int fd = raw_dial(weir_port(weir)), status = 0;
    say(fd, request);
    char *heard = raw_hear(fd, "\r\n\r\n", 1);
    sscanf(heard, "HTTP/1.1 %d", &status);
    free(heard);
    close(fd);
    return status;
}

static void a_body_must_be_json(void **state)
{
    const char *dup = "{\"id\":1,\"name\":\"a\"}";
    assert_int_equal(strlen(dup), 19);
    static const struct {
        const char *type;
        int status;
    } cases[] = {
        {"Content-Type: application/json\r\n", 409},
        {"content-type: Application/JSON ; charset=utf-8\r\n", 409},
        {"Content-Type: application/x-www-form-urlencoded\r\n", 415},
        {"Content-Type: application/jsonp\r\n", 415},
        {"Content-Type: text/plain\r\n", 415},
        {"", 415},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char request[512];
        snprintf(request, sizeof request,
                 "POST /items HTTP/1.1\r\nHost: x\r\n%sContent-Length: 19\r\n\r\n%s", cases[i].type,
                 dup);
        assert_int_equal(status_of(request), cases[i].status);
    }
}

static char *filled(size_t length)
{
    char *body = malloc(length + 1);
    memset(body, ' ', length);
    body[length] = '\0';
    return body;
}

static void a_body_too_large_is_413_however_it_is_sent(void **state)
{
    char *body = filled(200000);
    fails_with("POST", "/items", body, 413, "body_too_large");
    const char *const chunked[] = {"Transfer-Encoding: chunked", "Expect:", NULL};
    http_reply r = http_send(client, "POST", "/items", body, chunked);
    assert_problem(&r, 413, "body_too_large");
    http_reply_free(&r);
    free(body);

    int asking = raw_dial(weir_port(weir)); /* one that asks first need not send it */
    say(asking, "POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n"
                "Expect: 100-continue\r\n\r\n");
    char *told = raw_hear(asking, "body_too_large", 1);
    assert_memory_equal(told, "HTTP/1.1 413", 12);
    free(told);
    close(asking);

    int fd = raw_dial(weir_port(weir)); /* one that nobody would wait for is refused unread */
    say(fd, "POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
    char *heard = raw_hear(fd, "body_too_large", 1);
    assert_memory_equal(heard, "HTTP/1.1 413", 12);
    assert_int_equal(raw_count(heard, "Connection: close"), 1);
    free(heard);
    close(fd);
}

static void a_body_without_end_is_cut_off(void **state)
{
    int fd = raw_dial(weir_port(weir));
    char *piece = filled(0x10000 + 2);
    memcpy(piece + 0x10000, "\r\n", 2);
    signal(SIGPIPE, SIG_IGN);
    say(fd, "POST /items HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    int sent = 0;
    while (sent < 1000 && send(fd, "10000\r\n", 7, MSG_NOSIGNAL) == 7 &&
           send(fd, piece, 0x10002, MSG_NOSIGNAL) > 0)
        sent++;
    assert_true(sent < 1000);
    free(piece);
    close(fd);
}

static void a_body_up_to_the_limit_in_pieces_is_taken(void **state)
{
    int fd = raw_dial(weir_port(weir));
    say(fd, "POST /items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
    char *spaces = filled(0x1000);
    for (int i = 0; i < 15; i++) {
        say(fd, "1000\r\n");
        say(fd, spaces);
        say(fd, "\r\n");
    }
    say(fd, "15\r\n{\"id\":1,\"name\":\"dup\"}\r\n0\r\n\r\n");
    char *heard = raw_hear(fd, "23505", 1);
    assert_memory_equal(heard, "HTTP/1.1 409", 12);
    free(heard);
    free(spaces);
    close(fd);
}

static void expect_100_continue_is_answered(void **state)
{
    int fd = raw_dial(weir_port(weir));
    say(fd, "POST /items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Content-Length: 19\r\nExpect: 100-continue\r\n\r\n");
    char *heard = raw_hear(fd, "\r\n\r\n", 1);
    assert_string_equal(heard, "HTTP/1.1 100 Continue\r\n\r\n");
    free(heard);
    say(fd, "{\"id\":1,\"name\":\"a\"}");
    heard = raw_hear(fd, "23505", 1);
    assert_memory_equal(heard, "HTTP/1.1 409", 12);
    free(heard);
    close(fd);
}

/* Whatever its length, a header gets an answer or an end, and never silence. */
static void long_headers_are_431_and_never_a_hang(void **state)
{
    int refused = 0, taken = 0;
    for (size_t length = 500; length < 40000; length += 1500) {
        int fd = raw_dial(weir_port(weir));
        char *padding = filled(length);
        memset(padding, 'x', length);
        say(fd, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Padding: ");
        send(fd, padding, length, MSG_NOSIGNAL);
        send(fd, "\r\n\r\n", 4, MSG_NOSIGNAL);
        double began = now();
        char *heard = raw_hear(fd, "\r\n\r\n", 1);
        assert_true(now() - began < 5 * slower());
        refused += strncmp(heard, "HTTP/1.1 431", 12) == 0;
        taken += strncmp(heard, "HTTP/1.1 200", 12) == 0;
        free(heard);
        free(padding);
        close(fd);
    }
    assert_true(taken >= 4 && refused >= 10);
}

static void a_long_path_is_414(void **state)
{
    int fd = raw_dial(weir_port(weir));
    char *path = filled(60000);
    memset(path, 'x', 60000);
    say(fd, "GET /");
    send(fd, path, 60000, MSG_NOSIGNAL);
    send(fd, " HTTP/1.1\r\n\r\n", 13, MSG_NOSIGNAL);
    char *heard = raw_hear(fd, "\r\n\r\n", 1);
    assert_memory_equal(heard, "HTTP/1.1 414", 12);
    free(heard);
    free(path);
    close(fd);
}

static void long_arguments_fit_or_are_refused(void **state)
{
    int answered = 0, refused = 0;
    for (size_t length = 500; length < 15000; length += 500) {
        char *value = filled(length), *request = malloc(length + 64);
        memset(value, 'y', length);
        sprintf(request, "GET /q/echo?a=%s HTTP/1.1\r\nHost: x\r\n\r\n", value);
        int fd = raw_dial(weir_port(weir));
        say(fd, request);
        char *heard = raw_hear(fd, "\"pool\"", 1);
        if (strncmp(heard, "HTTP/1.1 200", 12) == 0) {
            assert_int_equal(raw_count(heard, value), 1);
            answered++;
        } else {
            refused += strncmp(heard, "HTTP/1.1 4", 10) == 0;
        }
        close(fd);
        free(heard);
        free(request);
        free(value);
    }
    assert_true(answered >= 10 && refused >= 10);
}

/* Many short ones cost more memory than their bytes. */
static void many_headers_are_431_and_never_a_hang(void **state)
{
    int taken = 0, refused = 0;
    for (int many = 10; many <= 2000; many += 60) {
        char *request = malloc(64 + (size_t)many * 8);
        int length = sprintf(request, "GET /livez HTTP/1.1\r\nHost: x\r\n");
        for (int i = 0; i < many; i++)
            length += sprintf(request + length, "a: b\r\n");
        strcpy(request + length, "\r\n");
        double began = now();
        int status = status_of(request);
        assert_true(now() - began < 5 * slower());
        taken += status == 200;
        refused += status == 431;
        free(request);
    }
    assert_true(taken >= 2 && refused >= 15);
}

static int serve_few(void **state)
{
    serve_ready((const char *const[]){"--lanes", "1", "--clients-max", "20", "--client-timeout",
                                      "1s", NULL});
    return 0;
}

/* As many as there may be, and more behind them, none of which says anything. */
static void a_full_house_of_silent_clients_is_survived(void **state)
{
    enum { SILENT = 60 };
    int fds[SILENT];
    for (int i = 0; i < SILENT; i++)
        fds[i] = raw_dial(weir_port(weir));
    for (int i = 0; i < 20; i++) { /* sent away for their silence, all at once */
        char *heard = raw_hear(fds[i], "nothing", 1);
        free(heard);
    }
    for (int i = 0; i < SILENT; i++)
        raw_vanish(fds[i], false);
    double began = now();
    assert_int_equal(status_of("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    assert_true(now() - began < 5 * slower());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        usual(a_body_must_be_json),
        narrow(a_body_too_large_is_413_however_it_is_sent),
        narrow(a_body_without_end_is_cut_off),
        narrow(a_body_up_to_the_limit_in_pieces_is_taken),
        usual(expect_100_continue_is_answered),
        usual(long_headers_are_431_and_never_a_hang),
        usual(a_long_path_is_414),
        usual(long_arguments_fit_or_are_refused),
        usual(many_headers_are_431_and_never_a_hang),
        cmocka_unit_test_setup_teardown(a_full_house_of_silent_clients_is_survived, serve_few,
                                        stop),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("http_limits", tests, items_start, items_end);
}
