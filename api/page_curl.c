/* page_curl.c: the command with which a query can be tried. */
#include <stdlib.h>
#include <string.h>

#include "bind_text.h"
#include "openapi_schema.h"
#include "page.h"

void page_url_value(buffer *out, const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

    for (; *text; text++) {
        if (strchr(plain, *text))
            buffer_char(out, *text);
        else
            buffer_printf(out, "%%%02X", (unsigned char)*text);
    }
}

/* What such a value looks like in a URL; of an array one element, for its name can be repeated. */
static void sample(buffer *out, const query_param *p)
{
    json_t *example = schema_example(bind_shape(p), SCHEMA_TEXT);
    json_t *one = json_is_array(example) ? json_array_get(example, 0) : example;
    char *written = one && !json_is_string(one) ? json_dumps(one, JSON_ENCODE_ANY) : NULL;
    const char *text = json_is_string(one) ? json_string_value(one) : written;

    if (text)
        page_url_value(out, text);
    else
        buffer_text(out, "…");
    free(written);
    json_decref(example);
}

/* Within quotes of the shell's. */
static void quoted(buffer *out, const char *text, size_t length)
{
    for (const char *end = text + length; text < end; text++)
        page_text(out, *text == '\'' ? "'\\''" : (char[]){*text, '\0'});
}

static const query_param *param_named(const query *q, const char *name, size_t length)
{
    for (uint32_t i = 0; i < q->param_count; i++) {
        const char *its = q->params[i].name;
        if (strlen(its) == length && memcmp(its, name, length) == 0)
            return &q->params[i];
    }
    return NULL;
}

static void path(buffer *out, const query *q)
{
    const char *rest = q->path ? q->path : q->named_path;

    for (const char *open; (open = strchr(rest, '{'));) {
        const char *close = open + strcspn(open, "}");
        const query_param *p = param_named(q, open + 1, (size_t)(close - open - 1));
        if (!p)
            break;
        quoted(out, rest, (size_t)(open - rest));
        sample(out, p);
        rest = close + 1;
    }
    quoted(out, rest, strlen(rest));
}

static void query_string(buffer *out, const query *q)
{
    bool first = true;

    for (uint32_t i = 0; i < q->param_count; i++) {
        const query_param *p = &q->params[i];
        if (p->in_path || p->optional)
            continue;
        buffer_text(out, first ? "?" : "&amp;");
        page_text(out, p->name);
        buffer_char(out, '=');
        if (p->fallback)
            page_url_value(out, p->fallback);
        else
            sample(out, p);
        first = false;
    }
}

static json_t *member(const query_param *p)
{
    json_t *value = p->fallback ? schema_value(bind_shape(p), p->fallback)
                                : schema_example(bind_shape(p), SCHEMA_MEMBER);

    if (!value && p->fallback)
        value = json_string(p->fallback);
    return value ? value : json_null();
}

static void body(buffer *out, const query *q)
{
    json_t *all = json_object();

    for (uint32_t i = 0; i < q->param_count; i++)
        if (!q->params[i].in_path && !q->params[i].optional)
            json_object_set_new(all, q->params[i].name, member(&q->params[i]));
    char *text = json_dumps(all, 0);
    if (text)
        quoted(out, text, strlen(text));
    free(text);
    json_decref(all);
}

void page_curl(buffer *out, const query *q, const char *scheme, const char *host)
{
    query_method method = q->routed ? q->method : METHOD_GET;
    bool has_body = method != METHOD_GET && method != METHOD_DELETE;

    buffer_text(out, "<pre><code>curl -s ");
    if (q->auth != AUTH_NONE)
        buffer_text(out, "-H &#39;Authorization: Bearer …&#39; ");
    if (method != METHOD_GET)
        buffer_printf(out, "-X %s ", query_method_name(method));
    buffer_printf(out, "&#39;%s://", scheme);
    page_text(out, host);
    path(out, q);
    if (!has_body)
        query_string(out, q);
    buffer_text(out, "&#39;");
    if (has_body) {
        buffer_text(out, " -H &#39;Content-Type: application/json&#39; -d &#39;");
        body(out, q);
        buffer_text(out, "&#39;");
    }
    buffer_text(out, "</code></pre>\n");
}
