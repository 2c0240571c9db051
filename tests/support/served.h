/* served.h: a database, a folder of queries, and the program that serves them, for tests over HTTP.
 *
 * One of each a test program. What fails here fails the test at hand. */
#ifndef WEIR_TESTS_SERVED_H
#define WEIR_TESTS_SERVED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_client.h"
#include "patience.h"
#include "postgres.h"
#include "raw_client.h"
#include "scratch.h"
#include "weir_process.h"

extern postgres_server *database;
extern char *folder;        /* of the queries */
extern weir_process *weir;  /* the program now running */
extern http_client *client; /* of its port */

/* Writes NAME.sql into the folder. */
void query_file(const char *name, const char *sql);

/* Starts the program over database and folder, with further flags up to NULL, and waits until it is
 * ready; opens the client. */
void serve_ready(const char *const *flags);
/* The same without waiting. */
void serve_unready(const char *const *flags);
/* Two lists of flags, each up to NULL (or NULL for none), as one. Valid until the next call. */
const char *const *joined_flags(const char *const *first, const char *const *rest);

/* Teardowns of a test: an orderly stop, which must end with exit code 0; or the end of a program
 * that has ended by itself or is to be killed. Requests beside the test's own are waited for. */
int stop(void **state);
int stop_stopped(void **state);

/* ---- Requests and answers ---- */

http_reply get(const char *path);
/* With this token (NULL: none), and as http_send's body. */
http_reply send_as(const char *token, const char *method, const char *path, const char *body);
/* As an operator: POST without a body, with this token (NULL: none). */
http_reply post_as(const char *token, const char *path);

/* A member of the answer, "" when it is no string; one of an object in it. */
const char *text(const http_reply *r, const char *name);
json_t *member(const http_reply *r, const char *object, const char *name);

/* One request whose problem is all that matters. */
void fails_with(const char *method, const char *path, const char *body, int status,
                const char *code);

/* A sample of /metrics, written exactly so; 0: there is none. */
double metric(const char *name);
/* A number of GET /pool. */
long pool(const char *name);

#define assert_status(reply, expected)                                                             \
    do {                                                                                           \
        if ((reply)->status != (expected))                                                         \
            fail_msg("%d %s", (reply)->status, (reply)->status ? (reply)->body : (reply)->error);  \
    } while (0)

#define assert_problem(reply, expected_status, expected_code)                                      \
    do {                                                                                           \
        assert_status(reply, expected_status);                                                     \
        assert_string_equal(text(reply, "code"), expected_code);                                   \
        assert_string_equal(http_header(reply, "Content-Type"), "application/problem+json");       \
        assert_int_equal(json_integer_value(json_object_get((reply)->json, "status")),             \
                         expected_status);                                                         \
        assert_string_equal(text(reply, "request_id"), http_header(reply, "X-Request-Id"));        \
    } while (0)

/* An answer of which nothing else matters; it is freed. */
#define assert_answered(reply, expected_status)                                                    \
    do {                                                                                           \
        http_reply r_ = (reply);                                                                   \
        assert_status(&r_, expected_status);                                                       \
        http_reply_free(&r_);                                                                      \
    } while (0)

#define assert_refused(reply, expected_status, expected_code)                                      \
    do {                                                                                           \
        http_reply r_ = (reply);                                                                   \
        assert_problem(&r_, expected_status, expected_code);                                       \
        http_reply_free(&r_);                                                                      \
    } while (0)

/* ---- Requests beside the test's own, each in a thread ---- */

enum { ASKERS = 4 };

void ask_beside(int index, const char *path);
/* Whether it has its answer by now. */
bool is_answered(int index);
/* Waits for its answer; the status. */
int answered(int index);
/* The same, with the answer: http_reply_free it. */
http_reply answer_of(int index);

/* POST with a JSON body on a connection of its own, without waiting for the answer: the connection.
 * `headers` NULL: no further ones, else each with its line end. */
int post_beside(const char *path, const char *headers, const char *body);

/* `head`, then `piece` so many times, then `tail`; free() it. */
char *repeated(const char *head, const char *piece, int times, const char *tail);

/* Queries that sleep at the server now. */
int naps(void);

#endif
