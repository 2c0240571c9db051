/* openapi_schema.c: types of PostgreSQL as JSON Schema. */
#include "openapi_schema.h"

#include <string.h>

/* Composites within arrays within composites …: more is described as anything. */
enum { DEPTH_MAX = 8 };

/* What the kind of a type does not tell, and a value to show. */
static const struct known {
    uint32_t oid;
    const char *type, *format, *example;
} known_types[] = {
    {16, "boolean", NULL, "true"},
    {17, "string", NULL, "\"\\\\x00ff\""},
    {20, "integer", "int64", "1"},
    {21, "integer", "int16", "1"},
    {23, "integer", "int32", "1"},
    {25, "string", NULL, "\"text\""},
    {26, "string", NULL, "\"1\""},
    {700, "number", "float", "1.5"},
    {701, "number", "double", "1.5"},
    {869, "string", NULL, "\"192.0.2.1\""},
    {1042, "string", NULL, "\"text\""},
    {1043, "string", NULL, "\"text\""},
    {1082, "string", "date", "\"2026-01-31\""},
    {1083, "string", NULL, "\"12:00:00\""},
    {1114, "string", NULL, "\"2026-01-31T12:00:00\""},
    {1184, "string", "date-time", "\"2026-01-31T12:00:00+00:00\""},
    {1186, "string", NULL, "\"1 day\""},
    {1700, "number", NULL, "1.5"},
    {2950, "string", "uuid", "\"123e4567-e89b-12d3-a456-426614174000\""},
};

static const struct known *known_of(const shape *type)
{
    for (size_t i = 0; i < sizeof known_types / sizeof *known_types; i++)
        if (known_types[i].oid == type->oid)
            return &known_types[i];
    return NULL;
}

/* Composites and vectors are taken as their text alone. */
static bool is_nested(const shape *type, schema_use use)
{
    if (type->kind == SHAPE_ARRAY)
        return true;
    return use == SCHEMA_COLUMN && (type->kind == SHAPE_VECTOR || type->kind == SHAPE_COMPOSITE);
}

/* NULL: any. */
static const char *type_of(const shape *type, schema_use use)
{
    const struct known *k = known_of(type);

    if (k)
        return k->type;
    switch (type->kind) {
    case SHAPE_NUMBER: return "number";
    case SHAPE_BOOLEAN: return "boolean";
    case SHAPE_JSON: return NULL;
    case SHAPE_ARRAY: return "array";
    case SHAPE_VECTOR: return is_nested(type, use) ? "array" : "string";
    case SHAPE_COMPOSITE: return is_nested(type, use) ? "object" : "string";
    default: return "string";
    }
}

static json_t *schema_at(const shape *type, schema_use use, int depth);

static json_t *properties(const shape *composite, schema_use use, int depth)
{
    json_t *all = json_object();

    for (uint32_t i = 0; i < composite->field_count; i++) {
        const shape_field *f = &composite->fields[i];
        if (json_object_set_new(all, f->name, schema_at(f->shape, use, depth + 1)) < 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

static int add_parts(json_t *schema, const shape *type, schema_use use, int depth)
{
    if (!is_nested(type, use))
        return 0;
    if (type->kind == SHAPE_COMPOSITE)
        return json_object_set_new(schema, "properties", properties(type, use, depth));
    return json_object_set_new(schema, "items", schema_at(type->element, use, depth + 1));
}

/* NaN and the infinities are no numbers in JSON. */
static bool may_be_endless(const shape *type, const char *name)
{
    return type->kind == SHAPE_NUMBER && strcmp(name, "number") == 0;
}

static json_t *schema_at(const shape *type, schema_use use, int depth)
{
    const struct known *k = known_of(type);
    const char *name = type_of(type, use);
    json_t *schema = json_pack("{s:s*}", "x-postgres-type", type->type_name);
    int r = schema ? 0 : -1;

    if (depth > DEPTH_MAX || !name)
        return schema;
    if (r == 0)
        r = json_object_set_new(schema, "type",
                                use == SCHEMA_TEXT ? json_string(name)
                                                   : json_pack("[ss]", name, "null"));
    if (r == 0 && k && k->format)
        r = json_object_set_new(schema, "format", json_string(k->format));
    if (r == 0 && use == SCHEMA_COLUMN && may_be_endless(type, name))
        r = json_object_set_new(schema, "description",
                                json_string("NaN and infinities come as strings"));
    if (r == 0)
        r = add_parts(schema, type, use, depth);
    if (r == 0)
        return schema;
    json_decref(schema);
    return NULL;
}

json_t *schema_of(const shape *type, schema_use use)
{
    return schema_at(type, use, 0);
}

/* ---- Values ---- */

static json_t *example_at(const shape *type, schema_use use, int depth)
{
    const struct known *k = known_of(type);

    if (k)
        return json_loads(k->example, JSON_DECODE_ANY, NULL);
    if (depth > DEPTH_MAX || (!is_nested(type, use) && type->kind != SHAPE_JSON))
        return NULL;
    if (type->kind == SHAPE_JSON)
        return json_object();
    if (type->kind != SHAPE_COMPOSITE)
        return json_pack("[o*]", example_at(type->element, use, depth + 1));
    json_t *all = json_object();
    for (uint32_t i = 0; i < type->field_count; i++) {
        json_t *field = example_at(type->fields[i].shape, use, depth + 1);
        json_object_set_new(all, type->fields[i].name, field ? field : json_null());
    }
    return all;
}

json_t *schema_example(const shape *type, schema_use use)
{
    return example_at(type, use, 0);
}

json_t *schema_value(const shape *type, const char *text)
{
    const char *name = type_of(type, SCHEMA_TEXT);

    if (name && strcmp(name, "string") == 0)
        return json_string(text);
    if (!name || strcmp(name, "array") == 0)
        return NULL;
    if (strcmp(name, "boolean") == 0)
        return json_boolean((*text && strchr("tTyY1", *text)) || strcasecmp(text, "on") == 0);
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (strcmp(name, "integer") == 0 ? json_is_integer(value) : json_is_number(value))
        return value;
    json_decref(value);
    return NULL;
}
