/* request.h: one HTTP request, from its first line to the last byte of its answer. */
#ifndef WEIR_REQUEST_H
#define WEIR_REQUEST_H

#include "accept.h"
#include "arguments.h"
#include "buffer.h"
#include "row_stream.h"
#include "server.h"

typedef enum request_step {
    REQUEST_ANNOUNCED, /* its first line has come */
    REQUEST_RECEIVING, /* and its header */
    REQUEST_RUNNING,   /* its task runs, libmicrohttpd waits */
    REQUEST_READY,     /* its task has ended; libmicrohttpd will ask for the answer */
    REQUEST_ANSWERED,  /* the answer is libmicrohttpd's; of a stream, what there is of it so far */
} request_step;

typedef struct disconnect_watch disconnect_watch;
typedef struct request_parts request_parts;
typedef struct shared_run shared_run;
typedef struct identity identity;

/* Freed when both libmicrohttpd and the task have let go. On one lane. */
struct weir_request {
    api_lane *lane;
    listener *listener;
    struct MHD_Connection *connection; /* NULL once libmicrohttpd has let go */
    weir_request *next, *prev;         /* in one of the lane's lists */
    disconnect_watch *watch;           /* NULL: not watched */
    request_step step;
    bool client_gone;
    bool held;             /* runs, and its connection is not suspended */
    bool fresh;            /* in the lane's `fresh` list */
    bool too_large;        /* the body; what still comes is thrown away */
    bool trace;            /* ?_trace=1: the answer tells its lifecycle */
    bool too_long;         /* it was thrown away for that, and another is to be given */
    bool close;            /* the connection ends with this answer */
    bool counted;          /* it has come whole, and a drain waits for its answer */
    bool http_1_0;         /* or older: knows no chunks */
    bool long_url;         /* longer than it may be */
    bool too_slow;         /* it did not come whole in its time */
    bool for_operators;    /* what it asks for is */
    struct client *client; /* whose connection it is; NULL: not known */
    ip asker;              /* whose request it is; ::, not known */
    uint64_t began_ns;

    /* What was asked. Strings are libmicrohttpd's until it lets go. */
    const char *method_name; /* one of a fixed few, "_OTHER" for the rest */
    const char *path;        /* as it was sent */
    const char *known_tags;  /* If-None-Match, where it matters; NULL: none */
    query_method method;     /* HEAD is GET; METHOD_COUNT: none that a query could have */
    char *body;
    size_t body_length, body_capacity, body_seen;

    /* What answers it. */
    lane_queries *queries;
    const query *query;
    const char *route; /* the pattern; "" when none matched */
    uint32_t allowed;  /* bits 1 << query_method: what the path takes */
    weir_task *task;
    weir_async void (*handler)(weir_request *req); /* what the task does */
    weir_pool *pool;
    weir_scope scope; /* of its lease */
    weir_timings timings;
    bound bound;
    const weir_statement *statement;
    const weir_params *params;
    shared_run *run;           /* of its query, for others too; NULL: it has its own */
    bool shared;               /* and another request had begun it */
    identity *identity;        /* who asks; NULL: no query has wanted that shown by a JWT */
    request_parts *parts;      /* the several queries it asks for; NULL: it is about one */
    uint64_t query_timeout_ns; /* how long the query may run, or what an operator asked for */
    const char *hurried;       /* who made that so short, as patience_words; NULL: nobody */
    answer_form form;          /* in which rows are wanted */
    size_t *bytes_left;        /* of what it and others may find together; NULL: it is alone */

    /* By when the answer is wanted: see patience.h. */
    uint64_t deadline_ns;    /* 0: whenever it comes */
    const char *hurry;       /* which header says so, in brackets */
    uint32_t wait_preferred; /* seconds; 0: Prefer does not say */

    /* The answer. */
    int status;
    weir_result *result; /* to be encoded */
    const buffer *found; /* has been encoded, by its run; NULL: see `result` */
    buffer out;
    const char *content_type;
    char etag[ETAG_SIZE];      /* "": the answer has none */
    const char *cache_control; /* NULL: says nothing */
    bool varies;               /* by the encodings that the client accepts */
    bool packed;               /* `out` is gzip */
    const char *challenge;     /* of a 401: what is wrong with the token; NULL: there is none */
    uint32_t retry_after;      /* seconds; 0: says nothing */
    bool open_object;          /* `out` is a JSON object that lacks its end */
    bool tell_pool;            /* that end is to have a member `pool` */
    weir_verdict verdict;      /* why no lease was granted, for that member */
    char *reason;              /* the same in a sentence; NULL: one was */
    char allow[48];
    char code[24];        /* of a problem; "": none */
    char *message;        /* its detail; may be NULL */
    uint64_t bytes;       /* of the body */
    row_stream stream;    /* of an answer that is sent while it is still being read */
    event_stream *events; /* of one that never ends; NULL: it is none */

    char request_id[REQUEST_ID_MAX + 1];
    char traceparent[TRACEPARENT_SIZE + 1];
    char query_string[]; /* as it was sent, without '?' */
};

/* libmicrohttpd's callbacks: for a request line, for a header and what comes behind it, and for its
 * letting go of a request. */
void *request_announced(void *listener, const char *uri, struct MHD_Connection *connection);
enum MHD_Result request_access(void *listener, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **context);
void request_completed(void *listener, struct MHD_Connection *connection, void **context,
                       enum MHD_RequestTerminationCode how);

/* The request's task has ended, or it needs none: hands its answer to libmicrohttpd; ends one that
 * is a stream. On the loop's own stack. */
void request_answer(weir_request *req);
/* Hands an answer over, or of a stream its beginning. On the loop's own stack. */
void request_hand_over(weir_request *req);
/* One that stands for a part of `whole`, or for several like it: to whoever runs and answers it a
 * request like any other, but libmicrohttpd does not know it. request_free it; NULL: no memory. */
weir_request *request_stand_in(const weir_request *whole);
/* Not while libmicrohttpd or its task has it. Takes NULL. */
void request_free(weir_request *req);
/* Its task runs: libmicrohttpd waits for the answer. */
void request_hold(weir_request *req);
/* It takes longer than most: libmicrohttpd is to leave the connection alone meanwhile. */
void request_suspend(weir_request *req);
/* Gives the answer its ETag; one that is among the known_tags becomes a 304. It keeps its body,
 * which libmicrohttpd does not send: a 304 must not tell another length than the whole answer's. */
void request_revalidate(weir_request *req, const char etag[ETAG_SIZE]);
/* A header of the request, or NULL. */
const char *request_header(const weir_request *req, const char *name);
/* Whether the header Accept names this media type. */
bool request_accepts(const weir_request *req, const char *media_type);

void request_list_append(request_list *list, weir_request *req);
void request_list_remove(request_list *list, weir_request *req);

/* ---- cross_origin.c ---- */

/* Whether it is a browser's question what a page of another origin may do, and may be answered. */
bool cross_origin_asks(const weir_request *req);
/* Adds what a browser has to know to let such a page read the answer. */
void cross_origin_tell(const weir_request *req, struct MHD_Response *response);

/* ---- asker.c ---- */

/* The address at the other end of its connection; behind a trusted proxy, that which the proxy
 * names. While libmicrohttpd has its header. */
ip asker_address(const weir_request *req);

/* ---- limit.c ---- */

/* Charges the request to its client. False when it has been answered, because that has asked too
 * often. */
bool limit_let_in(weir_request *req);
/* Charges it also what it asks for beyond one query. False as above. */
bool limit_let_all_in(weir_request *req, uint32_t queries);

/* ---- route.c ---- */

/* Finds what answers the request: answers at once, or starts a task that will. On the loop's own
 * stack. */
void route_request(weir_request *req);

/* Starts a task that runs req->handler, and has libmicrohttpd wait for its answer. */
void route_start(weir_request *req);
/* The arguments of a request, and whether its body is JSON if it has one. False when it has been
 * answered because they cannot be read. `a` points into the request. */
bool route_arguments(weir_request *req, arguments *a);
/* Gives the request the queries as they are now. False when it has been answered because there are
 * none, or none are to be begun any more. */
bool route_queries(weir_request *req);
/* Whether the query string asks for the request's own lifecycle. */
bool route_trace(const arguments *a);

/* ---- control.c ---- */

/* Whether the request comes from an operator. False when it has been answered, because not. */
bool control_let_in(weir_request *req);
/* The same of one that changes nothing: while no token is set, anybody may. */
bool control_let_watch(weir_request *req);

/* ---- What answers: a handler, called as a task ---- */

weir_async void serve_query(weir_request *req);
/* How long a query may run by its file, or else by the service. */
uint64_t query_limit_ns(const weir_api *api, const query *q);
/* Makes req->query_timeout_ns what the request or its task has left, where that is less. */
void query_hurry(weir_request *req);
/* Its statement on a lease, for up to req->query_timeout_ns, after query_hurry: as weir_query. */
weir_async int query_run(weir_request *req, weir_lease *lease, weir_result **rows);
/* All of it, and why there are no rows: 0, or the WEIR_E… code of what has been answered. */
weir_async int query_answer(weir_request *req);
weir_async void serve_stream(weir_request *req);

/* ---- What answers at once, on the loop's own stack ---- */

void serve_livez(weir_request *req);
void serve_readyz(weir_request *req);
void serve_metrics(weir_request *req);
void serve_pool_state(weir_request *req);
void serve_control(weir_request *req);     /* POST /pool/… and /reload */
void serve_batch(weir_request *req);       /* POST /batch */
void serve_sql(weir_request *req);         /* POST /sql */
void serve_transaction(weir_request *req); /* POST /tx */
void serve_landing(weir_request *req);
void serve_docs(weir_request *req);
void serve_problem_page(weir_request *req);
void serve_events(weir_request *req);      /* GET /events/{channel} */
void serve_pool_events(weir_request *req); /* GET /pool/events */
void serve_openapi(weir_request *req);     /* starts a task for it */

#endif
