/* process.c: what the operating system says of this process. */
#include "process.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static uint64_t count_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint64_t count = 0;

    if (!folder)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count - 1; /* the folder's own */
}

static double seconds(struct timespec t)
{
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Ticks after boot at which the process started; the fields follow the name in brackets, which may
 * itself hold anything. */
static double start_seconds(const char *stat)
{
    const char *after = strrchr(stat, ')');
    unsigned long long ticks = 0;
    struct timespec now, up;

    if (!after || sscanf(after + 1,
                         " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                         "%*d %llu",
                         &ticks) != 1)
        return 0;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    return seconds(now) - seconds(up) + (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static void read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t length = file ? fread(text, 1, size - 1, file) : 0;

    text[length] = '\0';
    if (file)
        fclose(file);
}

void process_look(process_figures *figures)
{
    struct rusage usage;
    struct rlimit limit;
    char text[1024];
    unsigned long long size = 0, resident = 0;

    memset(figures, 0, sizeof *figures);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        figures->cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        figures->max_fds = limit.rlim_cur;
    figures->open_fds = count_fds();

    read_text("/proc/self/statm", text, sizeof text);
    if (sscanf(text, "%llu %llu", &size, &resident) == 2) {
        figures->virtual_size = size * (uint64_t)sysconf(_SC_PAGESIZE);
        figures->resident = resident * (uint64_t)sysconf(_SC_PAGESIZE);
    }
    read_text("/proc/self/stat", text, sizeof text);
    figures->start_seconds = start_seconds(text);
}
