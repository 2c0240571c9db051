/* attack_service.c: tests of the program started and stopped under bad conditions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../support/http_client.h"
#include "../support/postgres.h"
#include "../support/weir_process.h"

static postgres_server *database;
static char folder[32], file[64];
static weir_process *weir;

/* How much longer things may take in an instrumented build. */
static double slower(void)
{
    const char *factor = getenv("TEST_SLOWER");
    return factor && *factor ? strtod(factor, NULL) : 1;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int dial(uint16_t port)
{
    struct sockaddr_in at = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    return fd;
}

static void serve(const char *const *flags)
{
    weir = weir_serve(postgres_conninfo(database), folder, flags);
    assert_true(weir_await_ready(weir));
}

static void ends_within(double seconds)
{
    double began = now();
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 30), 0);
    assert_true(now() - began < seconds * slower());
}

/* ---- The start ---- */

static uint16_t free_port(void)
{
    struct sockaddr_in at = loopback(0);
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    close(fd);
    return ntohs(at.sin_port);
}

/* build/tests/integration/x → build/weir */
static void find_program(char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 8);
    assert_true(length > 0);
    path[length] = '\0';
    for (int up = 0; up < 3; up++)
        *strrchr(path, '/') = '\0';
    strcat(path, "/weir");
}

/* With closed ones the log would go to whichever socket has their number. */
static void closed_standard_descriptors_are_not_taken_by_sockets(void **state)
{
    char program[PATH_MAX], listen[32];
    uint16_t port = free_port();
    int status = 0;
    find_program(program);
    snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    pid_t pid = fork();
    if (pid == 0) {
        close(0);
        close(1);
        close(2);
        execl(program, "weir", "serve", "--listen", listen, "--queries", folder, "--database",
              postgres_conninfo(database), (char *)NULL);
        _exit(127);
    }
    double until = now() + 10 * slower();
    while ((status = http_status(port, "/q/ping")) != 200 && now() < until)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    int answered = status;
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(answered, 200);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- The end ---- */

static void a_body_that_never_comes_does_not_hold_the_end_up(void **state)
{
    serve(NULL);
    int fd = dial(weir_port(weir));
    const char *half = "POST /q/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{";
    assert_int_equal(send(fd, half, strlen(half), MSG_NOSIGNAL), strlen(half));
    assert_int_equal(http_status(weir_port(weir), "/q/ping"), 200); /* it has been read by now */
    ends_within(3);
    close(fd);
}

/* ---- The world ---- */

static int stop(void **state)
{
    weir_stop(weir);
    weir = NULL;
    return 0;
}

static int open_world(void **state)
{
    database = postgres_start(NULL);
    strcpy(folder, "/tmp/weir-attack-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof file, "%s/ping.sql", folder);
    FILE *f = fopen(file, "w");
    return f && fputs("select 1 as one\n", f) >= 0 && fclose(f) == 0 ? 0 : -1;
}

static int close_world(void **state)
{
    unlink(file);
    rmdir(folder);
    postgres_stop(database);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_standard_descriptors_are_not_taken_by_sockets),
        cmocka_unit_test_teardown(a_body_that_never_comes_does_not_hold_the_end_up, stop),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
