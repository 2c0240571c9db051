/* gzip.h: bytes made fewer, for clients that can undo it. */
#ifndef WEIR_GZIP_H
#define WEIR_GZIP_H

#include <stdbool.h>

#include "buffer.h"

/* Some 260 KiB of memory, used for one text after the other. On one thread at a time. */
typedef struct gzip gzip;

gzip *gzip_open(void);    /* NULL: no memory */
void gzip_close(gzip *g); /* takes NULL */

/* Puts the compressed bytes in place of the plain ones. False, and they stay as they are: no
 * memory, or nothing to gain. */
bool gzip_pack(gzip *g, buffer *bytes);

/* Whether a header Accept-Encoding asks for it. NULL: there is none. */
bool gzip_accepted(const char *header);

#endif
