/* postgres_program.c: programs run for a test's server, and as whom. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "postgres_parts.h"

/* Whom to run the server as: PostgreSQL refuses root. */
typedef struct identity {
    bool switch_user;
    uid_t uid;
    gid_t gid;
} identity;

void postgres_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("postgres: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(99);
}

uint64_t postgres_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void postgres_pause_ms(long ms)
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
        postgres_die(
            "running as root, and there is neither a user postgres nor nobody to run the server");
    return (identity){.switch_user = true, .uid = user->pw_uid, .gid = user->pw_gid};
}

void postgres_give_away(const char *path)
{
    identity who = server_identity();
    if (who.switch_user && chown(path, who.uid, who.gid) != 0)
        postgres_die("chown %s: %s", path, strerror(errno));
}

pid_t postgres_start_program(const char *const argv[], bool as_server, const char *log, int input)
{
    identity who = as_server ? server_identity() : (identity){0};
    int out = open(log ? log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    int in = input >= 0 ? input : open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (out < 0 || in < 0)
        postgres_die("open %s: %s", log ? log : "/dev/null", strerror(errno));
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0)
        postgres_die("fork: %s", strerror(errno));
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

int postgres_wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            postgres_die("waitpid: %s", strerror(errno));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void postgres_run(const char *const argv[], bool as_server)
{
    char log[] = "/tmp/weir-log-XXXXXX";
    int fd = mkstemp(log);
    if (fd < 0)
        postgres_die("mkstemp: %s", strerror(errno));
    int status = postgres_wait_for(postgres_start_program(argv, as_server, log, -1));
    if (status != 0) {
        char text[4096];
        ssize_t length = read(fd, text, sizeof text - 1);
        unlink(log);
        postgres_die("%s failed (%d):\n%.*s", argv[0], status, length < 0 ? 0 : (int)length, text);
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

void postgres_find_program(const char *name, char path[PATH_MAX])
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
        postgres_die("there is no program %s: install the PostgreSQL server", name);
}
