/* credentials.h: by what the service knows who asks: tokens, and the keys of JWTs. */
#ifndef WEIR_CREDENTIALS_H
#define WEIR_CREDENTIALS_H

#include <stdatomic.h>

#include "jwt.h"
#include "tokens.h"

/* Filled in by whoever makes it, then immutable and counted: replaced as a whole on reload. Strings
 * are borrowed, and live as long as the process. */
typedef struct credentials {
    atomic_uint refs;
    token_set operators;           /* may do everything */
    token_set clients;             /* may ask queries with @auth token */
    jwt_keys *keys;                /* NULL: no JWT is believed */
    const char *audience, *issuer; /* of JWTs; NULL: any */
    const char *role_claim;        /* says the role to run as; NULL: none does */
    const char *role;              /* where no claim says one; NULL: such a token is refused, or
                                      without a role_claim the connection's own role serves */
} credentials;

credentials *credentials_new(void); /* with one reference; NULL: no memory */
credentials *credentials_ref(credentials *c);
void credentials_unref(credentials *c); /* takes NULL; any thread */

#endif
