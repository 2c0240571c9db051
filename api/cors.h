/* cors.h: which pages of other origins may read what is served here. */
#ifndef WEIR_CORS_H
#define WEIR_CORS_H

#include <stdbool.h>
#include <stddef.h>

/* Does not change once it is open. */
typedef struct cors cors;

/* From "*", or origins as browsers write them (https://shop.example, http://localhost:3000) with
 * commas between them. NULL makes none: `*made` is NULL. WEIR_EINVAL with one line in `why`,
 * WEIR_ENOMEM. */
int cors_open(const char *text, cors **made, char *why, size_t why_size);
void cors_close(cors *c); /* takes NULL */

/* What Access-Control-Allow-Origin says to a request with this header Origin: "*", or `origin`;
 * NULL: nothing, because it is not allowed, or there is no such header. */
const char *cors_allowed(const cors *c, const char *origin);
/* Whether that is not the same for everybody. */
bool cors_varies(const cors *c);

/* Whether a header Access-Control-Request-Headers is a list of names that may be said again. */
bool cors_names_valid(const char *names);

#endif
