/* postgres_statements.c: which statements one session has prepared, the most recent ones. */
#include "postgres_statements.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Out of memory is no reason to end the program: the statement just is not remembered. */
#define HASH_NONFATAL_OOM          1
#define uthash_nonfatal_oom(entry) (remembered = false)
#include <uthash.h>
#include <utlist.h>

#include "postgres.h"

struct prepared {
    UT_hash_handle hh;
    prepared *prev, *next; /* on `recent`, or `next` alone on `doomed` */
    bool changes_session;
    char name[STATEMENT_NAME_MAX];
    char sql[]; /* a copy: statements are remembered by their text, not by where it is */
};

const char *prepared_name(const prepared *p)
{
    return p->name;
}

bool prepared_changes_session(const prepared *p)
{
    return p->changes_session;
}

prepared *statements_find(statements *all, const char *sql)
{
    prepared *p;
    HASH_FIND_STR(all->by_sql, sql, p);
    if (p && p != all->recent) {
        DL_DELETE(all->recent, p);
        DL_PREPEND(all->recent, p);
    }
    return p;
}

prepared *statements_make(statements *all, const char *sql)
{
    size_t size = strlen(sql) + 1;
    prepared *p = calloc(1, sizeof *p + size);
    if (!p)
        return NULL;
    memcpy(p->sql, sql, size);
    p->changes_session = sql_changes_session(sql);
    snprintf(p->name, sizeof p->name, "weir_%u", ++all->serial);
    return p;
}

void prepared_free(prepared *p)
{
    free(p);
}

static void forget(statements *all, prepared *p)
{
    assert(all->by_sql && all->count > 0);
    HASH_DEL(all->by_sql, p);
    DL_DELETE(all->recent, p);
    all->count--;
}

static void doom(statements *all, prepared *p)
{
    p->next = NULL;
    LL_APPEND(all->doomed, p);
}

void statements_add(statements *all, prepared *p)
{
    bool remembered = true;
    HASH_ADD_STR(all->by_sql, sql, p);
    if (!remembered) {
        doom(all, p);
        return;
    }
    DL_PREPEND(all->recent, p);
    all->count++;
}

void statements_doom(statements *all, prepared *p)
{
    forget(all, p);
    doom(all, p);
}

void statements_make_room(statements *all)
{
    while (all->count >= all->max)
        statements_doom(all, all->recent->prev);
}

void statements_drop(statements *all, prepared *p)
{
    forget(all, p);
    free(p);
}

const prepared *statements_doomed(const statements *all, const prepared *p)
{
    return p ? p->next : all->doomed;
}

void statements_closed(statements *all)
{
    prepared *p = all->doomed;
    assert(p);
    LL_DELETE(all->doomed, p);
    free(p);
}

void statements_clear(statements *all)
{
    while (all->recent)
        statements_drop(all, all->recent);
    while (all->doomed)
        statements_closed(all);
}
