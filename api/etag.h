/* etag.h: entity tags: what tells one answer from another. */
#ifndef WEIR_ETAG_H
#define WEIR_ETAG_H

#include <stdbool.h>
#include <stddef.h>

#define ETAG_SIZE 40

/* The tag of these bytes: W/"…" when `weak`, for an answer that has more in it than them; "…"
 * when they are all of it. */
void etag_of(const void *bytes, size_t length, bool weak, char etag[ETAG_SIZE]);

/* Whether a header If-None-Match names the tag; weak or strong makes no difference there. */
bool etag_listed(const char *header, const char *etag);

#endif
