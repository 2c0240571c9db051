/* jwt_keys.c: tests of the keys by which JWTs are known to be genuine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>

#include "../../api/jwt_keys.h"
#include "../../pool/weir.h"
#include "../support/jwt_mint.h"

static EVP_PKEY *first, *second;
static char *first_pem, *first_jwk, *second_jwk;
static jwt_keys *keys;
static char why[256];

/* base64url of MINT_SECRET. */
#define OCT "\"kty\":\"oct\",\"k\":\"dGhlLXF1aWNrLWJyb3duLWZveC1qdW1wcy1vdmVyLWl0\""

static int make_keys(void **state)
{
    first = mint_rsa(2048);
    second = mint_rsa(2048);
    first_pem = mint_pem(first);
    first_jwk = mint_jwk(first, ",\"kid\":\"one\",\"use\":\"sig\",\"alg\":\"RS256\"");
    second_jwk = mint_jwk(second, ",\"kid\":\"two\"");
    return 0;
}

static int free_keys(void **state)
{
    EVP_PKEY_free(first);
    EVP_PKEY_free(second);
    free(first_pem);
    free(first_jwk);
    free(second_jwk);
    return 0;
}

static int forget(void **state)
{
    jwt_keys_free(keys);
    keys = NULL;
    return 0;
}

static int reading(const char *text)
{
    forget(NULL);
    *why = '\0';
    return jwt_keys_read(text, strlen(text), &keys, why, sizeof why);
}

/* A JWKS of these, NULL behind the last. */
static int reading_set(const char *const *each)
{
    char text[8192] = "{\"keys\":[";
    for (int i = 0; each[i]; i++)
        strcat(strcat(text, i ? "," : ""), each[i]);
    return reading(strcat(text, "]}"));
}
#define SET(...) reading_set((const char *const[]){__VA_ARGS__, NULL})

static bool knows(const char *kid, char *token)
{
    const jwt_key *key = jwt_keys_find(keys, kid);
    bool good = key && jwt_key_signed(key, token);
    free(token);
    return good;
}

static char *by_rsa(EVP_PKEY *key)
{
    return mint_rs256("{\"alg\":\"RS256\"}", "{}", key);
}

static char *by_secret(const char *secret)
{
    return mint_hs256("{\"alg\":\"HS256\"}", "{}", secret, strlen(secret));
}

static void a_secret_has_32_bytes_at_least(void **state)
{
    assert_int_equal(jwt_keys_secret(MINT_SECRET, 31, &keys, why, sizeof why), WEIR_EINVAL);
    assert_non_null(strstr(why, "31 bytes"));
    assert_int_equal(jwt_keys_secret(MINT_SECRET, 33, &keys, why, sizeof why), 0);
    assert_true(knows(NULL, by_secret(MINT_SECRET)));
    assert_true(knows("whatever", by_secret(MINT_SECRET)));
    assert_false(knows(NULL, by_secret(MINT_SECRET "x")));
    assert_string_equal(jwt_key_algorithm(jwt_keys_find(keys, NULL)), "HS256");
}

static void a_public_key_knows_what_its_private_one_signed(void **state)
{
    assert_int_equal(reading(first_pem), 0);
    assert_string_equal(jwt_key_algorithm(jwt_keys_find(keys, NULL)), "RS256");
    assert_true(knows(NULL, by_rsa(first)));
    assert_true(knows("whatever", by_rsa(first)));
    assert_false(knows(NULL, by_rsa(second)));
}

static void a_public_key_is_no_secret(void **state)
{
    assert_int_equal(reading(first_pem), 0);
    assert_false(knows(NULL, by_secret(first_pem)));
}

static void of_a_set_the_named_key_is_taken(void **state)
{
    assert_int_equal(SET(first_jwk, second_jwk, "{\"kid\":\"old\"," OCT "}"), 0);
    assert_int_equal(jwt_keys_count(keys), 3);
    assert_true(knows("one", by_rsa(first)));
    assert_true(knows("two", by_rsa(second)));
    assert_true(knows("old", by_secret(MINT_SECRET)));
    assert_false(knows("one", by_rsa(second)));
    assert_null(jwt_keys_find(keys, "three"));
    assert_null(jwt_keys_find(keys, NULL));
}

static void the_only_key_of_a_set_need_not_be_named_but_not_be_misnamed(void **state)
{
    assert_int_equal(SET(first_jwk), 0);
    assert_non_null(jwt_keys_find(keys, NULL));
    assert_non_null(jwt_keys_find(keys, "one"));
    assert_null(jwt_keys_find(keys, "two"));
    assert_int_equal(SET("{" OCT "}"), 0);
    assert_non_null(jwt_keys_find(keys, "two"));
}

static void keys_for_something_else_are_passed_over(void **state)
{
    char *encrypts = mint_jwk(second, ",\"kid\":\"a\",\"use\":\"enc\"");
    char *longer = mint_jwk(second, ",\"kid\":\"b\",\"alg\":\"RS512\"");
    assert_int_equal(SET(encrypts, longer, "{\"kty\":\"EC\",\"crv\":\"P-256\"}",
                         "{\"kid\":\"c\",\"alg\":\"HS512\"," OCT "}", "7", first_jwk),
                     0);
    assert_int_equal(jwt_keys_count(keys), 1);
    assert_non_null(jwt_keys_find(keys, "one"));
    free(encrypts);
    free(longer);
}

static void what_is_no_key_is_refused_with_its_reason(void **state)
{
    const struct {
        const char *text, *why;
    } cases[] = {
        {"", "neither a public key"},
        {"hello", "neither a public key"},
        {"{", "not JSON: line 1"},
        {"{}", "no array \"keys\""},
        {"{\"keys\":{}}", "no array \"keys\""},
        {"{\"keys\":[]}", "none of its keys"},
        {"{\"keys\":[],\"keys\":[]}", "not JSON"},
        {"{\"keys\":[{\"kty\":\"RSA\"}]}", "keys[0]: it is not a public RSA key"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}]}", "not a public RSA key"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", "an RSA key of 17 bits"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}]}", "not a public RSA key"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\",\"d\":\"AQ\"}]}",
         "a private key"},
        {"{\"keys\":[{\"kty\":\"oct\"}]}", "k must be a secret"},
        {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}]}", "a secret of 5 bytes"},
        {"{\"keys\":[{" OCT "},{" OCT "}]}", "keys[1]: of several keys each must have a kid"},
        {"{\"keys\":[{\"kid\":\"a\"," OCT "},{" OCT "}]}", "each must have a kid"},
        {"{\"keys\":[{\"kid\":\"a\"," OCT "},{\"kid\":\"a\"," OCT "}]}", "a kid of its own"},
        {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public RSA key"},
        {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "a private key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int r = reading(cases[i].text);
        if (r != WEIR_EINVAL || !strstr(why, cases[i].why))
            fail_msg("%s: %d %s", cases[i].text, r, why);
    }
}

static void other_kinds_and_sizes_of_public_keys_are_refused(void **state)
{
    EVP_PKEY *small = mint_rsa(1024), *curve = EVP_EC_gen("P-256");
    char *small_pem = mint_pem(small), *curve_pem = mint_pem(curve);
    assert_int_equal(reading(small_pem), WEIR_EINVAL);
    assert_non_null(strstr(why, "1024 bits"));
    assert_int_equal(reading(curve_pem), WEIR_EINVAL);
    assert_non_null(strstr(why, "not a public RSA key"));
    EVP_PKEY_free(small);
    EVP_PKEY_free(curve);
    free(small_pem);
    free(curve_pem);
}

static void there_is_room_for_so_many_keys_and_no_more(void **state)
{
    char text[JWT_KEYS_MAX * 128 + 256] = "{\"keys\":[", *at = text + strlen(text);
    for (int i = 0; i < JWT_KEYS_MAX; i++)
        at += sprintf(at, "%s{\"kid\":\"%d\"," OCT "}", i ? "," : "", i);
    strcpy(at, "]}");
    assert_int_equal(reading(text), 0);
    assert_int_equal(jwt_keys_count(keys), JWT_KEYS_MAX);
    strcpy(at, ",{\"kid\":\"last\"," OCT "}]}");
    assert_int_equal(reading(text), WEIR_EINVAL);
    assert_non_null(strstr(why, "more than 64 keys"));
}

#define test(name) cmocka_unit_test_teardown(name, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_secret_has_32_bytes_at_least),
        test(a_public_key_knows_what_its_private_one_signed),
        test(a_public_key_is_no_secret),
        test(of_a_set_the_named_key_is_taken),
        test(the_only_key_of_a_set_need_not_be_named_but_not_be_misnamed),
        test(keys_for_something_else_are_passed_over),
        test(what_is_no_key_is_refused_with_its_reason),
        test(other_kinds_and_sizes_of_public_keys_are_refused),
        test(there_is_room_for_so_many_keys_and_no_more),
    };
    return cmocka_run_group_tests_name("jwt_keys", tests, make_keys, free_keys);
}
