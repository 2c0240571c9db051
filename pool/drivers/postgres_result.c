/* postgres_result.c: a PGresult as a weir_result. */
#include <stdlib.h>

#include "postgres.h"

typedef struct wrapped {
    weir_result base;
    PGresult *pg;
} wrapped;

static const PGresult *pg_of(const weir_result *r)
{
    return ((const wrapped *)r)->pg;
}

static uint32_t rows(const weir_result *r)
{
    return (uint32_t)PQntuples(pg_of(r));
}

static uint32_t columns(const weir_result *r)
{
    return (uint32_t)PQnfields(pg_of(r));
}

static const char *name(const weir_result *r, uint32_t column)
{
    return PQfname(pg_of(r), (int)column);
}

static uint32_t type(const weir_result *r, uint32_t column)
{
    return PQftype(pg_of(r), (int)column);
}

static bool is_null(const weir_result *r, uint32_t row, uint32_t column)
{
    return PQgetisnull(pg_of(r), (int)row, (int)column);
}

static const char *value(const weir_result *r, uint32_t row, uint32_t column)
{
    return PQgetvalue(pg_of(r), (int)row, (int)column);
}

static size_t length(const weir_result *r, uint32_t row, uint32_t column)
{
    return (size_t)PQgetlength(pg_of(r), (int)row, (int)column);
}

static uint64_t affected(const weir_result *r)
{
    return strtoull(PQcmdTuples(((const wrapped *)r)->pg), NULL, 10);
}

static uint32_t parameters(const weir_result *r)
{
    return (uint32_t)PQnparams(pg_of(r));
}

static uint32_t parameter_type(const weir_result *r, uint32_t parameter)
{
    return PQparamtype(pg_of(r), (int)parameter);
}

static void free_result(weir_result *r)
{
    PQclear(((wrapped *)r)->pg);
}

static const result_class postgres_result = {
    .rows = rows,
    .columns = columns,
    .name = name,
    .type = type,
    .is_null = is_null,
    .value = value,
    .length = length,
    .affected = affected,
    .parameters = parameters,
    .parameter_type = parameter_type,
    .free = free_result,
};

weir_result *result_wrap(PGresult *result)
{
    wrapped *w = PQresultAlloc(result, sizeof *w);
    if (!w) {
        PQclear(result);
        return NULL;
    }
    w->base.class = &postgres_result;
    w->pg = result;
    return &w->base;
}
