/* with_postgres.c: runs a command beside a private PostgreSQL, which PGHOST, PGPORT, PGUSER and
 * PGDATABASE name to it, and which is gone when the command ends. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/postgres.h"

static void name_it(const postgres_server *server)
{
    char port[8];
    snprintf(port, sizeof port, "%u", postgres_port(server));
    setenv("PGHOST", postgres_socket_folder(server), 1);
    setenv("PGPORT", port, 1);
    setenv("PGUSER", "postgres", 1);
    setenv("PGDATABASE", "postgres", 1);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: with_postgres COMMAND [ARGUMENT…]\n");
        return 64;
    }
    postgres_server *server = postgres_start("shared_buffers = 256MB\nmax_connections = 100\n");
    name_it(server);
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[1], argv + 1);
        perror(argv[1]);
        _exit(127);
    }
    int status = 1;
    if (child > 0)
        waitpid(child, &status, 0);
    postgres_stop(server);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
