/* table_result.h: a result over plain arrays, for tests of what reads results. */
#ifndef WEIR_TESTS_TABLE_RESULT_H
#define WEIR_TESTS_TABLE_RESULT_H

#include "../../pool/driver.h"

/* Begins with a weir_result: give it table_result_class and pass &table.result. Everything is the
 * caller's; weir_result_free does nothing. */
typedef struct table_result {
    weir_result result;
    uint32_t rows, columns;
    const char *const *names;  /* columns */
    const uint32_t *types;     /* columns; NULL: all text */
    const char *const *values; /* rows × columns, row by row; NULL for SQL null */
    const size_t *lengths;     /* rows × columns; NULL: strlen of each value */
    uint64_t affected;
} table_result;

extern const result_class table_result_class;

#endif
