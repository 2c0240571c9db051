/* tokens.h: secrets that let in whoever shows one. */
#ifndef WEIR_TOKENS_H
#define WEIR_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed to begin with; any thread, once it is read. */
typedef struct token_set {
    char *text; /* each token with a NUL behind it, and one more after the last; NULL: none */
    size_t count, longest;
} token_set;

/* Reads tokens in place of those before: one a line; blank lines, and lines that begin with #, say
 * nothing. NULL or none: nobody is let in. Copied. WEIR_EINVAL, and the old ones stay, for a token
 * that no header can carry, `*line` being its line; WEIR_ENOMEM. */
int tokens_set(token_set *set, const char *lines, uint32_t *line);
void tokens_close(token_set *set);

/* Whether two sets have the same tokens, in the same order. Not in constant time. */
bool tokens_same(const token_set *a, const token_set *b);

/* Whether the token is one of the set's. How long it takes does not tell how much of it was right,
 * and is bounded whatever its length. */
bool tokens_know(const token_set *set, const char *token);

/* What stands behind `Bearer ` in a header `Authorization`; NULL when it says something else, or is
 * NULL. */
const char *tokens_bearer(const char *authorization);

#endif
