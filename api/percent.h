/* percent.h: percent-decoding of paths and query strings. */
#ifndef WEIR_PERCENT_H
#define WEIR_PERCENT_H

#include <stdbool.h>
#include <stddef.h>

/* A byte that never occurs in UTF-8: stands for an encoded '/' in a decoded path, so that it does
 * not part two segments. */
#define PERCENT_SLASH '\xff'

/* Decodes into `out`, which has room for length + 1 bytes, and ends it with NUL. An encoded slash
 * becomes `slash`; when that is '/', `out` may be `text` itself. False when an escape is malformed,
 * when the bytes are not UTF-8, or for NUL. */
bool percent_decode(const char *text, size_t length, char slash, char *out, size_t *decoded);

/* Turns each PERCENT_SLASH into '/'. */
void percent_slashes(char *text, size_t length);

#endif
