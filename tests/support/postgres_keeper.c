/* postgres_keeper.c: who cleans up behind a test program, however it ends. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "postgres_parts.h"

postgres_keeper postgres_keep(const char *folder)
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
        postgres_die("pipe: %s", strerror(errno));
    pid_t pid = postgres_start_program(
        (const char *[]){"/bin/sh", "-c", script, "sh", folder, NULL}, false, NULL, ends[0]);
    close(ends[0]);
    return (postgres_keeper){.pid = pid, .pipe = ends[1]};
}

void postgres_dismiss(postgres_keeper k)
{
    close(k.pipe);
    postgres_wait_for(k.pid);
}
