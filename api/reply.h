/* reply.h: the answers that a handler can give. Each ends what the handler has to say. */
#ifndef WEIR_REPLY_H
#define WEIR_REPLY_H

#include "bind.h"
#include "problem.h"
#include "request.h"

/* A query's result, in the form that its @returns asks for. Takes the result over: it is encoded
 * once the lease has been given back. */
void weir_reply_result(weir_request *req, weir_result **result);

/* The same of what has been encoded already, NULL where that would have been a row and there is
 * none. It stays until the request is freed. */
void reply_found(weir_request *req, const buffer *found);

/* The results of the request's parts, in order; with what the pool had to do with them all. */
void reply_parts(weir_request *req, bool pool_told);

/* Why values could not be bound: what bind_request and its like returned and found at fault. */
void reply_unbound(weir_request *req, int error, const bind_fault *fault);

/* Why weir_acquire gave no lease: with who holds the pool and when to try again. */
void weir_reply_refused(weir_request *req, int error);

/* Why a query on the lease failed. */
void weir_reply_failed(weir_request *req, const weir_lease *lease, int error);
/* The same from what was said of it, which only WEIR_EQUERY and WEIR_ELOST need. */
void reply_failure(weir_request *req, const weir_error *why, int error);

/* A problem of any kind; what belongs to the request is filled in here. */
void weir_reply_problem(weir_request *req, problem p);
/* The same, of a kind that a sentence explains well enough. */
void weir_reply_error(weir_request *req, problem_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A body that has been built in req->out. `content_type` must stay valid. */
void weir_reply_body(weir_request *req, int status, const char *content_type);
void weir_reply_text(weir_request *req, int status, const char *text);

/* The figures of the request's pool as they are now. */
void weir_reply_pool(weir_request *req);

/* Adds who has held the pool's connections for longest to the problem just begun, and to its `pool`
 * why it is as it is; `refusal` as for weir_pool_diagnose. */
void reply_holders(weir_request *req, int refusal);

/* Makes the pool of this name the request's. False, with the request answered: there is none. */
bool reply_pool_named(weir_request *req, const char *name);
/* The same, of those too that are for events alone: for who only looks. */
bool reply_any_pool_named(weir_request *req, const char *name);

/* How long the request has waited for its lease, so far or in all; 0: it has not asked for one. */
uint64_t reply_waited_ns(const weir_request *req);

/* A lease as holders and leases tell it, but for its end: {"label":… */
void reply_lease(buffer *out, const weir_lease_info *lease);

/* The last failed dial, or null; `message` names hosts and users. */
void reply_connect_error(buffer *out, const weir_error *error, bool message);

/* Encodes the result and closes the JSON object; one that gets too large is thrown away, which
 * req->too_long tells. After the handler, not on a task's stack. */
void reply_seal(weir_request *req);
/* The same, and in place of one that was too large says so. On the loop's own stack. */
void reply_ready(weir_request *req);

/* ---- excess.c ---- */

/* Whether these are more rows of a query than may be answered as a whole. */
bool excess_rows(const weir_request *req, const query *q, uint32_t rows);
/* The same; then the request has been answered so. */
bool excess_refused(weir_request *req, const query *q, uint32_t rows);
/* How many bytes a query of the request may find; and that it has found these. */
size_t excess_limit(const weir_request *req);
void excess_count(weir_request *req, const weir_result *result);
/* Answers that the query was given up because it found too much; that an answer got too large when
 * it was written. */
void excess_cut_short(weir_request *req);
void excess_sealed(weir_request *req);

/* What belongs into the answer's JSON object behind what stands in req->out: the result, and the
 * pool where it is to be told. On the loop's own stack, after the handler. */
void reply_members(weir_request *req);

/* The header Allow for a set of methods, bits 1 << query_method. */
void reply_allow(weir_request *req, uint32_t methods);

#endif
