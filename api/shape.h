/* shape.h: how the text form of a Postgres type becomes JSON.
 *
 * The rules are those of row_to_json (json_categorize_type and datum_to_json in PostgreSQL's
 * src/backend/utils/adt/json.c). */
#ifndef WEIR_SHAPE_H
#define WEIR_SHAPE_H

#include "../pool/weir.h"

typedef enum shape_kind {
    SHAPE_TEXT,   /* a JSON string of the text form */
    SHAPE_NUMBER, /* verbatim when a valid JSON number, else a string: NaN, Infinity */
    SHAPE_BOOLEAN,
    SHAPE_JSON,        /* verbatim */
    SHAPE_TIMESTAMP,   /* ISO 8601 with T */
    SHAPE_TIMESTAMPTZ, /* ISO 8601 with T and a full offset */
    SHAPE_ARRAY,       /* of `element`, separated by `delimiter` in the text form */
    SHAPE_VECTOR,      /* int2vector, oidvector: separated by spaces */
    SHAPE_COMPOSITE,   /* of `fields` */
} shape_kind;

typedef struct shape shape;
typedef struct shape_field {
    const char *name;
    const shape *shape;
} shape_field;

struct shape {
    uint32_t oid;
    const char *type_name; /* as format_type() prints it */
    shape_kind kind;
    char delimiter;
    const shape *element;
    uint32_t field_count;
    shape_field *fields;
};

/* The shapes of all types that a set of queries takes and returns. Immutable once loaded; owns its
 * shapes. */
typedef struct shape_set shape_set;

/* Asks the server's catalog about these types and whatever they are made of. WEIR_ENOMEM, or as
 * weir_query. */
weir_async int shape_set_load(weir_lease *lease, const uint32_t *oids, uint32_t count,
                              shape_set **set);
void shape_set_free(shape_set *set);

/* The shape of a type. One that the set does not know falls back on the built-in types, and then on
 * SHAPE_TEXT. Never NULL; `set` may be NULL. */
const shape *shape_of(const shape_set *set, uint32_t oid);

#endif
