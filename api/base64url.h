/* base64url.h: base64 as URLs and tokens carry it: with - and _, without padding. */
#ifndef WEIR_BASE64URL_H
#define WEIR_BASE64URL_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes that a text of this length stands for, at most. */
#define BASE64URL_BYTES(length) ((length) / 4 * 3 + 3)

/* Decodes a whole text into `bytes`, which has room for BASE64URL_BYTES of it. False for what no
 * encoder writes: other characters, padding, a last character that says more than it may. */
bool base64url_decode(const char *text, size_t length, unsigned char *bytes, size_t *count);

#endif
