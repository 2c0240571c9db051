/* postgres_error.h: what went wrong, from libpq's results and messages.
 *
 * On any thread that may use what they are given.
 */
#ifndef WEIR_POSTGRES_ERROR_H
#define WEIR_POSTGRES_ERROR_H

#include <libpq-fe.h>

#include "driver.h"

/* The $N whose value a context names as the one that could not be read, from 1; 0: it names none,
 * or in another language than English. `context` may be NULL. */
uint32_t error_parameter(const char *context);
/* What the server said in a failed result. */
void error_of_result(weir_error *e, const PGresult *result);
/* What libpq says of a connection that is lost. */
void error_of_loss(weir_error *e, PGconn *pg);
/* What libpq says, in its verbose words, of one that could not be made. */
void error_of_dial(weir_error *e, const char *text);
/* Such a text says that the server has no room for one more. */
bool error_says_full(const char *text);
/* Sets code and message; the rest is empty. */
void error_set(weir_error *e, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What failed with it may succeed when it is tried again. */
bool error_is_retryable(const char *sqlstate);
/* The session ends with such an error, and why; WEIR_RETIRE_NOT: it goes on. */
weir_retire_reason error_fate(const char *sqlstate);
/* Copies as much as fits, whole UTF-8 characters only, line breaks made spaces. */
void text_copy(char *to, size_t size, const char *from);

#endif
