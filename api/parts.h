/* parts.h: the several queries that one request asks for.
 *
 * Each is a request of its own to whoever runs and answers it, but for libmicrohttpd, which knows
 * only the whole. */
#ifndef WEIR_PARTS_H
#define WEIR_PARTS_H

#include "json_text.h"
#include "reference.h"
#include "request.h"

typedef struct part {
    request_parts *of;
    uint32_t index;
    weir_request *req; /* stands for it; its strings and queries are the whole's */
    char *path;        /* of req: where in the body it was asked for */
    reference *refs;   /* values that come from earlier parts */
    uint32_t ref_count;
    query *own; /* SQL that came with the request; NULL: a query of the set */
    json_item params_item;
    const json_item *params; /* of that; NULL: none */
} part;

struct request_parts {
    weir_request *whole;
    json_t *document; /* the body; NULL until it is read */
    part *each;
    uint32_t count;
    size_t bytes_left;    /* that they may find yet, all together */
    bool alone;           /* there is one, and it is the request itself */
    uint64_t deadline_ns; /* of all of them together */
    uint32_t attempts;    /* that all of them took; 0: there is only ever one */
    bool read_only;       /* a transaction is */
    char begin_sql[80];
    weir_statement begin; /* and how it begins: that SQL */
    bool fail_fast;       /* the first that fails ends the others */
    bool failed;          /* one has */
};

/* Reads a body that is to be a JSON `what`, "array" or "object", and makes it the request's. False
 * when the request has been answered: it or its query string cannot be read, nothing may be begun
 * now. `a` points into the request. On the loop's own stack, as all here. */
bool parts_begin(weir_request *req, const char *what, arguments *a, json_item *body);
/* Makes one part for each element of an array, which stands at `where` in the body. False as above:
 * there are none, too many, or more than its client may ask now. */
bool parts_make(weir_request *req, const char *where, const json_item *array);
/* Makes the request its own only part. False as above. */
bool parts_alone(weir_request *req);
/* Where in the body a part stands: "3", "queries.3"; "" alone. */
void part_where(const part *p, char *where, size_t size);
/* False when the request has been answered, because its query string says something. */
bool parts_no_arguments(weir_request *req, const arguments *a);
/* Makes the part run a query, with its lease on the query's own pool. */
void part_query(part *p, const query *q);

/* Until the deadline of all, in ns; 1 once it has passed. */
uint64_t parts_time_left(const request_parts *parts);

/* Counts a part's query that took this long. */
void part_count(const part *p, uint64_t took_ns);

/* The answers of all, as members of an object. */
void parts_encode(request_parts *parts, buffer *out);
/* The first that has failed, or NULL. */
const weir_request *parts_wrong(const request_parts *parts);
void parts_free(request_parts *parts); /* takes NULL */

#endif
