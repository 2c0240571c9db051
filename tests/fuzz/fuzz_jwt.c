/* fuzz_jwt.c: random bytes as a JWT, as the claims of one that is signed, and as a set of keys. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../api/jwt.h"
#include "../../pool/weir.h"

#define SECRET "a-secret-of-no-less-than-32-bytes"

/* `length` bytes in base64url, and a NUL, to `to`. */
static size_t encode(char *to, const void *bytes, size_t length)
{
    size_t size = (size_t)EVP_EncodeBlock((unsigned char *)to, bytes, (int)length);
    while (size > 0 && to[size - 1] == '=')
        to[--size] = '\0';
    for (char *at = to; *at; at++)
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
    return size;
}

static char *sign(const void *claims, size_t length)
{
    static const char header[] = "{\"alg\":\"HS256\"}";
    unsigned char signature[EVP_MAX_MD_SIZE];
    unsigned size = sizeof signature;
    char *token = malloc(length * 2 + 256), *at = token;
    if (!token)
        return NULL;
    at += encode(at, header, sizeof header - 1);
    *at++ = '.';
    at += encode(at, claims, length);
    HMAC(EVP_sha256(), SECRET, sizeof SECRET - 1, (unsigned char *)token, (size_t)(at - token),
         signature, &size);
    *at++ = '.';
    encode(at, signature, size);
    return token;
}

/* Whoever does not know the secret is never believed. */
static void judge_stranger(const jwt_rules *rules, const uint8_t *data, size_t size)
{
    jwt_claims claims;
    char *token = strndup((const char *)data, size);
    if (token && jwt_judge(rules, token, 1e9, &claims) == JWT_GOOD)
        abort();
    free(token);
}

static void judge_signed(const jwt_rules *rules, const uint8_t *data, size_t size)
{
    jwt_claims claims;
    char *token = sign(data, size);
    if (token && jwt_judge(rules, token, 1e9, &claims) == JWT_GOOD) {
        const json_t *exp = json_object_get(claims.json, "exp");
        if (json_number_value(exp) + JWT_LEEWAY_S <= 1e9 || strlen(claims.text) != size)
            abort();
        jwt_claim(&claims, "a.b.c");
        jwt_claims_free(&claims);
    }
    free(token);
}

static void read_keys(const uint8_t *data, size_t size)
{
    jwt_keys *keys = NULL;
    char why[128] = "";
    int r = jwt_keys_read((const char *)data, size, &keys, why, sizeof why);
    if (r == 0 ? jwt_keys_count(keys) == 0 : r == WEIR_EINVAL && !*why)
        abort();
    jwt_keys_free(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static jwt_keys *secret;
    char why[128];
    if (!secret && jwt_keys_secret(SECRET, sizeof SECRET - 1, &secret, why, sizeof why) < 0)
        abort();
    const jwt_rules open = {.keys = secret};
    const jwt_rules narrow = {.keys = secret, .audience = "a", .issuer = "b"};
    judge_stranger(&open, data, size);
    judge_signed(&open, data, size);
    judge_signed(&narrow, data, size);
    read_keys(data, size);
    return 0;
}
