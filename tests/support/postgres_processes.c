/* postgres_processes.c: a test's server and its backends, stopped, continued and killed. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres_parts.h"

enum { BACKENDS_MAX = 1024 };

/* The postmaster's children, from /proc: also those too far gone to be asked by SQL. */
static int children(pid_t parent, pid_t found[BACKENDS_MAX])
{
    int count = 0;
    DIR *processes = opendir("/proc");
    if (!processes)
        postgres_die("/proc: %s", strerror(errno));
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
    postgres_wait_for(s->pid);
    s->pid = 0;
    uint64_t deadline = postgres_now_ms() + STOP_SECONDS * 1000;
    for (int i = 0; i < count; i++) {
        char path[64], line[512];
        for (bool alive = true; alive && postgres_now_ms() < deadline;) {
            snprintf(path, sizeof path, "/proc/%d/stat", (int)found[i]);
            FILE *stat = fopen(path, "re");
            const char *after = stat && fgets(line, sizeof line, stat) ? strrchr(line, ')') : NULL;
            alive = after && after[1] == ' ' && after[2] != 'Z';
            if (stat)
                fclose(stat);
            if (alive)
                postgres_pause_ms(2);
        }
    }
}
