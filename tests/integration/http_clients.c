/* http_clients.c: tests of clients with odd habits, and of clients that vanish. */
#include "../support/items.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void pipelined_requests_are_answered_in_order(void **state)
{
    int fd = raw_dial(weir_port(weir));
    char requests[8192] = "";
    for (int i = 1; i <= 40; i++) {
        char one[128];
        snprintf(one, sizeof one, "GET /items/%d HTTP/1.1\r\nHost: x\r\nX-Request-Id: p%d\r\n\r\n",
                 i, i);
        strcat(requests, one);
    }
    say(fd, requests);
    char *heard = raw_hear(fd, "\"pool\"", 40);
    const char *at = heard;
    for (int i = 1; i <= 40; i++) {
        char id[32], row[32];
        snprintf(id, sizeof id, "X-Request-Id: p%d\r\n", i);
        snprintf(row, sizeof row, "{\"row\":{\"id\":%d,", i);
        at = strstr(at, id);
        assert_non_null(at);
        const char *body = strstr(at, "{\"row\"");
        assert_memory_equal(body, row, strlen(row));
    }
    free(heard);
    close(fd);
}

static void http_1_0_closes_unless_asked_not_to(void **state)
{
    int fd = raw_dial(weir_port(weir));
    say(fd, "GET /q/ping HTTP/1.0\r\n\r\n");
    char *heard = raw_hear(fd, "never", 1); /* until it closes */
    assert_int_equal(raw_count(heard, "\"rows\""), 1);
    free(heard);
    close(fd);
    fd = raw_dial(weir_port(weir));
    say(fd, "GET /q/ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    free(raw_hear(fd, "\"pool\"", 1));
    say(fd, "GET /q/ping HTTP/1.0\r\n\r\n");
    heard = raw_hear(fd, "never", 1);
    assert_int_equal(raw_count(heard, "\"rows\""), 1);
    free(heard);
    close(fd);
}

static void a_request_byte_by_byte_is_understood(void **state)
{
    int fd = raw_dial(weir_port(weir));
    const char *request = "GET /q/ping HTTP/1.1\r\nHost: x\r\n\r\n";
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
    for (; *request; request++)
        assert_int_equal(send(fd, request, 1, MSG_NOSIGNAL), 1);
    char *heard = raw_hear(fd, "\"pool\"", 1);
    assert_memory_equal(heard, "HTTP/1.1 200", 12);
    free(heard);
    close(fd);
}

#define GONE                                                                                       \
    "http_server_request_duration_seconds_count{route=\"/nap\",method=\"GET\",status=\"499\"}"

static void a_client_that_vanishes_while_its_query_runs_has_it_cancelled(void **state)
{
    for (int by_reset = 0; by_reset < 2; by_reset++) {
        int fd = raw_dial(weir_port(weir));
        say(fd, "GET /nap?s=25 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(BECOMES(naps() == 1, 5));
        raw_vanish(fd, by_reset);
        assert_true(BECOMES(naps() == 0, 5));
        assert_true(BECOMES(metric(GONE) == by_reset + 1, 5));
        assert_true(BECOMES(pool("in_use") == 0 && pool("cancelling") == 0, 5));
    }
}

static void a_client_that_vanishes_while_it_waits_leaves_the_queue(void **state)
{
    int holder = raw_dial(weir_port(weir)), waiter = raw_dial(weir_port(weir));
    say(holder, "GET /nap?s=25 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(BECOMES(naps() == 1, 5));
    say(waiter, "GET /nap?s=24 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(BECOMES(pool("waiting") == 1, 5));
    raw_vanish(waiter, false);
    assert_true(BECOMES(pool("waiting") == 0, 0.25)); /* before its deadline would have it */
    raw_vanish(holder, false);
    assert_true(BECOMES(naps() == 0, 5));
}

/* At every moment of a quick request: before, in and after its task. */
static void clients_that_vanish_at_any_moment_leave_nothing_behind(void **state)
{
    int before = weir_descriptors(weir);
    for (int i = 0; i < 600; i++) {
        int fd = raw_dial(weir_port(weir));
        char request[128];
        snprintf(request, sizeof request, "GET /nap?s=%s HTTP/1.1\r\nHost: x\r\n\r\n",
                 i % 3 ? "0" : "0.02");
        say(fd, request);
        nanosleep(&(struct timespec){.tv_nsec = (i * 7919) % 3000 * 1000}, NULL);
        raw_vanish(fd, i % 2);
    }
    assert_true(BECOMES(metric("http_server_active_requests") == 1, 10));
    assert_true(BECOMES(pool("in_use") == 0 && pool("waiting") == 0, 10));
    http_reply r = get("/q/ping");
    assert_status(&r, 200);
    http_reply_free(&r);
    /* A full pool, at most: its sockets, and what watches them. */
    assert_true(BECOMES(weir_descriptors(weir) <= before + 2 * 6, 10));
}

/* Grants that are under way from one lane to another find their takers gone. */
static void waiters_that_vanish_leave_nothing_behind(void **state)
{
    enum { CLIENTS = 60 };
    int fds[CLIENTS];
    for (int round = 0; round < 25; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            fds[i] = raw_dial(weir_port(weir));
            say(fds[i], "GET /nap?s=0.001 HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        nanosleep(&(struct timespec){.tv_nsec = (round * 7919) % 30000 * 1000}, NULL);
        for (int i = 0; i < CLIENTS; i++)
            raw_vanish(fds[i], i % 2);
    }
    assert_true(BECOMES(metric("http_server_active_requests") == 1, 10));
    assert_true(BECOMES(pool("in_use") == 0 && pool("waiting") == 0, 10));
    assert_true(metric("weir_leases_refused_total{pool=\"default\",reason=\"cancelled\"}") > 0);
    http_reply r = get("/items/1");
    assert_status(&r, 200);
    http_reply_free(&r);
}

static void pipelined_requests_behind_a_slow_one_are_no_sign_of_absence(void **state)
{
    int fd = raw_dial(weir_port(weir));
    say(fd, "GET /nap?s=0.2 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(BECOMES(naps() == 1, 5));
    say(fd, "GET /items/3 HTTP/1.1\r\nHost: x\r\n\r\n");
    char *heard = raw_hear(fd, "\"pool\"", 2);
    assert_int_equal(raw_count(heard, "HTTP/1.1 200 OK"), 2);
    assert_true(strstr(heard, "slept") < strstr(heard, "item 3"));
    free(heard);
    close(fd);
}

static void one_that_asked_for_more_before_it_vanished_is_gone_too(void **state)
{
    for (int by_reset = 0; by_reset < 2; by_reset++) {
        int fd = raw_dial(weir_port(weir));
        say(fd, "GET /nap?s=25 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(BECOMES(naps() == 1, 5));
        say(fd, "GET /items/3 HTTP/1.1\r\nHost: x\r\n\r\n");
        raw_vanish(fd, by_reset);
        assert_true(BECOMES(naps() == 0, 5));
        assert_true(BECOMES(pool("in_use") == 0 && pool("cancelling") == 0, 5));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        usual(pipelined_requests_are_answered_in_order),
        usual(http_1_0_closes_unless_asked_not_to),
        usual(a_request_byte_by_byte_is_understood),
        usual(a_client_that_vanishes_while_its_query_runs_has_it_cancelled),
        narrow(a_client_that_vanishes_while_it_waits_leaves_the_queue),
        usual(clients_that_vanish_at_any_moment_leave_nothing_behind),
        usual(waiters_that_vanish_leave_nothing_behind),
        usual(pipelined_requests_behind_a_slow_one_are_no_sign_of_absence),
        usual(one_that_asked_for_more_before_it_vanished_is_gone_too),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("http_clients", tests, items_start, items_end);
}
