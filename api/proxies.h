/* proxies.h: whose word is taken for where a request comes from. */
#ifndef WEIR_PROXIES_H
#define WEIR_PROXIES_H

#include "ip.h"

/* Does not change once it is open. */
typedef struct proxies proxies;

/* From addresses and networks with commas between them: 10.0.0.0/8, 192.0.2.7, fd00::/8. NULL makes
 * none: `*made` is NULL. WEIR_EINVAL with one line in `why`, WEIR_ENOMEM. */
int proxies_open(const char *text, proxies **made, char *why, size_t why_size);
void proxies_close(proxies *p); /* takes NULL */

bool proxies_trust(const proxies *p, const ip *address); /* p may be NULL: nobody */

/* Who asks, when `peer` is at the other end of the connection: the last in the headers
 * X-Forwarded-For, given in their order, that is no proxy itself; what stands before it anybody may
 * have written. What is no address ends the search. */
ip proxies_client(const proxies *p, const ip *peer, const char *const *forwarded, uint32_t count);

#endif
