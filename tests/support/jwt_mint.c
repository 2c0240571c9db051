/* jwt_mint.c: JWTs as their issuer makes them, good ones and others. */
#include "jwt_mint.h"

#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void need(int good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "jwt_mint: %s\n", what);
    exit(99);
}

static char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *text(const char *format, ...)
{
    char *made;
    va_list values;
    va_start(values, format);
    need(vasprintf(&made, format, values) >= 0, "memory");
    va_end(values);
    return made;
}

char *mint_base64url(const void *bytes, size_t length)
{
    char *made = malloc(length / 3 * 4 + 5);
    need(made != NULL, "memory");
    size_t size = (size_t)EVP_EncodeBlock((unsigned char *)made, bytes, (int)length);
    while (size > 0 && made[size - 1] == '=')
        made[--size] = '\0';
    for (char *at = made; *at; at++)
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
    return made;
}

/* The part that is signed. */
static char *claimed(const char *header, const char *payload)
{
    char *first = mint_base64url(header, strlen(header));
    char *second = mint_base64url(payload, strlen(payload));
    char *made = text("%s.%s", first, second);
    free(first);
    free(second);
    return made;
}

static char *signed_by(char *claim, const unsigned char *signature, size_t length)
{
    char *last = mint_base64url(signature, length), *made = text("%s.%s", claim, last);
    free(last);
    free(claim);
    return made;
}

char *mint_hs256(const char *header, const char *payload, const void *secret, size_t length)
{
    unsigned char signature[EVP_MAX_MD_SIZE];
    unsigned size = sizeof signature;
    char *claim = claimed(header, payload);
    need(HMAC(EVP_sha256(), secret, (int)length, (unsigned char *)claim, strlen(claim), signature,
              &size) != NULL,
         "HMAC");
    return signed_by(claim, signature, size);
}

char *mint_rs256(const char *header, const char *payload, EVP_PKEY *key)
{
    unsigned char signature[1024];
    size_t size = sizeof signature;
    char *claim = claimed(header, payload);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    need(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
             EVP_DigestSign(context, signature, &size, (unsigned char *)claim, strlen(claim)) == 1,
         "RSA");
    EVP_MD_CTX_free(context);
    return signed_by(claim, signature, size);
}

char *mint_usual(const char *members)
{
    char *payload = text("{\"exp\":%ld%s}", (long)time(NULL) + 3600, members);
    char *made = mint_hs256("{\"alg\":\"HS256\",\"typ\":\"JWT\"}", payload, MINT_SECRET,
                            strlen(MINT_SECRET));
    free(payload);
    return made;
}

EVP_PKEY *mint_rsa(unsigned bits)
{
    EVP_PKEY *key = EVP_RSA_gen(bits);
    need(key != NULL, "no RSA key");
    return key;
}

char *mint_pem(EVP_PKEY *key)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *bytes;
    need(PEM_write_bio_PUBKEY(out, key) == 1, "PEM");
    long length = BIO_get_mem_data(out, &bytes);
    char *made = calloc(1, (size_t)length + 1);
    need(made != NULL, "memory");
    memcpy(made, bytes, (size_t)length);
    BIO_free(out);
    return made;
}

static char *number_of(EVP_PKEY *key, const char *name)
{
    unsigned char bytes[2048];
    BIGNUM *number = NULL;
    need(EVP_PKEY_get_bn_param(key, name, &number) == 1, name);
    char *made = mint_base64url(bytes, (size_t)BN_bn2bin(number, bytes));
    BN_free(number);
    return made;
}

char *mint_jwk(EVP_PKEY *key, const char *members)
{
    char *modulus = number_of(key, OSSL_PKEY_PARAM_RSA_N);
    char *exponent = number_of(key, OSSL_PKEY_PARAM_RSA_E);
    char *made = text("{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"%s}", modulus, exponent, members);
    free(modulus);
    free(exponent);
    return made;
}
