/* openapi_schema.h: types of PostgreSQL as JSON Schema. */
#ifndef WEIR_OPENAPI_SCHEMA_H
#define WEIR_OPENAPI_SCHEMA_H

#include <jansson.h>

#include "shape.h"

typedef enum schema_use {
    SCHEMA_COLUMN, /* in an answer: may be null */
    SCHEMA_MEMBER, /* in a body: null is a value there, too */
    SCHEMA_TEXT,   /* in a path or a query string */
} schema_use;

/* The schema of a value; NULL: no memory. Recursive, within a bound. */
json_t *schema_of(const shape *type, schema_use use);
/* A value of the type, as an answer or a body has it; NULL: none comes to mind, or no memory. */
json_t *schema_example(const shape *type, schema_use use);
/* A text, such as that of a @default, as a value of the type; NULL: JSON has no plain form of it,
 * or no memory. */
json_t *schema_value(const shape *type, const char *text);

#endif
