/* tokens.c: secrets that let in whoever shows one. */
#include "tokens.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../pool/weir.h"

#define BLANKS " \t\r"

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
    *set = (token_set){0};
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
    tokens_close(set);
    set->text = text;
    for (const char *one = text; *one; one += strlen(one) + 1, set->count++)
        set->longest = strlen(one) > set->longest ? strlen(one) : set->longest;
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

bool tokens_same(const token_set *a, const token_set *b)
{
    const char *one = a->text ? a->text : "", *other = b->text ? b->text : "";

    while (*one && strcmp(one, other) == 0) {
        one += strlen(one) + 1;
        other += strlen(other) + 1;
    }
    return !*one && !*other;
}

bool tokens_know(const token_set *set, const char *token)
{
    bool known = false;

    if (strlen(token) > set->longest)
        return false;
    for (const char *one = set->text; one && *one; one += strlen(one) + 1)
        known |= same(token, one);
    return known;
}

const char *tokens_bearer(const char *authorization)
{
    const char *scheme = "Bearer ";
    size_t length = strlen(scheme);

    return authorization && strncasecmp(authorization, scheme, length) == 0 ? authorization + length
                                                                            : NULL;
}
