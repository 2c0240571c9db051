/* bad_input.c: tests of what no endpoint takes, and of what one does not.
 *
 * Whatever is wrong has a problem that says so, and says where; nothing of it is done, and the
 * service goes on. What several queries at once are asked with is in batch.c, transaction.c and
 * adhoc.c. */
#include "../support/items.h"

#include <stdio.h>
#include <string.h>

static const char *const operator[] = {"Authorization: Bearer sesame", NULL};

/* One request of an operator's; its problem must be this one, and name this parameter ("": none)
 * and this in its detail. */
static void is_refused(const char *method, const char *path, const char *body, int status,
                       const char *code, const char *parameter, const char *detail)
{
    http_reply r = http_send(client, method, path, body, operator);
    if (r.status != status || strcmp(text(&r, "code"), code) != 0 ||
        strcmp(text(&r, "parameter"), parameter) != 0 || !strstr(text(&r, "detail"), detail))
        fail_msg("%s %s %.200s: %d %s", method, path, body ? body : "", r.status,
                 r.body ? r.body : r.error);
    assert_problem(&r, status, code);
    http_reply_free(&r);
}

static void all_is_well(void)
{
    assert_answered(get("/q/ping"), 200);
    assert_int_equal(pool("in_use"), 0);
}

/* ---- Bodies ---- */

/* All that take a body. */
static const char *const takers[] = {"/items",      "/q/typed",    "/batch",       "/tx",
                                     "/sql",        "/pool/pause", "/pool/resume", "/pool/resize",
                                     "/pool/evict", "/pool/drain", "/reload"};
enum { TAKERS = sizeof takers / sizeof *takers };

/* Each of them refuses this body, and says why. */
static void all_refuse(const char *body)
{
    for (int i = 0; i < TAKERS; i++) {
        http_reply r = http_send(client, "POST", takers[i], body, operator);
        if (r.status != 400 || !*text(&r, "detail") || strlen(text(&r, "request_id")) != 32)
            fail_msg("POST %s %.200s: %d %s", takers[i], body, r.status, r.body ? r.body : r.error);
        http_reply_free(&r);
    }
}

static void a_body_that_is_not_json_is_refused_everywhere(void **state)
{
    static const char *const bodies[] = {
        "hello",
        "{",
        "{\"id\":",
        "{\"id\":1",
        "{\"id\":1}}",
        "{\"id\":1} x",
        "{\"id\" 1}",
        "{'id':1}",
        "{\"id\":01}",
        "{\"id\":1,}",
        "{\"id\":NaN}",
        "[1,2",
        "{\"id\":\"\xff\"}",
        "{\"id\":\"\xc0\x80\"}",
        "{\"id\":\"\xed\xa0\x80\"}",
        "{\"\xff\":1}",
        "{\"id\":\"\\ud800\"}",
        "{\"id\":\"\\u0000\"}",
        "{\"i\\u0000d\":1}",
        "{\"id\":\"\\x\"}",
        "{\"id\":\"a\nb\"}",
        "\xef\xbb\xbf{\"id\":1}",
        "{\"id\":1e999}",
        "{\"id\":1,\"id\":2}",
        "17",
        "\"text\"",
        "null",
        " ",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        all_refuse(bodies[i]);
    all_is_well();
}

static void a_body_that_is_too_deep_is_refused_everywhere(void **state)
{
    static const char *const pieces[] = {"[", "{\"id\":", "{\"id\":[", "[{\"id\":"};
    for (int i = 0; i < 4; i++) {
        char *body = repeated("", pieces[i], 60000 / (int)strlen(pieces[i]), "");
        all_refuse(body);
        free(body);
    }
    all_is_well();
}

static void a_body_of_another_kind_is_refused_everywhere(void **state)
{
    static const char *const types[] = {"Content-Type: text/plain",
                                        "Content-Type: application/x-www-form-urlencoded",
                                        "Content-Type: application/xml",
                                        "Content-Type: application/jsonx",
                                        "Content-Type;", /* there, and empty */
                                        "Content-Type:" /* not there */};
    for (int i = 0; i < TAKERS; i++)
        for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
            const char *const headers[] = {operator[0], types[k], NULL};
            assert_refused(http_send(client, "POST", takers[i], "{}", headers), 415,
                           "unsupported_media_type");
        }
    all_is_well();
}

static void a_body_too_large_is_refused_everywhere(void **state)
{
    char *body = repeated("{\"id\":\"", "xxxxxxxx", 9000, "\"}");
    for (int i = 0; i < TAKERS; i++)
        is_refused("POST", takers[i], body, 413, "body_too_large", "", "65536 bytes");
    free(body);
    all_is_well();
}

/* ---- A query's parameters ---- */

#define GOOD "n=1&b=true&j=1&a=1&u=0af76519-16cd-43dd-8448-eb211c80319c"

static void parameters_in_a_query_string_are_refused_by_name(void **state)
{
    static const struct {
        const char *path, *code, *parameter, *detail;
    } cases[] = {
        {"/q/various?n=x&b=true&j=1&a=1", "bad_parameter", "n", "whole number"},
        {"/q/various?n=&b=true&j=1&a=1", "bad_parameter", "n", "whole number"},
        {"/q/various?n&b=true&j=1&a=1", "bad_parameter", "n", "n"},
        {"/q/various?n=1.5&b=true&j=1&a=1", "bad_parameter", "n", "whole number"},
        {"/q/various?n=2147483648&b=true&j=1&a=1", "bad_parameter", "n", "2147483647"},
        {"/q/various?n=-99999999999999999999999&b=true&j=1&a=1", "bad_parameter", "n", "whole"},
        {"/q/various?n=1e3&b=true&j=1&a=1", "bad_parameter", "n", "whole number"},
        {"/q/various?n=1__0&b=true&j=1&a=1", "22P02", "n", "invalid input syntax"},
        {"/q/various?n=%201&b=maybe&j=1&a=1", "bad_parameter", "b", "true or false"},
        {"/q/various?n=1&b=true&j={&a=1", "bad_parameter", "j", "JSON"},
        {"/q/various?n=1&b=true&j=[1,1e999]&a=x", "bad_parameter", "a", "whole number"},
        {"/q/various?n=1&b=true&j=1&a=1&a=x", "bad_parameter", "a", "whole number"},
        {"/q/various?n=1&b=true&j=1&a={1,2", "22P02", "a", "malformed array"},
        {"/q/various?" GOOD "0", "bad_parameter", "u", "uuid"},
        {"/q/various?" GOOD "&n=2", "bad_parameter", "n", "2 times"},
        {"/q/various?" GOOD "&t=a&t=b", "bad_parameter", "t", "2 times"},
        {"/q/various?" GOOD "&z=1", "bad_parameter", "z", "unknown"},
        {"/q/various?b=true&j=1&a=1", "bad_parameter", "n", "missing"},
        {"/q/various", "bad_parameter", "n", "missing"},
        {"/q/various?" GOOD "&t=%ff", "bad_request", "", "UTF-8"},
        {"/q/various?" GOOD "&t=%C3", "bad_request", "", "UTF-8"},
        {"/q/various?" GOOD "&t=%ED%A0%80", "bad_request", "", "UTF-8"},
        {"/q/various?" GOOD "&t=a%00b", "bad_request", "", "UTF-8"},
        {"/q/various?" GOOD "&t=%", "bad_request", "", "percent-encoded"},
        {"/q/various?" GOOD "&t=%g0", "bad_request", "", "percent-encoded"},
        {"/q/various?" GOOD "&=1", "bad_request", "", "no name"},
        {"/items/x", "bad_parameter", "id", "whole number"},
        {"/items/99999999999", "bad_parameter", "id", "2147483647"},
        {"/items/1?id=1", "bad_parameter", "id", "id"},
        {"/items/%31%30x", "bad_parameter", "id", "whole number"},
        {"/items/%ff", "bad_request", "", "UTF-8"},
        {"/items/%00", "bad_request", "", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        is_refused("GET", cases[i].path, NULL, 400, cases[i].code, cases[i].parameter,
                   cases[i].detail);
    all_is_well();
}

static void too_much_in_a_query_string_is_refused(void **state)
{
    static const struct {
        const char *head, *piece;
        int times;
        const char *detail;
    } cases[] = {
        {"/q/various?n=1", "&_x=1", 300, "too many arguments"},
        {"/q/various?n=1", "&zz=1", 300, "too many arguments"},
        {"/q/various?n=", "9", 1900, "whole number"},
        {"/q/various?b=true&a=1&n=1&j=", "[", 1900, "JSON"},
        {"/q/various?", "z", 1900, "unknown"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = repeated(cases[i].head, cases[i].piece, cases[i].times, "");
        http_reply r = get(path);
        if (r.status != 400 || !strstr(text(&r, "detail"), cases[i].detail) ||
            strlen(text(&r, "detail")) > 400)
            fail_msg("%.60s…: %d %s", path, r.status, r.body ? r.body : r.error);
        http_reply_free(&r);
        free(path);
    }
    all_is_well();
}

static void parameters_in_a_body_are_refused_by_name(void **state)
{
    static const struct {
        const char *body, *code, *parameter, *detail;
    } cases[] = {
        {"{\"n\":\"x\",\"b\":true,\"j\":1,\"a\":[1]}", "bad_parameter", "n", "whole number"},
        {"{\"n\":true,\"b\":true,\"j\":1,\"a\":[1]}", "bad_parameter", "n", "n"},
        {"{\"n\":[1],\"b\":true,\"j\":1,\"a\":[1]}", "bad_parameter", "n", "n"},
        {"{\"n\":{},\"b\":true,\"j\":1,\"a\":[1]}", "bad_parameter", "n", "n"},
        {"{\"n\":1.5,\"b\":true,\"j\":1,\"a\":[1]}", "bad_parameter", "n", "whole number"},
        {"{\"n\":123456789012345678901234567890,\"b\":true,\"j\":1,\"a\":[1]}", "bad_parameter",
         "n", "2147483647"},
        {"{\"n\":1,\"b\":\"perhaps\",\"j\":1,\"a\":[1]}", "bad_parameter", "b", "true or false"},
        {"{\"n\":1,\"b\":true,\"j\":1,\"a\":[[1],[1,2]]}", "22P02", "a", "malformed array"},
        {"{\"n\":1,\"b\":true,\"j\":1,\"a\":[1,\"x\"]}", "bad_parameter", "a", "whole number"},
        {"{\"n\":1,\"b\":true,\"j\":1,\"a\":{\"x\":1}}", "bad_parameter", "a", "a"},
        {"{\"n\":1,\"b\":true,\"j\":1,\"a\":[1],\"u\":\"x\"}", "bad_parameter", "u", "uuid"},
        {"{\"n\":1,\"b\":true,\"j\":1,\"a\":[1],\"N\":1}", "bad_parameter", "N", "unknown"},
        {"{\"n\":1,\"b\":true,\"j\":1,\"a\":[1],\"_trace\":1}", "bad_parameter", "_trace",
         "unknown"},
        {"{\"n\":1,\"b\":true,\"j\":1,\"a\":[1],\"\":1}", "bad_parameter", "", "unknown"},
        {"{\"b\":true,\"j\":1,\"a\":[1]}", "bad_parameter", "n", "missing"},
        {"{\"n\":1,\"n\":1}", "bad_parameter", "n", "twice"},
        {"{\"n\":1,\"j\":{\"x\":1,\"x\":2}}", "bad_parameter", "x", "twice"},
        {"{}", "bad_parameter", "n", "missing"},
        {"[]", "bad_parameter", "", "object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        is_refused("POST", "/q/various", cases[i].body, 400, cases[i].code, cases[i].parameter,
                   cases[i].detail);
    is_refused("POST", "/q/various?n=1", "{\"n\":1}", 400, "bad_parameter", "n", "n");
    is_refused("POST", "/items?name=x", "{\"id\":1,\"name\":\"y\"}", 400, "bad_parameter", "name",
               "name");
    all_is_well();
}

/* ---- Operators' endpoints ---- */

static void what_operators_say_is_refused_by_name(void **state)
{
    static const struct {
        const char *path, *body, *code, *parameter, *detail;
    } cases[] = {
        {"/pool/pause?timeout=soon", NULL, "bad_parameter", "timeout", "30s"},
        {"/pool/pause?timeout=-1s", NULL, "bad_parameter", "timeout", "30s"},
        {"/pool/pause?timeout=99999999999999999999s", NULL, "bad_parameter", "timeout", "30s"},
        {"/pool/pause?timeout", NULL, "bad_parameter", "timeout", "30s"},
        {"/pool/pause?timeout=1s&timeout=2s", NULL, "bad_parameter", "timeout", "twice"},
        {"/pool/pause?timeout=1s", "{\"timeout\":\"1s\"}", "bad_parameter", "timeout", "twice"},
        {"/pool/pause", "{\"timeout\":5}", "bad_parameter", "timeout", "30s"},
        {"/pool/pause", "{\"timeout\":null}", "bad_parameter", "timeout", "30s"},
        {"/pool/pause", "{\"timeout\":[\"1s\"]}", "bad_parameter", "timeout", "30s"},
        {"/pool/pause", "{\"timeout\":true}", "bad_parameter", "timeout", "30s"},
        {"/pool/pause?max=3", NULL, "bad_parameter", "max", "takes no parameter"},
        {"/pool/pause?_trace=1", NULL, "bad_parameter", "_trace", "takes no parameter"},
        {"/pool/pause?=1", NULL, "bad_request", "", "no name"},
        {"/pool/pause?timeout=%zz", NULL, "bad_request", "", "UTF-8"},
        {"/pool/resume?x=%C3%A4", NULL, "bad_parameter", "x", "takes no parameter"},
        {"/pool/resume", "{\"name\":7}", "not_found", "", "no pool \"7\""},
        {"/pool/resume", "{\"name\":{}}", "bad_parameter", "name", "name of a pool"},
        {"/pool/resume?name=", NULL, "not_found", "", "only \"default\""},
        {"/pool/resume?name=a%22b", NULL, "not_found", "", "no pool \"a\"b\""},
        {"/pool/resize", "{}", "bad_parameter", "max", "max, min, or both"},
        {"/pool/resize", "{\"max\":\"many\"}", "bad_parameter", "max", "whole number"},
        {"/pool/resize", "{\"max\":1.5}", "bad_parameter", "max", "whole number"},
        {"/pool/resize", "{\"max\":-1}", "bad_parameter", "max", "whole number"},
        {"/pool/resize", "{\"max\":1e2}", "bad_parameter", "max", "whole number"},
        {"/pool/resize", "{\"max\":0}", "bad_parameter", "max", "1 or more"},
        {"/pool/resize", "{\"max\":4294967296}", "bad_parameter", "max", "whole number"},
        {"/pool/resize", "{\"max\":99999999999999999999999999999999999999}", "bad_parameter", "max",
         "whole number"},
        {"/pool/resize", "{\"max\":101}", "bad_parameter", "max", "--pool-limit"},
        {"/pool/resize", "{\"min\":99}", "bad_parameter", "min", "more than max"},
        {"/pool/resize", "{\"max\":[3]}", "bad_parameter", "max", "whole number"},
        {"/pool/resize", "{\"max\":2,\"max\":3}", "bad_request", "max", "twice"},
        {"/pool/resize?max=3", "{\"max\":3}", "bad_parameter", "max", "twice"},
        {"/pool/evict", "{\"spread\":-5}", "bad_parameter", "spread", "30s"},
        {"/pool/evict?spread=", NULL, "bad_parameter", "spread", "30s"},
        {"/pool/evict?timeout=1s", NULL, "bad_parameter", "timeout", "takes no parameter"},
        {"/pool/drain", "{\"now\":true}", "bad_parameter", "now", "takes no parameter"},
        {"/pool/drain?force", NULL, "bad_parameter", "force", "takes no parameter"},
        {"/reload", "{\"queries\":\"x\"}", "bad_parameter", "queries", "takes no parameter"},
        {"/reload?dry", NULL, "bad_parameter", "dry", "takes no parameter"},
        {"/reload", "[]", "bad_request", "", "object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        is_refused("POST", cases[i].path, cases[i].body,
                   strcmp(cases[i].code, "not_found") == 0 ? 404 : 400, cases[i].code,
                   cases[i].parameter, cases[i].detail);
    assert_int_equal(pool("max"), 4); /* nothing of it was done */
    http_reply r = get("/pool");
    assert_false(json_is_true(json_object_get(r.json, "paused")));
    http_reply_free(&r);
    all_is_well();
}

static void a_name_of_a_pool_is_one_name(void **state)
{
    is_refused("GET", "/pool?name=a&name=b", NULL, 400, "bad_parameter", "name", "once");
    is_refused("GET", "/pool?name", NULL, 400, "bad_parameter", "name", "name of a pool");
    is_refused("GET", "/pool?nmae=default", NULL, 400, "bad_parameter", "nmae", "means nothing");
    is_refused("GET", "/pool?name=%ff", NULL, 400, "bad_request", "", "UTF-8");
    is_refused("GET", "/pool?name=nope", NULL, 404, "not_found", "", "only \"default\"");
    char *path = repeated("/pool?name=", "x", 1900, "");
    is_refused("GET", path, NULL, 404, "not_found", "", "no pool \"xxx");
    free(path);
}

/* ---- What takes nothing ---- */

/* Probes, scrapes and pages are asked for by tools that add what they like: it is not looked at. */
static void what_takes_nothing_does_not_mind_what_it_is_given(void **state)
{
    static const char *const paths[] = {
        "/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/", "/problems/bad_request"};
    static const char *const arguments[] = {"",       "?",      "?a=%zz",     "?=1",      "?a=%00",
                                            "?a=%ff", "?a&a&a", "?name=nope", "?a=%2e%2e"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        for (size_t k = 0; k < sizeof arguments / sizeof *arguments; k++) {
            char path[128];
            snprintf(path, sizeof path, "%s%s", paths[i], arguments[k]);
            assert_answered(http_send(client, "GET", path, k % 2 ? "{\"a\":" : NULL, NULL), 200);
        }
        is_refused("POST", paths[i], "{}", 405, "method_not_allowed", "", paths[i]);
        is_refused("DELETE", paths[i], NULL, 405, "method_not_allowed", "", paths[i]);
    }
    all_is_well();
}

static void headers_that_say_nothing_useful_do_no_harm(void **state)
{
    static const char *const odd[] = {
        "Accept: ",
        "Accept: ;;;,,,;q=",
        "Accept: */*;q=nan, text/csv;q=-1",
        "Accept: \xff\xfe",
        "Accept-Encoding: gzip;q=, *;q=2, \x01",
        "If-None-Match: W/\"",
        "If-None-Match: ,,,\"\",*x",
        "If-None-Match: \xff",
        "X-Request-Id: \xff\xff",
        "X-Request-Id: a b; drop table item",
        "traceparent: 00-00000000000000000000000000000000-0000000000000000-00",
        "traceparent: ff-x-y-z",
        "Cache-Control: no-cache=, \"",
        "Content-Type: \xff",
        "Authorization: ",
        "Authorization: Bearer",
        "Authorization: Basic \xff",
    };
    static const char *const paths[] = {"/items/7", "/items?n=2", "/metrics", "/openapi.json"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (size_t k = 0; k < sizeof paths / sizeof *paths; k++) {
            const char *const headers[] = {odd[i], NULL};
            http_reply r = http_send(client, "GET", paths[k], NULL, headers);
            assert_status(&r, 200);
            assert_int_equal(strlen(http_header(&r, "X-Request-Id")), 32);
            http_reply_free(&r);
        }
    all_is_well();
}

/* ---- The world ---- */

static int serve_operators(void **state)
{
    serve_ready((const char *const[]){"--pool-max", "4", "--lanes", "2", "--token", "sesame",
                                      "--body-max", "64k", NULL});
    return 0;
}

static int bad_input_start(void **state)
{
    items_start(state);
    query_file("various", "-- @optional t\n-- @optional u\nselect :n::int as n, :b::bool as b, "
                          ":j::jsonb as j, :a::int[] as a, :t::text as t, :u::uuid as u\n");
    return 0;
}

#define guarded(name) cmocka_unit_test_setup_teardown(name, serve_operators, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        guarded(a_body_that_is_not_json_is_refused_everywhere),
        guarded(a_body_that_is_too_deep_is_refused_everywhere),
        guarded(a_body_of_another_kind_is_refused_everywhere),
        guarded(a_body_too_large_is_refused_everywhere),
        guarded(parameters_in_a_query_string_are_refused_by_name),
        guarded(too_much_in_a_query_string_is_refused),
        guarded(parameters_in_a_body_are_refused_by_name),
        guarded(what_operators_say_is_refused_by_name),
        guarded(a_name_of_a_pool_is_one_name),
        guarded(what_takes_nothing_does_not_mind_what_it_is_given),
        guarded(headers_that_say_nothing_useful_do_no_harm),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("bad_input", tests, bad_input_start, items_end);
}
