/* openapi.h: what is served here, as an OpenAPI 3.1 document. */
#ifndef WEIR_OPENAPI_H
#define WEIR_OPENAPI_H

#include "query_set.h"

/* Describes a described query set, and the service's own endpoints: all of them, or only those for
 * everybody. The text is malloc'ed and NUL-terminated; NULL: no memory. Recursive in jansson: call
 * it on a thread's own stack, not on a task's. */
char *openapi_text(const query_set *set, bool operators);

#endif
