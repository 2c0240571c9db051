/* auth.c: tests of what a request must show before a query answers it. */
#include "../support/served.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../support/jwt_mint.h"
#include "../support/secret_files.h"

#define OPERATOR "operators-own"
#define CLIENT   "client-one"

static int world_start(void **state)
{
    database = postgres_start(NULL);
    folder = scratch_folder();
    secret_files_open();
    postgres_sql(database, "create role web; create table seen (who text)");
    query_file("open", "-- @auth none\nselect 'open' as x\n");
    query_file("shut", "-- @auth token\n-- @route GET /shut\nselect 'shut' as x\n");
    query_file("kept", "-- @auth token\n-- @cache 5s\n-- @route GET /kept\nselect 'kept' as x\n");
    query_file("mine", "-- @auth jwt\n-- @route GET /mine/{n}\n"
                       "select :n::int as n, current_user as who, "
                       "current_setting('request.jwt.claims')::json->>'sub' as sub\n");
    query_file("unsaid", "-- @route GET /unsaid\nselect 'unsaid' as x\n");
    query_file("note", "-- @auth jwt\n-- @route POST /note\n-- @returns count\n"
                       "insert into seen values (current_user)\n");
    return 0;
}

static int world_end(void **state)
{
    scratch_remove(folder);
    secret_files_close();
    postgres_stop(database);
    return 0;
}

static int serve_secret(void **state)
{
    secret_file("clients", "# ours\n" CLIENT "\nclient-two\n");
    secret_file("secret", MINT_SECRET "\n");
    serve_ready((const char *const[]){"--client-token-file", secret_path("clients"),
                                      "--jwt-secret-file", secret_path("secret"), "--token",
                                      OPERATOR, "--jwt-audience", "weir", "--jwt-issuer", "us",
                                      "--lanes", "2", "--jwt-role-claim", "app.role", NULL});
    return 0;
}

#define OURS ",\"aud\":\"weir\",\"iss\":\"us\",\"app\":{\"role\":\"web\"},\"sub\":\"someone\""

/* One request with a token that is freed. */
static http_reply asked(char *token, const char *path)
{
    http_reply r = send_as(token, "GET", path, NULL);
    free(token);
    return r;
}

static void gets(const char *token, const char *path, int status, const char *code)
{
    http_reply r = send_as(token, "GET", path, NULL);
    if (status == 200)
        assert_status(&r, 200);
    else
        assert_problem(&r, status, code);
    http_reply_free(&r);
}

/* ---- Tokens ---- */

static void a_query_may_ask_for_nothing_a_token_or_a_jwt(void **state)
{
    char *jwt = mint_usual(OURS);
    gets(NULL, "/q/open", 200, NULL);
    gets("anything", "/q/open", 200, NULL);
    gets(NULL, "/unsaid", 200, NULL);
    gets(NULL, "/shut", 401, "token_missing");
    gets(CLIENT, "/shut", 200, NULL);
    gets("client-two", "/shut", 200, NULL);
    gets(OPERATOR, "/shut", 200, NULL);
    gets("client-three", "/shut", 401, "token_invalid");
    gets(jwt, "/shut", 401, "token_invalid");
    gets(NULL, "/mine/1", 401, "token_missing");
    gets(jwt, "/mine/1", 200, NULL);
    gets(CLIENT, "/mine/1", 401, "token_invalid");
    gets(OPERATOR, "/mine/1", 401, "token_invalid");
    free(jwt);
}

static void a_clients_token_does_not_make_an_operator(void **state)
{
    http_reply r = post_as(CLIENT, "/reload");
    assert_problem(&r, 401, "unauthorized");
    http_reply_free(&r);
    r = send_as(CLIENT, "POST", "/sql", "{\"sql\":\"select 1\"}");
    assert_problem(&r, 401, "unauthorized");
    http_reply_free(&r);
}

static void who_is_refused_is_told_how_to_ask(void **state)
{
    static const struct {
        const char *header, *challenge;
    } cases[] = {
        {NULL, "Bearer realm=\"weir\""},
        {"Authorization: Basic YTpi", "Bearer realm=\"weir\""},
        {"Authorization: Bearer", "Bearer realm=\"weir\""},
        {"Authorization: Bearer wrong",
         "Bearer realm=\"weir\", error=\"invalid_token\", error_description=\"The token is not a "
         "signed JWT.\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const headers[] = {cases[i].header, NULL};
        http_reply r = http_send(client, "GET", "/mine/1", NULL, headers);
        assert_status(&r, 401);
        assert_string_equal(http_header(&r, "WWW-Authenticate"), cases[i].challenge);
        assert_string_equal(http_header(&r, "Cache-Control"), "no-store");
        assert_non_null(strstr(r.headers, "Vary: Authorization\r\n"));
        http_reply_free(&r);
    }
}

static void what_one_client_gets_is_kept_from_others_caches(void **state)
{
    http_reply r = send_as(CLIENT, "GET", "/shut", NULL);
    assert_string_equal(http_header(&r, "Cache-Control"), "private, no-cache");
    assert_non_null(strstr(r.headers, "Vary: Authorization\r\n"));
    http_reply_free(&r);
    r = send_as(CLIENT, "GET", "/kept", NULL);
    assert_string_equal(http_header(&r, "Cache-Control"), "private, max-age=5");
    http_reply_free(&r);
    r = get("/q/open");
    assert_string_equal(http_header(&r, "Cache-Control"), "no-cache");
    assert_null(strstr(r.headers, "Authorization"));
    http_reply_free(&r);
}

static void a_token_comes_before_parameters_and_connections(void **state)
{
    long before = (long)metric("weir_leases_granted_total{pool=\"default\"}");
    gets(NULL, "/mine/abc", 401, "token_missing");
    gets("x", "/shut?what=1", 401, "token_invalid");
    gets(CLIENT, "/shut?what=1", 400, "bad_parameter");
    char *jwt = mint_usual(OURS);
    gets(jwt, "/mine/abc", 400, "bad_parameter");
    free(jwt);
    assert_int_equal(metric("weir_leases_granted_total{pool=\"default\"}"), before);
}

/* ---- JWTs ---- */

static void a_jwt_says_who_asks_and_in_which_role(void **state)
{
    http_reply r = asked(mint_usual(OURS), "/mine/7");
    assert_status(&r, 200);
    json_t *row = json_array_get(json_object_get(r.json, "rows"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "who")), "web");
    assert_string_equal(json_string_value(json_object_get(row, "sub")), "someone");
    http_reply_free(&r);
}

static void a_jwt_that_is_not_believed_says_why(void **state)
{
    static const struct {
        const char *members; /* beside the right exp */
        int status;
        const char *code, *detail;
    } cases[] = {
        {",\"iss\":\"us\",\"app\":{\"role\":\"web\"}", 401, "token_invalid", "audience"},
        {",\"aud\":\"weir\",\"iss\":\"them\"", 401, "token_invalid", "issuer"},
        {",\"aud\":\"weir\",\"iss\":\"us\"", 403, "role_refused", "no claim app.role"},
        {",\"aud\":\"weir\",\"iss\":\"us\",\"role\":\"web\"", 403, "role_refused", "no claim"},
        {",\"aud\":\"weir\",\"iss\":\"us\",\"app\":{\"role\":7}", 403, "role_refused",
         "names no role"},
        {",\"aud\":\"weir\",\"iss\":\"us\",\"app\":{\"role\":[\"web\"]}", 403, "role_refused",
         "names no role"},
        {",\"aud\":\"weir\",\"iss\":\"us\",\"app\":{\"role\":\"\"}", 403, "role_refused",
         "names no role"},
        {",\"aud\":\"weir\",\"iss\":\"us\",\"app\":{\"role\":\"none\"}", 403, "role_refused",
         "names no role"},
        {",\"aud\":\"weir\",\"iss\":\"us\",\"app\":{\"role\":\"nobody_here\"}", 403, "22023",
         "does not exist"},
        {",\"aud\":\"weir\",\"iss\":\"us\",\"app\":{\"role\":\"\\\"web\\\"\"}", 403, "22023",
         "does not exist"},
        {",\"aud\":\"weir\",\"iss\":\"us\",\"app\":{\"role\":\"web'; drop table seen; --\"}", 403,
         "22023", "does not exist"},
        {",\"aud\":\"weir\",\"iss\":\"us\",\"app\":{\"role\":\"NONE\"}", 403, "22023",
         "does not exist"},
        {OURS ",\"nbf\":99999999999", 401, "token_invalid", "not valid yet"},
        {OURS ",\"exp\":1", 401, "token_invalid", ""}, /* exp is there twice */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_reply r = asked(mint_usual(cases[i].members), "/mine/1");
        assert_problem(&r, cases[i].status, cases[i].code);
        if (!strstr(text(&r, "detail"), cases[i].detail))
            fail_msg("%s: %s", cases[i].members, r.body);
        http_reply_free(&r);
    }
    assert_int_equal(postgres_number(database, "select count(*) from seen"), 0);
}

static void a_role_longer_than_names_are_is_refused(void **state)
{
    char *members =
        repeated(",\"aud\":\"weir\",\"iss\":\"us\",\"app\":{\"role\":\"", "x", 64, "\"}");
    char *jwt = mint_usual(members);
    gets(jwt, "/mine/1", 403, "role_refused");
    free(jwt);
    free(members);
}

static void an_expired_jwt_is_told_apart(void **state)
{
    char payload[256];
    snprintf(payload, sizeof payload, "{\"exp\":%ld%s}", (long)time(NULL) - 31, OURS);
    http_reply r = asked(mint_hs256("{\"alg\":\"HS256\"}", payload, MINT_SECRET, 33), "/mine/1");
    assert_problem(&r, 401, "token_expired");
    assert_string_equal(http_header(&r, "WWW-Authenticate"),
                        "Bearer realm=\"weir\", error=\"invalid_token\", "
                        "error_description=\"The token has expired.\"");
    http_reply_free(&r);
}

static void signatures_and_algorithms_of_others_are_refused(void **state)
{
    static const char payload[] = "{\"exp\":99999999999" OURS "}";
    char *wrong[] = {
        mint_hs256("{\"alg\":\"HS256\"}", payload, MINT_SECRET, 32),
        mint_hs256("{\"alg\":\"none\"}", payload, MINT_SECRET, 33),
        mint_hs256("{\"alg\":\"RS256\"}", payload, MINT_SECRET, 33),
        strdup("eyJhbGciOiJub25lIn0.e30."),
        strdup("eyJhbGciOiJub25lIn0.e30"),
        strdup("...."),
        repeated("", "x", 7000, ""),
        repeated("a.", "b", 3000, ".c"),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        gets(wrong[i], "/mine/1", 401, "token_invalid");
        gets(wrong[i], "/shut", 401, "token_invalid");
        free(wrong[i]);
    }
}

static void what_is_wrong_with_a_header_is_named(void **state)
{
    static const struct {
        const char *header, *member, *taken;
    } cases[] = {
        {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", "(typ)", "JWT"},
        {"{\"alg\":\"HS256\",\"typ\":null}", "(typ)", "JWT"},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", "(crit)", "none"},
        {"{\"alg\":\"HS512\"}", "(alg)", "HS256"},
        {"{\"typ\":\"JWT\"}", "(alg)", "HS256"},
        {"{\"alg\":\"HS256\",\"kid\":[]}", "(kid)", "known"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_reply r =
            asked(mint_hs256(cases[i].header, "{\"exp\":99999999999" OURS "}", MINT_SECRET, 33),
                  "/mine/1");
        assert_problem(&r, 401, "token_invalid");
        const char *detail = text(&r, "detail");
        if (!strstr(detail, cases[i].member) || !strstr(detail, cases[i].taken))
            fail_msg("%s: %s", cases[i].header, r.body);
        const char *challenge = strstr(http_header(&r, "WWW-Authenticate"), "description=\"");
        assert_memory_equal(challenge + strlen("description=\""), detail, strlen(detail));
        assert_string_equal(challenge + strlen("description=\"") + strlen(detail), "\"");
        http_reply_free(&r);
    }
}

static void refusals_are_counted_by_reason(void **state)
{
    gets(NULL, "/shut", 401, "token_missing");
    gets("x", "/shut", 401, "token_invalid");
    gets("x", "/mine/1", 401, "token_invalid");
    gets("x.y.z", "/mine/1", 401, "token_invalid");
    http_reply r = asked(mint_usual(",\"aud\":\"weir\",\"iss\":\"us\""), "/mine/1");
    assert_problem(&r, 403, "role_refused");
    http_reply_free(&r);
    assert_int_equal(metric("weir_tokens_refused_total{reason=\"missing\"}"), 1);
    assert_int_equal(metric("weir_tokens_refused_total{reason=\"unknown\"}"), 1);
    assert_int_equal(metric("weir_tokens_refused_total{reason=\"malformed\"}"), 2);
    assert_int_equal(metric("weir_tokens_refused_total{reason=\"role\"}"), 1);
}

/* ---- Several queries in one request ---- */

static void each_of_a_batch_must_be_allowed(void **state)
{
    static const char body[] = "[{\"query\":\"open\"},{\"query\":\"shut\"},"
                               "{\"query\":\"mine\",\"params\":{\"n\":1}}]";
    static const int none[] = {200, 401, 401}, token[] = {200, 200, 401}, jwt[] = {200, 401, 200};
    char *signed_one = mint_usual(OURS);
    const struct {
        const char *shown;
        const int *statuses;
    } cases[] = {{NULL, none}, {CLIENT, token}, {signed_one, jwt}};
    for (size_t i = 0; i < 3; i++) {
        http_reply r = send_as(cases[i].shown, "POST", "/batch", body);
        assert_status(&r, 200);
        for (size_t n = 0; n < 3; n++) {
            json_t *part = json_array_get(json_object_get(r.json, "results"), n);
            assert_int_equal(json_integer_value(json_object_get(part, "status")),
                             cases[i].statuses[n]);
            json_t *where = json_object_get(json_object_get(part, "problem"), "instance");
            char expected[16];
            snprintf(expected, sizeof expected, "/batch#/%zu", n);
            if (cases[i].statuses[n] != 200)
                assert_string_equal(json_string_value(where), expected);
        }
        http_reply_free(&r);
    }
    free(signed_one);
}

static void a_transaction_names_the_step_that_is_not_allowed(void **state)
{
    static const char body[] = "{\"queries\":[{\"query\":\"open\"},{\"query\":\"shut\"}]}";
    http_reply r = send_as(NULL, "POST", "/tx", body);
    assert_problem(&r, 401, "token_missing");
    assert_int_equal(json_integer_value(json_object_get(r.json, "step")), 1);
    assert_string_equal(text(&r, "query"), "shut");
    assert_string_equal(http_header(&r, "WWW-Authenticate"), "Bearer realm=\"weir\"");
    http_reply_free(&r);
    r = send_as(CLIENT, "POST", "/tx", body);
    assert_status(&r, 200);
    http_reply_free(&r);
}

/* ---- Reload ---- */

static void reload(int status)
{
    http_reply r = post_as(OPERATOR, "/reload");
    assert_status(&r, status);
    http_reply_free(&r);
}

static void tokens_and_keys_change_with_a_reload(void **state)
{
    char *jwt = mint_usual(OURS);
    secret_file("clients", "client-two\nclient-new\n");
    secret_file("secret", "another-secret-that-is-long-enough-too");
    gets(CLIENT, "/shut", 200, NULL);
    reload(200);
    gets(CLIENT, "/shut", 401, "token_invalid");
    gets("client-two", "/shut", 200, NULL);
    gets("client-new", "/shut", 200, NULL);
    gets(jwt, "/mine/1", 401, "token_invalid");
    secret_file("secret", MINT_SECRET);
    reload(200);
    gets(jwt, "/mine/1", 200, NULL);
    free(jwt);
}

static void a_reload_that_cannot_be_leaves_all_as_it_was(void **state)
{
    char *jwt = mint_usual(OURS);
    secret_file("secret", "short");
    secret_file("clients", "client-new\n");
    http_reply r = post_as(OPERATOR, "/reload");
    assert_problem(&r, 422, "reload_failed");
    assert_non_null(strstr(text(&r, "detail"), "secret: a secret of 5 bytes can be guessed"));
    assert_null(strstr(r.body, "short\""));
    http_reply_free(&r);
    gets(jwt, "/mine/1", 200, NULL);
    gets(CLIENT, "/shut", 200, NULL);
    gets("client-new", "/shut", 401, "token_invalid");
    free(jwt);
}

/* ---- Secrets ---- */

static void no_token_comes_into_the_log_or_an_answer(void **state)
{
    char *jwt = mint_usual(OURS);
    static const char *const paths[] = {"/shut", "/mine/1", "/q/open", "/nowhere"};
    const char *const shown[] = {CLIENT, "wrong-token-of-somebody", jwt};
    for (size_t p = 0; p < 4; p++)
        for (size_t t = 0; t < 3; t++) {
            http_reply r = send_as(shown[t], "GET", paths[p], NULL);
            assert_null(strstr(r.body, shown[t]));
            assert_null(strstr(r.headers, shown[t]));
            http_reply_free(&r);
        }
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 20), 0);
    const char *output = weir_output(weir);
    assert_non_null(strstr(output, "http.request"));
    assert_null(strstr(output, "wrong-token"));
    assert_null(strstr(output, CLIENT));
    assert_null(strstr(output, MINT_SECRET));
    assert_null(strstr(output, strrchr(jwt, '.')));
    free(jwt);
}

static void a_default_holds_for_queries_that_say_nothing(void **state)
{
    serve_ready((const char *const[]){"--auth", "token", "--client-token", CLIENT, "--jwt-secret",
                                      MINT_SECRET, "--events", "news", NULL});
    gets(NULL, "/unsaid", 401, "token_missing");
    gets(CLIENT, "/unsaid", 200, NULL);
    gets(NULL, "/q/open", 200, NULL);
    gets(NULL, "/", 200, NULL);
    gets(NULL, "/openapi.json", 200, NULL);
    gets(NULL, "/livez", 200, NULL);
    gets(NULL, "/events/news", 401, "token_missing");
    gets(NULL, "/events/nothing", 401, "token_missing");
    int fd = raw_dial(weir_port(weir));
    assert_true(raw_say(fd, "GET /events/news HTTP/1.1\r\nHost: x\r\n"
                            "Authorization: Bearer " CLIENT "\r\n\r\n"));
    char *heard = raw_hear(fd, "text/event-stream", 1);
    assert_int_equal(raw_count(heard, "HTTP/1.1 200 OK"), 1);
    free(heard);
    close(fd);
}

static void a_stream_of_events_ends_with_the_jwt_that_it_was_begun_with(void **state)
{
    serve_ready((const char *const[]){"--auth", "jwt", "--client-token", CLIENT, "--jwt-secret",
                                      MINT_SECRET, "--events", "news", NULL});
    char payload[64], request[512];
    snprintf(payload, sizeof payload, "{\"exp\":%ld,\"role\":\"any\"}",
             (long)time(NULL) - 25); /* of 30 */
    char *jwt = mint_hs256("{\"alg\":\"HS256\"}", payload, MINT_SECRET, 33);
    snprintf(request, sizeof request,
             "GET /events/news HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", jwt);
    int fd = raw_dial(weir_port(weir));
    assert_true(raw_say(fd, request));
    char *heard = raw_hear(fd, "event: end\ndata: {\"reason\":\"token_expired\"}\n\n\r\n0\r\n", 1);
    assert_int_equal(raw_count(heard, "HTTP/1.1 200 OK"), 1);
    assert_int_equal(raw_count(heard, "event: listening"), 1);
    assert_int_equal(raw_count(heard, "\"token_expired\""), 1);
    free(heard);
    free(jwt);
    close(fd);
}

#define test(name)    cmocka_unit_test_setup_teardown(name, serve_secret, stop)
#define stopped(name) cmocka_unit_test_setup_teardown(name, serve_secret, stop_stopped)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_query_may_ask_for_nothing_a_token_or_a_jwt),
        test(a_clients_token_does_not_make_an_operator),
        test(who_is_refused_is_told_how_to_ask),
        test(what_one_client_gets_is_kept_from_others_caches),
        test(a_token_comes_before_parameters_and_connections),
        test(a_jwt_says_who_asks_and_in_which_role),
        test(a_jwt_that_is_not_believed_says_why),
        test(a_role_longer_than_names_are_is_refused),
        test(an_expired_jwt_is_told_apart),
        test(signatures_and_algorithms_of_others_are_refused),
        test(what_is_wrong_with_a_header_is_named),
        test(refusals_are_counted_by_reason),
        test(each_of_a_batch_must_be_allowed),
        test(a_transaction_names_the_step_that_is_not_allowed),
        test(tokens_and_keys_change_with_a_reload),
        test(a_reload_that_cannot_be_leaves_all_as_it_was),
        cmocka_unit_test_teardown(a_default_holds_for_queries_that_say_nothing, stop),
        cmocka_unit_test_teardown(a_stream_of_events_ends_with_the_jwt_that_it_was_begun_with,
                                  stop),
        stopped(no_token_comes_into_the_log_or_an_answer),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("auth", tests, world_start, world_end);
}
