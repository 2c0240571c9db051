/* fake_result.c: a result as a script has it, with its own copies of all strings. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

typedef struct fake_result {
    weir_result base;
    uint32_t columns, rows;
    uint64_t affected;
    uint32_t *types;
    char **texts; /* columns names, then rows × columns values */
} fake_result;

static const fake_result *of(const weir_result *r)
{
    return (const fake_result *)r;
}

static uint32_t result_rows(const weir_result *r)
{
    return of(r)->rows;
}

static uint32_t result_columns(const weir_result *r)
{
    return of(r)->columns;
}

static const char *result_name(const weir_result *r, uint32_t column)
{
    return of(r)->texts[column];
}

static uint32_t result_type(const weir_result *r, uint32_t column)
{
    return of(r)->types[column];
}

static const char *cell(const weir_result *r, uint32_t row, uint32_t column)
{
    const fake_result *f = of(r);
    assert(row < f->rows && column < f->columns);
    return f->texts[(size_t)f->columns * ((size_t)row + 1) + column];
}

static bool result_is_null(const weir_result *r, uint32_t row, uint32_t column)
{
    return cell(r, row, column) == NULL;
}

static const char *result_value(const weir_result *r, uint32_t row, uint32_t column)
{
    const char *text = cell(r, row, column);
    return text ? text : "";
}

static size_t result_length(const weir_result *r, uint32_t row, uint32_t column)
{
    return strlen(result_value(r, row, column));
}

static uint64_t result_affected(const weir_result *r)
{
    return of(r)->affected;
}

static uint32_t no_parameters(const weir_result *r)
{
    return 0;
}

static uint32_t no_parameter_type(const weir_result *r, uint32_t parameter)
{
    return 0;
}

static void result_free(weir_result *r)
{
    fake_result *f = (fake_result *)r;
    size_t texts = (size_t)f->columns * ((size_t)f->rows + 1);
    for (size_t i = 0; f->texts && i < texts; i++)
        free(f->texts[i]);
    free(f->texts);
    free(f->types);
    free(f);
}

static const result_class fake_result_class = {
    .rows = result_rows,
    .columns = result_columns,
    .name = result_name,
    .type = result_type,
    .is_null = result_is_null,
    .value = result_value,
    .length = result_length,
    .affected = result_affected,
    .parameters = no_parameters,
    .parameter_type = no_parameter_type,
    .free = result_free,
};

#define TEXT_OID 25u

static bool fill(fake_result *f, const weir_fake_step *step)
{
    for (uint32_t c = 0; c < f->columns; c++) {
        f->types[c] = step->types ? step->types[c] : TEXT_OID;
        f->texts[c] = strdup(step->names && step->names[c] ? step->names[c] : "?column?");
        if (!f->texts[c])
            return false;
    }
    for (size_t i = 0; i < (size_t)f->columns * f->rows; i++) {
        const char *value = step->values ? step->values[i] : NULL;
        if (value && !(f->texts[f->columns + i] = strdup(value)))
            return false;
    }
    return true;
}

weir_result *fake_result_new(const weir_fake_step *step, bool with_rows)
{
    fake_result *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->base.class = &fake_result_class;
    f->columns = step->columns;
    f->rows = with_rows ? step->rows : 0;
    f->affected = step->affected ? step->affected : f->rows;
    f->types = calloc((size_t)f->columns + 1, sizeof *f->types);
    f->texts = calloc((size_t)f->columns * ((size_t)f->rows + 1) + 1, sizeof *f->texts);
    if (!f->types || !f->texts || !fill(f, step)) {
        result_free(&f->base);
        return NULL;
    }
    return &f->base;
}
