/* utf8.h: whether bytes are UTF-8. */
#ifndef WEIR_UTF8_H
#define WEIR_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* How many of the bytes, from the first, are whole valid characters as PostgreSQL takes them: no
 * surrogates, nothing overlong, nothing above U+10FFFF, no NUL. `length` when all are. */
size_t utf8_valid(const char *bytes, size_t length);

/* Puts '?' in place of each byte that is not part of a valid character, such as one cut in two. */
void utf8_mend(char *text);

#endif
