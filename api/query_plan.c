/* query_plan.c: what the server's plan of a query warns of. */
#include "query_plan.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../pool/sql_words.h"
#include "buffer.h"

#define TABLES_MAX 32 /* of one query, that are looked at */

/* A table that is read in sequence. */
typedef struct table {
    char schema[64 * 4], name[64 * 4];
    bool filtered; /* for some of its rows */
} table;

/* What matters of a plan. */
typedef struct plan_view {
    const char *text; /* the plan, as JSON */
    size_t length;
    bool writes, locks;
    bool limited; /* a limit holds for all that it returns */
    double rows;  /* that it is thought to return */
    table tables[TABLES_MAX];
    uint32_t table_count;
} plan_view;

/* ---- Reading a plan ---- */

static const char *text_of(const json_t *node, const char *member)
{
    const char *text = json_string_value(json_object_get(node, member));
    return text ? text : "";
}

static bool is_a(const json_t *node, const char *type)
{
    return strcmp(text_of(node, "Node Type"), type) == 0;
}

static void add_table(plan_view *v, const json_t *node)
{
    table t = {.filtered = json_object_get(node, "Filter")};
    snprintf(t.schema, sizeof t.schema, "%s", text_of(node, "Schema"));
    snprintf(t.name, sizeof t.name, "%s", text_of(node, "Relation Name"));
    for (uint32_t i = 0; i < v->table_count; i++) {
        table *known = &v->tables[i];
        if (strcmp(known->schema, t.schema) != 0 || strcmp(known->name, t.name) != 0)
            continue;
        known->filtered |= t.filtered;
        return;
    }
    if (v->table_count < TABLES_MAX)
        v->tables[v->table_count++] = t;
}

/* A scan right below a limit, of whatever rows come first, ends early. */
static bool reads_all(const json_t *node, const json_t *parent)
{
    return is_a(node, "Seq Scan") &&
           !(parent && is_a(parent, "Limit") && !json_object_get(node, "Filter"));
}

static void look(plan_view *v, const json_t *node, const json_t *parent)
{
    size_t i;
    const json_t *below;
    v->writes |= is_a(node, "ModifyTable");
    v->locks |= is_a(node, "LockRows");
    if (reads_all(node, parent))
        add_table(v, node);
    json_array_foreach(json_object_get(node, "Plans"), i, below) look(v, below, node);
}

/* The one node whose rows go through this one, or NULL: of two that are joined, neither's limit is
 * one of the whole. */
static const json_t *source(const json_t *node)
{
    size_t i;
    const json_t *below, *only = NULL;
    json_array_foreach(json_object_get(node, "Plans"), i, below)
    {
        const char *kind = text_of(below, "Parent Relationship");
        if (strcmp(kind, "InitPlan") == 0 || strcmp(kind, "SubPlan") == 0)
            continue;
        if (only)
            return NULL;
        only = below;
    }
    return only;
}

static bool is_limited(const json_t *node)
{
    while (node && !is_a(node, "Limit"))
        node = is_a(node, "ProjectSet") ? NULL : source(node);
    return node;
}

/* On a thread of libuv's: the plan may nest deeper than a task's stack is. */
static void read_plan(void *arg)
{
    plan_view *v = arg;
    json_t *all = json_loadb(v->text, v->length, 0, NULL);
    const json_t *top = json_object_get(json_array_get(all, 0), "Plan");
    if (top) {
        look(v, top, NULL);
        v->limited = is_limited(top) || is_a(top, "ModifyTable");
        v->rows = json_number_value(json_object_get(top, "Plan Rows"));
    }
    json_decref(all);
}

/* ---- Asking the server ---- */

static int run(const query *q, const char *sql, weir_lease *lease, weir_result **result)
{
    const weir_statement statement = {
        .sql = sql, .name = q->name, .read_only = true, .adhoc = true};
    weir_scoped_result weir_result *own = NULL;
    return weir_query(lease, &statement, NULL, result ? result : &own);
}

/* By EXECUTE with nulls, because EXPLAIN (GENERIC_PLAN) is PostgreSQL 16's. */
static int explain(const query *q, weir_lease *lease, weir_result **plan)
{
    buffer sql = {0};
    buffer_text(&sql, "explain (verbose, format json) execute weir_check");
    for (uint32_t i = 0; i < q->param_count; i++)
        buffer_text(&sql, i == 0 ? "(null" : ", null");
    buffer_append(&sql, ")", q->param_count > 0);
    buffer_char(&sql, '\0');
    int status = sql.failed ? WEIR_ENOMEM : run(q, sql.data, lease, plan);
    buffer_free(&sql);
    return status;
}

static int prepare(const query *q, weir_lease *lease)
{
    char *sql;
    int status = run(q, "set plan_cache_mode = force_generic_plan", lease, NULL);
    if (status != 0)
        return status;
    if (asprintf(&sql, "prepare weir_check as %s", q->statement.sql) < 0)
        return WEIR_ENOMEM;
    status = run(q, sql, lease, NULL);
    free(sql);
    return status;
}

/* The rows of a table as last counted; negative: never. */
static int count_rows(const query *q, const table *t, weir_lease *lease, double *rows)
{
    static const weir_statement statement = {
        .sql = "select c.reltuples::float8 from pg_catalog.pg_class c join pg_catalog.pg_namespace "
               "n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2",
        .name = "(rows of a table)",
        .read_only = true};
    const char *values[] = {t->schema, t->name};
    const weir_params params = {.count = 2, .values = values};
    weir_scoped_result weir_result *found = NULL;
    int status = weir_query(lease, &statement, &params, &found);
    if (status == 0)
        *rows = weir_result_rows(found) > 0 ? strtod(weir_result_value(found, 0, 0), NULL) : -1;
    return status;
}

/* ---- What it warns of ---- */

static int warn_of_tables(const query *q, const plan_view *v, uint32_t big, weir_lease *lease,
                          findings *all)
{
    int status = 0;
    for (uint32_t i = 0; status == 0 && i < v->table_count; i++) {
        const table *t = &v->tables[i];
        double rows = -1;
        status = count_rows(q, t, lease, &rows);
        if (status == 0 && rows > big)
            status = findings_warn(
                all, q, query_first_line(q), "reads all %.0f rows of %s.%s in sequence%s", rows,
                t->schema, t->name, t->filtered ? ": an index may serve its condition" : "");
    }
    return status;
}

static int warn_of_rows(const query *q, const plan_view *v, uint32_t big, findings *all)
{
    if (q->returns != RETURNS_ROWS || v->limited || v->rows <= big)
        return 0;
    return findings_warn(all, q, query_first_line(q),
                         "may answer with some %.0f rows, all at once: give it a limit", v->rows);
}

static int warn_of_writes(const query *q, const plan_view *v, findings *all)
{
    if (!q->routed || q->method != METHOD_GET || !(v->writes || v->locks))
        return 0;
    return findings_warn(all, q, q->route_line,
                         "%s, but GET %s runs read-only and will be refused: make its route a POST",
                         v->writes ? "the statement writes" : "the statement locks rows", q->path);
}

static int warn_of_commits(const query *q, findings *all)
{
    if (q->auth != AUTH_JWT || !sql_may_commit(q->statement.sql))
        return 0;
    return findings_warn(
        all, q, query_first_line(q),
        "by itself it will be refused: CALL and DO may commit, which would end the "
        "role and claims of its JWT; /tx can run it");
}

static int warn(const query *q, const plan_view *v, uint32_t big, weir_lease *lease, findings *all)
{
    int status = warn_of_writes(q, v, all);
    if (status == 0)
        status = warn_of_rows(q, v, big, all);
    return status == 0 ? warn_of_tables(q, v, big, lease, all) : status;
}

static int view(const query *q, uint32_t big, weir_result *plan, weir_lease *lease, findings *all)
{
    plan_view *v = calloc(1, sizeof *v); /* large for a task's stack */
    if (!v)
        return WEIR_ENOMEM;
    v->text = weir_result_value(plan, 0, 0);
    v->length = weir_result_length(plan, 0, 0);
    int status = weir_work(read_plan, v);
    if (status == 0)
        status = warn(q, v, big, lease, all);
    free(v);
    return status;
}

/* Not of a domain that takes no null: that one is ours. */
static int warn_of_refusal(const query *q, const weir_error *error, findings *all)
{
    if (strncmp(error->sqlstate, "23", 2) == 0)
        return 0;
    return findings_warn(all, q, query_first_line(q), "the server does not plan it: %s [%s]",
                         error->message, error->sqlstate);
}

static int review(const query *q, uint32_t big, weir_lease *lease, findings *all)
{
    weir_scoped_result weir_result *plan = NULL;
    int status = explain(q, lease, &plan);
    if (status == WEIR_EQUERY)
        status = warn_of_refusal(q, weir_lease_error(lease), all);
    if (status == 0 && plan)
        status = view(q, big, plan, lease, all);
    int ended = run(q, "deallocate weir_check", lease, NULL);
    return status ? status : ended;
}

int query_plan_review(const query *q, uint32_t big, weir_lease *lease, findings *all)
{
    int status = warn_of_commits(q, all);
    if (status == 0)
        status = prepare(q, lease);
    if (status == 0)
        return review(q, big, lease, all);
    if (status != WEIR_EQUERY)
        return status;
    /* It is well-formed, as its describing has shown, but none that can be prepared by name. */
    const weir_error *error = weir_lease_error(lease);
    return strcmp(error->sqlstate, "42601") == 0 ? 0 : warn_of_refusal(q, error, all);
}
