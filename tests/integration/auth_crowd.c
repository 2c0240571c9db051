/* auth_crowd.c: tests of many that ask at once, each as somebody, while keys come and go. */
#include "../support/jwt_mint.h"
#include "../support/notes.h"
#include "../support/secret_files.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static int serve_on_one(void **state)
{
    secret_file("secret", MINT_SECRET);
    serve_notes("--jwt-secret-file", secret_path("secret"), "1", "1");
    return 0;
}

static int serve_on_some(void **state)
{
    secret_file("secret", MINT_SECRET);
    serve_notes("--jwt-secret-file", secret_path("secret"), "6", "2");
    return 0;
}

enum { CROWD = 25, ROUNDS = 20 };

/* Results of the threads; asserted on by the test. */
static atomic_int crossed, failed, refused_rightly, asked_in_all;

static void note(const http_reply *r, const char *who, const char *tag)
{
    atomic_fetch_add(&asked_in_all, 1);
    const json_t *row = json_object_get(r->json, "row");
    if (r->status != 200)
        atomic_fetch_add(&failed, 1);
    else if (strcmp(member_of(row, "who"), who) != 0 || strcmp(member_of(row, "tag"), tag) != 0)
        atomic_fetch_add(&crossed, 1);
}

static void note_refusal(const http_reply *r, const char *code)
{
    atomic_fetch_add(&asked_in_all, 1);
    atomic_fetch_add(
        r->status == 401 && strcmp(text(r, "code"), code) == 0 ? &refused_rightly : &failed, 1);
}

static http_reply ask(http_client *own, const char *token, const char *path)
{
    char authorization[1024];
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", token ? token : "");
    const char *const headers[] = {token ? authorization : NULL, NULL};
    return http_send(own, "GET", path, NULL, headers);
}

static void *one_of_the_crowd(void *arg)
{
    int number = (int)(intptr_t)arg;
    http_client *own = http_open(weir_port(weir));
    for (int i = 0; i < ROUNDS; i++) {
        char tag[32], path[64];
        int kind = (number + i) % 5;
        snprintf(tag, sizeof tag, "%d.%d", number, i);
        /* One in two is what another may be asking at the same time, as somebody else. */
        if (i % 2)
            snprintf(tag, sizeof tag, "same");
        snprintf(path, sizeof path, "%s?tag=%s", i % 2 ? "/kept" : "/me", tag);
        const char *const tokens[] = {alice, bob, auditor, expired, NULL};
        http_reply r = ask(own, tokens[kind], path);
        if (kind < 3)
            note(&r, kind == 0 ? "web alice" : kind == 1 ? "web bob" : "auditor carol", tag);
        else
            note_refusal(&r, kind == 3 ? "token_expired" : "token_missing");
        http_reply_free(&r);
    }
    http_close(own);
    return NULL;
}

static void crowd(pthread_t threads[CROWD])
{
    atomic_store(&crossed, 0);
    atomic_store(&failed, 0);
    atomic_store(&refused_rightly, 0);
    atomic_store(&asked_in_all, 0);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, one_of_the_crowd, (void *)(intptr_t)i),
                         0);
}

static void crowd_ends(pthread_t threads[CROWD])
{
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&crossed), 0);
    assert_int_equal(atomic_load(&failed), 0);
    assert_int_equal(atomic_load(&refused_rightly), CROWD * ROUNDS * 2 / 5);
    assert_int_equal(atomic_load(&asked_in_all), CROWD * ROUNDS);
}

static void five_hundred_requests_of_many_never_cross(void **state)
{
    pthread_t threads[CROWD];
    crowd(threads);
    crowd_ends(threads);
    is_answered_as("/who", NULL, NOBODY);
}

/* ---- Keys of an issuer, which come and go ---- */

static EVP_PKEY *old_key, *new_key;

/* The keys there are now: a JWKS of them, NULL behind the last, and the secret of the crowd. */
static void keys_file(const char *const *each)
{
    char text[4096], *secret = mint_base64url(MINT_SECRET, strlen(MINT_SECRET));
    int length = snprintf(text, sizeof text,
                          "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"crowd\",\"k\":"
                          "\"%s\"}",
                          secret);
    for (; *each; each++)
        length += snprintf(text + length, sizeof text - (size_t)length, ",%s", *each);
    snprintf(text + length, sizeof text - (size_t)length, "]}");
    secret_file("keys", text);
    free(secret);
}
#define KEYS(...) keys_file((const char *const[]){__VA_ARGS__, NULL})

static void reload(void)
{
    http_reply r = post_as(NOTES_OPERATOR, "/reload");
    assert_status(&r, 200);
    http_reply_free(&r);
}

static char *by(EVP_PKEY *key, const char *kid)
{
    char header[64];
    snprintf(header, sizeof header, "{\"alg\":\"RS256\",\"kid\":\"%s\"}", kid);
    return mint_rs256(header, "{\"exp\":99999999999,\"sub\":\"dora\",\"role\":\"web\"}", key);
}

static void shows(const char *token, int status)
{
    http_reply r = send_as(token, "GET", "/me?tag=x", NULL);
    if (status == 200) {
        assert_status(&r, 200);
        assert_string_equal(member_of(json_object_get(r.json, "row"), "who"), "web dora");
    } else {
        assert_problem(&r, status, "token_invalid");
    }
    http_reply_free(&r);
}

static int serve_keys(void **state)
{
    old_key = mint_rsa(2048);
    new_key = mint_rsa(2048);
    char *jwk = mint_jwk(old_key, ",\"kid\":\"old\"");
    KEYS(jwk);
    free(jwk);
    serve_notes("--jwt-keys", secret_path("keys"), "6", "2");
    return 0;
}

static int stop_keys(void **state)
{
    EVP_PKEY_free(old_key);
    EVP_PKEY_free(new_key);
    return stop(state);
}

static void an_issuer_changes_its_key_without_a_gap(void **state)
{
    char *old_jwk = mint_jwk(old_key, ",\"kid\":\"old\""),
         *new_jwk = mint_jwk(new_key, ",\"kid\":\"new\"");
    char *before = by(old_key, "old"), *after = by(new_key, "new"), *forged = by(new_key, "old");
    shows(before, 200);
    shows(after, 401);
    KEYS(old_jwk, new_jwk);
    reload();
    shows(before, 200);
    shows(after, 200);
    shows(forged, 401);
    KEYS(new_jwk);
    reload();
    shows(before, 401);
    shows(after, 200);
    assert_int_equal(metric("weir_tokens_refused_total{reason=\"unknown_key\"}"), 2);
    assert_int_equal(metric("weir_tokens_refused_total{reason=\"signature\"}"), 1);
    char *const all[] = {old_jwk, new_jwk, before, after, forged};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void keys_change_under_load_and_nobody_notices(void **state)
{
    pthread_t threads[CROWD];
    char *old_jwk = mint_jwk(old_key, ",\"kid\":\"old\""),
         *new_jwk = mint_jwk(new_key, ",\"kid\":\"new\"");
    char *after = by(new_key, "new"), *usual[] = {alice, bob, auditor, expired};
    static const char *const members[] = {"\"sub\":\"alice\",\"role\":\"web\"",
                                          "\"sub\":\"bob\",\"role\":\"web\"",
                                          "\"sub\":\"carol\",\"role\":\"auditor\""};
    for (int i = 0; i < 4; i++) {
        char payload[128];
        snprintf(payload, sizeof payload, "{\"exp\":%s,%s}", i < 3 ? "99999999999" : "1",
                 members[i % 3]);
        *(char **[]){&alice, &bob, &auditor, &expired}[i] = mint_hs256(
            "{\"alg\":\"HS256\",\"kid\":\"crowd\"}", payload, MINT_SECRET, strlen(MINT_SECRET));
    }
    crowd(threads);
    for (int i = 0; i < 10; i++) {
        if (i % 2)
            KEYS(old_jwk);
        else
            KEYS(old_jwk, new_jwk);
        reload();
        shows(after, i % 2 ? 401 : 200);
    }
    crowd_ends(threads);
    for (int i = 0; i < 4; i++) {
        char **one = (char **[]){&alice, &bob, &auditor, &expired}[i];
        free(*one);
        *one = usual[i];
    }
    free(old_jwk);
    free(new_jwk);
    free(after);
}

#define one(name)  cmocka_unit_test_setup_teardown(name, serve_on_one, stop)
#define some(name) cmocka_unit_test_setup_teardown(name, serve_on_some, stop)
#define keys(name) cmocka_unit_test_setup_teardown(name, serve_keys, stop_keys)

int main(void)
{
    const struct CMUnitTest tests[] = {
        one(five_hundred_requests_of_many_never_cross),
        some(five_hundred_requests_of_many_never_cross),
        keys(an_issuer_changes_its_key_without_a_gap),
        keys(keys_change_under_load_and_nobody_notices),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("auth_crowd", tests, notes_start, notes_end);
}
