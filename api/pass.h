/* pass.h: what has let in somebody who stays, such as a stream of events. */
#ifndef WEIR_PASS_H
#define WEIR_PASS_H

#include "credentials.h"

/* What was asked for. */
typedef enum pass_kind {
    PASS_NONE,     /* nothing that a reload could take back */
    PASS_CLIENT,   /* a client's token, or an operator's */
    PASS_OPERATOR, /* an operator's, if there is any */
} pass_kind;

typedef struct pass {
    pass_kind kind;
    uint64_t mark; /* of the token: a keyed hash, so that itself it need not be kept */
} pass;

/* `secret` is the same for all passes, and nobody else's. `token` NULL: none was shown. */
pass pass_of(pass_kind kind, const uint64_t secret[2], const char *token);

/* Whether it would let somebody in now. */
bool pass_holds(const pass *p, const uint64_t secret[2], const credentials *known);

#endif
