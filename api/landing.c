/* landing.c: the pages for people: what is served here, and what each problem means. */
#include <string.h>

#include "page.h"
#include "reply.h"

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>weir</title>\n"
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:52em;margin:2em auto;padding:0 1em;"
    "color:#222;background:#fff}pre{background:#f3f3f3;padding:.6em;overflow-x:auto}"
    "code{font-size:.95em}dt{margin-top:.6em}@media(prefers-color-scheme:dark){body{color:#ddd;"
    "background:#181818}pre{background:#262626}a{color:#8bf}}"
    "form{display:flex;flex-wrap:wrap;gap:.6em;align-items:end}label{font-size:.9em}"
    "input:not([type=checkbox]){display:block;font:inherit;width:11em}output{flex-basis:100%;"
    "white-space:pre-wrap;overflow-wrap:anywhere;font:.85em/1.4 monospace}"
    "</style></head><body>\n";

static const char *path_of(const query *q)
{
    return q->path ? q->path : q->named_path;
}

static query_method method_of(const query *q)
{
    return q->routed ? q->method : METHOD_GET;
}

/* ---- For people ---- */

static void tell_params(buffer *out, const query *q)
{
    if (q->param_count == 0)
        return;
    buffer_text(out, "<p>Takes ");
    for (uint32_t i = 0; i < q->param_count; i++) {
        const query_param *p = &q->params[i];
        buffer_text(out, i ? ", <code>" : "<code>");
        page_text(out, p->name);
        buffer_text(out, "</code> (");
        page_text(out, page_type(p));
        if (p->fallback) {
            buffer_text(out, ", else ");
            page_text(out, p->fallback);
        }
        buffer_text(out, p->optional ? ", optional)" : ")");
    }
    buffer_text(out, ".</p>\n");
}

static void tell_auth(buffer *out, const query *q)
{
    if (q->auth != AUTH_NONE)
        buffer_text(out, q->auth == AUTH_JWT ? "<p>Asks for a JWT, and answers in its role.</p>\n"
                                             : "<p>Asks for a token.</p>\n");
}

static bool any_asks(const query_set *set)
{
    for (uint32_t i = 0; set && i < query_set_count(set); i++)
        if (query_set_at(set, i)->auth != AUTH_NONE)
            return true;
    return false;
}

static void tell_columns(buffer *out, const query *q)
{
    if (q->returns == RETURNS_COUNT) {
        buffer_text(out, "<p>Answers with how many rows were affected.</p>\n");
        return;
    }
    buffer_text(out, q->returns == RETURNS_ROW ? "<p>Answers with one row of "
                                               : "<p>Answers with rows of ");
    for (uint32_t i = 0; i < q->column_count; i++) {
        buffer_text(out, i ? ", <code>" : "<code>");
        page_text(out, q->columns[i].name);
        buffer_text(out, "</code> (");
        page_text(out, q->columns[i].shape->type_name);
        buffer_char(out, ')');
    }
    buffer_text(out, ".</p>\n");
}

static void tell_channels(buffer *out, const weir_api *api, const char *scheme, const char *host)
{
    for (uint32_t i = 0; i < api->feed_count; i++)
        for (uint32_t k = 0; k < feed_channels(api->feeds[i]); k++) {
            const char *channel = feed_channel(api->feeds[i], k);
            buffer_text(out, "<h2><code>GET /events/");
            page_text(out, channel);
            buffer_text(out, "</code></h2>\n<p>What the database&#39;s sessions NOTIFY there, as "
                             "it happens.</p>\n<pre><code>curl -N &#39;");
            buffer_printf(out, "%s://", scheme);
            page_text(out, host);
            buffer_text(out, "/events/");
            page_url_value(out, channel);
            buffer_text(out, "&#39;</code></pre>\n");
        }
}

/* `forms`: each query can be tried, and its columns are told. */
static void page(weir_request *req, const query_set *set, bool forms)
{
    static const char rest[] =
        "<h2>About the service</h2>\n<dl>\n"
        "<dt><a href=\"/pool\"><code>/pool</code></a></dt><dd>connections, who holds them, who "
        "waits</dd>\n"
        "<dt><a href=\"/pool/events\"><code>/pool/events</code></a></dt><dd>what happens in the "
        "pools, as it happens; needs an operator&#39;s token where one is set</dd>\n"
        "<dt><a href=\"/metrics\"><code>/metrics</code></a></dt><dd>for Prometheus</dd>\n"
        "<dt><a href=\"/readyz?verbose\"><code>/readyz</code></a>, <a "
        "href=\"/livez\"><code>/livez</code></a></dt><dd>for whoever routes to it</dd>\n</dl>\n";
    const char *host = request_header(req, MHD_HTTP_HEADER_HOST);
    const char *scheme = req->listener->tls ? "https" : "http";
    buffer *out = &req->out;

    if (!host || !*host)
        host = "localhost";
    buffer_text(out, head);
    buffer_text(out, "<h1>weir</h1>\n<p>Each query below answers with JSON. Append "
                     "<code>?_trace=1</code> to see where the time goes.</p>\n");
    buffer_text(out, forms ? "<p>For programs there is <a href=\"/openapi.json\">a description"
                             "</a> of all this.</p>\n"
                           : "<p>They can be tried on <a href=\"/docs\">a page with forms</a>; "
                             "for programs there is <a href=\"/openapi.json\">a description"
                             "</a>.</p>\n");
    if (forms && any_asks(set))
        page_token(out);
    for (uint32_t i = 0; set && i < query_set_count(set); i++) {
        const query *q = query_set_at(set, i);
        buffer_printf(out, "<h2><code>%s ", query_method_name(method_of(q)));
        page_text(out, path_of(q));
        buffer_text(out, "</code></h2>\n");
        if (*q->description) {
            buffer_text(out, "<p>");
            page_prose(out, q->description);
            buffer_text(out, "</p>\n");
        }
        if (q->pool_index > 0) {
            buffer_text(out, "<p>Runs on the pool <code>");
            page_text(out, q->pool);
            buffer_text(out, "</code>.</p>\n");
        }
        tell_auth(out, q);
        page_curl(out, q, scheme, host);
        tell_params(out, q);
        if (forms) {
            tell_columns(out, q);
            page_form(out, q);
        }
    }
    tell_channels(out, req->lane->api, scheme, host);
    if (!set)
        buffer_text(out,
                    "<p>The queries are not there yet: the database has not been reached.</p>");
    if (!req->lane->api->separate_admin)
        buffer_text(out, rest);
    if (forms)
        page_script(out);
    buffer_text(out, "</body></html>\n");
    weir_reply_body(req, 200, "text/html; charset=utf-8");
}

/* ---- For programs ---- */

static void list_channels(buffer *out, const weir_api *api)
{
    bool first = true;

    for (uint32_t i = 0; i < api->feed_count; i++)
        for (uint32_t k = 0; k < feed_channels(api->feeds[i]); k++) {
            buffer_text(out, first ? "\"/events/" : ",\"/events/");
            page_url_value(out, feed_channel(api->feeds[i], k));
            buffer_char(out, '"');
            first = false;
        }
}

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
        buffer_printf(out, ",\"auth\":\"%s\",\"returns\":\"%s\",\"parameters\":[",
                      query_auth_name(q->auth), returns[q->returns]);
        for (uint32_t p = 0; p < q->param_count; p++) {
            buffer_text(out, p ? ",{\"name\":" : "{\"name\":");
            buffer_json_text(out, q->params[p].name);
            buffer_text(out, ",\"type\":");
            buffer_json_text(out, page_type(&q->params[p]));
            buffer_text(out, ",\"default\":");
            buffer_json_text(out, q->params[p].fallback);
            buffer_printf(out, ",\"optional\":%s}", q->params[p].optional ? "true" : "false");
        }
        buffer_text(out, "]}");
    }
    buffer_text(out, "],\"events\":[");
    list_channels(out, req->lane->api);
    buffer_text(out, "]}\n");
    weir_reply_body(req, 200, "application/json");
}

void serve_landing(weir_request *req)
{
    const query_set *set = req->lane->queries ? req->lane->queries->set : NULL;

    if (request_accepts(req, "application/json") && !request_accepts(req, "text/html"))
        list(req, set);
    else
        page(req, set, false);
}

void serve_docs(weir_request *req)
{
    page(req, req->lane->queries ? req->lane->queries->set : NULL, true);
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
        page_text(out, problem_title((problem_kind)kind));
        buffer_printf(out, "</h1>\n<p>Status %d, <code>%s</code></p>\n<p>",
                      problem_status((problem_kind)kind), word);
        page_prose(out, problem_meaning((problem_kind)kind));
        buffer_text(out, "</p>\n</body></html>\n");
        weir_reply_body(req, 200, "text/html; charset=utf-8");
        return;
    }
    weir_reply_error(req, PROBLEM_NOT_FOUND, "There is no such problem.");
}
