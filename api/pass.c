/* pass.c: what has let in somebody who stays, such as a stream of events. */
#include "pass.h"

#include <string.h>

#include "siphash.h"

static uint64_t mark_of(const uint64_t secret[2], const char *token)
{
    return siphash(secret, token, strlen(token));
}

pass pass_of(pass_kind kind, const uint64_t secret[2], const char *token)
{
    return (pass){.kind = kind, .mark = mark_of(secret, token ? token : "")};
}

/* No token is empty. */
static bool is_among(const token_set *set, const uint64_t secret[2], uint64_t mark)
{
    for (const char *one = set->text; one && *one; one += strlen(one) + 1)
        if (mark_of(secret, one) == mark)
            return true;
    return false;
}

bool pass_holds(const pass *p, const uint64_t secret[2], const credentials *known)
{
    bool operators = is_among(&known->operators, secret, p->mark);

    switch (p->kind) {
    case PASS_NONE: return true;
    case PASS_CLIENT: return operators || is_among(&known->clients, secret, p->mark);
    case PASS_OPERATOR: return operators || known->operators.count == 0;
    }
    return false;
}
