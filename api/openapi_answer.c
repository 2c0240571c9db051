/* openapi_answer.c: what a query answers with when all is well, as an OpenAPI response. */
#include "openapi_parts.h"

#include <stdio.h>

#include "openapi_schema.h"

static json_t *row_schema(builder *b, const query *q)
{
    json_t *columns = json_object(), *required = json_array();

    for (uint32_t i = 0; i < q->column_count; i++) {
        if (!json_object_get(columns, q->columns[i].name))
            append(b, required, json_string(q->columns[i].name));
        set(b, columns, q->columns[i].name, schema_of(q->columns[i].shape, SCHEMA_COLUMN));
    }
    return json_pack("{s:s, s:o, s:o}", "type", "object", "properties", columns, "required",
                     required);
}

static json_t *row_example(builder *b, const query *q)
{
    json_t *row = json_object();

    for (uint32_t i = 0; i < q->column_count; i++) {
        json_t *value = schema_example(q->columns[i].shape, SCHEMA_COLUMN);
        set(b, row, q->columns[i].name, value ? value : json_null());
    }
    return row;
}

static json_t *pool_example(builder *b)
{
    json_t *pool = json_object_get(b->schemas, "Pool");
    return json_incref(json_object_get(pool, "example"));
}

static json_t *answer_schema(builder *b, const query *q)
{
    json_t *pool = reference("schemas", "Pool");

    switch (q->returns) {
    case RETURNS_ROWS:
        return json_pack("{s:s, s:[sss], s:{s:{s:s, s:o}, s:{s:s}, s:o}}", "type", "object",
                         "required", "rows", "count", "pool", "properties", "rows", "type", "array",
                         "items", row_schema(b, q), "count", "type", "integer", "pool", pool);
    case RETURNS_ROW:
        return json_pack("{s:s, s:[ss], s:{s:o, s:o}}", "type", "object", "required", "row", "pool",
                         "properties", "row", row_schema(b, q), "pool", pool);
    case RETURNS_COUNT: break;
    }
    return json_pack("{s:s, s:[ss], s:{s:{s:s, s:s}, s:o}}", "type", "object", "required", "count",
                     "pool", "properties", "count", "type", "integer", "description",
                     "Rows affected", "pool", pool);
}

static json_t *answer_example(builder *b, const query *q)
{
    switch (q->returns) {
    case RETURNS_ROWS:
        return json_pack("{s:[o], s:i, s:o}", "rows", row_example(b, q), "count", 1, "pool",
                         pool_example(b));
    case RETURNS_ROW:
        return json_pack("{s:o, s:o}", "row", row_example(b, q), "pool", pool_example(b));
    case RETURNS_COUNT: break;
    }
    return json_pack("{s:i, s:o}", "count", 1, "pool", pool_example(b));
}

/* No slash may be in a component's name, and no dot is in a query's. */
void openapi_name_answer(char *name, size_t size, const query *q)
{
    snprintf(name, size, "answer.%s", q->name);
    for (char *at = name; *at; at++)
        *at = *at == '/' ? '.' : *at;
}

void openapi_add_answer(builder *b, const query *q)
{
    static const char *const headers_of_answers[] = {"Cache-Control", "ETag", "Preference-Applied",
                                                     "Server-Timing", "X-Request-Id"};
    static const char *const words[] = {[RETURNS_ROWS] = "The rows and how many they are",
                                        [RETURNS_ROW] = "The row",
                                        [RETURNS_COUNT] = "How many rows were affected"};
    char name[256];

    openapi_name_answer(name, sizeof name, q);
    json_t *headers = json_object();
    for (size_t i = 0; i < sizeof headers_of_answers / sizeof *headers_of_answers; i++)
        set(b, headers, headers_of_answers[i], reference("headers", headers_of_answers[i]));
    set(b, b->responses, name,
        json_pack("{s:s, s:o, s:{s:{s:o, s:o}}}", "description", words[q->returns], "headers",
                  headers, "content", "application/json", "schema", answer_schema(b, q), "example",
                  answer_example(b, q)));
}
