/* shape_catalog.h: where shapes come from: the built-in table, and rows of the server's catalog. */
#ifndef WEIR_SHAPE_CATALOG_H
#define WEIR_SHAPE_CATALOG_H

#include "shape.h"

/* The built-in type of that OID, or NULL. */
const shape *shape_builtin(uint32_t oid);
/* The built-in types in order of their OIDs; NULL past the last. */
const shape *shape_builtin_at(uint32_t index);
uint32_t shape_builtin_count(void);

/* Asks for the types $1 (oid[]) and all that they are made of, in the rows that shape_set_build
 * reads. */
extern const char shape_set_sql[];

/* Makes a set of such rows. WEIR_ENOMEM; WEIR_EINVAL when the result has another form. */
int shape_set_build(const weir_result *rows, shape_set **set);

#endif
