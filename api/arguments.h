/* arguments.h: what a query string says. */
#ifndef WEIR_ARGUMENTS_H
#define WEIR_ARGUMENTS_H

#include "api.h"
#include "bind.h"

#define ARGUMENTS_MAX API_PARAMS_MAX

typedef struct arguments {
    bind_pair pairs[ARGUMENTS_MAX];
    uint32_t count;
} arguments;

/* Parts and decodes a query string in place: the pairs point into it, and it must not be parsed
 * again. '+' is a space; "&&" says nothing; "=x", a wrong escape, bytes that are not UTF-8 and too
 * many arguments are faults. NULL, or what is wrong in a sentence. */
const char *arguments_parse(arguments *a, char *query_string);

/* Whether a query string that has not been parsed names this argument, with a value or without. */
bool arguments_name(const char *query_string, const char *name);

#endif
