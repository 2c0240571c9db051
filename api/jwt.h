/* jwt.h: one JSON Web Token (RFC 7519): what it says, and whether that can be believed. */
#ifndef WEIR_JWT_H
#define WEIR_JWT_H

#include <jansson.h>

#include "jwt_keys.h"

/* A token is not longer: what is judged costs time before anybody is known to be asking. */
#define JWT_MAX 8192
/* Clocks may differ by so much. */
#define JWT_LEEWAY_S 30

/* One row a verdict: constant, word for the metric, sentence for the client. It quotes nothing. */
#define JWT_VERDICTS(X)                                                                            \
    X(JWT_GOOD, "good", "")                                                                        \
    X(JWT_TOO_LONG, "too_long", "The token is longer than 8192 bytes.")                            \
    X(JWT_MALFORMED, "malformed", "The token is not a signed JWT.")                                \
    X(JWT_TYPE, "type", "The token's type (typ) is not taken: it must be JWT, or be left out.")    \
    X(JWT_CRITICAL, "critical", "The token asks for extensions (crit), of which none is taken.")   \
    X(JWT_ALGORITHM, "algorithm",                                                                  \
      "The token's algorithm (alg) must be the one that its key is for: HS256 for a secret, "      \
      "RS256 for a public RSA key.")                                                               \
    X(JWT_UNKNOWN_KEY, "unknown_key", "The token names a key (kid) that is not known here.")       \
    X(JWT_NO_KEY_NAMED, "no_key_named",                                                            \
      "The token does not say by which key (kid) it is signed, and there are several.")            \
    X(JWT_SIGNATURE, "signature", "The token's signature is wrong.")                               \
    X(JWT_BAD_CLAIM, "bad_claim",                                                                  \
      "One of the token's claims exp, nbf, iat, aud and iss is not of "                            \
      "its type.")                                                                                 \
    X(JWT_NO_EXPIRY, "no_expiry", "The token does not say when it expires (exp).")                 \
    X(JWT_EXPIRED, "expired", "The token has expired.")                                            \
    X(JWT_EARLY, "not_yet_valid", "The token is not valid yet.")                                   \
    X(JWT_AUDIENCE, "audience", "The token is meant for another audience (aud).")                  \
    X(JWT_ISSUER, "issuer", "The token is of another issuer (iss).")                               \
    X(JWT_NO_MEMORY, "no_memory", "There was no memory to judge the token.")

typedef enum jwt_verdict {
#define X(name, word, sentence) name,
    JWT_VERDICTS(X)
#undef X
        JWT_VERDICT_COUNT
} jwt_verdict;

const char *jwt_verdict_word(jwt_verdict verdict);
const char *jwt_verdict_sentence(jwt_verdict verdict);

/* Whose tokens are taken. */
typedef struct jwt_rules {
    const jwt_keys *keys;
    const char *audience; /* that must be among the token's; NULL: any */
    const char *issuer;   /* NULL: any */
} jwt_rules;

/* What a good token says. */
typedef struct jwt_claims {
    char *text;   /* as it was signed, JSON, NUL-terminated */
    json_t *json; /* the same */
} jwt_claims;

/* Judges a token at `now`, in seconds since 1970. Only with JWT_GOOD there are claims:
 * jwt_claims_free them. On a thread's own stack: jansson is recursive. */
jwt_verdict jwt_judge(const jwt_rules *rules, const char *token, double now, jwt_claims *claims);
void jwt_claims_free(jwt_claims *claims);

/* The claim at `path`: that of this very name, else a path of names with dots between. NULL: there
 * is none. Lives as long as the claims. */
const json_t *jwt_claim(const jwt_claims *claims, const char *path);

#endif
