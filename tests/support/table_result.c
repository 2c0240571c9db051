/* table_result.c: a result over plain arrays, for tests of what reads results. */
#include "table_result.h"

#include <assert.h>
#include <string.h>

enum { TEXT_OID = 25 };

static const table_result *table(const weir_result *r)
{
    return (const table_result *)r;
}

static uint32_t rows(const weir_result *r)
{
    return table(r)->rows;
}

static uint32_t columns(const weir_result *r)
{
    return table(r)->columns;
}

static const char *name(const weir_result *r, uint32_t column)
{
    assert(column < table(r)->columns);
    return table(r)->names[column];
}

static uint32_t type(const weir_result *r, uint32_t column)
{
    assert(column < table(r)->columns);
    return table(r)->types ? table(r)->types[column] : TEXT_OID;
}

static size_t cell(const weir_result *r, uint32_t row, uint32_t column)
{
    assert(row < table(r)->rows && column < table(r)->columns);
    return (size_t)row * table(r)->columns + column;
}

static bool is_null(const weir_result *r, uint32_t row, uint32_t column)
{
    return !table(r)->values[cell(r, row, column)];
}

static const char *value(const weir_result *r, uint32_t row, uint32_t column)
{
    const char *text = table(r)->values[cell(r, row, column)];
    return text ? text : "";
}

static size_t length(const weir_result *r, uint32_t row, uint32_t column)
{
    if (table(r)->lengths)
        return table(r)->lengths[cell(r, row, column)];
    return strlen(value(r, row, column));
}

static uint64_t affected(const weir_result *r)
{
    return table(r)->affected;
}

static uint32_t parameters(const weir_result *r)
{
    return 0;
}

static uint32_t parameter_type(const weir_result *r, uint32_t parameter)
{
    return 0;
}

static void nothing_to_free(weir_result *r) {}

const result_class table_result_class = {
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
    .free = nothing_to_free,
};
