/* landing.c: the pages for people: what is served here, and what each problem means. */
#include <string.h>

#include "reply.h"

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>weir</title>\n"
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:52em;margin:2em auto;padding:0 1em;"
    "color:#222;background:#fff}pre{background:#f3f3f3;padding:.6em;overflow-x:auto}"
    "code{font-size:.95em}dt{margin-top:.6em}@media(prefers-color-scheme:dark){body{color:#ddd;"
    "background:#181818}pre{background:#262626}a{color:#8bf}}</style></head><body>\n";

static void html_part(buffer *out, const char *text, size_t length)
{
    for (const char *end = text + length; text < end; text++) {
        switch (*text) {
        case '&': buffer_text(out, "&amp;"); break;
        case '<': buffer_text(out, "&lt;"); break;
        case '>': buffer_text(out, "&gt;"); break;
        case '"': buffer_text(out, "&quot;"); break;
        case '\'': buffer_text(out, "&#39;"); break;
        default: buffer_char(out, *text);
        }
    }
}

static void html(buffer *out, const char *text)
{
    html_part(out, text, strlen(text));
}

/* Text in which `…` is code. */
static void prose(buffer *out, const char *text)
{
    for (;;) {
        const char *open = strchr(text, '`');
        const char *close = open ? strchr(open + 1, '`') : NULL;
        if (!close)
            break;
        html_part(out, text, (size_t)(open - text));
        buffer_text(out, "<code>");
        html_part(out, open + 1, (size_t)(close - open - 1));
        buffer_text(out, "</code>");
        text = close + 1;
    }
    html(out, text);
}

/* A value for a URL's query string; what it becomes needs no quoting in HTML or by a shell. */
static void url_value(buffer *out, const char *text)
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

static const char *path_of(const query *q)
{
    return q->path ? q->path : q->named_path;
}

static query_method method_of(const query *q)
{
    return q->routed ? q->method : METHOD_GET;
}

static const char *type_of(const query_param *p)
{
    return p->shape && p->shape->type_name ? p->shape->type_name : "text";
}

/* ---- For people ---- */

/* A command to try it with; {name} stands where a value belongs. */
static void curl(buffer *out, const query *q, const char *host)
{
    bool in_body = method_of(q) != METHOD_GET, first = true;

    buffer_text(out, "<pre><code>curl -s ");
    if (in_body)
        buffer_printf(out, "-X %s ", query_method_name(method_of(q)));
    buffer_text(out, "&#39;http://");
    html(out, host);
    html(out, path_of(q));
    for (uint32_t i = 0; i < q->param_count && !in_body; i++) {
        const query_param *p = &q->params[i];
        if (p->in_path || p->optional)
            continue;
        buffer_text(out, first ? "?" : "&amp;");
        html(out, p->name);
        buffer_char(out, '=');
        if (p->fallback)
            url_value(out, p->fallback);
        else
            buffer_text(out, "…");
        first = false;
    }
    buffer_text(out, "&#39;");
    if (in_body) {
        buffer_text(out, " -H &#39;Content-Type: application/json&#39; -d &#39;{");
        for (uint32_t i = 0; i < q->param_count; i++) {
            const query_param *p = &q->params[i];
            if (p->in_path || p->optional)
                continue;
            buffer_text(out, first ? "&quot;" : ", &quot;");
            html(out, p->name);
            buffer_text(out, "&quot;: …");
            first = false;
        }
        buffer_text(out, "}&#39;");
    }
    buffer_text(out, "</code></pre>\n");
}

static void tell_params(buffer *out, const query *q)
{
    if (q->param_count == 0)
        return;
    buffer_text(out, "<p>Takes ");
    for (uint32_t i = 0; i < q->param_count; i++) {
        const query_param *p = &q->params[i];
        buffer_text(out, i ? ", <code>" : "<code>");
        html(out, p->name);
        buffer_text(out, "</code> (");
        html(out, type_of(p));
        if (p->fallback) {
            buffer_text(out, ", else ");
            html(out, p->fallback);
        }
        buffer_text(out, p->optional ? ", optional)" : ")");
    }
    buffer_text(out, ".</p>\n");
}

static void page(weir_request *req, const query_set *set)
{
    static const char rest[] =
        "<h2>About the service</h2>\n<dl>\n"
        "<dt><a href=\"/pool\"><code>/pool</code></a></dt><dd>connections, who holds them, who "
        "waits</dd>\n"
        "<dt><a href=\"/metrics\"><code>/metrics</code></a></dt><dd>for Prometheus</dd>\n"
        "<dt><a href=\"/readyz?verbose\"><code>/readyz</code></a>, <a "
        "href=\"/livez\"><code>/livez</code></a></dt><dd>for whoever routes to it</dd>\n</dl>\n";
    const char *host = request_header(req, MHD_HTTP_HEADER_HOST);
    buffer *out = &req->out;

    buffer_text(out, head);
    buffer_text(out, "<h1>weir</h1>\n<p>Each query below answers with JSON. Append "
                     "<code>?_trace=1</code> to see where the time goes.</p>\n");
    for (uint32_t i = 0; set && i < query_set_count(set); i++) {
        const query *q = query_set_at(set, i);
        buffer_printf(out, "<h2><code>%s ", query_method_name(method_of(q)));
        html(out, path_of(q));
        buffer_text(out, "</code></h2>\n");
        if (*q->description) {
            buffer_text(out, "<p>");
            prose(out, q->description);
            buffer_text(out, "</p>\n");
        }
        if (q->pool_index > 0) {
            buffer_text(out, "<p>Runs on the pool <code>");
            html(out, q->pool);
            buffer_text(out, "</code>.</p>\n");
        }
        curl(out, q, host && *host ? host : "localhost");
        tell_params(out, q);
    }
    if (!set)
        buffer_text(out,
                    "<p>The queries are not there yet: the database has not been reached.</p>");
    if (!req->lane->api->separate_admin)
        buffer_text(out, rest);
    buffer_text(out, "</body></html>\n");
    weir_reply_body(req, 200, "text/html; charset=utf-8");
}

/* ---- For programs ---- */

static void list(weir_request *req, const query_set *set)
{
    static const char *const returns[] = {
        [RETURNS_ROWS] = "rows", [RETURNS_ROW] = "row", [RETURNS_COUNT] = "count"};
    buffer *out = &req->out;

    buffer_text(out, "{\"queries\":[");
    for (uint32_t i = 0; set && i < query_set_count(set); i++) {
        const query *q = query_set_at(set, i);
        buffer_text(out, i ? ",{\"name\":" : "{\"name\":");
        buffer_json_text(out, q->name);
        buffer_text(out, ",\"description\":");
        buffer_json_text(out, q->description);
        buffer_printf(out, ",\"method\":\"%s\",\"path\":", query_method_name(method_of(q)));
        buffer_json_text(out, path_of(q));
        buffer_text(out, ",\"pool\":");
        buffer_json_text(out, weir_pool_name(req->lane->api->pools[q->pool_index]));
        buffer_printf(out, ",\"returns\":\"%s\",\"parameters\":[", returns[q->returns]);
        for (uint32_t p = 0; p < q->param_count; p++) {
            buffer_text(out, p ? ",{\"name\":" : "{\"name\":");
            buffer_json_text(out, q->params[p].name);
            buffer_text(out, ",\"type\":");
            buffer_json_text(out, type_of(&q->params[p]));
            buffer_text(out, ",\"default\":");
            buffer_json_text(out, q->params[p].fallback);
            buffer_printf(out, ",\"optional\":%s}", q->params[p].optional ? "true" : "false");
        }
        buffer_text(out, "]}");
    }
    buffer_text(out, "]}\n");
    weir_reply_body(req, 200, "application/json");
}

void serve_landing(weir_request *req)
{
    const query_set *set = req->lane->queries ? req->lane->queries->set : NULL;

    if (request_accepts(req, "application/json") && !request_accepts(req, "text/html"))
        list(req, set);
    else
        page(req, set);
}

/* ---- What the `type` of a problem leads to ---- */

void serve_problem_page(weir_request *req)
{
    const char *word = req->path + strlen("/problems/");
    buffer *out = &req->out;

    for (int kind = 0; kind < PROBLEM_COUNT; kind++) {
        if (strcmp(word, problem_word((problem_kind)kind)) != 0)
            continue;
        buffer_text(out, head);
        buffer_text(out, "<h1>");
        html(out, problem_title((problem_kind)kind));
        buffer_printf(out, "</h1>\n<p>Status %d, <code>%s</code></p>\n<p>",
                      problem_status((problem_kind)kind), word);
        prose(out, problem_meaning((problem_kind)kind));
        buffer_text(out, "</p>\n</body></html>\n");
        weir_reply_body(req, 200, "text/html; charset=utf-8");
        return;
    }
    weir_reply_error(req, PROBLEM_NOT_FOUND, "There is no such problem.");
}
