/* bind_text.h: one value as the text of its parameter. */
#ifndef WEIR_BIND_TEXT_H
#define WEIR_BIND_TEXT_H

#include "bind.h"

/* Names the parameter, says what is wrong with it, and returns WEIR_EINVAL. Stays valid UTF-8. */
int bind_fail(bind_fault *fault, const char *parameter, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The parameter's shape, described or not; never NULL. */
const shape *bind_shape(const query_param *p);

/* Checks a value against a type: 0 or WEIR_EINVAL with `fault`. */
int bind_check(const query_param *p, const shape *type, const char *value, bind_fault *fault);

/* A value that came as text, from path, query string or @default. For an array: Postgres's {…}
 * form, or else its only element. */
int bind_text(const query_param *p, const char *value, char **text, bind_fault *fault);

/* A name that came several times: the elements of an array, in order. */
int bind_texts(const query_param *p, const bind_pair *pairs, uint32_t count, char **text,
               bind_fault *fault);

#endif
