/* query_describe.c: what the server says of queries. */
#include "query_describe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind_text.h"
#include "findings.h"
#include "shape_catalog.h"
#include "utf8.h"

typedef struct oid_list {
    uint32_t *oids;
    uint32_t count;
} oid_list;

static int fail_in(const query *q, query_fault *fault)
{
    snprintf(fault->file, sizeof fault->file, "%s", q->file);
    utf8_mend(fault->file);
    return WEIR_EINVAL;
}

/* ---- When the server refuses ---- */

/* The line of a character, counted in characters from 1. */
static uint32_t line_of(const query *q, uint32_t position)
{
    uint32_t line = 1, character = 0;
    if (position == 0)
        return query_first_line(q);
    for (const char *sql = q->statement.sql; *sql; sql++) {
        bool begins = ((unsigned char)*sql & 0xc0) != 0x80;
        if (begins && ++character >= position)
            break;
        line += *sql == '\n';
    }
    return line;
}

/* The server speaks of $2; whoever wrote the file knows its name. */
static void append_names(const query *q, char *message, size_t size)
{
    const char *at = strchr(message, '$');
    uint32_t number = at ? (uint32_t)strtoul(at + 1, NULL, 10) : 0;
    size_t length = strlen(message);
    if (number >= 1 && number <= q->param_count)
        snprintf(message + length, size - length, " ($%u is :%s)", number,
                 q->params[number - 1].name);
}

static int refused(const query *q, const weir_error *error, query_fault *fault)
{
    char message[512];
    snprintf(message, sizeof message, "%s", error->message);
    append_names(q, message, sizeof message);
    if (strcmp(error->sqlstate, "42P18") == 0) {
        size_t length = strlen(message);
        snprintf(message + length, sizeof message - length, ": write its type, as in :name::text");
    }
    query_fail(fault, line_of(q, error->position), "%s%s%s%s%s%s", message,
               error->sqlstate[0] ? " [" : "", error->sqlstate, error->sqlstate[0] ? "]" : "",
               error->hint[0] ? " " : "", error->hint);
    return fail_in(q, fault);
}

/* Whether a refusal is about the server's condition, not about the file. */
static bool is_passing(const weir_error *error)
{
    static const char *const classes[] = {"08", "25", "40", "53", "55", "57", "58", "XX"};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strncmp(error->sqlstate, classes[i], 2) == 0)
            return true;
    }
    return error->retryable;
}

/* ---- When it answers ---- */

static void add_oid(oid_list *list, uint32_t oid)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->oids[i] == oid)
            return;
    }
    list->oids[list->count++] = oid;
}

static int grow(oid_list *list, uint32_t more)
{
    uint32_t *oids = realloc(list->oids, (list->count + more + 1) * sizeof *oids);
    if (!oids)
        return WEIR_ENOMEM;
    list->oids = oids;
    return 0;
}

static void take_parameters(query *q, const weir_result *result, oid_list *list)
{
    uint32_t known = weir_result_parameters(result);
    for (uint32_t i = 0; i < q->param_count; i++) {
        q->params[i].type = i < known ? weir_result_parameter_type(result, i) : 0;
        add_oid(list, q->params[i].type);
    }
}

/* An earlier describing that failed half-way may have left some. */
static void drop_columns(query *q)
{
    for (uint32_t i = 0; i < q->column_count; i++)
        free(q->columns[i].name);
    free(q->columns);
    q->columns = NULL;
    q->column_count = 0;
}

static int take_columns(query *q, const weir_result *result, oid_list *list)
{
    uint32_t count = weir_result_columns(result);
    drop_columns(q);
    if (count == 0)
        return 0;
    q->columns = calloc(count, sizeof *q->columns);
    if (!q->columns)
        return WEIR_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        query_column *column = &q->columns[i];
        column->name = strdup(weir_result_column_name(result, i));
        if (!column->name)
            return WEIR_ENOMEM;
        q->column_count = i + 1;
        column->type = weir_result_column_type(result, i);
        add_oid(list, column->type);
    }
    return 0;
}

int query_check_columns(const query *q, const weir_result *described, query_fault *fault)
{
    uint32_t line = query_first_line(q), count = weir_result_columns(described);
    if (q->returns == RETURNS_COUNT)
        return 0;
    if (q->returns == RETURNS_ROW && count == 0)
        return query_fail(fault, line,
                          "@returns row, but the statement returns no columns: write @returns "
                          "count, or have the statement return some");
    for (uint32_t i = 1; i < count; i++) {
        const char *name = weir_result_column_name(described, i);
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(name, weir_result_column_name(described, k)) == 0)
                return query_fail(fault, line,
                                  "two columns are called %.100s: name one of them otherwise, as "
                                  "in: … as other_name",
                                  name);
        }
    }
    return 0;
}

static int describe(query *q, weir_lease *lease, oid_list *list, query_fault *fault)
{
    weir_scoped_result weir_result *result = NULL;
    int status = weir_describe(lease, &q->statement, &result);
    if (status == WEIR_EQUERY) {
        const weir_error *error = weir_lease_error(lease);
        refused(q, error, fault);
        return is_passing(error) ? WEIR_EQUERY : WEIR_EINVAL;
    }
    if (status == 0)
        status = grow(list, q->param_count + weir_result_columns(result));
    if (status != 0)
        return status;
    take_parameters(q, result, list);
    status = take_columns(q, result, list);
    if (status == 0 && query_check_columns(q, result, fault) != 0)
        status = fail_in(q, fault);
    return status;
}

/* ---- With the shapes ---- */

static void take_shapes(query *q, const shape_set *shapes)
{
    for (uint32_t i = 0; i < q->param_count; i++)
        q->params[i].shape = shape_of(shapes, q->params[i].type);
    for (uint32_t i = 0; i < q->column_count; i++)
        q->columns[i].shape = shape_of(shapes, q->columns[i].type);
}

static int check_fallbacks(const query *q, query_fault *fault)
{
    bind_fault why;
    for (uint32_t i = 0; i < q->param_count; i++) {
        const query_param *p = &q->params[i];
        char *value = NULL;
        int status = p->fallback ? bind_text(p, p->fallback, &value, &why) : 0;
        free(value);
        if (status == WEIR_EINVAL) {
            query_fail(fault, p->fallback_line, "@default %s: %s", p->name, why.message);
            status = findings_keep(fault, fail_in(q, fault));
        }
        if (status != 0)
            return status;
    }
    return 0;
}

/* The server's catalog is asked only when there is a type that is not built in. */
static int load_shapes(weir_lease *lease, const oid_list *list, shape_set **shapes,
                       query_fault *fault)
{
    uint32_t i = 0;
    while (i < list->count && (list->oids[i] == 0 || shape_builtin(list->oids[i])))
        i++;
    int status = i < list->count ? shape_set_load(lease, list->oids, list->count, shapes) : 0;
    if (status != 0) {
        fault->file[0] = '\0';
        query_fail(fault, 0, "the types that the queries use could not be read: %s",
                   status == WEIR_EQUERY ? weir_lease_error(lease)->message
                                         : weir_strerror(status));
    }
    return status;
}

static int describe_all(query **queries, uint32_t count, weir_lease *lease, oid_list *list,
                        shape_set **shapes, query_fault *fault)
{
    int status = 0;
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        status = describe(queries[i], lease, list, fault);
        queries[i]->described = status == 0;
        status = findings_keep(fault, status);
    }
    return status == 0 ? load_shapes(lease, list, shapes, fault) : status;
}

int queries_describe(query **queries, uint32_t count, weir_lease *lease, shape_set **shapes,
                     query_fault *fault)
{
    oid_list list = {0};
    shape_set *loaded = NULL;
    int status = describe_all(queries, count, lease, &list, &loaded, fault);
    free(list.oids);
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        if (!queries[i]->described)
            continue;
        take_shapes(queries[i], loaded);
        status = check_fallbacks(queries[i], fault);
    }
    if (status != 0) {
        shape_set_free(loaded);
        return status;
    }
    *shapes = loaded;
    return 0;
}
