/* results.h: what an answer tells of several queries, and tables of what is not taken. */
#ifndef WEIR_TESTS_RESULTS_H
#define WEIR_TESTS_RESULTS_H

#include "served.h"

/* A number of the answer; 0: there is none. */
long number(const http_reply *r, const char *name);

/* A part's result, its status, its count, the first of its rows, and a text of its problem ("":
 * none). */
json_t *result(const http_reply *r, size_t index);
int status_at(const http_reply *r, size_t index);
int count_at(const http_reply *r, size_t index);
json_t *first_row(const http_reply *r, size_t index);
const char *problem_at(const http_reply *r, size_t index, const char *name);

/* A body that gets 400, with the member at fault and a piece of what is said of it. */
typedef struct malformed {
    const char *body, *code, *parameter, *says;
} malformed;

/* Sends each by `send`. */
void assert_malformed(const malformed *cases, size_t count, http_reply (*send)(const char *body));

/* A body of `head`, `piece` so many times and `tail`, and its answer. */
typedef struct bulky {
    const char *head, *piece;
    int times;
    const char *tail;
    int status;
    const char *code, *says;
} bulky;

void assert_bulky(const bulky *cases, size_t count, http_reply (*send)(const char *body));

#endif
