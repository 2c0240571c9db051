/* patience.h: by when the client of a request wants its answer. */
#ifndef WEIR_PATIENCE_H
#define WEIR_PATIENCE_H

#include "request.h"

/* Reads the headers Prefer and X-Request-Timeout, of which the shorter time counts, from now on.
 * False when the request has been answered, because one of them cannot be read. */
bool patience_read(weir_request *req);

/* The earlier of what the client wants and a limit of the service's own, both absolute. */
uint64_t patience_until(const weir_request *req, uint64_t limit_ns);

/* For a sentence on a time that was over, the header that had set it, as " (X-Request-Timeout)"; ""
 * when it was the service's own limit. */
const char *patience_words(const weir_request *req, uint64_t limit_ns);

#endif
