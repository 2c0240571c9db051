/* jwt.c: tests of what a JSON Web Token says, and whether that is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../api/jwt.h"
#include "../support/jwt_mint.h"

#define NOW  2000000000
#define GOOD "{\"exp\":2000000001}"
#define HEAD "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static EVP_PKEY *rsa;
static char *pem;
static jwt_keys *secret, *public, *several;

static int make_keys(void **state)
{
    char why[256], text[4096];
    rsa = mint_rsa(2048);
    pem = mint_pem(rsa);
    char *jwk = mint_jwk(rsa, ",\"kid\":\"one\"");
    char *oct = mint_base64url(MINT_SECRET, strlen(MINT_SECRET));
    snprintf(text, sizeof text, "{\"keys\":[%s,{\"kty\":\"oct\",\"k\":\"%s\",\"kid\":\"two\"}]}",
             jwk, oct);
    assert_int_equal(jwt_keys_secret(MINT_SECRET, strlen(MINT_SECRET), &secret, why, sizeof why),
                     0);
    assert_int_equal(jwt_keys_read(pem, strlen(pem), &public, why, sizeof why), 0);
    assert_int_equal(jwt_keys_read(text, strlen(text), &several, why, sizeof why), 0);
    free(jwk);
    free(oct);
    return 0;
}

static int free_keys(void **state)
{
    EVP_PKEY_free(rsa);
    free(pem);
    jwt_keys_free(secret);
    jwt_keys_free(public);
    jwt_keys_free(several);
    return 0;
}

static char *hs256(const char *header, const char *payload)
{
    return mint_hs256(header, payload, MINT_SECRET, strlen(MINT_SECRET));
}

/* Frees the token. */
static jwt_verdict judged(const jwt_rules *rules, char *token)
{
    jwt_claims claims = {0};
    jwt_verdict verdict = jwt_judge(rules, token, NOW, &claims);
    assert_true((verdict == JWT_GOOD) == (claims.text != NULL));
    jwt_claims_free(&claims);
    free(token);
    return verdict;
}

typedef struct judgement {
    const char *text;
    jwt_verdict verdict;
} judgement;

static void expect(const char *what, jwt_verdict verdict, jwt_verdict expected)
{
    if (verdict != expected)
        fail_msg("%s: %s and not %s", what, jwt_verdict_word(verdict), jwt_verdict_word(expected));
}

static void a_payload_is_good_or_says_why_not(void **state)
{
    static const judgement cases[] = {
        {GOOD, JWT_GOOD},
        {"{\"exp\":2000000001.5}", JWT_GOOD},
        {"{\"exp\":1999999971}", JWT_GOOD}, /* within the leeway */
        {"{\"exp\":1999999970}", JWT_EXPIRED},
        {"{\"exp\":0}", JWT_EXPIRED},
        {"{\"exp\":-1}", JWT_EXPIRED},
        {"{}", JWT_NO_EXPIRY},
        {"{\"exp\":\"2000000001\"}", JWT_BAD_CLAIM},
        {"{\"exp\":null}", JWT_BAD_CLAIM},
        {"{\"exp\":true}", JWT_BAD_CLAIM},
        {"{\"exp\":1e400}", JWT_MALFORMED},
        {"{\"exp\":2000000001,\"nbf\":2000000030}", JWT_GOOD},
        {"{\"exp\":2000000001,\"nbf\":2000000031}", JWT_EARLY},
        {"{\"exp\":2000000001,\"nbf\":\"1\"}", JWT_BAD_CLAIM},
        {"{\"exp\":2000000001,\"iat\":2000000031}", JWT_EARLY},
        {"{\"exp\":2000000001,\"iat\":[]}", JWT_BAD_CLAIM},
        {"{\"exp\":1,\"exp\":2000000001}", JWT_MALFORMED},
        {"{\"exp\":2000000001,\"a\":{\"b\":1,\"b\":2}}", JWT_MALFORMED},
        {"{\"exp\":2000000001,\"sub\":\"\\u0000\"}", JWT_MALFORMED},
        {"{\"exp\":2000000001,\"sub\":\"\xff\"}", JWT_MALFORMED},
        {"{\"exp\":2000000001,\"sub\":\"\xc3\xa4 \\u00e4 \\ud83d\\ude00\"}", JWT_GOOD},
        {"{\"exp\":2000000001,\"sub\":\"\\ud83d\"}", JWT_MALFORMED},
        {"{\"exp\":2000000001} x", JWT_MALFORMED},
        {"[2000000001]", JWT_MALFORMED},
        {"7", JWT_MALFORMED},
        {"{\"exp\":2000000001,\"aud\":7}", JWT_BAD_CLAIM},
        {"{\"exp\":2000000001,\"iss\":7}", JWT_BAD_CLAIM},
    };
    const jwt_rules rules = {.keys = secret};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        jwt_verdict verdict = judged(&rules, hs256(HEAD, cases[i].text));
        /* Whether what is no JSON is told as that or as not signed is the library's business. */
        if (cases[i].verdict == JWT_MALFORMED && verdict == JWT_SIGNATURE)
            continue;
        expect(cases[i].text, verdict, cases[i].verdict);
    }
}

static void a_header_is_good_or_says_why_not(void **state)
{
    static const judgement cases[] = {
        {HEAD, JWT_GOOD},
        {"{\"alg\":\"HS256\"}", JWT_GOOD},
        {"{\"alg\":\"HS256\",\"typ\":\"jwt\"}", JWT_GOOD},
        {"{\"alg\":\"HS256\",\"kid\":\"any\"}", JWT_GOOD},
        {"{\"alg\":\"none\"}", JWT_ALGORITHM},
        {"{\"alg\":\"None\"}", JWT_ALGORITHM},
        {"{\"alg\":\"\"}", JWT_ALGORITHM},
        {"{\"alg\":\"hs256\"}", JWT_ALGORITHM},
        {"{\"alg\":\"HS512\"}", JWT_ALGORITHM},
        {"{\"alg\":\"RS256\"}", JWT_ALGORITHM},
        {"{\"alg\":null}", JWT_ALGORITHM},
        {"{\"alg\":[\"HS256\"]}", JWT_ALGORITHM},
        {"{}", JWT_ALGORITHM},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":7}", JWT_UNKNOWN_KEY},
        {"{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", JWT_CRITICAL},
        {"{\"alg\":\"HS256\",\"typ\":\"JOSE\"}", JWT_TYPE},
        {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", JWT_TYPE},
        {"{\"alg\":\"HS256\",\"typ\":7}", JWT_TYPE},
        {"HS256", JWT_MALFORMED},
    };
    const jwt_rules rules = {.keys = secret};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(cases[i].text, judged(&rules, hs256(cases[i].text, GOOD)), cases[i].verdict);
}

static void a_public_key_takes_nothing_but_its_own_algorithm(void **state)
{
    const jwt_rules rules = {.keys = public};
    expect("RS256", judged(&rules, mint_rs256("{\"alg\":\"RS256\"}", GOOD, rsa)), JWT_GOOD);
    /* The public key as if it were a secret, and nothing at all. */
    expect("HS256", judged(&rules, mint_hs256("{\"alg\":\"HS256\"}", GOOD, pem, strlen(pem))),
           JWT_ALGORITHM);
    expect("RS256 by a secret",
           judged(&rules, mint_hs256("{\"alg\":\"RS256\"}", GOOD, pem, strlen(pem))),
           JWT_SIGNATURE);
    expect("RS512", judged(&rules, mint_rs256("{\"alg\":\"RS512\"}", GOOD, rsa)), JWT_ALGORITHM);
    expect("none", judged(&rules, mint_rs256("{\"alg\":\"none\"}", GOOD, rsa)), JWT_ALGORITHM);
}

static void of_several_keys_the_token_must_name_its_own(void **state)
{
    const jwt_rules rules = {.keys = several};
    static const judgement by_rsa[] = {
        {"{\"alg\":\"RS256\",\"kid\":\"one\"}", JWT_GOOD},
        {"{\"alg\":\"RS256\",\"kid\":\"two\"}", JWT_ALGORITHM},
        {"{\"alg\":\"HS256\",\"kid\":\"one\"}", JWT_ALGORITHM},
        {"{\"alg\":\"HS256\",\"kid\":\"two\"}", JWT_SIGNATURE},
        {"{\"alg\":\"RS256\",\"kid\":\"three\"}", JWT_UNKNOWN_KEY},
        {"{\"alg\":\"RS256\",\"kid\":\"\"}", JWT_UNKNOWN_KEY},
        {"{\"alg\":\"RS256\"}", JWT_NO_KEY_NAMED},
    };
    for (size_t i = 0; i < sizeof by_rsa / sizeof *by_rsa; i++)
        expect(by_rsa[i].text, judged(&rules, mint_rs256(by_rsa[i].text, GOOD, rsa)),
               by_rsa[i].verdict);
    expect("two", judged(&rules, hs256("{\"alg\":\"HS256\",\"kid\":\"two\"}", GOOD)), JWT_GOOD);
}

static void audience_and_issuer_must_be_ours_where_they_are_asked_for(void **state)
{
    const jwt_rules rules = {.keys = secret, .audience = "weir", .issuer = "us"};
    static const judgement cases[] = {
        {"{\"exp\":2000000001,\"aud\":\"weir\",\"iss\":\"us\"}", JWT_GOOD},
        {"{\"exp\":2000000001,\"aud\":[\"a\",\"weir\"],\"iss\":\"us\"}", JWT_GOOD},
        {"{\"exp\":2000000001,\"aud\":\"Weir\",\"iss\":\"us\"}", JWT_AUDIENCE},
        {"{\"exp\":2000000001,\"aud\":[],\"iss\":\"us\"}", JWT_AUDIENCE},
        {"{\"exp\":2000000001,\"aud\":[7,[\"weir\"]],\"iss\":\"us\"}", JWT_AUDIENCE},
        {"{\"exp\":2000000001,\"iss\":\"us\"}", JWT_AUDIENCE},
        {"{\"exp\":2000000001,\"aud\":\"weir\",\"iss\":\"them\"}", JWT_ISSUER},
        {"{\"exp\":2000000001,\"aud\":\"weir\"}", JWT_ISSUER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(cases[i].text, judged(&rules, hs256(HEAD, cases[i].text)), cases[i].verdict);
}

/* Whatever one character becomes, it is no longer the token. */
static void a_token_changed_anywhere_is_refused(void **state)
{
    const jwt_rules rules[] = {{.keys = secret}, {.keys = public}};
    char *tokens[] = {hs256(HEAD, GOOD), mint_rs256("{\"alg\":\"RS256\"}", GOOD, rsa)};
    for (size_t t = 0; t < 2; t++) {
        size_t length = strlen(tokens[t]);
        for (size_t i = 0; i < length; i++) {
            static const char others[] = "A_.=% \n";
            char *changed = strdup(tokens[t]);
            changed[i] = others[i % (sizeof others - 1)];
            if (changed[i] == tokens[t][i])
                changed[i] = 'B';
            assert_int_not_equal(judged(&rules[t], changed), JWT_GOOD);
        }
        for (size_t cut = 0; cut < length; cut += 1 + cut / 40)
            assert_int_not_equal(judged(&rules[t], strndup(tokens[t], cut)), JWT_GOOD);
        free(tokens[t]);
    }
}

static void what_is_no_token_is_malformed(void **state)
{
    static const char *const wrong[] = {
        "",     ".",        "..",      "...",   "a",
        "a.b",  "a.b.c.d",  "a.b.c",   ".b.c",  "a..c",
        "a.b.", "e30.e30.", "e30.e30", "=.=.=", "e30.e30.e30.e30.e30"};
    const jwt_rules rules = {.keys = secret};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect(wrong[i], judged(&rules, strdup(wrong[i])), JWT_MALFORMED);
    char *padded, *good = hs256(HEAD, GOOD);
    assert_true(asprintf(&padded, "%s=", good) > 0);
    expect("padded", judged(&rules, padded), JWT_MALFORMED);
    assert_true(asprintf(&padded, "%s.", good) > 0);
    expect("a fourth part", judged(&rules, padded), JWT_MALFORMED);
    free(good);
}

static void a_token_beyond_its_size_is_not_looked_at(void **state)
{
    const jwt_rules rules = {.keys = secret};
    char payload[JWT_MAX + 1] = "{\"exp\":2000000001,\"x\":\"";
    size_t begin = strlen(payload), fits = (JWT_MAX - 100) / 4 * 3;
    memset(payload + begin, 'x', fits - begin);
    strcpy(payload + fits, "\"}");
    char *token = hs256("{\"alg\":\"HS256\"}", payload);
    assert_true(strlen(token) <= JWT_MAX);
    expect("just not", judged(&rules, token), JWT_GOOD);
    memset(payload + begin, 'x', sizeof payload - begin - 3);
    strcpy(payload + sizeof payload - 3, "\"}");
    expect("too long", judged(&rules, hs256("{\"alg\":\"HS256\"}", payload)), JWT_TOO_LONG);
}

static void deep_nesting_is_refused_and_not_followed(void **state)
{
    const jwt_rules rules = {.keys = secret};
    char payload[6000] = "{\"exp\":2000000001,\"x\":";
    size_t at = strlen(payload);
    memset(payload + at, '[', 2600);
    memset(payload + at + 2600, ']', 2600);
    strcpy(payload + at + 5200, "}");
    jwt_verdict verdict = judged(&rules, hs256("{\"alg\":\"HS256\"}", payload));
    assert_true(verdict == JWT_MALFORMED || verdict == JWT_SIGNATURE);
}

static void claims_are_kept_as_they_were_signed(void **state)
{
    const jwt_rules rules = {.keys = secret};
    static const char payload[] =
        "{ \"exp\": 2000000001,\n\"n\": 9007199254740993, \"a\":\"\xc3\xa4\\u00e4\" }";
    jwt_claims claims;
    char *token = hs256(HEAD, payload);
    assert_int_equal(jwt_judge(&rules, token, NOW, &claims), JWT_GOOD);
    assert_string_equal(claims.text, payload);
    jwt_claims_free(&claims);
    free(token);
}

static void a_claim_is_found_by_its_name_or_by_a_path(void **state)
{
    static const struct {
        const char *path, *value; /* NULL: there is none */
    } cases[] = {
        {"role", "top"},      {"app.role", "inner"}, {"app.deep.role", "innermost"},
        {"app.role.x", NULL}, {"app.none", NULL},    {"https://x.example/role", "dotted"},
        {"", NULL},           {".", NULL},           {"nothing", NULL},
        {"app..role", NULL},  {"role.", NULL},
    };
    const jwt_rules rules = {.keys = secret};
    jwt_claims claims;
    char *token = hs256(HEAD, "{\"exp\":2000000001,\"role\":\"top\",\"nothing\":null,"
                              "\"https://x.example/role\":\"dotted\","
                              "\"app\":{\"role\":\"inner\",\"deep\":{\"role\":\"innermost\"}}}");
    assert_int_equal(jwt_judge(&rules, token, NOW, &claims), JWT_GOOD);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *found = json_string_value(jwt_claim(&claims, cases[i].path));
        if (!cases[i].value)
            assert_null(found);
        else
            assert_string_equal(found, cases[i].value);
    }
    jwt_claims_free(&claims);
    free(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_payload_is_good_or_says_why_not),
        cmocka_unit_test(a_header_is_good_or_says_why_not),
        cmocka_unit_test(a_public_key_takes_nothing_but_its_own_algorithm),
        cmocka_unit_test(of_several_keys_the_token_must_name_its_own),
        cmocka_unit_test(audience_and_issuer_must_be_ours_where_they_are_asked_for),
        cmocka_unit_test(a_token_changed_anywhere_is_refused),
        cmocka_unit_test(what_is_no_token_is_malformed),
        cmocka_unit_test(a_token_beyond_its_size_is_not_looked_at),
        cmocka_unit_test(deep_nesting_is_refused_and_not_followed),
        cmocka_unit_test(claims_are_kept_as_they_were_signed),
        cmocka_unit_test(a_claim_is_found_by_its_name_or_by_a_path),
    };
    return cmocka_run_group_tests_name("jwt", tests, make_keys, free_keys);
}
