/* jwt_keys.c: the keys by which JWTs are known to be genuine. */
#include "jwt_keys.h"

#include <jansson.h>
#include <jwt.h>
#include <openssl/buffer.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../pool/weir.h"
#include "base64url.h"

/* Fewer bits are no longer thought safe; more cost each request a millisecond. */
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

struct jwt_key {
    char *kid; /* NULL: whatever a token calls it */
    jwt_alg_t algorithm;
    unsigned char *bytes; /* the secret; or the public key, in PEM */
    size_t length;
};

struct jwt_keys {
    uint32_t count;
    jwt_key each[JWT_KEYS_MAX];
};

/* Where a set is being made, and what is wrong with it. */
typedef struct maker {
    jwt_keys *keys;
    char *why;
    size_t why_size;
} maker;

static int refuse(const maker *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int refuse(const maker *m, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    vsnprintf(m->why, m->why_size, format, values);
    va_end(values);
    return WEIR_EINVAL;
}

/* ---- One key ---- */

static int keep(maker *m, const char *kid, jwt_alg_t algorithm, const void *bytes, size_t length)
{
    jwt_key key = {.algorithm = algorithm, .bytes = malloc(length), .length = length};

    if (key.bytes)
        memcpy(key.bytes, bytes, length);
    if (kid)
        key.kid = strdup(kid);
    m->keys->each[m->keys->count++] = key;
    return key.bytes && (key.kid || !kid) ? 0 : WEIR_ENOMEM;
}

static int keep_secret(maker *m, const char *kid, const void *secret, size_t length)
{
    if (length < JWT_SECRET_MIN)
        return refuse(m, "a secret of %zu bytes can be guessed: it must have %d at least", length,
                      JWT_SECRET_MIN);
    return keep(m, kid, JWT_ALG_HS256, secret, length);
}

/* Takes the key over, and NULL for one that could not be read. */
static int keep_public(maker *m, const char *kid, EVP_PKEY *key)
{
    BIO *pem = BIO_new(BIO_s_mem());
    BUF_MEM *text = NULL;
    int r;

    if (!pem)
        r = WEIR_ENOMEM;
    else if (!key || !EVP_PKEY_is_a(key, "RSA"))
        r = refuse(m, "it is not a public RSA key");
    else if (EVP_PKEY_get_bits(key) < RSA_BITS_MIN || EVP_PKEY_get_bits(key) > RSA_BITS_MAX)
        r = refuse(m, "an RSA key of %d bits: from %d to %d are taken", EVP_PKEY_get_bits(key),
                   RSA_BITS_MIN, RSA_BITS_MAX);
    else if (PEM_write_bio_PUBKEY(pem, key) != 1 || BIO_get_mem_ptr(pem, &text) != 1)
        r = WEIR_ENOMEM;
    else
        r = keep(m, kid, JWT_ALG_RS256, text->data, text->length);
    EVP_PKEY_free(key);
    BIO_free(pem);
    ERR_clear_error(); /* libpq shares its queue */
    return r;
}

/* ---- PEM ---- */

/* Else one for a file that says it is encrypted would be asked for on the terminal. */
static int no_password(char *to, int size, int writing, void *arg)
{
    return -1;
}

static int read_pem(maker *m, const char *text, size_t length)
{
    if (memmem(text, length, "PRIVATE KEY", 11))
        return refuse(m, "it holds a private key: here only the public one belongs");
    BIO *in = BIO_new_mem_buf(text, (int)length);
    EVP_PKEY *key = in ? PEM_read_bio_PUBKEY(in, NULL, no_password, NULL) : NULL;
    BIO_free(in);
    return keep_public(m, NULL, key);
}

/* ---- JWKS ---- */

/* A member in base64url; false: it is not there, or is something else. `*bytes` is malloc'ed. */
static bool take_bytes(const json_t *jwk, const char *name, unsigned char **bytes, size_t *length)
{
    const char *text = json_string_value(json_object_get(jwk, name));
    size_t size = text ? strlen(text) : 0;

    *bytes = size > 0 ? malloc(BASE64URL_BYTES(size)) : NULL;
    return *bytes && base64url_decode(text, size, *bytes, length);
}

static BIGNUM *take_number(const json_t *jwk, const char *name)
{
    unsigned char *bytes = NULL;
    size_t length;
    BIGNUM *number =
        take_bytes(jwk, name, &bytes, &length) ? BN_bin2bn(bytes, (int)length, NULL) : NULL;

    free(bytes);
    return number;
}

static EVP_PKEY *make_public(const BIGNUM *modulus, const BIGNUM *exponent)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *members = NULL;

    if (builder && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        members = OSSL_PARAM_BLD_to_param(builder);
    if (context && members && EVP_PKEY_fromdata_init(context) == 1)
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, members);
    OSSL_PARAM_free(members);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    return key;
}

static int read_rsa(maker *m, const char *kid, const json_t *jwk)
{
    if (json_object_get(jwk, "d"))
        return refuse(m, "it is a private key: here only the public one belongs");
    BIGNUM *modulus = take_number(jwk, "n"), *exponent = take_number(jwk, "e");
    EVP_PKEY *key = modulus && exponent ? make_public(modulus, exponent) : NULL;
    BN_free(modulus);
    BN_free(exponent);
    return keep_public(m, kid, key);
}

static int read_oct(maker *m, const char *kid, const json_t *jwk)
{
    unsigned char *secret = NULL;
    size_t length = 0;
    int r = take_bytes(jwk, "k", &secret, &length)
                ? keep_secret(m, kid, secret, length)
                : refuse(m, "its member k must be a secret in base64url");

    if (secret)
        explicit_bzero(secret, length);
    free(secret);
    return r;
}

static bool says(const json_t *jwk, const char *name, const char *value)
{
    const char *said = json_string_value(json_object_get(jwk, name));
    return said && strcmp(said, value) == 0;
}

/* Keys for something else are no fault of the set: RFC 7517 has them passed over. */
static bool is_for(const json_t *jwk, const char *kind, const char *algorithm)
{
    return says(jwk, "kty", kind) && (!json_object_get(jwk, "use") || says(jwk, "use", "sig")) &&
           (!json_object_get(jwk, "alg") || says(jwk, "alg", algorithm));
}

static int read_jwk(maker *m, const json_t *jwk)
{
    const char *kid = json_string_value(json_object_get(jwk, "kid"));
    bool rsa = is_for(jwk, "RSA", "RS256"), oct = is_for(jwk, "oct", "HS256");

    if (!rsa && !oct)
        return 0;
    if (m->keys->count == JWT_KEYS_MAX)
        return refuse(m, "there are more than %d keys", JWT_KEYS_MAX);
    for (uint32_t i = 0; i < m->keys->count; i++)
        if (!kid || !m->keys->each[i].kid || strcmp(kid, m->keys->each[i].kid) == 0)
            return refuse(m, "of several keys each must have a kid of its own");
    return rsa ? read_rsa(m, kid, jwk) : read_oct(m, kid, jwk);
}

static int read_jwks(maker *m, const char *text, size_t length)
{
    json_error_t error;
    json_t *document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error), *jwk;
    const json_t *array = json_object_get(document, "keys");
    char why[128];
    size_t i;
    int r = 0;

    if (!document)
        r = refuse(m, "it is not JSON: line %d: %s", error.line, error.text);
    else if (!json_is_array(array))
        r = refuse(m, "it is not a JWKS: it has no array \"keys\"");
    json_array_foreach(array, i, jwk)
    {
        if (r == 0 && (r = read_jwk(m, jwk)) == WEIR_EINVAL) {
            snprintf(why, sizeof why, "%s", m->why);
            refuse(m, "keys[%zu]: %s", i, why);
        }
    }
    if (r == 0 && m->keys->count == 0)
        r = refuse(m, "none of its keys is RSA for RS256 or oct for HS256");
    json_decref(document);
    return r;
}

/* ---- The set ---- */

static int finish(maker *m, int r, jwt_keys **keys)
{
    if (r < 0)
        jwt_keys_free(m->keys);
    else
        *keys = m->keys;
    return r;
}

int jwt_keys_secret(const char *secret, size_t length, jwt_keys **keys, char *why, size_t why_size)
{
    maker m = {.keys = calloc(1, sizeof(jwt_keys)), .why = why, .why_size = why_size};

    if (!m.keys)
        return WEIR_ENOMEM;
    return finish(&m, keep_secret(&m, NULL, secret, length), keys);
}

int jwt_keys_read(const char *text, size_t length, jwt_keys **keys, char *why, size_t why_size)
{
    maker m = {.keys = calloc(1, sizeof(jwt_keys)), .why = why, .why_size = why_size};
    size_t blanks = 0;

    if (!m.keys)
        return WEIR_ENOMEM;
    while (blanks < length && strchr(" \t\r\n", text[blanks]) && text[blanks])
        blanks++;
    bool json = blanks < length && text[blanks] == '{';
    if (!json && !memmem(text, length, "-----BEGIN ", 11))
        return finish(&m, refuse(&m, "it is neither a public key in PEM nor a JWKS"), keys);
    return finish(&m, json ? read_jwks(&m, text, length) : read_pem(&m, text, length), keys);
}

void jwt_keys_free(jwt_keys *keys)
{
    for (uint32_t i = 0; keys && i < keys->count; i++) {
        jwt_key *key = &keys->each[i];
        if (key->bytes)
            explicit_bzero(key->bytes, key->length);
        free(key->bytes);
        free(key->kid);
    }
    free(keys);
}

static bool same_key(const jwt_key *a, const jwt_key *b)
{
    bool same_kid = a->kid && b->kid ? strcmp(a->kid, b->kid) == 0 : !a->kid && !b->kid;
    return same_kid && a->algorithm == b->algorithm && a->length == b->length &&
           memcmp(a->bytes, b->bytes, a->length) == 0;
}

bool jwt_keys_same(const jwt_keys *a, const jwt_keys *b)
{
    uint32_t count = a ? a->count : 0;
    bool same = count == (b ? b->count : 0);

    for (uint32_t i = 0; same && i < count; i++)
        same = same_key(&a->each[i], &b->each[i]);
    return same;
}

uint32_t jwt_keys_count(const jwt_keys *keys)
{
    return keys->count;
}

const jwt_key *jwt_keys_find(const jwt_keys *keys, const char *kid)
{
    if (keys->count == 1 && (!kid || !keys->each[0].kid))
        return &keys->each[0];
    for (uint32_t i = 0; kid && i < keys->count; i++)
        if (strcmp(keys->each[i].kid, kid) == 0)
            return &keys->each[i];
    return NULL;
}

const char *jwt_key_algorithm(const jwt_key *key)
{
    return jwt_alg_str(key->algorithm);
}

bool jwt_key_signed(const jwt_key *key, const char *token)
{
    jwt_t *decoded = NULL;
    bool good = jwt_decode(&decoded, token, key->bytes, (int)key->length) == 0 &&
                jwt_get_alg(decoded) == key->algorithm;

    jwt_free(decoded);
    ERR_clear_error();
    return good;
}
