/* shape.c: the shapes of the types that a set of queries uses, as the server's catalog has them. */
#include "shape.h"

#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "shape_catalog.h"

/* A row a type, or a row a field of it. `union` drops what was found before, so that even a catalog
 * with a cycle ends. */
const char shape_set_sql[] =
    "with recursive wanted(oid) as ("
    " select pg_catalog.unnest($1::pg_catalog.oid[])"
    " union"
    " select part.oid from wanted"
    " join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) wanted.oid"
    " cross join lateral ("
    "  select t.typelem union all select t.typbasetype"
    "  union all select a.atttypid from pg_catalog.pg_attribute a"
    "  where a.attrelid operator(pg_catalog.=) t.typrelid"
    "  and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped"
    " ) part(oid) where part.oid operator(pg_catalog.<>) 0"
    ") select t.oid, pg_catalog.format_type(t.oid, null), t.typtype, t.typlen, t.typelem,"
    " t.typbasetype, e.typdelim, a.attname, a.atttypid"
    " from wanted join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) wanted.oid"
    " left join pg_catalog.pg_type e on e.oid operator(pg_catalog.=) t.typelem"
    " left join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) t.typrelid"
    " and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped"
    " order by t.oid, a.attnum";

enum {
    TYPE_OID,
    TYPE_NAME,
    TYPE_TYPE,
    TYPE_LENGTH,
    TYPE_ELEMENT,
    TYPE_BASE,
    ELEMENT_DELIMITER,
    FIELD_NAME,
    FIELD_TYPE,
    ROW_COLUMNS,
};

/* Domains over domains over …: more than anyone nests. */
enum { DOMAIN_DEPTH_MAX = 64 };

/* Shapes are in the order of their OIDs. All strings are in one block. */
struct shape_set {
    uint32_t count, field_count;
    size_t string_length;
    shape *shapes;
    shape_field *fields;
    char *strings;
};

void shape_set_free(shape_set *set)
{
    if (!set)
        return;
    free(set->shapes);
    free(set->fields);
    free(set->strings);
    free(set);
}

static shape *shape_find(const shape_set *set, uint32_t oid)
{
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (set->shapes[middle].oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->count && set->shapes[low].oid == oid ? &set->shapes[low] : NULL;
}

const shape *shape_of(const shape_set *set, uint32_t oid)
{
    static const shape unknown = {.type_name = "text", .kind = SHAPE_TEXT};
    const shape *found = set ? shape_find(set, oid) : NULL;
    if (!found)
        found = shape_builtin(oid);
    return found ? found : &unknown;
}

/* ---- From rows of the catalog ---- */

static uint32_t oid_at(const weir_result *rows, uint32_t row, uint32_t column)
{
    return (uint32_t)strtoul(weir_result_value(rows, row, column), NULL, 10);
}

static bool first_of_type(const weir_result *rows, uint32_t row)
{
    return row == 0 || oid_at(rows, row, TYPE_OID) != oid_at(rows, row - 1, TYPE_OID);
}

static const char *keep_string(shape_set *set, const weir_result *rows, uint32_t row,
                               uint32_t column)
{
    char *kept = set->strings + set->string_length;
    size_t length = weir_result_length(rows, row, column);
    memcpy(kept, weir_result_value(rows, row, column), length);
    kept[length] = '\0';
    set->string_length += length + 1;
    return kept;
}

/* Room for what the rows hold, counted beforehand so that pointers stay. */
static int set_allocate(const weir_result *rows, shape_set **set)
{
    uint32_t count = weir_result_rows(rows);
    size_t length = 0;
    for (uint32_t row = 0; row < count; row++)
        length += weir_result_length(rows, row, TYPE_NAME) +
                  weir_result_length(rows, row, FIELD_NAME) + 2;
    shape_set *made = calloc(1, sizeof *made);
    if (!made)
        return WEIR_ENOMEM;
    made->shapes = calloc(count + 1, sizeof *made->shapes);
    made->fields = calloc(count + 1, sizeof *made->fields);
    made->strings = malloc(length + 1);
    if (!made->shapes || !made->fields || !made->strings) {
        shape_set_free(made);
        return WEIR_ENOMEM;
    }
    *set = made;
    return 0;
}

/* What the catalog says of a type, but for the links to other types. */
static void add_type(shape_set *set, const weir_result *rows, uint32_t row)
{
    shape *s = &set->shapes[set->count++];
    s->oid = oid_at(rows, row, TYPE_OID);
    s->type_name = keep_string(set, rows, row, TYPE_NAME);
    s->kind = SHAPE_TEXT;
    const shape *known = shape_builtin(s->oid);
    if (known) {
        s->kind = known->kind;
        s->delimiter = known->delimiter;
        s->element = known->element;
    } else if (*weir_result_value(rows, row, TYPE_TYPE) == 'c') {
        s->kind = SHAPE_COMPOSITE;
        s->fields = &set->fields[set->field_count];
    } else if (oid_at(rows, row, TYPE_ELEMENT) != 0 &&
               strcmp(weir_result_value(rows, row, TYPE_LENGTH), "-1") == 0) {
        s->kind = SHAPE_ARRAY;
        s->delimiter = *weir_result_value(rows, row, ELEMENT_DELIMITER);
    }
}

static void add_field(shape_set *set, const weir_result *rows, uint32_t row)
{
    shape *s = &set->shapes[set->count - 1];
    if (s->kind != SHAPE_COMPOSITE || weir_result_is_null(rows, row, FIELD_NAME))
        return;
    shape_field *field = &set->fields[set->field_count++];
    field->name = keep_string(set, rows, row, FIELD_NAME);
    s->field_count++;
}

/* Elements and fields, once every type is in its place. */
static void link_parts(shape_set *set, const weir_result *rows)
{
    shape *s = NULL;
    uint32_t field = 0;
    for (uint32_t row = 0; row < weir_result_rows(rows); row++) {
        if (first_of_type(rows, row)) {
            s = s ? s + 1 : set->shapes;
            field = 0;
            if (s->kind == SHAPE_ARRAY && !s->element)
                s->element = shape_of(set, oid_at(rows, row, TYPE_ELEMENT));
        }
        if (field < s->field_count)
            s->fields[field++].shape = shape_of(set, oid_at(rows, row, FIELD_TYPE));
    }
}

/* The OID of what a domain is made from; 0 for other types. */
static uint32_t base_of(const shape_set *set, const uint32_t *bases, const shape *s)
{
    return s >= set->shapes && s < set->shapes + set->count ? bases[s - set->shapes] : 0;
}

/* A domain goes by its base type but keeps its name. */
static void resolve_domains(shape_set *set, const uint32_t *bases)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const shape *base = &set->shapes[i];
        for (int depth = 0; depth < DOMAIN_DEPTH_MAX && base_of(set, bases, base) != 0; depth++)
            base = shape_of(set, base_of(set, bases, base));
        shape *s = &set->shapes[i];
        if (base == s)
            continue;
        *s = (shape){.oid = s->oid,
                     .type_name = s->type_name,
                     .kind = base->kind,
                     .delimiter = base->delimiter,
                     .element = base->element,
                     .field_count = base->field_count,
                     .fields = base->fields};
    }
}

int shape_set_build(const weir_result *rows, shape_set **set)
{
    if (weir_result_columns(rows) != ROW_COLUMNS)
        return WEIR_EINVAL;
    shape_set *made;
    int error = set_allocate(rows, &made);
    if (error)
        return error;
    uint32_t count = weir_result_rows(rows);
    uint32_t *bases = calloc(count + 1, sizeof *bases);
    if (!bases) {
        shape_set_free(made);
        return WEIR_ENOMEM;
    }
    for (uint32_t row = 0; row < count; row++) {
        if (first_of_type(rows, row)) {
            bases[made->count] = oid_at(rows, row, TYPE_BASE);
            add_type(made, rows, row);
        }
        add_field(made, rows, row);
    }
    link_parts(made, rows);
    resolve_domains(made, bases);
    free(bases);
    *set = made;
    return 0;
}

/* ---- From the server ---- */

int shape_set_load(weir_lease *lease, const uint32_t *oids, uint32_t count, shape_set **set)
{
    static const weir_statement statement = {.sql = shape_set_sql,
                                             .name = "(types of the queries)"};
    buffer list = {0};
    buffer_char(&list, '{');
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_char(&list, ',');
        buffer_uint(&list, oids[i]);
    }
    buffer_append(&list, "}", sizeof "}");
    if (list.failed) {
        buffer_free(&list);
        return WEIR_ENOMEM;
    }
    const char *values[] = {list.data};
    const weir_params params = {.count = 1, .values = values};
    weir_scoped_result weir_result *rows = NULL;
    int error = weir_query(lease, &statement, &params, &rows);
    buffer_free(&list);
    return error ? error : shape_set_build(rows, set);
}
