/* reference.h: {"$ref":"0.rows.0.id"}: a value that an earlier step of a transaction has found. */
#ifndef WEIR_REFERENCE_H
#define WEIR_REFERENCE_H

#include "json_text.h"

typedef enum reference_form {
    REFERENCE_ROWS,  /* 0.rows.2.id */
    REFERENCE_ROW,   /* 0.row.id */
    REFERENCE_COUNT, /* 0.count */
} reference_form;

typedef struct reference {
    uint32_t step; /* from 0, as all numbers here */
    reference_form form;
    uint32_t row;
    const char *name; /* the column's, all the rest of the text: points into it; "" for a count */
    uint32_t parameter;
} reference;

/* Reads a path; false when it is none. */
bool reference_parse(const char *path, reference *r);

/* The path in an object {"$ref":"…"}; NULL when it is none. Anything else in such an object makes
 * it an ordinary value. */
const char *reference_path(const json_item *item);

/* Whether the step's query, as it was described, returns that. WEIR_EINVAL with `fault`: it does
 * not answer in this form, or has no such column. `parameter` is the one that refers. */
int reference_check(const reference *r, const query *earlier, const char *parameter,
                    bind_fault *fault);

typedef enum reference_found {
    REFERENCE_FOUND,
    REFERENCE_NO_ROW,
    REFERENCE_NO_COLUMN, /* any more: a table was altered since the query was described */
    REFERENCE_NO_MEMORY,
} reference_found;

/* The value's text, malloc'ed; NULL for null. */
reference_found reference_value(const reference *r, const query *earlier, const weir_result *result,
                                char **text);

#endif
