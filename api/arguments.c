/* arguments.c: what a query string says. */
#include "arguments.h"

#include <string.h>

#include "percent.h"

/* A decoded text is never longer than it was. */
static bool decode(char *text)
{
    size_t length = strlen(text);

    for (char *at = text; (at = strchr(at, '+'));)
        *at = ' ';
    return percent_decode(text, length, '/', text, &length);
}

const char *arguments_parse(arguments *a, char *query_string)
{
    a->count = 0;
    for (char *rest = query_string, *name; (name = strsep(&rest, "&"));) {
        if (!*name)
            continue;
        char *value = strchr(name, '=');
        if (value)
            *value++ = '\0';
        if (!*name)
            return "An argument in the query string has no name.";
        if (a->count == ARGUMENTS_MAX)
            return "The query string has too many arguments.";
        if (!decode(name) || (value && !decode(value)))
            return "The query string is not percent-encoded UTF-8.";
        a->pairs[a->count++] = (bind_pair){.name = name, .value = value};
    }
    return NULL;
}

bool arguments_name(const char *query_string, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = query_string; *at; at += strcspn(at, "&"), at += *at == '&')
        if (strncmp(at, name, length) == 0 && (!at[length] || strchr("=&", at[length])))
            return true;
    return false;
}
