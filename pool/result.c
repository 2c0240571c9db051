/* result.c: a whole answer, whichever driver it came from. */
#include <assert.h>

#include "driver.h"

uint32_t weir_result_rows(const weir_result *r)
{
    return r->class->rows(r);
}

uint32_t weir_result_columns(const weir_result *r)
{
    return r->class->columns(r);
}

const char *weir_result_column_name(const weir_result *r, uint32_t column)
{
    assert(column < weir_result_columns(r));
    return r->class->name(r, column);
}

uint32_t weir_result_column_type(const weir_result *r, uint32_t column)
{
    assert(column < weir_result_columns(r));
    return r->class->type(r, column);
}

static void must_have(const weir_result *r, uint32_t row, uint32_t column)
{
    assert(row < weir_result_rows(r) && column < weir_result_columns(r));
}

bool weir_result_is_null(const weir_result *r, uint32_t row, uint32_t column)
{
    must_have(r, row, column);
    return r->class->is_null(r, row, column);
}

const char *weir_result_value(const weir_result *r, uint32_t row, uint32_t column)
{
    must_have(r, row, column);
    return r->class->value(r, row, column);
}

size_t weir_result_length(const weir_result *r, uint32_t row, uint32_t column)
{
    must_have(r, row, column);
    return r->class->length(r, row, column);
}

uint64_t weir_result_affected(const weir_result *r)
{
    return r->class->affected(r);
}

uint32_t weir_result_parameters(const weir_result *r)
{
    return r->class->parameters(r);
}

uint32_t weir_result_parameter_type(const weir_result *r, uint32_t parameter)
{
    assert(parameter < weir_result_parameters(r));
    return r->class->parameter_type(r, parameter);
}

void weir_result_free(weir_result *r)
{
    if (r)
        r->class->free(r);
}
