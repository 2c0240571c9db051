/* ledger.c: what each writer was told about its writes, against what the table says in the end. */
#include "ledger.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beside its fate: seen in the table. */
#define SEEN 0x80

uint32_t ledger_open(ledger_page *p)
{
    if (p->size == p->capacity) {
        p->capacity = p->capacity ? 2 * p->capacity : 1024;
        p->fates = realloc(p->fates, p->capacity);
        if (!p->fates)
            abort();
    }
    p->fates[p->size] = WRITE_OPEN;
    return p->size++;
}

void ledger_settle(ledger_page *p, uint32_t number, write_fate fate)
{
    p->fates[number] = (uint8_t)fate;
}

void ledger_free(ledger_page *p)
{
    free(p->fates);
    *p = (ledger_page){0};
}

static void wrong(ledger_verdict *v, uint64_t *count, const char *what, const char *token)
{
    (*count)++;
    if (!v->first[0])
        snprintf(v->first, sizeof v->first, "%s: %s", what, token);
}

static void judge_row(ledger_page *pages, uint32_t count, const char *token, long times,
                      ledger_verdict *v)
{
    unsigned writer, number;
    if (sscanf(token, "%u-%u", &writer, &number) != 2 || writer >= count ||
        number >= pages[writer].size) {
        wrong(v, &v->strange, "nobody's row", token);
        return;
    }
    uint8_t *fate = &pages[writer].fates[number];
    if (times > 1)
        wrong(v, &v->doubled, "doubled", token);
    if (*fate == WRITE_REFUSED)
        wrong(v, &v->present_refused, "refused, and there", token);
    v->present_unacknowledged += *fate == WRITE_OPEN;
    *fate |= SEEN;
}

static void judge_page(const ledger_page *p, uint32_t writer, ledger_verdict *v)
{
    for (uint32_t i = 0; i < p->size; i++) {
        char token[32];
        bool acknowledged = (p->fates[i] & ~SEEN) == WRITE_ACKNOWLEDGED;
        snprintf(token, sizeof token, "%u-%u", writer, i);
        v->acknowledged += acknowledged;
        v->unacknowledged += !acknowledged;
        if (acknowledged && !(p->fates[i] & SEEN))
            wrong(v, &v->missing, "acknowledged, and missing", token);
    }
}

bool ledger_judge(ledger_page *pages, uint32_t count, const char *conninfo, ledger_verdict *v)
{
    PGconn *pg = PQconnectdb(conninfo);
    PGresult *rows = PQexec(pg, "select token, count(*) from ledger group by token");
    bool read = PQresultStatus(rows) == PGRES_TUPLES_OK;
    *v = (ledger_verdict){0};
    for (int i = 0; i < PQntuples(rows); i++)
        judge_row(pages, count, PQgetvalue(rows, i, 0), atol(PQgetvalue(rows, i, 1)), v);
    for (uint32_t i = 0; read && i < count; i++)
        judge_page(&pages[i], i, v);
    PQclear(rows);
    PQfinish(pg);
    return read;
}
