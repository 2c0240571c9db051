/* postgres_parts.h: what the parts of postgres.h share. */
#ifndef WEIR_TESTS_POSTGRES_PARTS_H
#define WEIR_TESTS_POSTGRES_PARTS_H

#include <limits.h>
#include <stdbool.h>

#include "postgres.h"

enum { START_SECONDS = 60, STOP_SECONDS = 20 };

/* A process that outlives us and cleans up, however we end. */
typedef struct postgres_keeper {
    pid_t pid;
    int pipe;
} postgres_keeper;

struct postgres_server {
    postgres_server *next;
    char folder[64], data[80];
    char conninfo[256], conninfo_tcp[256];
    uint16_t port;
    pid_t pid;
    postgres_keeper keeper;
    char database[40]; /* on a server that is not ours; else "" */
};

/* ---- Programs (postgres_program.c) ---- */

/* Ends the program with a message. */
void postgres_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

uint64_t postgres_now_ms(void);
void postgres_pause_ms(long ms);

/* Where a program of PostgreSQL's is. */
void postgres_find_program(const char *name, char path[PATH_MAX]);
/* Forks and executes `argv`; as the server's user if `as_server`, with output appended to `log`
 * (NULL: nowhere), and with `input` for its input (-1: none). */
pid_t postgres_start_program(const char *const argv[], bool as_server, const char *log, int input);
/* Its exit code, or 128 and the signal that ended it. */
int postgres_wait_for(pid_t child);
/* Runs a program that must succeed. */
void postgres_run(const char *const argv[], bool as_server);
/* Makes a path the server's user's. */
void postgres_give_away(const char *path);

/* ---- Keepers (postgres_keeper.c) ---- */

/* The keeper of a folder waits for its input to close, stops the server it finds there, and removes
 * the folder. */
postgres_keeper postgres_keep(const char *folder);
void postgres_dismiss(postgres_keeper k);

/* ---- The template (postgres_template.c) ---- */

/* Makes a pristine cluster unless it is there; `data` is told its folder. */
void postgres_template(char data[PATH_MAX]);
/* Removes it at the end of the program, unless others share it. */
void postgres_template_forget(void);

#endif
