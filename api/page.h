/* page.h: parts of the pages for people. */
#ifndef WEIR_PAGE_H
#define WEIR_PAGE_H

#include "buffer.h"
#include "query.h"

/* Text between tags, or in an attribute's quotes. */
void page_text(buffer *out, const char *text);
/* Text in which `…` is code. */
void page_prose(buffer *out, const char *text);

/* What a parameter's type is called. */
const char *page_type(const query_param *p);

/* A value for a URL's query string; what it becomes needs no quoting in HTML or by a shell. */
void page_url_value(buffer *out, const char *text);
/* A command with which a query can be tried, with values that its parameters can have. On the
 * loop's own stack: JSON is made in it. */
void page_curl(buffer *out, const query *q, const char *scheme, const char *host);
/* A form with which a query can be tried, at its @route if it has one. */
void page_form(buffer *out, const query *q);
/* Where a token is put, for the forms of queries that ask for one. */
void page_token(buffer *out);
/* What the forms need to be sent from the page; without it a GET can be sent as usual. */
void page_script(buffer *out);

#endif
