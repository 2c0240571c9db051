/* problem.h: what can go wrong with a request: its status, its name, and how a client is told. */
#ifndef WEIR_PROBLEM_H
#define WEIR_PROBLEM_H

#include "buffer.h"

/* One row a problem: constant, status, stable word, title, what a client can make of it. */
#define PROBLEMS(X)                                                                                \
    X(PROBLEM_BAD_REQUEST, 400, "bad_request", "The request is malformed",                         \
      "Path, query string or body could not be decoded. The same request will fail again.")        \
    X(PROBLEM_BAD_PARAMETER, 400, "bad_parameter", "A parameter is not valid",                     \
      "A value is missing, unknown, given twice or not of its type; `parameter` names it. No "     \
      "connection was taken.")                                                                     \
    X(PROBLEM_BAD_VALUE, 400, "bad_value", "The database refused a value",                         \
      "A value is not of its type, or broke a rule of the schema: its range, a NOT NULL or CHECK " \
      "constraint, or a rule that a function raised. `parameter` names it where the database "     \
      "says which.")                                                                               \
    X(PROBLEM_BAD_SQL, 400, "bad_sql", "The database refused the SQL",                             \
      "The SQL that came with the request cannot be run as it is.")                                \
    X(PROBLEM_UNAUTHORIZED, 401, "unauthorized", "Operators only",                                 \
      "The request needs a header `Authorization: Bearer …` with one of the service's tokens.")    \
    X(PROBLEM_TOKEN_MISSING, 401, "token_missing", "A token is needed",                            \
      "The request needs a header `Authorization: Bearer …` with a token or a JWT.")               \
    X(PROBLEM_TOKEN_INVALID, 401, "token_invalid", "The token is not accepted",                    \
      "It is not one of the service's, or a JWT that cannot be believed; the detail says why.")    \
    X(PROBLEM_TOKEN_EXPIRED, 401, "token_expired", "The token has expired",                        \
      "Its time (`exp`) is over. With a new one the same request may succeed.")                    \
    X(PROBLEM_ROLE, 403, "role_refused", "The token's role cannot be taken on",                    \
      "The JWT says no role, or one that the database does not know or does not grant to the "     \
      "service.")                                                                                  \
    X(PROBLEM_NO_TOKEN, 403, "no_token_set", "The service has no token that would permit this",    \
      "Nobody is let in before there is one: start it with --token-file or WEIR_TOKEN.")           \
    X(PROBLEM_FORBIDDEN, 403, "forbidden", "The database does not permit this",                    \
      "The role that the query runs as lacks a privilege.")                                        \
    X(PROBLEM_NOT_FOUND, 404, "not_found", "Nothing is served at this path",                       \
      "GET / lists what is.")                                                                      \
    X(PROBLEM_NO_QUERY, 404, "query_not_found", "There is no query of this name",                  \
      "A query's name is that of its file without .sql. GET / lists what there is.")               \
    X(PROBLEM_NO_ROW, 404, "row_not_found", "There is no such row",                                \
      "The query answers with one row and found none.")                                            \
    X(PROBLEM_METHOD, 405, "method_not_allowed", "The path does not take this method",             \
      "The header Allow says which it takes.")                                                     \
    X(PROBLEM_READ_ONLY, 405, "read_only", "A GET cannot write",                                   \
      "GET runs in a read-only transaction, and so does a query whose @route is a GET, however "   \
      "it is asked for. `hint` says how it can write.")                                            \
    X(PROBLEM_REQUEST_TIMEOUT, 408, "request_timeout", "The request came too slowly",              \
      "Its header or its body did not come in the time there is for it; the connection is "        \
      "closed.")                                                                                   \
    X(PROBLEM_CONFLICT, 409, "conflict", "The change conflicts with what is stored",               \
      "A unique, foreign key or exclusion constraint stands against it.")                          \
    X(PROBLEM_CONTENDED, 409, "contended", "Another transaction was in the way",                   \
      "A serialization failure, a deadlock, or a lock that was taken. Nothing was changed; the "   \
      "same request may succeed when tried again.")                                                \
    X(PROBLEM_RESUMED, 409, "resumed", "The pool was resumed before it came to rest",              \
      "Another operator ended the pause that this request had begun.")                             \
    X(PROBLEM_TOO_LARGE, 413, "body_too_large", "The body is too large",                           \
      "The detail says how large it may be.")                                                      \
    X(PROBLEM_LONG_URL, 414, "url_too_long", "Path and query string are too long",                 \
      "The detail says how long they may be. Long values can be sent in the body of a POST.")      \
    X(PROBLEM_MEDIA_TYPE, 415, "unsupported_media_type", "The body is not JSON",                   \
      "A body must be one JSON object, sent with Content-Type: application/json.")                 \
    X(PROBLEM_RELOAD, 422, "reload_failed", "What is on disk cannot be put in force",              \
      "A query, the configuration, a token or the certificate is at fault; the detail says which " \
      "file, which line and why. Nothing has changed: all that held before still does.")           \
    X(PROBLEM_NOT_RUN, 424, "not_run", "Another query of the request had failed",                  \
      "It was not begun, or was cancelled, because one that it belongs together with failed.")     \
    X(PROBLEM_TOO_OFTEN, 429, "too_many_requests", "Too many requests",                            \
      "Your address, or your token, has asked more often than it may. Retry-After says when it "   \
      "may again.")                                                                                \
    X(PROBLEM_INTERNAL, 500, "internal_error", "The query failed",                                 \
      "The query, the schema or the service is at fault, not the request.")                        \
    X(PROBLEM_STARTING, 503, "starting", "The service is starting",                                \
      "The queries have not been described by the database yet.")                                  \
    X(PROBLEM_DRAINING, 503, "draining", "The service is shutting down",                           \
      "Requests under way are finished, new ones are refused. Another instance may answer.")       \
    X(PROBLEM_OVERLOADED, 503, "overloaded", "The service is out of memory",                       \
      "There was no memory to begin or finish the request.")                                       \
    X(PROBLEM_EVENT_CLIENTS, 503, "too_many_listeners", "Too many clients are sent events",        \
      "As many streams of these events are open as there may be. Another may end soon.")           \
    X(PROBLEM_POOL_TIMEOUT, 503, "pool_timeout", "No connection became free in time",              \
      "All connections were in use. `pool` counts them and `holders` says who has held one for "   \
      "longest.")                                                                                  \
    X(PROBLEM_QUEUE_FULL, 503, "queue_full", "Too many requests are waiting for a connection",     \
      "As many requests as the queue may hold are waiting already.")                               \
    X(PROBLEM_SHED, 503, "shed", "The service is overloaded",                                      \
      "The request's turn would have come too late, so it was turned away early. `pool` says "     \
      "why and `holders` who has held a connection for longest.")                                  \
    X(PROBLEM_DEADLOCK, 503, "deadlock", "Every connection waits for another one",                 \
      "All connections are held by requests that themselves wait for one; this one was turned "    \
      "away so that the others can go on.")                                                        \
    X(PROBLEM_DATABASE_DOWN, 503, "database_unavailable", "The database cannot be used now",       \
      "It cannot be reached, is starting or stopping, or has no room. `connect_error` has the "    \
      "code of the last error, GET /pool its text.")                                               \
    X(PROBLEM_LOST, 503, "connection_lost", "The connection to the database broke",                \
      "It broke while the query ran. A read can be tried again; whether a write was carried out "  \
      "is not known.")                                                                             \
    X(PROBLEM_QUERY_TIMEOUT, 504, "query_timed_out", "The query took too long",                    \
      "It was cancelled at the database when its time was over.")                                  \
    X(PROBLEM_STREAM_TIMEOUT, 504, "stream_timed_out", "The stream stood still",                   \
      "After its first rows the database paused for longer than a stream may. What came before "   \
      "is not the whole answer.")                                                                  \
    X(PROBLEM_RECLAIMED, 504, "lease_reclaimed", "The connection was held for too long",           \
      "The pool took the connection back, and what ran on it was cancelled: whether a write was "  \
      "carried out is not known.")                                                                 \
    X(PROBLEM_NOT_AT_REST, 504, "not_at_rest",                                                     \
      "The pool is paused, but connections are still out",                                         \
      "No connection is granted any more. `holders` says who still has one; ask again, or "        \
      "resume.")                                                                                   \
    X(PROBLEM_TOO_MANY_ROWS, 507, "too_many_rows", "The answer has too many rows",                 \
      "An answer that is sent as a whole may have only so many. Ask for fewer, or for a stream: "  \
      "Accept: application/x-ndjson.")                                                             \
    X(PROBLEM_LONG_ANSWER, 507, "answer_too_large", "The answer is too large",                     \
      "An answer that is sent as a whole may have only so many bytes. Ask for less, or for a "     \
      "stream: Accept: application/x-ndjson.")

typedef enum problem_kind {
#define X(name, status, word, title, meaning) name,
    PROBLEMS(X)
#undef X
        PROBLEM_COUNT
} problem_kind;

int problem_status(problem_kind kind);
const char *problem_word(problem_kind kind);
const char *problem_title(problem_kind kind);
const char *problem_meaning(problem_kind kind);

/* Which problem an error of the server is. `read_only`: the request only reads. */
problem_kind problem_of_sqlstate(const char *sqlstate, bool read_only);

/* One problem as a client is told it. NULL or "" where there is nothing to say. */
typedef struct problem {
    problem_kind kind;
    const char *code; /* SQLSTATE; NULL: the problem's own word */
    const char *detail;
    const char *hint;
    const char *parameter; /* the name of the one at fault */
    const char *sql;       /* only where it may be shown */
    const char *instance;  /* the request's path as it was sent */
    const char *request_id;
    bool retryable;
} problem;

/* The problem as a JSON object, without its closing brace, so that more can follow. */
void problem_open(buffer *out, const problem *p);

#endif
