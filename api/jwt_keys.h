/* jwt_keys.h: the keys by which JWTs are known to be genuine. */
#ifndef WEIR_JWT_KEYS_H
#define WEIR_JWT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that a secret has at least: as many as HMAC-SHA256 gives. */
#define JWT_SECRET_MIN 32
#define JWT_KEYS_MAX   64 /* in one set */

/* Immutable once made; any thread. */
typedef struct jwt_keys jwt_keys;
typedef struct jwt_key jwt_key;

/* The set of one secret, for HS256. WEIR_EINVAL with one line in `why`: it is too short;
 * WEIR_ENOMEM. */
int jwt_keys_secret(const char *secret, size_t length, jwt_keys **keys, char *why, size_t why_size);
/* The keys of a text: one public RSA key in PEM, or a JWKS (RFC 7517) of which those count that are
 * RSA or `oct` and for RS256 or HS256. Of several each has a kid of its own. Errors as above. On a
 * thread's own stack: jansson is recursive. */
int jwt_keys_read(const char *text, size_t length, jwt_keys **keys, char *why, size_t why_size);
void jwt_keys_free(jwt_keys *keys); /* takes NULL; wipes secrets */

/* Whether two sets have the same keys, in the same order; either may be NULL. Not in constant time.
 */
bool jwt_keys_same(const jwt_keys *a, const jwt_keys *b);

uint32_t jwt_keys_count(const jwt_keys *keys);

/* The key that a token means by its kid (NULL: it names none); NULL: there is no such key, or none
 * is named and there are several. A key without a kid is whatever a token calls it. */
const jwt_key *jwt_keys_find(const jwt_keys *keys, const char *kid);

/* The one algorithm that the key is for, as tokens name it. */
const char *jwt_key_algorithm(const jwt_key *key);
/* Whether the whole token, three parts with dots between, was signed by it. */
bool jwt_key_signed(const jwt_key *key, const char *token);

#endif
