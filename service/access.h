/* access.h: who is let in, as the configuration says. */
#ifndef WEIR_ACCESS_H
#define WEIR_ACCESS_H

#include "../api/credentials.h"
#include "../api/query.h"
#include "config.h"

/* Reads the tokens and keys that flags and files say now, and sees that --auth can be met.
 * credentials_unref them. WEIR_EINVAL with `fault`, WEIR_ENOMEM. Blocking. */
int access_read(const config *c, credentials **known, query_fault *fault);

/* What queries may ask for: as query_set_guard's `met`. */
uint32_t access_kinds(const credentials *known);

#endif
