/* postgres_statements.h: which statements one session has prepared, the most recent ones.
 *
 * On the session's lane.
 */
#ifndef WEIR_POSTGRES_STATEMENTS_H
#define WEIR_POSTGRES_STATEMENTS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct prepared prepared;

typedef struct statements {
    prepared *by_sql; /* uthash */
    prepared *recent; /* all known, most recently used first */
    prepared *doomed; /* forgotten here, still to be closed at the server, oldest first */
    uint32_t count;
    uint32_t max;
    uint32_t serial;
} statements;

#define STATEMENT_NAME_MAX 20

/* The statement of that text, or NULL; it is now the most recently used. */
prepared *statements_find(statements *all, const char *sql);
/* A new one with a name never used before in this session, not yet known to statements_find. NULL
 * when out of memory. */
prepared *statements_make(statements *all, const char *sql);
/* Dooms the least recently used where there are as many as there may be. */
void statements_make_room(statements *all);
/* The server has prepared it: found from now on. */
void statements_add(statements *all, prepared *p);
/* Not to be found any more, but still known to the server. */
void statements_doom(statements *all, prepared *p);
/* The server does not know it either: its memory goes. */
void statements_drop(statements *all, prepared *p);
/* The oldest doomed one is closed. */
void statements_closed(statements *all);
/* The server knows none of them any more. */
void statements_clear(statements *all);
/* One that statements_add has not been given. Takes NULL. */
void prepared_free(prepared *p);
const char *prepared_name(const prepared *p);
/* It may do so by a function that it calls. */
bool prepared_changes_session(const prepared *p);
/* The next doomed one after `p`, or the first for NULL. */
const prepared *statements_doomed(const statements *all, const prepared *p);

#endif
