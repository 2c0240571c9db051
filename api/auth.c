/* auth.c: who asks, as far as a query wants that shown. */
#include "auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "reply.h"

#define ROLE_MAX 63 /* bytes in a name of PostgreSQL's */

void identity_unref(identity *who)
{
    if (!who || --who->refs > 0)
        return;
    jwt_claims_free(&who->claims);
    free(who);
}

/* ---- Tokens that say nothing but that they are known ---- */

static bool refuse_token(weir_request *told, problem_kind kind, const char *reason,
                         const char *sentence)
{
    metrics_refusal(told->lane->metrics, reason);
    weir_reply_error(told, kind, "%s", sentence);
    told->challenge = kind == PROBLEM_TOKEN_MISSING ? NULL : sentence;
    return false;
}

static bool ask_token(weir_request *told, const credentials *known, const char *token)
{
    return tokens_know(&known->clients, token) || tokens_know(&known->operators, token) ||
           refuse_token(told, PROBLEM_TOKEN_INVALID, "unknown",
                        "The token is not one of the service's.");
}

/* ---- JWTs ---- */

/* The role in a claim; else `fault` says what is wrong with it. */
static void take_role(identity *who, const credentials *known)
{
    const json_t *claim = known->role_claim ? jwt_claim(&who->claims, known->role_claim) : NULL;
    const char *role = json_string_value(claim);
    size_t length = role ? strlen(role) : 0;

    if (!claim) {
        who->role = known->role;
        if (known->role_claim && !known->role)
            snprintf(who->fault, sizeof who->fault,
                     "The token has no claim %.80s that says which role to ask as.",
                     known->role_claim);
        return;
    }
    /* `none` is no role to the server, but its word for giving one up. */
    if (length == 0 || length > ROLE_MAX || strcmp(role, "none") == 0)
        snprintf(who->fault, sizeof who->fault, "The token's claim %.80s names no role.",
                 known->role_claim);
    else
        who->role = role;
}

/* The role comes last, so that all else is set with the connection's own rights. */
static void take_settings(identity *who)
{
    who->settings[0] = (weir_setting){"request.jwt.claims", who->claims.text};
    who->settings[1] = (weir_setting){"role", who->role};
}

int auth_settle(weir_lease *lease, const identity *who)
{
    return who ? weir_lease_settings(lease, who->settings, who->role ? 2 : 1) : 0;
}

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* NULL: no memory. */
static identity *identify(const credentials *known, const char *token)
{
    const jwt_rules rules = {
        .keys = known->keys, .audience = known->audience, .issuer = known->issuer};
    identity *who = calloc(1, sizeof *who);

    if (!who)
        return NULL;
    who->refs = 1;
    /* Without keys by now: a reload has taken them back, and left a query that asks for one. */
    who->verdict =
        known->keys ? jwt_judge(&rules, token, seconds_now(), &who->claims) : JWT_UNKNOWN_KEY;
    if (who->verdict == JWT_GOOD)
        take_role(who, known);
    take_settings(who);
    return who;
}

static bool ask_jwt(weir_request *told, const identity *who)
{
    if (!who || who->verdict == JWT_NO_MEMORY) {
        weir_reply_error(told, PROBLEM_OVERLOADED, "There was no memory to judge the token.");
        told->retry_after = 1;
        return false;
    }
    if (who->verdict != JWT_GOOD)
        return refuse_token(
            told, who->verdict == JWT_EXPIRED ? PROBLEM_TOKEN_EXPIRED : PROBLEM_TOKEN_INVALID,
            jwt_verdict_word(who->verdict), jwt_verdict_sentence(who->verdict));
    if (!*who->fault)
        return true;
    metrics_refusal(told->lane->metrics, "role");
    weir_reply_error(told, PROBLEM_ROLE, "%s", who->fault);
    return false;
}

/* ---- All of it ---- */

static bool ask(weir_request *req, query_auth auth, weir_request *told, const char *token)
{
    credentials *known = server_credentials(req->lane->api);
    bool good;

    if (auth == AUTH_JWT && !req->identity)
        req->identity = identify(known, token);
    if (auth == AUTH_JWT)
        good = ask_jwt(told, req->identity);
    else
        good = ask_token(told, known, token);
    if (good && auth == AUTH_JWT && told != req) {
        told->identity = req->identity;
        told->identity->refs++;
    }
    credentials_unref(known);
    return good;
}

bool auth_let_in(weir_request *req, query_auth auth, weir_request *told)
{
    if (auth == AUTH_NONE)
        return true;
    const char *token = tokens_bearer(request_header(req, MHD_HTTP_HEADER_AUTHORIZATION));
    if (token && *token)
        return ask(req, auth, told, token);
    return refuse_token(told, PROBLEM_TOKEN_MISSING, "missing",
                        "The request has no header Authorization: Bearer TOKEN.");
}

bool auth_is_operator(const weir_request *req)
{
    const char *token = tokens_bearer(request_header(req, MHD_HTTP_HEADER_AUTHORIZATION));
    credentials *known = token ? server_credentials(req->lane->api) : NULL;
    bool good = known && tokens_know(&known->operators, token);

    credentials_unref(known);
    return good;
}
