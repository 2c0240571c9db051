/* cors.c: which pages of other origins may read what is served here. */
#include "cors.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../pool/weir.h"

#define NAMES_MAX 1024

struct cors {
    char *text; /* each origin with a NUL behind it, and one more after the last; "": all */
};

/* ---- What was configured ---- */

/* scheme://host or scheme://host:port: no path, not even a slash, since browsers send none. */
static bool is_origin(const char *text, size_t length)
{
    const char *end = text + length, *at = text;

    while (at < end && (isalnum((unsigned char)*at) || strchr("+-.", *at)))
        at++;
    if (at == text || end - at < 4 || strncmp(at, "://", 3) != 0)
        return false;
    for (at += 3; at < end; at++)
        if (!isalnum((unsigned char)*at) && !strchr("-._:[]", *at))
            return false;
    return true;
}

static int wrong(const char *text, size_t length, char *why, size_t why_size)
{
    snprintf(why, why_size,
             "--cors-origin: \"%.*s\" is no origin: write https://shop.example, "
             "http://localhost:3000, or * for all",
             (int)(length < 80 ? length : 80), text);
    return WEIR_EINVAL;
}

static int take_origins(const char *text, char *to, char *why, size_t why_size)
{
    for (const char *at = text;; at++) {
        at += strspn(at, " \t");
        size_t length = strcspn(at, ","), blanks = 0;
        while (blanks < length && strchr(" \t", at[length - blanks - 1]))
            blanks++;
        if (!is_origin(at, length - blanks))
            return wrong(at, length - blanks, why, why_size);
        memcpy(to, at, length - blanks);
        to += length - blanks + 1;
        at += length;
        if (!*at)
            return 0;
    }
}

int cors_open(const char *text, cors **made, char *why, size_t why_size)
{
    if (!text) {
        *made = NULL;
        return 0;
    }
    cors *c = malloc(sizeof *c);
    char *copy = calloc(1, strlen(text) + 2);
    int r = c && copy ? 0 : WEIR_ENOMEM;

    if (r == 0 && strcmp(text, "*") != 0)
        r = take_origins(text, copy, why, why_size);
    if (r < 0) {
        free(copy);
        free(c);
        return r;
    }
    c->text = copy;
    *made = c;
    return 0;
}

void cors_close(cors *c)
{
    if (!c)
        return;
    free(c->text);
    free(c);
}

/* ---- What a request is told ---- */

const char *cors_allowed(const cors *c, const char *origin)
{
    if (!origin)
        return NULL;
    if (!*c->text)
        return "*";
    for (const char *known = c->text; *known; known += strlen(known) + 1)
        if (strcasecmp(known, origin) == 0)
            return origin;
    return NULL;
}

bool cors_varies(const cors *c)
{
    return *c->text;
}

bool cors_names_valid(const char *names)
{
    size_t length = 0;

    for (; names[length]; length++)
        if (!isalnum((unsigned char)names[length]) && !strchr("!#$%&'*+-.^_`|~, \t", names[length]))
            return false;
    return length > 0 && length <= NAMES_MAX;
}
