/* reload_report.c: what a reload has changed, for whoever has asked and for the log. */
#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "reloadables.h"

/* Bytes of one field of the log. */
#define FIELD_MOST 400

/* ---- Queries that came, went or changed ---- */

typedef enum fate { ADDED, REMOVED, MODIFIED, FATE_COUNT } fate;

static void append_name(buffer *out, const char *name, bool json)
{
    if (out->length > 0)
        buffer_text(out, json ? "," : ", ");
    if (json)
        buffer_json_text(out, name);
    else
        buffer_text(out, name);
}

/* Both sets are in the order of their names. */
static void compare(const query_set *before, const query_set *now, bool json,
                    buffer names[FATE_COUNT])
{
    uint32_t i = 0, j = 0, count = query_set_count(before), new_count = query_set_count(now);
    while (i < count || j < new_count) {
        const query *old = i < count ? query_set_at(before, i) : NULL;
        const query *new = j < new_count ? query_set_at(now, j) : NULL;
        int order = !old ? 1 : !new ? -1 : strcmp(old->name, new->name);
        if (order < 0)
            append_name(&names[REMOVED], old->name, json);
        else if (order > 0)
            append_name(&names[ADDED], new->name, json);
        else if (strcmp(old->tag, new->tag) != 0)
            append_name(&names[MODIFIED], new->name, json);
        i += order <= 0;
        j += order >= 0;
    }
}

/* ---- Settings ---- */

static void append_change(buffer *out, const config_change *c, bool json)
{
    if (!json) {
        append_name(out, c->name, false);
        if (c->from || c->to)
            buffer_printf(out, " %s → %s", c->from ? c->from : "none", c->to ? c->to : "none");
        return;
    }
    buffer_text(out, out->length > 0 ? ",{\"name\":" : "{\"name\":");
    buffer_json_text(out, c->name);
    if (c->from || c->to) {
        buffer_text(out, ",\"from\":");
        buffer_json_text(out, c->from);
        buffer_text(out, ",\"to\":");
        buffer_json_text(out, c->to);
    }
    buffer_char(out, '}');
}

static bool is_among(const reload *r, const char *name)
{
    for (uint32_t i = 0; i < r->change_count; i++)
        if (r->changes[i].live && strcmp(r->changes[i].name, name) == 0)
            return true;
    return false;
}

/* What is in a file changes without the file's name. */
static void append_content(const reload *r, bool differs, const char *const *names, buffer *out,
                           bool json)
{
    for (const char *const *name = names; differs && *name; name++)
        differs = !is_among(r, *name);
    if (differs)
        append_change(out, &(config_change){.name = names[0]}, json);
}

static void contents(const reload *r, buffer *out, bool json)
{
    static const char *const operators[] = {"token-file", "token", NULL},
                             *const clients[] = {"client-token-file", "client-token", NULL},
                             *const secret[] = {"jwt-secret-file", "jwt-secret", "jwt-keys", NULL},
                             *const keys[] = {"jwt-keys", "jwt-secret-file", "jwt-secret", NULL},
                             *const certificate[] = {"tls-cert", "tls-key", NULL};
    const credentials *was = r->known_before, *is = r->known_now;
    append_content(r, !tokens_same(&was->operators, &is->operators), operators, out, json);
    append_content(r, !tokens_same(&was->clients, &is->clients), clients, out, json);
    append_content(r, !jwt_keys_same(was->keys, is->keys), (*r->now)->jwt_keys ? keys : secret, out,
                   json);
    append_content(r, r->certificate_differs, certificate, out, json);
}

static void settings(const reload *r, bool live, bool json, buffer *out)
{
    for (uint32_t i = 0; i < r->change_count; i++)
        if (r->changes[i].live == live)
            append_change(out, &r->changes[i], json);
    if (live)
        contents(r, out, json);
}

/* ---- All of it ---- */

typedef struct parts {
    buffer queries[FATE_COUNT], changed, restart_needed;
} parts;

static parts parts_of(const reload *r, bool json)
{
    parts p = {0};
    compare(r->queries_before, r->queries_now, json, p.queries);
    settings(r, true, json, &p.changed);
    settings(r, false, json, &p.restart_needed);
    return p;
}

static void parts_free(parts *p)
{
    for (int i = 0; i < FATE_COUNT; i++)
        buffer_free(&p->queries[i]);
    buffer_free(&p->changed);
    buffer_free(&p->restart_needed);
}

static void append_list(buffer *out, const char *name, const buffer *items)
{
    buffer_printf(out, ",\"%s\":[", name);
    buffer_append(out, items->data, items->length);
    buffer_char(out, ']');
    out->failed |= items->failed;
}

void reload_report(const reload *r, buffer *out)
{
    parts p = parts_of(r, true);
    buffer_printf(out, "{\"queries\":%" PRIu32, query_set_count(r->queries_now));
    append_list(out, "queries_added", &p.queries[ADDED]);
    append_list(out, "queries_removed", &p.queries[REMOVED]);
    append_list(out, "queries_changed", &p.queries[MODIFIED]);
    append_list(out, "changed", &p.changed);
    append_list(out, "restart_needed", &p.restart_needed);
    buffer_text(out, "}\n");
    buffer_char(out, '\0');
    parts_free(&p);
}

/* As much of it as a line has room for; NULL where there is nothing to say. */
static const char *text_of(buffer *b)
{
    if (b->length == 0)
        return NULL;
    if (b->length > FIELD_MOST) {
        while (b->length > FIELD_MOST || b->data[b->length] != ',')
            if (--b->length == 0)
                break;
        buffer_text(b, ", …");
    }
    buffer_char(b, '\0');
    return b->failed ? NULL : b->data;
}

void reload_tell(const reload *r)
{
    parts p = parts_of(r, false);
    const char *restart = text_of(&p.restart_needed);
    log_say(WEIR_INFO, "service.reloaded", "serving the queries as they are now",
            field_uint("queries", query_set_count(r->queries_now)),
            field_text("queries_added", text_of(&p.queries[ADDED])),
            field_text("queries_removed", text_of(&p.queries[REMOVED])),
            field_text("queries_changed", text_of(&p.queries[MODIFIED])),
            field_text("changed", text_of(&p.changed)));
    if (restart)
        log_say(WEIR_WARN, "service.restart_needed", "these settings change only with a restart",
                field_text("settings", restart));
    parts_free(&p);
}
