/* postgres_batch.c: rows of several PGresults as one weir_result. */
#include <stdlib.h>
#include <string.h>

#include "postgres.h"

typedef struct cell {
    size_t at;  /* in `bytes` */
    int length; /* -1: null */
} cell;

struct batch {
    weir_result base;
    PGresult *head; /* knows the columns */
    uint32_t rows, columns;
    cell *cells;
    size_t cell_count, cell_capacity;
    char *bytes; /* each value with a NUL behind it */
    size_t length, capacity;
};

static const batch *of(const weir_result *r)
{
    return (const batch *)r;
}

static const cell *cell_of(const weir_result *r, uint32_t row, uint32_t column)
{
    return &of(r)->cells[(size_t)row * of(r)->columns + column];
}

static uint32_t rows(const weir_result *r)
{
    return of(r)->rows;
}

static uint32_t columns(const weir_result *r)
{
    return of(r)->columns;
}

static const char *name(const weir_result *r, uint32_t column)
{
    return PQfname(of(r)->head, (int)column);
}

static uint32_t type(const weir_result *r, uint32_t column)
{
    return PQftype(of(r)->head, (int)column);
}

static bool is_null(const weir_result *r, uint32_t row, uint32_t column)
{
    return cell_of(r, row, column)->length < 0;
}

static const char *value(const weir_result *r, uint32_t row, uint32_t column)
{
    return is_null(r, row, column) ? "" : of(r)->bytes + cell_of(r, row, column)->at;
}

static size_t length(const weir_result *r, uint32_t row, uint32_t column)
{
    return is_null(r, row, column) ? 0 : (size_t)cell_of(r, row, column)->length;
}

static uint64_t affected(const weir_result *r)
{
    return 0;
}

static uint32_t no_parameters(const weir_result *r)
{
    return 0;
}

static uint32_t no_parameter_type(const weir_result *r, uint32_t parameter)
{
    return 0;
}

static void free_result(weir_result *r)
{
    batch_free((batch *)r);
}

static const result_class batch_class = {
    .rows = rows,
    .columns = columns,
    .name = name,
    .type = type,
    .is_null = is_null,
    .value = value,
    .length = length,
    .affected = affected,
    .parameters = no_parameters,
    .parameter_type = no_parameter_type,
    .free = free_result,
};

batch *batch_new(void)
{
    batch *b = calloc(1, sizeof *b);
    if (b)
        b->base.class = &batch_class;
    return b;
}

void batch_free(batch *b)
{
    if (!b)
        return;
    PQclear(b->head);
    free(b->cells);
    free(b->bytes);
    free(b);
}

size_t batch_size(const batch *b)
{
    return b->length + b->cell_count * sizeof *b->cells + b->rows;
}

weir_result *batch_result(batch *b)
{
    return &b->base;
}

/* Room for `more` beyond `length`; both count things of `size` bytes. */
static bool reserve(void **memory, size_t *capacity, size_t length, size_t more, size_t size)
{
    size_t wanted = *capacity ? *capacity : 1024;
    if (more <= *capacity - length)
        return true;
    while (wanted - length < more)
        wanted *= 2;
    void *grown = realloc(*memory, wanted * size);
    if (!grown)
        return false;
    *memory = grown;
    *capacity = wanted;
    return true;
}

static bool add_cell(batch *b, const PGresult *result, int row, int column)
{
    bool null = PQgetisnull(result, row, column);
    size_t length = null ? 0 : (size_t)PQgetlength(result, row, column) + 1;
    void *cells = b->cells, *bytes = b->bytes;
    bool room = reserve(&cells, &b->cell_capacity, b->cell_count, 1, sizeof *b->cells);
    b->cells = cells;
    room = room && reserve(&bytes, &b->capacity, b->length, length, 1);
    b->bytes = bytes;
    if (!room)
        return false;
    b->cells[b->cell_count++] = (cell){.at = b->length, .length = null ? -1 : (int)length - 1};
    if (!null)
        memcpy(b->bytes + b->length, PQgetvalue(result, row, column), length);
    b->length += length;
    return true;
}

static bool add_rows(batch *b, const PGresult *result)
{
    for (int row = 0; row < PQntuples(result); row++) {
        for (int column = 0; column < (int)b->columns; column++)
            if (!add_cell(b, result, row, column))
                return false;
        b->rows++;
    }
    return true;
}

bool batch_add(batch *b, PGresult *result)
{
    if (!b->head)
        b->columns = (uint32_t)PQnfields(result);
    bool added = add_rows(b, result);
    if (b->head)
        PQclear(result);
    else
        b->head = result;
    return added;
}
