/* health.c: tests of `weir health`, which asks a running weir whether it is ready. */
#include "../support/served.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../service/exits.h"

static int impostor = -1; /* a socket that listens, in place of weir */

/* Asks with these flags: it ends with `code`, and `said` is in what it says. */
static void asked(const char *const *flags, int code, const char *said)
{
    const char *arguments[8] = {"health"};
    for (size_t i = 0; flags[i]; i++)
        arguments[1 + i] = flags[i];
    weir_process *w = weir_start(arguments);
    int ended = weir_await_exit(w, 20 * slower());
    bool as_expected = ended == code && strstr(weir_output(w), said);
    if (!as_expected)
        print_error("%d, expected %d and \"%s\" in: %s\n", ended, code, said, weir_output(w));
    weir_stop(w);
    assert_true(as_expected);
}
#define ASKED(code, said, ...) asked((const char *const[]){__VA_ARGS__, NULL}, code, said)

static void asked_at(uint16_t port, int code, const char *said)
{
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    ASKED(code, said, "--listen", address);
}

static void one_that_is_ready_says_so(void **state)
{
    serve_ready(NULL);
    asked_at(weir_port(weir), EXIT_FINE, "ready\n");
}

static void one_that_listens_everywhere_is_asked_here(void **state)
{
    char address[32];
    serve_ready((const char *const[]){"--listen", "0.0.0.0:0", NULL});
    snprintf(address, sizeof address, "0.0.0.0:%u", weir_port(weir));
    ASKED(EXIT_FINE, "ready\n", "--listen", address);
    snprintf(address, sizeof address, ":%u", weir_port(weir));
    ASKED(EXIT_FINE, "ready\n", "--listen", address);
}

static void the_probes_are_where_operators_are(void **state)
{
    char address[32];
    serve_ready((const char *const[]){"--admin-listen", "127.0.0.1:0", NULL});
    json_t *started = weir_await_event(weir, "service.started", 1, 20);
    snprintf(address, sizeof address, "127.0.0.1:%d",
             (int)json_integer_value(json_object_get(started, "admin_port")));
    json_decref(started);
    ASKED(EXIT_FINE, "ready\n", "--listen", "127.0.0.1:1", "--admin-listen", address);
}

static void the_environment_tells_as_it_tells_the_service(void **state)
{
    char address[32];
    serve_ready(NULL);
    snprintf(address, sizeof address, "127.0.0.1:%u", weir_port(weir));
    setenv("WEIR_LISTEN", address, 1);
    ASKED(EXIT_FINE, "ready\n", "--pool-max", "3");
    unsetenv("WEIR_LISTEN");
}

static void one_without_a_database_is_not_ready_and_says_why(void **state)
{
    serve_ready((const char *const[]){"--pool-min", "1", NULL}); /* it dials again at once */
    postgres_shut_down(database);
    assert_true(BECOMES(http_status(weir_port(weir), "/readyz") == 503, 10));
    asked_at(weir_port(weir), EXIT_NOT_READY, "database: the database cannot be reached");
}

static void nobody_there_is_not_ready(void **state)
{
    serve_ready(NULL);
    uint16_t port = weir_port(weir);
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 20), 0);
    asked_at(port, EXIT_NOT_READY, "not ready: Connection refused");
}

static uint16_t listen_somewhere(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    impostor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(impostor >= 0 && bind(impostor, (struct sockaddr *)&a, size) == 0 &&
                listen(impostor, 4) == 0 &&
                getsockname(impostor, (struct sockaddr *)&a, &size) == 0);
    return ntohs(a.sin_port);
}

static int close_impostor(void **state)
{
    close(impostor);
    return 0;
}

static void one_that_says_nothing_is_waited_for_no_longer_than_it_may_take(void **state)
{
    uint16_t port = listen_somewhere();
    double began = now();
    asked_at(port, EXIT_NOT_READY, "not ready: Connection timed out");
    double took = now() - began;
    assert_true(took >= 3 && took < 3 + 3 * slower());
}

static void what_is_no_weir_is_not_ready(void **state)
{
    static const char *const answers[] = {"", "220 mail ready\r\n\r\n", "HTTP/1.1 200 OK\r\n",
                                          "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"};
    static const char *const said[] = {"no HTTP", "no HTTP", "no HTTP", ""};
    uint16_t port = listen_somewhere();
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        char address[32], heard[256];
        snprintf(address, sizeof address, "127.0.0.1:%u", port);
        weir_process *w = weir_start((const char *const[]){"health", "--listen", address, NULL});
        int fd = accept4(impostor, NULL, NULL, SOCK_CLOEXEC);
        assert_true(recv(fd, heard, sizeof heard, 0) > 0);
        assert_true(raw_say(fd, answers[i]));
        close(fd);
        assert_int_equal(weir_await_exit(w, 20), EXIT_NOT_READY);
        assert_non_null(strstr(weir_output(w), said[i]));
        weir_stop(w);
    }
}

static void what_does_not_tell_where_to_ask_is_a_wrong_flag(void **state)
{
    static const struct {
        const char *flag, *value, *said;
    } wrong[] = {
        {"--listen", "127.0.0.1:0", "does not tell where to ask"},
        {"--listen", "127.0.0.1", "does not tell where to ask"},
        {"--listen", "::1:8080", "does not tell where to ask"},
        {"--admin-listen", ":0", "does not tell where to ask"},
        {"--pool-max", "none", "--pool-max: \"none\" is not"},
        {"--liste", "127.0.0.1:1", "did you mean --listen?"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ASKED(EXIT_USAGE, wrong[i].said, wrong[i].flag, wrong[i].value);
    ASKED(EXIT_USAGE, "what is \"queries\" for?", "queries");
}

static int open_world(void **state)
{
    database = postgres_start(NULL);
    folder = scratch_folder();
    query_file("one", "select 1 as one\n");
    return 0;
}

static int close_world(void **state)
{
    scratch_remove(folder);
    postgres_stop(database);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_that_is_ready_says_so, stop),
        cmocka_unit_test_teardown(one_that_listens_everywhere_is_asked_here, stop),
        cmocka_unit_test_teardown(the_probes_are_where_operators_are, stop),
        cmocka_unit_test_teardown(the_environment_tells_as_it_tells_the_service, stop),
        cmocka_unit_test_teardown(one_without_a_database_is_not_ready_and_says_why, stop),
        cmocka_unit_test_teardown(nobody_there_is_not_ready, stop_stopped),
        cmocka_unit_test_teardown(one_that_says_nothing_is_waited_for_no_longer_than_it_may_take,
                                  close_impostor),
        cmocka_unit_test_teardown(what_is_no_weir_is_not_ready, close_impostor),
        cmocka_unit_test(what_does_not_tell_where_to_ask_is_a_wrong_flag),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
