/* prefer.h: how long a client is willing to wait, in the words of its headers. */
#ifndef WEIR_PREFER_H
#define WEIR_PREFER_H

#include <stdint.h>

/* The preference `wait` of a header Prefer (RFC 7240), in seconds: of several the first counts,
 * other preferences mean nothing here. 1; 0 when there is none; WEIR_EINVAL when it is no whole
 * number of seconds from 1. More than a uint32_t holds is taken for as much. Any thread. */
int prefer_wait(const char *prefer, uint32_t *seconds);

/* The value of a header X-Request-Timeout: `250ms` and the like, or a number of seconds, as `2` or
 * `1.5`. WEIR_EINVAL when it is neither, or no time at all. Any thread. */
int prefer_timeout(const char *value, uint64_t *ns);

#endif
