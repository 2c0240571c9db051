/* tokens.c: the secrets that let operators in. */
#include "tokens.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../pool/weir.h"

#define BLANKS " \t\r"

void tokens_open(token_set *set)
{
    *set = (token_set){.lock = PTHREAD_MUTEX_INITIALIZER};
}

static void forget(char *text)
{
    for (char *token = text; token && *token;) {
        size_t length = strlen(token);
        explicit_bzero(token, length);
        token += length + 1;
    }
    free(text);
}

void tokens_close(token_set *set)
{
    forget(set->text);
    pthread_mutex_destroy(&set->lock);
}

/* ---- Reading them ---- */

/* Whether a header can carry it: visible ASCII, without blanks. */
static bool is_token(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return true;
}

/* The tokens one behind the other; the line of a bad one goes to `*line`, else 0. */
static void take_lines(const char *lines, char *text, uint32_t *line)
{
    uint32_t number = 1;

    for (const char *at = lines; *at; number++) {
        size_t length = strcspn(at, "\n");
        const char *next = at + length + (at[length] == '\n');
        size_t indent = strspn(at, BLANKS);
        at += indent;
        length = length > indent ? length - indent : 0;
        while (length > 0 && strchr(BLANKS, at[length - 1]))
            length--;
        if (length > 0 && *at != '#') {
            if (!is_token(at, length)) {
                *line = number;
                return;
            }
            memcpy(text, at, length);
            text += length + 1;
        }
        at = next;
    }
    *line = 0;
}

int tokens_set(token_set *set, const char *lines, uint32_t *line)
{
    uint32_t wrong = 0;
    char *text = calloc(1, lines ? strlen(lines) + 2 : 1);

    if (!text)
        return WEIR_ENOMEM;
    if (lines)
        take_lines(lines, text, &wrong);
    if (wrong) {
        forget(text);
        *line = wrong;
        return WEIR_EINVAL;
    }
    pthread_mutex_lock(&set->lock);
    char *old = set->text;
    set->text = text;
    pthread_mutex_unlock(&set->lock);
    forget(old);
    return 0;
}

/* ---- Judging by them ---- */

/* Looks at every byte of what was given, whatever it finds, so that time tells nothing but the
 * length of that. None of the libraries we have offers this. */
static bool same(const char *given, const char *token)
{
    size_t length = strlen(token), i = 0;
    volatile unsigned char differs = 0;

    for (; given[i]; i++)
        differs |= (unsigned char)(given[i] ^ token[i % length]);
    return !differs & (i == length);
}

static bool is_known(const char *tokens, const char *given)
{
    bool known = false;

    for (const char *token = tokens; *token; token += strlen(token) + 1)
        known |= same(given, token);
    return known;
}

token_verdict tokens_judge(token_set *set, const char *authorization)
{
    const char *scheme = "Bearer ";
    token_verdict verdict;

    pthread_mutex_lock(&set->lock);
    if (!set->text || !*set->text)
        verdict = TOKEN_NONE_SET;
    else if (!authorization || strncasecmp(authorization, scheme, strlen(scheme)) != 0)
        verdict = TOKEN_MISSING;
    else
        verdict = is_known(set->text, authorization + strlen(scheme)) ? TOKEN_GOOD : TOKEN_WRONG;
    pthread_mutex_unlock(&set->lock);
    return verdict;
}
