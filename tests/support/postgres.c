/* postgres.c: private PostgreSQL servers for one test program. */
#include "postgres.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_SECONDS = 60, STOP_SECONDS = 20, START_ATTEMPTS = 5, BACKENDS_MAX = 1024 };

/* A process that outlives us and cleans up, however we end. */
typedef struct keeper {
    pid_t pid;
    int pipe;
} keeper;

struct postgres_server {
    postgres_server *next;
    char folder[64], data[80];
    char conninfo[160], conninfo_tcp[160];
    uint16_t port;
    pid_t pid;
    keeper keeper;
};

/* Whom to run the server as: PostgreSQL refuses root. */
typedef struct identity {
    bool switch_user;
    uid_t uid;
    gid_t gid;
} identity;

static postgres_server *servers;
static pid_t owner;
static char own_template[64];
static keeper own_template_keeper;

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("postgres: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(99);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static identity server_identity(void)
{
    if (geteuid() != 0)
        return (identity){0};
    struct passwd *user = getpwnam("postgres");
    if (!user)
        user = getpwnam("nobody");
    if (!user)
        die("running as root, and there is neither a user postgres nor nobody to run the server");
    return (identity){.switch_user = true, .uid = user->pw_uid, .gid = user->pw_gid};
}

static void give_away(const char *path)
{
    identity who = server_identity();
    if (who.switch_user && chown(path, who.uid, who.gid) != 0)
        die("chown %s: %s", path, strerror(errno));
}

/* Forks and executes `argv`; as the server's user if `as_server`, with output appended to `log`. */
static pid_t start_program(const char *const argv[], bool as_server, const char *log, int input)
{
    identity who = as_server ? server_identity() : (identity){0};
    int out = open(log ? log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    int in = input >= 0 ? input : open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (out < 0 || in < 0)
        die("open %s: %s", log ? log : "/dev/null", strerror(errno));
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0)
        die("fork: %s", strerror(errno));
    if (child == 0) {
        /* Away from the terminal's process group: Ctrl-C ends the test program, and that ends us.
         */
        setsid();
        if (who.switch_user &&
            (setgroups(0, NULL) != 0 || setgid(who.gid) != 0 || setuid(who.uid) != 0))
            _exit(126);
        if (as_server) { /* after setuid, which clears it */
            prctl(PR_SET_PDEATHSIG, SIGQUIT);
            if (getppid() != parent)
                _exit(126);
            if (chdir("/") != 0)
                _exit(126);
        }
        dup2(in, STDIN_FILENO);
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(out);
    if (input < 0)
        close(in);
    return child;
}

static int wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            die("waitpid: %s", strerror(errno));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void run_or_die(const char *const argv[], bool as_server)
{
    char log[] = "/tmp/weir-log-XXXXXX";
    int fd = mkstemp(log);
    if (fd < 0)
        die("mkstemp: %s", strerror(errno));
    int status = wait_for(start_program(argv, as_server, log, -1));
    if (status != 0) {
        char text[4096];
        ssize_t length = read(fd, text, sizeof text - 1);
        unlink(log);
        die("%s failed (%d):\n%.*s", argv[0], status, length < 0 ? 0 : (int)length, text);
    }
    close(fd);
    unlink(log);
}

/* ---- Where the programs are ---- */

static bool program_in(const char *folder, const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return access(path, X_OK) == 0;
}

static bool program_by_pg_config(const char *name, char path[PATH_MAX])
{
    char folder[PATH_MAX / 2] = "";
    FILE *answer = popen("pg_config --bindir 2>/dev/null", "r");
    if (!answer)
        return false;
    bool got = fgets(folder, sizeof folder, answer) != NULL;
    pclose(answer);
    folder[strcspn(folder, "\n")] = '\0';
    return got && program_in(folder, name, path);
}

static void program_find(const char *name, char path[PATH_MAX])
{
    if (program_by_pg_config(name, path))
        return;
    glob_t folders;
    bool found = false;
    if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &folders) == 0) {
        for (size_t i = folders.gl_pathc; i > 0 && !found; i--)
            found = program_in(folders.gl_pathv[i - 1], name, path);
        globfree(&folders);
    }
    if (!found)
        die("there is no program %s: install the PostgreSQL server", name);
}

/* ---- The cluster ---- */

static void remove_tree(const char *folder)
{
    run_or_die((const char *[]){"/bin/rm", "-rf", "--", folder, NULL}, false);
}

/* The keeper of a folder waits for its input to close, stops the server it finds there, and removes
 * the folder. */
static keeper keeper_start(const char *folder)
{
    static const char script[] =
        "read line; f=$1; p=$(head -n 1 $f/data/postmaster.pid 2>/dev/null) || p=\n"
        "if [ -n \"$p\" ]; then\n"
        "  kill -CONT $p; kill -QUIT $p; i=0\n"
        "  while kill -0 $p && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done\n"
        "fi 2>/dev/null\n"
        "rm -rf -- \"$f\"";
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        die("pipe: %s", strerror(errno));
    pid_t pid = start_program((const char *[]){"/bin/sh", "-c", script, "sh", folder, NULL}, false,
                              NULL, ends[0]);
    close(ends[0]);
    return (keeper){.pid = pid, .pipe = ends[1]};
}

static void keeper_dismiss(keeper k)
{
    close(k.pipe);
    wait_for(k.pid);
}

static void forget_at_exit(void)
{
    if (getpid() != owner) /* a forked child that did not exec */
        return;
    while (servers)
        postgres_stop(servers);
    if (own_template[0])
        keeper_dismiss(own_template_keeper);
}

/* The folder that holds a pristine cluster: the test run's, so that its programs share one initdb,
 * or this program's own. */
static const char *template_folder(void)
{
    const char *shared = getenv("WEIR_TEST_TEMPLATE");
    if (shared && *shared)
        return shared;
    if (!own_template[0]) {
        strcpy(own_template, "/tmp/weir-template-XXXXXX");
        if (!mkdtemp(own_template))
            die("mkdtemp: %s", strerror(errno));
        own_template_keeper = keeper_start(own_template);
    }
    return own_template;
}

/* Makes the template unless it is there. Programs that start at the same time take turns. */
static void template_make(char data[PATH_MAX])
{
    char path[PATH_MAX], lock[PATH_MAX], ready[PATH_MAX];
    const char *folder = template_folder();
    give_away(folder);
    snprintf(data, PATH_MAX, "%s/data", folder);
    snprintf(lock, sizeof lock, "%s/lock", folder);
    snprintf(ready, sizeof ready, "%s/ready", folder);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        die("%s: %s", lock, strerror(errno));
    if (access(ready, F_OK) != 0) {
        remove_tree(data);
        program_find("initdb", path);
        run_or_die((const char *[]){path, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                                    "--locale=C.UTF-8", "--no-sync", "--no-instructions", NULL},
                   true);
        int mark = open(ready, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (mark < 0)
            die("%s: %s", ready, strerror(errno));
        close(mark);
    }
    close(fd);
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        die("no free port: %s", strerror(errno));
    close(fd);
    return ntohs(address.sin_port);
}

static void configure(postgres_server *s, const char *extra_conf)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/postgresql.conf", s->data);
    FILE *conf = fopen(path, "ae");
    if (!conf)
        die("%s: %s", path, strerror(errno));
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
        die("the server is already up");
    program_find("postgres", program);
    snprintf(log, sizeof log, "%s/log", s->folder);
    snprintf(port, sizeof port, "%u", s->port);
    s->pid =
        start_program((const char *[]){program, "-D", s->data, "-p", port, NULL}, true, log, -1);
}

/* Whether the server came up; false when it ended instead. */
static bool await_ready(postgres_server *s)
{
    uint64_t deadline = now_ms() + START_SECONDS * 1000;
    while (now_ms() < deadline) {
        if (PQping(s->conninfo) == PQPING_OK)
            return true;
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            s->pid = 0;
            return false;
        }
        pause_ms(10);
    }
    show_log(s);
    die("the server in %s did not come up within %d s", s->folder, START_SECONDS);
}

void postgres_await(postgres_server *s)
{
    if (!await_ready(s)) {
        show_log(s);
        die("the server in %s ended during its start", s->folder);
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
        die("out of memory");
    strcpy(s->folder, "/tmp/weir-pg-XXXXXX");
    if (!mkdtemp(s->folder))
        die("mkdtemp: %s", strerror(errno));
    snprintf(s->data, sizeof s->data, "%s/data", s->folder);
    s->keeper = keeper_start(s->folder);
    s->next = servers;
    servers = s;
    give_away(s->folder);
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
            die("the server in %s does not start", s->folder);
        }
    }
}

postgres_server *postgres_start(const char *extra_conf)
{
    char template_data[PATH_MAX];
    postgres_server *s = server_new();
    template_make(template_data);
    run_or_die((const char *[]){"/bin/cp", "-a", "--reflink=auto", template_data, s->data, NULL},
               false);
    configure(s, extra_conf);
    start(s);
    return s;
}

postgres_server *postgres_start_standby(postgres_server *primary, const char *extra_conf)
{
    char program[PATH_MAX];
    postgres_server *s = server_new();
    program_find("pg_basebackup", program);
    run_or_die((const char *[]){program, "-d", primary->conninfo, "-D", s->data, "-R", "-X",
                                "stream", "-c", "fast", "--no-sync", NULL},
               true);
    configure(s, extra_conf);
    start(s);
    postgres_catch_up(s, primary);
    return s;
}

static void await_end(postgres_server *s)
{
    uint64_t deadline = now_ms() + STOP_SECONDS * 1000;
    while (waitpid(s->pid, NULL, WNOHANG) == 0) {
        if (now_ms() > deadline) {
            kill(s->pid, SIGKILL);
            wait_for(s->pid);
            break;
        }
        pause_ms(5);
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
    if (s->pid) {
        postgres_thaw(s);
        kill(s->pid, SIGQUIT);
        await_end(s);
    }
    keeper_dismiss(s->keeper);
    free(s);
}

/* ---- Its processes ---- */

/* The postmaster's children, from /proc: also those too far gone to be asked by SQL. */
static int children(pid_t parent, pid_t found[BACKENDS_MAX])
{
    int count = 0;
    DIR *processes = opendir("/proc");
    if (!processes)
        die("/proc: %s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(processes)) && count < BACKENDS_MAX;) {
        char path[300], line[512];
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *stat = atoi(entry->d_name) > 0 ? fopen(path, "re") : NULL;
        if (!stat)
            continue;
        const char *after = fgets(line, sizeof line, stat) ? strrchr(line, ')') : NULL;
        int parent_of;
        char state;
        if (after && sscanf(after + 1, " %c %d", &state, &parent_of) == 2 && parent_of == parent)
            found[count++] = (pid_t)atoi(entry->d_name);
        fclose(stat);
    }
    closedir(processes);
    return count;
}

static void signal_all(const postgres_server *s, int signal_number)
{
    pid_t found[BACKENDS_MAX];
    if (!s->pid)
        return;
    /* The postmaster first, so that it starts no child that we would miss. */
    kill(s->pid, signal_number == SIGKILL ? SIGSTOP : signal_number);
    int count = children(s->pid, found);
    for (int i = 0; i < count; i++)
        kill(found[i], signal_number);
    if (signal_number == SIGKILL)
        kill(s->pid, SIGKILL);
}

void postgres_freeze(postgres_server *s)
{
    signal_all(s, SIGSTOP);
}

void postgres_thaw(postgres_server *s)
{
    signal_all(s, SIGCONT);
}

void postgres_kill(postgres_server *s)
{
    pid_t found[BACKENDS_MAX];
    if (!s->pid)
        return;
    int count = children(s->pid, found);
    signal_all(s, SIGKILL);
    wait_for(s->pid);
    s->pid = 0;
    uint64_t deadline = now_ms() + STOP_SECONDS * 1000;
    for (int i = 0; i < count; i++) {
        char path[64], line[512];
        for (bool alive = true; alive && now_ms() < deadline;) {
            snprintf(path, sizeof path, "/proc/%d/stat", (int)found[i]);
            FILE *stat = fopen(path, "re");
            const char *after = stat && fgets(line, sizeof line, stat) ? strrchr(line, ')') : NULL;
            alive = after && after[1] == ' ' && after[2] != 'Z';
            if (stat)
                fclose(stat);
            if (alive)
                pause_ms(2);
        }
    }
}

/* ---- SQL ---- */

static PGresult *query(const postgres_server *s, const char *sql, PGconn **connection)
{
    *connection = PQconnectdb(s->conninfo);
    if (PQstatus(*connection) != CONNECTION_OK)
        die("%s", PQerrorMessage(*connection));
    PGresult *result = PQexec(*connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        die("%s\n%s", sql, PQresultErrorMessage(result));
    return result;
}

void postgres_sql(postgres_server *s, const char *sql)
{
    PGconn *connection;
    PQclear(query(s, sql, &connection));
    PQfinish(connection);
}

long postgres_number(postgres_server *s, const char *sql)
{
    PGconn *connection;
    PGresult *result = query(s, sql, &connection);
    if (PQntuples(result) < 1)
        die("%s\nno row", sql);
    long number = atol(PQgetvalue(result, 0, 0));
    PQclear(result);
    PQfinish(connection);
    return number;
}

void postgres_await_true(postgres_server *s, const char *sql)
{
    uint64_t deadline = now_ms() + START_SECONDS * 1000;
    PGconn *connection = PQconnectdb(s->conninfo);
    for (bool met = false; !met; pause_ms(5)) {
        PGresult *result = PQexec(connection, sql);
        if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) < 1)
            die("%s\n%s", sql, PQerrorMessage(connection));
        const char *said = PQgetvalue(result, 0, 0);
        met = said[0] == 't' || atol(said) != 0;
        PQclear(result);
        if (!met && now_ms() > deadline)
            die("%s\nnot met within %d s", sql, START_SECONDS);
    }
    PQfinish(connection);
}

void postgres_promote(postgres_server *s)
{
    postgres_sql(s, "select pg_promote(false)");
    postgres_await_true(s, "select not pg_is_in_recovery()");
}

void postgres_catch_up(postgres_server *standby, postgres_server *primary)
{
    char sql[160];
    PGconn *connection;
    PGresult *result = query(primary, "select pg_current_wal_lsn()", &connection);
    snprintf(sql, sizeof sql, "select coalesce(pg_last_wal_replay_lsn() >= '%s', false)",
             PQgetvalue(result, 0, 0));
    PQclear(result);
    PQfinish(connection);
    postgres_await_true(standby, sql);
}

#define CLIENT_BACKENDS                                                                            \
    " from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"

int postgres_backends(postgres_server *s)
{
    return (int)postgres_number(s, "select count(*)" CLIENT_BACKENDS);
}

int postgres_signal_backends(postgres_server *s, int signal_number)
{
    PGconn *connection;
    PGresult *result = query(s, "select pid" CLIENT_BACKENDS, &connection);
    int count = PQntuples(result);
    for (int i = 0; i < count; i++)
        kill((pid_t)atoi(PQgetvalue(result, i, 0)), signal_number);
    PQclear(result);
    PQfinish(connection);
    return count;
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
