/* page.c: parts of the pages for people. */
#include "page.h"

#include "bind_text.h"

static const char script[] =
#include "docs.js.inc"
    ;

static void text_part(buffer *out, const char *text, size_t length)
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

void page_text(buffer *out, const char *text)
{
    text_part(out, text, strlen(text));
}

void page_prose(buffer *out, const char *text)
{
    for (;;) {
        const char *open = strchr(text, '`');
        const char *close = open ? strchr(open + 1, '`') : NULL;
        if (!close)
            break;
        text_part(out, text, (size_t)(open - text));
        buffer_text(out, "<code>");
        text_part(out, open + 1, (size_t)(close - open - 1));
        buffer_text(out, "</code>");
        text = close + 1;
    }
    page_text(out, text);
}

const char *page_type(const query_param *p)
{
    return p->shape && p->shape->type_name ? p->shape->type_name : "text";
}

/* ---- Forms ---- */

static void attribute(buffer *out, const char *name, const char *value)
{
    buffer_printf(out, " %s=\"", name);
    page_text(out, value);
    buffer_char(out, '"');
}

static bool is_json(const query_param *p)
{
    const shape *type = bind_shape(p);
    return type->kind == SHAPE_ARRAY || type->kind == SHAPE_JSON;
}

static void field(buffer *out, const query_param *p, const char *in)
{
    bool in_body = strcmp(in, "body") == 0;

    buffer_text(out, "<label><code>");
    page_text(out, p->name);
    buffer_text(out, "</code> ");
    page_text(out, page_type(p));
    buffer_text(out, "<input");
    attribute(out, "name", p->name);
    attribute(out, "data-in", in);
    if (p->fallback)
        attribute(out, "placeholder", p->fallback);
    else if (bind_shape(p)->kind == SHAPE_ARRAY)
        attribute(out, "placeholder", in_body ? "[…, …]" : "{…,…}");
    if (in_body && is_json(p))
        buffer_text(out, " data-json");
    buffer_text(out, p->fallback || p->optional ? "></label>\n" : " required></label>\n");
}

void page_token(buffer *out)
{
    buffer_text(out, "<p><label>A token or JWT, for the queries that ask for one; it stays in this "
                     "page, and no longer than that<input id=\"token\" type=\"password\" "
                     "autocomplete=\"off\"></label></p>\n");
}

/* Without a script a form goes to /q/…, where all is in the query string. */
void page_form(buffer *out, const query *q)
{
    query_method method = q->routed ? q->method : METHOD_GET;
    bool has_body = method != METHOD_GET && method != METHOD_DELETE;

    buffer_printf(out, "<form method=\"%s\"", method == METHOD_GET ? "get" : "post");
    attribute(out, "action", q->named_path);
    attribute(out, "data-method", query_method_name(method));
    attribute(out, "data-path", q->path ? q->path : q->named_path);
    if (q->auth != AUTH_NONE)
        buffer_text(out, " data-auth");
    buffer_text(out, ">\n");
    for (uint32_t i = 0; i < q->param_count; i++) {
        const query_param *p = &q->params[i];
        field(out, p, p->in_path ? "path" : has_body ? "body" : "query");
    }
    buffer_text(out, "<button>Send</button> <label><input type=\"checkbox\" class=\"trace\"> with "
                     "its lifecycle</label>\n<output hidden></output>\n</form>\n");
}

void page_script(buffer *out)
{
    buffer_text(out, "<script>\n");
    buffer_text(out, script);
    buffer_text(out, "</script>\n");
}
