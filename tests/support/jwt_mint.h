/* jwt_mint.h: JWTs as their issuer makes them, good ones and others. */
#ifndef WEIR_TESTS_JWT_MINT_H
#define WEIR_TESTS_JWT_MINT_H

#include <openssl/evp.h>

/* 33 bytes. */
#define MINT_SECRET "the-quick-brown-fox-jumps-over-it"

/* All that is returned here is malloc'ed. Ends the program when it cannot be made. */

/* Header and payload as they stand, signed by a secret or a private RSA key. */
char *mint_hs256(const char *header, const char *payload, const void *secret, size_t length);
char *mint_rs256(const char *header, const char *payload, EVP_PKEY *key);

/* One signed by MINT_SECRET that is valid for an hour, with these further members: ",\"sub\":…" */
char *mint_usual(const char *members);

EVP_PKEY *mint_rsa(unsigned bits); /* EVP_PKEY_free it */
char *mint_pem(EVP_PKEY *key);     /* the public one */
/* The public one as a JWK; `members`: further ones, ",\"kid\":\"a\"". */
char *mint_jwk(EVP_PKEY *key, const char *members);

char *mint_base64url(const void *bytes, size_t length);

#endif
