/* postgres.h: private PostgreSQL servers for one test program.
 *
 * It lives in a folder of its own below /tmp, listens on a unix socket there and on a free loopback
 * port, and is gone, folder and all, when it is stopped or when the program ends in whatever way.
 * Any number run side by side. Started as root, the server runs as user postgres or nobody.
 *
 * With WEIR_TEST_SERVER, a connection string, a "server" is instead a database of its own on that
 * server, made and dropped again: for the tests that neither stop it nor want it configured.
 *
 * Whatever cannot be done here ends the program with a message: a test has no use for half a
 * server. Not for use inside a task: these calls block. */
#ifndef WEIR_TESTS_POSTGRES_H
#define WEIR_TESTS_POSTGRES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct postgres_server postgres_server;

/* Makes a fresh cluster and starts it; returns once it accepts connections. `extra_conf` is
 * appended to postgresql.conf ("max_connections = 20\n…"); NULL: nothing. Superuser postgres,
 * database postgres, no password. */
postgres_server *postgres_start(const char *extra_conf);

/* Makes a standby of `primary` that streams from it, and starts it; returns once it has replayed
 * what the primary had then. `extra_conf` as above, after the primary's own. */
postgres_server *postgres_start_standby(postgres_server *primary, const char *extra_conf);
/* Makes a standby a primary; returns once it can be written to. */
void postgres_promote(postgres_server *standby);
/* Returns once the standby has replayed all that is written on the primary now. */
void postgres_catch_up(postgres_server *standby, postgres_server *primary);

/* Stops the server and removes its folder; takes NULL. */
void postgres_stop(postgres_server *server);

/* Connection strings; owned by the server, good across restarts. */
const char *postgres_conninfo(const postgres_server *server);     /* over the unix socket */
const char *postgres_conninfo_tcp(const postgres_server *server); /* over 127.0.0.1 */
const char *postgres_socket_folder(const postgres_server *server);
const char *postgres_data_folder(const postgres_server *server);
uint16_t postgres_port(const postgres_server *server);
/* The postmaster's; 0 while it is down, and where the server is not ours. */
pid_t postgres_pid(const postgres_server *server);
bool postgres_is_down(const postgres_server *server);

/* Takes the server down by a fast shutdown (clients are told 57P01) and returns once it is gone. */
void postgres_shut_down(postgres_server *server);
/* kill -9 of the postmaster and all its backends; returns once they are gone. */
void postgres_kill(postgres_server *server);
/* Brings a server that is down up again, on the same socket and port, and waits until it accepts
 * connections. */
void postgres_bring_up(postgres_server *server);
/* The same without waiting. */
void postgres_launch(postgres_server *server);
/* Waits until it accepts connections. */
void postgres_await(postgres_server *server);
/* Down by fast shutdown, and up again. */
void postgres_restart(postgres_server *server);

/* SIGSTOP and SIGCONT for the postmaster and all its backends: it neither answers nor closes. */
void postgres_freeze(postgres_server *server);
void postgres_thaw(postgres_server *server);

/* Sends a signal to every client backend but those of postgres_sql; returns how many there were. */
int postgres_signal_backends(postgres_server *server, int signal_number);

/* Runs SQL (several statements allowed) on a connection of its own. */
void postgres_sql(postgres_server *server, const char *sql);
/* The first column of the first row as a number; for counts and pids. */
long postgres_number(postgres_server *server, const char *sql);
/* Asks until that first column is not 0, or `t`; ends the program after a minute. */
void postgres_await_true(postgres_server *server, const char *sql);
/* Client backends now connected, other than the one that asks. */
int postgres_backends(postgres_server *server);

#endif
