/* weir_process.c: the program weir, run by a test as its users run it. */
#include "weir_process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 40 };

struct weir_process {
    pid_t pid; /* 0: ended and waited for */
    int exit_code;
    int output; /* an unlinked file, which no reader can keep from growing */
    uint16_t port;
    char *text;
};

static void die(const char *what)
{
    fprintf(stderr, "weir_process: %s: %s\n", what, strerror(errno));
    exit(99);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void pause_briefly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

/* build/tests/integration/x → build/weir */
static void find_program(char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 8);
    if (length < 0)
        die("/proc/self/exe");
    path[length] = '\0';
    for (int up = 0; up < 3; up++) {
        char *slash = strrchr(path, '/');
        if (slash)
            *slash = '\0';
    }
    strcat(path, "/weir");
    if (access(path, X_OK) != 0)
        die(path);
}

weir_process *weir_start(const char *const *arguments)
{
    char program[PATH_MAX], name[] = "/tmp/weir-out-XXXXXX";
    const char *argv[ARGUMENTS_MAX + 2] = {program};
    find_program(program);
    for (int i = 0; arguments[i] && i < ARGUMENTS_MAX; i++)
        argv[i + 1] = arguments[i];
    weir_process *w = calloc(1, sizeof *w);
    if (!w)
        die("memory");
    w->output = mkostemp(name, O_APPEND | O_CLOEXEC);
    if (w->output < 0)
        die(name);
    unlink(name);
    pid_t parent = getpid();
    w->pid = fork();
    if (w->pid < 0)
        die("fork");
    if (w->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(126);
        dup2(w->output, STDOUT_FILENO);
        dup2(w->output, STDERR_FILENO);
        execv(program, (char *const *)argv);
        _exit(127);
    }
    return w;
}

weir_process *weir_serve(const char *database, const char *queries, const char *const *flags)
{
    const char *arguments[ARGUMENTS_MAX + 1] = {"serve",      "--listen",    "127.0.0.1:0",
                                                "--database", database,      "--queries",
                                                queries,      "--log-level", "debug"};
    int count = 9;
    for (; flags && *flags && count < ARGUMENTS_MAX; flags++)
        arguments[count++] = *flags;
    return weir_start(arguments);
}

/* Reaps it if it has ended. */
static bool ended(weir_process *w)
{
    int status;
    if (w->pid && waitpid(w->pid, &status, WNOHANG) == w->pid) {
        w->pid = 0;
        w->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return w->pid == 0;
}

int weir_await_exit(weir_process *w, double seconds)
{
    double deadline = seconds_now() + seconds;
    while (!ended(w)) {
        if (seconds_now() > deadline)
            return -1;
        pause_briefly();
    }
    return w->exit_code;
}

void weir_stop(weir_process *w)
{
    if (!w)
        return;
    if (!ended(w)) {
        kill(w->pid, SIGKILL);
        waitpid(w->pid, NULL, 0);
    }
    close(w->output);
    free(w->text);
    free(w);
}

pid_t weir_pid(const weir_process *w)
{
    return w->pid;
}

void weir_signal(const weir_process *w, int number)
{
    if (w->pid)
        kill(w->pid, number);
}

const char *weir_output(weir_process *w)
{
    struct stat file;
    if (fstat(w->output, &file) != 0)
        die("fstat");
    free(w->text);
    w->text = malloc((size_t)file.st_size + 1);
    if (!w->text)
        die("memory");
    ssize_t length = pread(w->output, w->text, (size_t)file.st_size, 0);
    w->text[length < 0 ? 0 : length] = '\0';
    return w->text;
}

/* The `nth` whole line with this event, or NULL; how many there were goes to `*seen`. */
static json_t *find_event(weir_process *w, const char *event, int nth, int *seen)
{
    *seen = 0;
    for (const char *line = weir_output(w), *end; (end = strchr(line, '\n')); line = end + 1) {
        json_t *json = json_loadb(line, (size_t)(end - line), 0, NULL);
        const char *name = json_string_value(json_object_get(json, "event"));
        if (name && strcmp(name, event) == 0 && ++*seen == nth)
            return json;
        json_decref(json);
    }
    return NULL;
}

json_t *weir_await_event(weir_process *w, const char *event, int nth, double seconds)
{
    double deadline = seconds_now() + seconds;
    for (;;) {
        int seen;
        bool last = ended(w) || seconds_now() > deadline; /* looked at before reading, not after */
        json_t *line = find_event(w, event, nth, &seen);
        if (line || last)
            return line;
        pause_briefly();
    }
}

int weir_events(weir_process *w, const char *event)
{
    int seen;
    json_decref(find_event(w, event, INT_MAX, &seen));
    return seen;
}

uint16_t weir_port(weir_process *w)
{
    if (w->port == 0) {
        json_t *line = weir_await_event(w, "service.started", 1, 20);
        w->port = (uint16_t)json_integer_value(json_object_get(line, "port"));
        json_decref(line);
    }
    return w->port;
}

bool weir_await_ready(weir_process *w)
{
    json_t *line = weir_await_event(w, "service.ready", 1, 20);
    json_decref(line);
    return line != NULL;
}

int weir_descriptors(const weir_process *w)
{
    char path[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)w->pid);
    DIR *folder = opendir(path);
    if (!folder)
        return -1;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count - 2;
}
