/* jwt.c: one JSON Web Token (RFC 7519): what it says, and whether that can be believed. */
#include "jwt.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base64url.h"

static const struct {
    const char *word, *sentence;
} verdicts[] = {
#define X(name, word, sentence) {word, sentence},
    JWT_VERDICTS(X)
#undef X
};

const char *jwt_verdict_word(jwt_verdict verdict)
{
    return verdicts[verdict].word;
}

const char *jwt_verdict_sentence(jwt_verdict verdict)
{
    return verdicts[verdict].sentence;
}

/* ---- Its parts ---- */

typedef struct span {
    const char *text;
    size_t length;
} span;

typedef enum jwt_part { HEADER, PAYLOAD, SIGNATURE, PART_COUNT } jwt_part;

/* Cuts the token at its dots; false unless there are two, with something before and behind each. */
static bool split(const char *token, span parts[PART_COUNT])
{
    for (int i = 0; i < PART_COUNT; i++) {
        parts[i] = (span){token, strcspn(token, ".")};
        token += parts[i].length;
        if (parts[i].length == 0 || (*token == '.') != (i + 1 < PART_COUNT))
            return false;
        token++;
    }
    return true;
}

/* A part's JSON object. What is named twice would be one thing to us and another to the next
 * reader. */
static jwt_verdict read_object(const span *part, jwt_claims *read)
{
    json_error_t error;
    size_t length;
    char *text = malloc(BASE64URL_BYTES(part->length) + 1);

    if (!text)
        return JWT_NO_MEMORY;
    if (!base64url_decode(part->text, part->length, (unsigned char *)text, &length)) {
        free(text);
        return JWT_MALFORMED;
    }
    text[length] = '\0';
    *read = (jwt_claims){
        .text = text,
        .json = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error),
    };
    if (json_is_object(read->json))
        return JWT_GOOD;
    bool no_memory = !read->json && json_error_code(&error) == json_error_out_of_memory;
    jwt_claims_free(read);
    return no_memory ? JWT_NO_MEMORY : JWT_MALFORMED;
}

void jwt_claims_free(jwt_claims *claims)
{
    free(claims->text);
    json_decref(claims->json);
    *claims = (jwt_claims){0};
}

/* ---- Its header: which key ---- */

/* The key says which algorithm it is for, and the token has no say in that: else a public key could
 * be passed off as a secret, or none be asked for. */
static jwt_verdict judge_header(const jwt_rules *rules, const json_t *header, const jwt_key **key)
{
    const json_t *kid = json_object_get(header, "kid"), *type = json_object_get(header, "typ");
    const char *algorithm = json_string_value(json_object_get(header, "alg"));

    if (type && (!json_is_string(type) || strcasecmp(json_string_value(type), "JWT") != 0))
        return JWT_TYPE;
    if (json_object_get(header, "crit"))
        return JWT_CRITICAL;
    if (kid && !json_is_string(kid))
        return JWT_UNKNOWN_KEY;
    *key = jwt_keys_find(rules->keys, json_string_value(kid));
    if (!*key)
        return kid ? JWT_UNKNOWN_KEY : JWT_NO_KEY_NAMED;
    bool fits = algorithm && strcmp(algorithm, jwt_key_algorithm(*key)) == 0;
    return fits ? JWT_GOOD : JWT_ALGORITHM;
}

/* ---- Its claims: when and for whom ---- */

static bool names_audience(const json_t *aud, const char *audience)
{
    const json_t *one;
    size_t i;

    if (json_is_string(aud))
        return strcmp(json_string_value(aud), audience) == 0;
    json_array_foreach(aud, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), audience) == 0)
            return true;
    }
    return false;
}

static bool is_number_or_absent(const json_t *claim)
{
    return !claim || json_is_number(claim);
}

static jwt_verdict judge_times(const json_t *claims, double now)
{
    const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf"),
                 *iat = json_object_get(claims, "iat");

    if (!is_number_or_absent(exp) || !is_number_or_absent(nbf) || !is_number_or_absent(iat))
        return JWT_BAD_CLAIM;
    if (!exp)
        return JWT_NO_EXPIRY;
    if (json_number_value(exp) + JWT_LEEWAY_S <= now)
        return JWT_EXPIRED;
    if ((nbf && json_number_value(nbf) > now + JWT_LEEWAY_S) ||
        (iat && json_number_value(iat) > now + JWT_LEEWAY_S))
        return JWT_EARLY;
    return JWT_GOOD;
}

static jwt_verdict judge_parties(const jwt_rules *rules, const json_t *claims)
{
    const json_t *aud = json_object_get(claims, "aud"), *iss = json_object_get(claims, "iss");

    if ((aud && !json_is_string(aud) && !json_is_array(aud)) || (iss && !json_is_string(iss)))
        return JWT_BAD_CLAIM;
    if (rules->audience && !names_audience(aud, rules->audience))
        return JWT_AUDIENCE;
    if (rules->issuer && (!iss || strcmp(json_string_value(iss), rules->issuer) != 0))
        return JWT_ISSUER;
    return JWT_GOOD;
}

static jwt_verdict judge_claims(const jwt_rules *rules, const json_t *claims, double now)
{
    jwt_verdict verdict = judge_times(claims, now);
    return verdict == JWT_GOOD ? judge_parties(rules, claims) : verdict;
}

/* ---- All of it ---- */

static bool is_base64url(const span *part)
{
    unsigned char *bytes = malloc(BASE64URL_BYTES(part->length));
    size_t length;
    bool good = bytes && base64url_decode(part->text, part->length, bytes, &length);

    free(bytes);
    return good;
}

/* The signature comes before the claims: what is said of them is said to whom the issuer trusts. */
static jwt_verdict judge_signed(const jwt_rules *rules, const char *token, const jwt_key *key,
                                const span *payload, double now, jwt_claims *claims)
{
    if (!jwt_key_signed(key, token))
        return JWT_SIGNATURE;
    jwt_verdict verdict = read_object(payload, claims);
    if (verdict != JWT_GOOD)
        return verdict;
    verdict = judge_claims(rules, claims->json, now);
    if (verdict != JWT_GOOD)
        jwt_claims_free(claims);
    return verdict;
}

jwt_verdict jwt_judge(const jwt_rules *rules, const char *token, double now, jwt_claims *claims)
{
    span parts[PART_COUNT];
    jwt_claims header;
    const jwt_key *key = NULL;

    if (strlen(token) > JWT_MAX)
        return JWT_TOO_LONG;
    if (!split(token, parts) || !is_base64url(&parts[SIGNATURE]))
        return JWT_MALFORMED;
    jwt_verdict verdict = read_object(&parts[HEADER], &header);
    if (verdict != JWT_GOOD)
        return verdict;
    verdict = judge_header(rules, header.json, &key);
    jwt_claims_free(&header);
    if (verdict != JWT_GOOD)
        return verdict;
    return judge_signed(rules, token, key, &parts[PAYLOAD], now, claims);
}

/* The member of this name that is not null. */
static const json_t *member(const json_t *object, const char *name, size_t length)
{
    const json_t *found = json_object_getn(object, name, length);
    return json_is_null(found) ? NULL : found;
}

const json_t *jwt_claim(const jwt_claims *claims, const char *path)
{
    const json_t *at = member(claims->json, path, strlen(path));

    if (at)
        return at;
    for (at = claims->json; at; path++) {
        size_t length = strcspn(path, ".");
        at = member(at, path, length);
        path += length;
        if (!*path)
            return at;
    }
    return NULL;
}
