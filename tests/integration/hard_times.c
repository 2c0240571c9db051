/* hard_times.c: the program started and stopped under bad conditions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../support/http_client.h"
#include "../support/patience.h"
#include "../support/postgres.h"
#include "../support/raw_client.h"
#include "../support/scratch.h"
#include "../support/weir_process.h"

static postgres_server *database;
static char *folder;
static weir_process *weir;

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
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

/* For what weir_start does not let a test choose: the shell does it, since a wrapper of this
 * program may keep what is asked of it, such as a limit of descriptors, to itself. */
static pid_t spawn(uint16_t port, const char *prepare)
{
    char program[PATH_MAX], listen[32], command[128];
    find_program(program);
    snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    snprintf(command, sizeof command, "%s && exec \"$@\"", prepare);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", command, "sh", program, "serve", "--listen", listen,
              "--queries", folder, "--database", postgres_conninfo(database), "--lanes", "1",
              "--pool-max", "4", "--acquire-timeout", "1s", "--log-level", "error", (char *)NULL);
        _exit(127);
    }
    return pid;
}

static bool answers(uint16_t port)
{
    double until = now() + 10 * slower();
    while (http_status(port, "/q/ping") != 200)
        if (now() > until || nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL) != 0)
            return false;
    return true;
}

/* Its exit code after SIGTERM; -1: it was killed by another signal. */
static int end(pid_t pid)
{
    int status = 0;
    kill(pid, SIGTERM);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Else the log would go to whichever socket has their number. */
static void closed_standard_descriptors_are_not_taken_by_sockets(void **state)
{
    uint16_t port = free_port();
    pid_t pid = spawn(port, "exec 0<&- 1>&- 2>&-");
    bool came_up = answers(port);
    int code = end(pid);
    assert_true(came_up);
    assert_int_equal(code, 0);
}

static void what_keeps_it_from_starting_stands_alone(void **state)
{
    char listen[32];
    serve(NULL);
    snprintf(listen, sizeof listen, "127.0.0.1:%u", weir_port(weir));
    weir_process *second = weir_serve(postgres_conninfo(database), folder,
                                      (const char *const[]){"--listen", listen, NULL});
    int code = weir_await_exit(second, 20);
    const char *said = weir_output(second), *line = strchr(said, '\n');
    bool alone = strncmp(said, "weir: cannot listen at ", 23) == 0 && line && !line[1];
    if (!alone)
        print_error("%s", said);
    weir_stop(second);
    assert_int_equal(code, 69);
    assert_true(alone);
}

static bool is_fine(int fd)
{
    char heard[13] = "";
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 10000) == 1 && recv(fd, heard, 12, 0) == 12 &&
           strcmp(heard, "HTTP/1.1 200") == 0;
}

/* Clients come by the dozen, but the pool still gets the descriptors it needs: without, the naps
 * would wait for one another for too long. */
static void clients_leave_descriptors_for_the_database(void **state)
{
    enum { CLIENTS = 100, LET_IN = 30, AT_ONCE = 4 };
    static const char *const ping = "GET /q/ping HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char *const nap = "GET /q/nap HTTP/1.1\r\nHost: x\r\n\r\n";
    int fds[CLIENTS], fine = 0;
    uint16_t port = free_port();
    pid_t pid = spawn(port, "ulimit -n 70");
    bool came_up = answers(port), let_in = false;
    for (int i = 0; came_up && i < CLIENTS; i++)
        fds[i] = raw_dial(port);
    if (came_up && send(fds[LET_IN - 1], ping, strlen(ping), MSG_NOSIGNAL) > 0)
        let_in = is_fine(fds[LET_IN - 1]);
    for (int i = 0; came_up && i < AT_ONCE; i++)
        send(fds[i], nap, strlen(nap), MSG_NOSIGNAL);
    for (int i = 0; came_up && i < AT_ONCE; i++)
        fine += is_fine(fds[i]);
    for (int i = 0; came_up && i < CLIENTS; i++)
        close(fds[i]);
    int code = end(pid);
    assert_true(came_up);
    assert_true(let_in);
    assert_int_equal(fine, AT_ONCE);
    assert_int_equal(code, 0);
}

static void too_few_descriptors_are_refused_at_the_start(void **state)
{
    int status = 0;
    pid_t pid = spawn(free_port(), "ulimit -n 24"), ended = 0;
    double until = now() + 10 * slower();
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && now() < until)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    if (ended == 0)
        end(pid);
    assert_int_equal(ended, pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 71);
}

/* ---- The end ---- */

static void a_body_that_never_comes_does_not_hold_the_end_up(void **state)
{
    serve(NULL);
    int fd = raw_dial(weir_port(weir));
    const char *half = "POST /q/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{";
    assert_int_equal(send(fd, half, strlen(half), MSG_NOSIGNAL), strlen(half));
    assert_int_equal(http_status(weir_port(weir), "/q/ping"), 200); /* it has been read by now */
    ends_within(3);
    close(fd);
}

typedef struct asking {
    int fd;
    bool lost;
} asking;

/* A client that keeps its connection and asks again and again, until it is told to go. */
static void *ask_on(void *arg)
{
    static const char *const ask = "GET /q/ping HTTP/1.1\r\nHost: x\r\n\r\n";
    asking *a = arg;
    char heard[4096];
    ssize_t length;
    do {
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); /* as one who has other work too */
        send(a->fd, ask, strlen(ask), MSG_NOSIGNAL);
        length = recv(a->fd, heard, sizeof heard - 1, 0);
        heard[length > 0 ? length : 0] = '\0';
    } while (length > 0 && !strstr(heard, "Connection: close"));
    a->lost = length <= 0;
    close(a->fd);
    return NULL;
}

static void busy_clients_are_told_to_go_and_lose_nothing(void **state)
{
    enum { CLIENTS = 8 };
    pthread_t threads[CLIENTS];
    asking clients[CLIENTS];
    serve(NULL);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (asking){.fd = raw_dial(weir_port(weir))};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_on, &clients[i]), 0);
    }
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL); /* all are busy by then */
    weir_signal(weir, SIGTERM);
    int lost = 0;
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        lost += clients[i].lost;
    }
    assert_int_equal(weir_await_exit(weir, 30), 0);
    assert_int_equal(lost, 0);
}

/* ---- The world ---- */

static int stop(void **state)
{
    weir_stop(weir);
    weir = NULL;
    return 0;
}

static bool write_query(const char *name, const char *sql)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    return f && fputs(sql, f) >= 0 && fclose(f) == 0;
}

static int open_world(void **state)
{
    database = postgres_start(NULL);
    folder = scratch_folder();
    bool written = write_query("ping.sql", "select 1 as one\n") &&
                   write_query("nap.sql", "select pg_sleep(0.4)::text as nap\n");
    return written ? 0 : -1;
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
        cmocka_unit_test(closed_standard_descriptors_are_not_taken_by_sockets),
        cmocka_unit_test(clients_leave_descriptors_for_the_database),
        cmocka_unit_test(too_few_descriptors_are_refused_at_the_start),
        cmocka_unit_test_teardown(what_keeps_it_from_starting_stands_alone, stop),
        cmocka_unit_test_teardown(a_body_that_never_comes_does_not_hold_the_end_up, stop),
        cmocka_unit_test_teardown(busy_clients_are_told_to_go_and_lose_nothing, stop),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
