/* credentials.c: by what the service knows who asks: tokens, and the keys of JWTs. */
#include "credentials.h"

#include <stdlib.h>

credentials *credentials_new(void)
{
    credentials *c = calloc(1, sizeof *c);

    if (c)
        atomic_init(&c->refs, 1);
    return c;
}

credentials *credentials_ref(credentials *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void credentials_unref(credentials *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    tokens_close(&c->operators);
    tokens_close(&c->clients);
    jwt_keys_free(c->keys);
    free(c);
}
