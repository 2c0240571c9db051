/* tokens.h: the secrets that let operators in. */
#ifndef WEIR_TOKENS_H
#define WEIR_TOKENS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Any thread, but for opening and closing. */
typedef struct token_set {
    pthread_mutex_t lock;
    char *text; /* each token with a NUL behind it, and one more after the last; NULL: none */
} token_set;

void tokens_open(token_set *set);
void tokens_close(token_set *set);

/* As weir_api_tokens. */
int tokens_set(token_set *set, const char *lines, uint32_t *line);

typedef enum token_verdict {
    TOKEN_GOOD,
    TOKEN_NONE_SET, /* nobody is let in */
    TOKEN_MISSING,  /* the request says none */
    TOKEN_WRONG,
} token_verdict;

/* What a header `Authorization` is worth; NULL: there is none. How long it takes does not tell how
 * much of a token was right. */
token_verdict tokens_judge(token_set *set, const char *authorization);

#endif
