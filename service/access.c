/* access.c: who is let in, as the configuration says. */
#include "access.h"

#include <stdio.h>
#include <string.h>

#include "small_file.h"
#include "token_file.h"

/* ---- The keys of JWTs ---- */

static int wrong_key(const char *source, const char *why, query_fault *fault)
{
    snprintf(fault->file, sizeof fault->file, "%s", source);
    return query_fail(fault, 0, "%s", why);
}

/* A line end behind a secret is the editor's. */
static size_t without_line_end(const char *text, size_t length)
{
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        length--;
    return length;
}

static int take_secret(const char *source, const char *text, size_t length, jwt_keys **keys,
                       query_fault *fault)
{
    char why[256];
    int r = jwt_keys_secret(text, without_line_end(text, length), keys, why, sizeof why);
    return r == WEIR_EINVAL ? wrong_key(source, why, fault) : r;
}

static int read_secret(const char *file, jwt_keys **keys, query_fault *fault)
{
    char *text;
    size_t length;
    int r = small_file_read(file, "the secret", &text, &length, fault);
    if (r < 0)
        return r;
    r = take_secret(file, text, length, keys, fault);
    small_file_forget(text, length);
    return r;
}

static int read_keys(const char *file, jwt_keys **keys, query_fault *fault)
{
    char *text, why[256];
    size_t length;
    int r = small_file_read(file, "the keys", &text, &length, fault);
    if (r < 0)
        return r;
    r = jwt_keys_read(text, length, keys, why, sizeof why);
    small_file_forget(text, length);
    return r == WEIR_EINVAL ? wrong_key(file, why, fault) : r;
}

static int read_any_keys(const config *c, jwt_keys **keys, query_fault *fault)
{
    if (!!c->jwt_secret + !!c->jwt_secret_file + !!c->jwt_keys > 1)
        return query_fail(fault, 0,
                          "of --jwt-secret, --jwt-secret-file and --jwt-keys only one can be said: "
                          "a JWKS may hold keys of all kinds");
    if (c->jwt_secret)
        return take_secret("--jwt-secret", c->jwt_secret, strlen(c->jwt_secret), keys, fault);
    if (c->jwt_secret_file)
        return read_secret(c->jwt_secret_file, keys, fault);
    return c->jwt_keys ? read_keys(c->jwt_keys, keys, fault) : 0;
}

/* ---- All of it ---- */

static int read_all(const config *c, credentials *known, query_fault *fault)
{
    known->audience = c->jwt_audience;
    known->issuer = c->jwt_issuer;
    known->role_claim = strcmp(c->jwt_role_claim, "off") == 0 ? NULL : c->jwt_role_claim;
    known->role = c->jwt_role;
    int r = token_file_read("--token", c->token, c->token_file, &known->operators, fault);
    if (r == 0)
        r = token_file_read("--client-token", c->client_token, c->client_token_file,
                            &known->clients, fault);
    return r == 0 ? read_any_keys(c, &known->keys, fault) : r;
}

static int check_default(query_auth auth, const credentials *known, query_fault *fault)
{
    if (access_kinds(known) & 1u << auth)
        return 0;
    return query_fail(fault, 0,
                      auth == AUTH_JWT
                          ? "--auth jwt, but no key to know one by: say --jwt-secret-file or "
                            "--jwt-keys"
                          : "--auth token, but there is none: say --client-token-file");
}

int access_read(const config *c, credentials **known, query_fault *fault)
{
    credentials *read = credentials_new();
    int r = read ? read_all(c, read, fault) : WEIR_ENOMEM;
    if (r == 0)
        r = check_default((query_auth)c->auth, read, fault);
    if (r == 0)
        *known = read;
    else
        credentials_unref(read);
    return r;
}

uint32_t access_kinds(const credentials *known)
{
    bool tokens = known->clients.count > 0 || known->operators.count > 0;
    return 1u << AUTH_NONE | (tokens ? 1u << AUTH_TOKEN : 0) | (known->keys ? 1u << AUTH_JWT : 0);
}
