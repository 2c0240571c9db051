/* query.c: one .sql file as a query. */
#include "query.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "annotation.h"
#include "findings.h"
#include "nearest.h"
#include "router.h"
#include "sql_scan.h"
#include "utf8.h"

const char *query_method_name(query_method method)
{
    static const char *const names[METHOD_COUNT] = {[METHOD_GET] = "GET",
                                                    [METHOD_POST] = "POST",
                                                    [METHOD_PUT] = "PUT",
                                                    [METHOD_PATCH] = "PATCH",
                                                    [METHOD_DELETE] = "DELETE"};
    return names[method];
}

const char *query_auth_name(query_auth auth)
{
    static const char *const names[] = {
        [AUTH_NONE] = "none", [AUTH_TOKEN] = "token", [AUTH_JWT] = "jwt"};
    return names[auth];
}

int query_fail(query_fault *fault, uint32_t line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault->message, sizeof fault->message, format, arguments);
    va_end(arguments);
    utf8_mend(fault->message);
    fault->line = line;
    return WEIR_EINVAL;
}

const weir_statement *query_statement(const query *q, query_method method)
{
    bool reads = method == METHOD_GET || (q->routed && q->method == METHOD_GET);
    return reads ? &q->read_only : &q->statement;
}

uint32_t query_first_line(const query *q)
{
    uint32_t line = 1;
    for (const char *at = q->statement.sql; strchr(" \t\r\n", *at) && *at; at++)
        line += *at == '\n';
    return line;
}

query_param *query_param_find(const query *q, const char *name, size_t length)
{
    for (uint32_t i = 0; i < q->param_count; i++) {
        const char *candidate = q->params[i].name;
        if (strncmp(candidate, name, length) == 0 && candidate[length] == '\0')
            return &q->params[i];
    }
    return NULL;
}

static int unknown_param(const query *q, uint32_t line, const char *what, const char *name,
                         query_fault *fault)
{
    nearest near = {.word = name};
    for (uint32_t i = 0; i < q->param_count; i++)
        nearest_offer(&near, q->params[i].name);
    if (near.best)
        return query_fail(fault, line, "%s names %.63s, which is not in the SQL: did you mean %s?",
                          what, name, near.best);
    return query_fail(fault, line, "%s names %.63s, but the SQL has no :%.63s", what, name, name);
}

/* ---- Putting the parts together ---- */

static int take_params(query *q, sql_text *scanned)
{
    if (scanned->count > 0) {
        q->params = calloc(scanned->count, sizeof *q->params);
        if (!q->params)
            return WEIR_ENOMEM;
    }
    for (uint32_t i = 0; i < scanned->count; i++) {
        q->params[i].name = scanned->names[i];
        scanned->names[i] = NULL;
    }
    q->param_count = scanned->count;
    q->statement = (weir_statement){.sql = scanned->sql, .name = q->name};
    q->read_only = (weir_statement){.sql = scanned->sql, .name = q->name, .read_only = true};
    scanned->sql = NULL;
    return 0;
}

static int mark_path_params(query *q, query_fault *fault)
{
    const char *at = q->path ? q->path : "";
    route_segment segment;
    while (route_segment_next(&at, &segment)) {
        if (!segment.is_param)
            continue;
        query_param *p = query_param_find(q, segment.text, segment.length);
        if (!p) {
            char name[SQL_PARAM_NAME_MAX + 1];
            snprintf(name, sizeof name, "%.*s", (int)segment.length, segment.text);
            return unknown_param(q, q->route_line, "@route", name, fault);
        }
        p->in_path = true;
    }
    return 0;
}

static int apply_note(query *q, annotation_note *note, query_fault *fault)
{
    const char *what = note->value ? "@default" : "@optional";
    query_param *p = query_param_find(q, note->name, strlen(note->name));
    if (!p)
        return unknown_param(q, note->line, what, note->name, fault);
    if (p->in_path)
        return query_fail(fault, note->line,
                          "%s %s has no effect: it is part of the route's path and never absent",
                          what, note->name);
    p->optional = !note->value;
    p->fallback = note->value;
    p->fallback_line = note->line;
    note->value = NULL;
    return 0;
}

static void take_annotations(query *q, annotations *a)
{
    q->description = a->description;
    q->routed = a->routed;
    q->method = a->method;
    q->path = a->path;
    q->route_line = a->route_line;
    q->returns = a->returns;
    q->timeout_ns = a->timeout_ns;
    q->pool = a->pool;
    q->pool_line = a->pool_line;
    q->cache_control = a->cache_control;
    q->cache_ns = a->cache_ns;
    q->cache_public = a->cache_public;
    q->cache_line = a->cache_line;
    q->auth = a->auth;
    q->auth_line = a->auth_line;
    a->description = a->path = a->pool = a->cache_control = NULL;
}

static int check_cache(const query *q, query_fault *fault)
{
    if (!q->cache_control || !q->routed || q->method == METHOD_GET)
        return 0;
    return query_fail(fault, q->cache_line,
                      "@cache is for what GET answers, and the route is of %s",
                      query_method_name(q->method));
}

static int scan_sql(query *q, const char *text, size_t length, uint32_t line, query_fault *fault)
{
    sql_text scanned;
    int status = sql_scan(text, length, line, &scanned, fault);
    if (status != 0)
        return status;
    status = take_params(q, &scanned);
    sql_text_free(&scanned);
    return status;
}

static int read_parts(query *q, const char *text, size_t length, query_fault *fault)
{
    annotations a;
    int status = annotations_read(text, length, &a, fault);
    if (status != 0)
        return status;
    take_annotations(q, &a);
    status = check_cache(q, fault);
    if (status == 0)
        status = scan_sql(q, text + a.length, length - a.length, a.line, fault);
    if (status == 0)
        status = findings_keep(fault, mark_path_params(q, fault));
    for (uint32_t i = 0; status == 0 && i < a.note_count; i++)
        status = findings_keep(fault, apply_note(q, &a.notes[i], fault));
    annotations_free(&a);
    return status;
}

static int check_text(const char *text, size_t length, query_fault *fault)
{
    size_t valid = utf8_valid(text, length);
    if (valid == length)
        return 0;
    uint32_t line = 1;
    for (size_t i = 0; i < valid; i++)
        line += text[i] == '\n';
    return query_fail(fault, line, text[valid] ? "not UTF-8: byte 0x%02x" : "a NUL byte (0x%02x)",
                      (unsigned char)text[valid]);
}

static int name_it(query *q, const char *file, const char *name, size_t length)
{
    q->file = strdup(file);
    if (!q->file || asprintf(&q->named_path, "/q/%.*s", (int)length, name) < 0) {
        q->named_path = NULL;
        return WEIR_ENOMEM;
    }
    q->name = strdup(q->named_path + 3);
    return q->name ? 0 : WEIR_ENOMEM;
}

static int parse(const char *file, const char *name, size_t name_length, const char *text,
                 size_t length, query **parsed, query_fault *fault)
{
    query *q = calloc(1, sizeof *q);
    if (!q)
        return WEIR_ENOMEM;
    snprintf(fault->file, sizeof fault->file, "%s", file);
    utf8_mend(fault->file);
    etag_of(text, length, false, q->tag);
    int status = name_it(q, file, name, name_length);
    if (status == 0)
        status = check_text(text, length, fault);
    if (status == 0) {
        size_t mark = length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
        status = read_parts(q, text + mark, length - mark, fault);
    }
    if (status != 0) {
        query_free(q);
        return status;
    }
    *parsed = q;
    return 0;
}

int query_parse(const char *file, const char *text, size_t length, query **parsed,
                query_fault *fault)
{
    size_t name = strlen(file);
    if (name > 4 && strcmp(file + name - 4, ".sql") == 0)
        name -= 4;
    return parse(file, file, name, text, length, parsed, fault);
}

int query_parse_named(const char *file, const char *name, const char *text, size_t length,
                      query **parsed, query_fault *fault)
{
    return parse(file, name, strlen(name), text, length, parsed, fault);
}

void query_free(query *q)
{
    if (!q)
        return;
    for (uint32_t i = 0; i < q->param_count; i++) {
        free(q->params[i].name);
        free(q->params[i].fallback);
    }
    for (uint32_t i = 0; i < q->column_count; i++)
        free(q->columns[i].name);
    free(q->params);
    free(q->columns);
    free((char *)q->statement.sql);
    free(q->name);
    free(q->file);
    free(q->description);
    free(q->path);
    free(q->named_path);
    free(q->pool);
    free(q->cache_control);
    free(q);
}
