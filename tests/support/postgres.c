/* postgres.c: private PostgreSQL servers for one test program. */
#include <arpa/inet.h>
#include <errno.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "postgres_parts.h"

enum { START_ATTEMPTS = 5 };

static postgres_server *servers;
static pid_t owner;

static void forget_at_exit(void)
{
    if (getpid() != owner) /* a forked child that did not exec */
        return;
    while (servers)
        postgres_stop(servers);
    postgres_template_forget();
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        postgres_die("no free port: %s", strerror(errno));
    close(fd);
    return ntohs(address.sin_port);
}

static void configure(postgres_server *s, const char *extra_conf)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/postgresql.conf", s->data);
    FILE *conf = fopen(path, "ae");
    if (!conf)
        postgres_die("%s: %s", path, strerror(errno));
    fprintf(conf,
            "\nlisten_addresses = '127.0.0.1'\n"
            "unix_socket_directories = '%s'\n"
            "fsync = off\nfull_page_writes = off\nsynchronous_commit = off\n"
            "max_connections = 100\nshared_buffers = 16MB\nmax_wal_size = 128MB\n"
            "timezone = 'UTC'\nlog_timezone = 'UTC'\nautovacuum = off\n%s\n",
            s->folder, extra_conf ? extra_conf : "");
    fclose(conf);
}

static void choose_port(postgres_server *s)
{
    s->port = free_port();
    snprintf(s->conninfo, sizeof s->conninfo, "host=%s port=%u user=postgres dbname=postgres",
             s->folder, s->port);
    snprintf(s->conninfo_tcp, sizeof s->conninfo_tcp,
             "host=127.0.0.1 port=%u user=postgres dbname=postgres sslmode=disable", s->port);
}

static void show_log(const postgres_server *s)
{
    char path[PATH_MAX], line[1024];
    snprintf(path, sizeof path, "%s/log", s->folder);
    FILE *log = fopen(path, "re");
    while (log && fgets(line, sizeof line, log))
        fputs(line, stderr);
    if (log)
        fclose(log);
}

/* ---- Up and down ---- */

void postgres_launch(postgres_server *s)
{
    char program[PATH_MAX], log[PATH_MAX], port[32];
    if (s->pid)
        postgres_die("the server is already up");
    postgres_find_program("postgres", program);
    snprintf(log, sizeof log, "%s/log", s->folder);
    snprintf(port, sizeof port, "%u", s->port);
    s->pid = postgres_start_program((const char *[]){program, "-D", s->data, "-p", port, NULL},
                                    true, log, -1);
}

/* Whether the server came up; false when it ended instead. */
static bool await_ready(postgres_server *s)
{
    uint64_t deadline = postgres_now_ms() + START_SECONDS * 1000;
    while (postgres_now_ms() < deadline) {
        if (PQping(s->conninfo) == PQPING_OK)
            return true;
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            s->pid = 0;
            return false;
        }
        postgres_pause_ms(10);
    }
    show_log(s);
    postgres_die("the server in %s did not come up within %d s", s->folder, START_SECONDS);
}

void postgres_await(postgres_server *s)
{
    if (!await_ready(s)) {
        show_log(s);
        postgres_die("the server in %s ended during its start", s->folder);
    }
}

void postgres_bring_up(postgres_server *s)
{
    postgres_launch(s);
    postgres_await(s);
}

/* A folder for a server, and nothing in it. */
static postgres_server *server_new(void)
{
    if (!owner) {
        owner = getpid();
        atexit(forget_at_exit);
    }
    postgres_server *s = calloc(1, sizeof *s);
    if (!s)
        postgres_die("out of memory");
    strcpy(s->folder, "/tmp/weir-pg-XXXXXX");
    if (!mkdtemp(s->folder))
        postgres_die("mkdtemp: %s", strerror(errno));
    snprintf(s->data, sizeof s->data, "%s/data", s->folder);
    s->keeper = postgres_keep(s->folder);
    s->next = servers;
    servers = s;
    postgres_give_away(s->folder);
    return s;
}

static void start(postgres_server *s)
{
    for (int attempt = 1;; attempt++) {
        choose_port(s);
        postgres_launch(s);
        if (await_ready(s))
            return;
        if (attempt == START_ATTEMPTS) { /* once may be a port taken by somebody else meanwhile */
            show_log(s);
            postgres_die("the server in %s does not start", s->folder);
        }
    }
}

/* ---- A server that is not ours ---- */

static const char *elsewhere(void)
{
    const char *server = getenv("WEIR_TEST_SERVER");
    return server && *server ? server : NULL;
}

static void make_database(postgres_server *s)
{
    static int made;
    char sql[80];
    snprintf(s->database, sizeof s->database, "weir_test_%d_%d", (int)getpid(), ++made);
    snprintf(s->conninfo, sizeof s->conninfo, "%s", elsewhere());
    snprintf(sql, sizeof sql, "create database %s", s->database);
    postgres_sql(s, sql);
    snprintf(s->conninfo, sizeof s->conninfo, "%s dbname=%s", elsewhere(), s->database);
    strcpy(s->conninfo_tcp, s->conninfo);
}

static void drop_database(postgres_server *s)
{
    char sql[80];
    snprintf(s->conninfo, sizeof s->conninfo, "%s", elsewhere());
    snprintf(sql, sizeof sql, "drop database %s with (force)", s->database);
    postgres_sql(s, sql);
}

postgres_server *postgres_start(const char *extra_conf)
{
    char template_data[PATH_MAX];
    postgres_server *s = server_new();
    if (elsewhere()) {
        make_database(s);
        return s;
    }
    postgres_template(template_data);
    postgres_run((const char *[]){"/bin/cp", "-a", "--reflink=auto", template_data, s->data, NULL},
                 false);
    configure(s, extra_conf);
    start(s);
    return s;
}

postgres_server *postgres_start_standby(postgres_server *primary, const char *extra_conf)
{
    char program[PATH_MAX];
    postgres_server *s = server_new();
    postgres_find_program("pg_basebackup", program);
    postgres_run((const char *[]){program, "-d", primary->conninfo, "-D", s->data, "-R", "-X",
                                  "stream", "-c", "fast", "--no-sync", NULL},
                 true);
    configure(s, extra_conf);
    start(s);
    postgres_catch_up(s, primary);
    return s;
}

static void await_end(postgres_server *s)
{
    uint64_t deadline = postgres_now_ms() + STOP_SECONDS * 1000;
    while (waitpid(s->pid, NULL, WNOHANG) == 0) {
        if (postgres_now_ms() > deadline) {
            kill(s->pid, SIGKILL);
            postgres_wait_for(s->pid);
            break;
        }
        postgres_pause_ms(5);
    }
    s->pid = 0;
}

void postgres_shut_down(postgres_server *s)
{
    if (!s->pid)
        return;
    kill(s->pid, SIGINT);
    await_end(s);
}

void postgres_restart(postgres_server *s)
{
    postgres_shut_down(s);
    postgres_bring_up(s);
}

void postgres_stop(postgres_server *s)
{
    if (!s)
        return;
    for (postgres_server **link = &servers; *link; link = &(*link)->next) {
        if (*link == s) {
            *link = s->next;
            break;
        }
    }
    if (*s->database)
        drop_database(s);
    if (s->pid) {
        postgres_thaw(s);
        kill(s->pid, SIGQUIT);
        await_end(s);
    }
    postgres_dismiss(s->keeper);
    free(s);
}

/* ---- What it is ---- */

const char *postgres_conninfo(const postgres_server *s)
{
    return s->conninfo;
}

const char *postgres_conninfo_tcp(const postgres_server *s)
{
    return s->conninfo_tcp;
}

const char *postgres_socket_folder(const postgres_server *s)
{
    return s->folder;
}

const char *postgres_data_folder(const postgres_server *s)
{
    return s->data;
}

uint16_t postgres_port(const postgres_server *s)
{
    return s->port;
}

pid_t postgres_pid(const postgres_server *s)
{
    return s->pid;
}

bool postgres_is_down(const postgres_server *s)
{
    return !s->pid && !*s->database;
}
