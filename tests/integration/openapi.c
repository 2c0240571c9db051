/* openapi.c: tests of the description of what is served: it is valid, true, and cheap to keep. */
#include "../support/items.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Looking into it ---- */

/* The member that the names lead to, up to NULL; a number is an index. NULL: there is none. */
static json_t *look(json_t *in, ...)
{
    va_list names;
    va_start(names, in);
    for (const char *name; in && (name = va_arg(names, const char *));)
        in = json_is_array(in) ? json_array_get(in, strtoul(name, NULL, 10))
                               : json_object_get(in, name);
    va_end(names);
    return in;
}

static void assert_is(json_t *value, const char *written)
{
    char *is = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    assert_non_null(is);
    assert_string_equal(is, written);
    free(is);
}

static json_t *described(void)
{
    http_reply r = get("/openapi.json");
    assert_status(&r, 200);
    assert_string_equal(http_header(&r, "Content-Type"), "application/json");
    json_t *document = json_incref(r.json);
    http_reply_free(&r);
    assert_non_null(document);
    return document;
}

static json_t *parameter(json_t *operation, const char *name)
{
    json_t *all = json_object_get(operation, "parameters"), *one;
    size_t i;
    json_array_foreach(all, i, one)
    {
        const char *its = json_string_value(json_object_get(one, "name"));
        if (its && strcmp(its, name) == 0)
            return one;
    }
    fail_msg("no parameter %s", name);
    return NULL;
}

/* ---- Validity ---- */

static void build_folder(char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    assert_true(length > 0);
    path[length] = '\0';
    for (int up = 0; up < 3; up++)
        dirname(path);
}

/* The exit code of the linter; what it says goes to the test's own output. */
static int lint(const char *text)
{
    char build[PATH_MAX], command[2 * PATH_MAX], *file = NULL;
    char *scratch = scratch_folder();
    build_folder(build);
    assert_true(asprintf(&file, "%s/openapi.json", scratch) > 0);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    snprintf(command, sizeof command, "tests/support/openapi-lint '%s' '%s'", build, file);
    int status = system(command);
    free(file);
    scratch_remove(scratch);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_linter_finds_nothing_wrong_with_it(void **state)
{
    http_reply r = get("/openapi.json");
    assert_status(&r, 200);
    int verdict = lint(r.body);
    if (verdict == 0) /* and it would say so otherwise */
        assert_int_equal(lint("{\"openapi\":\"3.1.0\",\"info\":{},\"paths\":{}}"), 1);
    http_reply_free(&r);
    if (verdict == 77)
        skip();
    assert_int_equal(verdict, 0);
}

/* ---- Truth ---- */

/* A path of the document with 1 for each {parameter}. */
static void fill_path(const char *path, char filled[256])
{
    size_t length = 0;
    for (; *path && length < 255; path++) {
        filled[length++] = *path == '{' ? '1' : *path;
        if (*path == '{')
            path += strcspn(path, "}");
    }
    filled[length] = '\0';
}

static void every_path_and_method_described_is_served(void **state)
{
    json_t *document = described(), *item, *operation;
    const char *path, *method;
    char filled[256], upper[16];
    json_object_foreach(json_object_get(document, "paths"), path, item)
    {
        fill_path(path, filled);
        http_reply r = http_send(client, "OPTIONS", filled, NULL, NULL);
        assert_status(&r, 204);
        json_object_foreach(item, method, operation)
        {
            size_t i = 0;
            for (; method[i]; i++)
                upper[i] = (char)(method[i] - 'a' + 'A');
            upper[i] = '\0';
            if (!strstr(http_header(&r, "Allow"), upper))
                fail_msg("%s does not take %s", path, upper);
        }
        http_reply_free(&r);
    }
    json_decref(document);
}

static void a_parameter_has_its_place_type_and_default(void **state)
{
    json_t *document = described(), *paths = json_object_get(document, "paths");
    json_t *id = parameter(look(paths, "/items/{id}", "get", NULL), "id");
    assert_is(look(id, "in", NULL), "\"path\"");
    assert_is(look(id, "required", NULL), "true");
    assert_is(look(id, "schema", NULL),
              "{\"format\":\"int32\",\"type\":\"integer\",\"x-postgres-type\":\"integer\"}");
    id = parameter(look(paths, "/q/item", "get", NULL), "id");
    assert_is(look(id, "in", NULL), "\"query\"");
    assert_is(look(id, "required", NULL), "true");
    json_t *n = parameter(look(paths, "/items", "get", NULL), "n");
    assert_is(look(n, "required", NULL), "false");
    assert_is(look(n, "schema", "default", NULL), "3");
    json_t *a = parameter(look(paths, "/q/echo", "get", NULL), "a");
    assert_is(look(a, "required", NULL), "false");
    json_t *body = look(paths, "/items", "post", "requestBody", NULL);
    assert_is(look(body, "required", NULL), "true");
    json_t *schema = look(body, "content", "application/json", "schema", NULL);
    assert_is(look(schema, "required", NULL), "[\"id\"]");
    assert_is(look(schema, "properties", "price", "type", NULL), "[\"integer\",\"null\"]");
    assert_is(look(schema, "additionalProperties", NULL), "false");
    json_t *thing = look(paths, "/things/{id}", "delete", NULL);
    assert_null(look(thing, "requestBody", NULL));
    assert_is(look(parameter(thing, "why"), "in", NULL), "\"query\"");
    json_decref(document);
}

static void an_answer_is_described_by_its_columns(void **state)
{
    json_t *document = described();
    json_t *answers = look(document, "components", "responses", NULL);
    assert_is(look(document, "paths", "/q/typed", "get", "responses", "200", NULL),
              "{\"$ref\":\"#/components/responses/answer.typed\"}");
    json_t *rows = look(answers, "answer.typed", "content", "application/json", "schema",
                        "properties", "rows", NULL);
    assert_is(look(rows, "type", NULL), "\"array\"");
    json_t *columns = look(rows, "items", "properties", NULL);
    assert_is(look(columns, "at", NULL), "{\"format\":\"date-time\",\"type\":[\"string\",\"null\"],"
                                         "\"x-postgres-type\":\"timestamp with time zone\"}");
    assert_is(look(columns, "day", "format", NULL), "\"date\"");
    assert_is(look(columns, "span", "x-postgres-type", NULL), "\"int4range\"");
    json_t *row =
        look(answers, "answer.item", "content", "application/json", "schema", "properties", NULL);
    assert_is(look(row, "row", "required", NULL), "[\"id\",\"name\"]");
    json_t *count = look(answers, "answer.rename", "content", "application/json", NULL);
    assert_is(look(count, "schema", "properties", "count", "type", NULL), "\"integer\"");
    assert_is(look(count, "example", "count", NULL), "1");
    json_decref(document);
}

static void nested_types_are_described_as_deep_as_they_go(void **state)
{
    json_t *document = described();
    json_t *columns =
        look(document, "components", "responses", "answer.nested", "content", "application/json",
             "schema", "properties", "rows", "items", "properties", NULL);
    assert_is(look(columns, "pairs", "items", "properties", "b", NULL),
              "{\"items\":{\"format\":\"int64\",\"type\":[\"integer\",\"null\"],"
              "\"x-postgres-type\":\"bigint\"},\"type\":[\"array\",\"null\"],"
              "\"x-postgres-type\":\"bigint[]\"}");
    assert_is(look(columns, "free", NULL), "{\"x-postgres-type\":\"jsonb\"}");
    assert_is(look(columns, "half", "type", NULL), "[\"number\",\"null\"]");
    json_decref(document);
}

static void only_problems_that_can_occur_are_named(void **state)
{
    json_t *document = described(), *paths = json_object_get(document, "paths");
    assert_non_null(look(paths, "/items/{id}", "get", "responses", "404", NULL));
    assert_null(look(paths, "/items", "get", "responses", "404", NULL));
    assert_non_null(look(paths, "/items", "get", "responses", "405", NULL));
    assert_null(look(paths, "/items", "post", "responses", "405", NULL));
    assert_non_null(look(paths, "/items", "post", "responses", "413", NULL));
    assert_null(look(paths, "/items/{id}", "delete", "responses", "413", NULL));
    json_t *unavailable = look(document, "components", "responses", "query_503", NULL);
    assert_non_null(look(unavailable, "headers", "Retry-After", NULL));
    json_t *examples =
        look(unavailable, "content", "application/problem+json", "examples", "queue_full", NULL);
    assert_is(look(examples, "value", "status", NULL), "503");
    json_decref(document);
}

/* Asks for each and looks up what came. */
static void what_can_go_wrong_with_several_queries_is_named(void **state)
{
    char *large = repeated("[\"", "x", 5000, "\"]");
    const struct {
        const char *path, *body, *word;
    } cases[] = {
        {"/batch", large, "body_too_large"},
        {"/batch", "[", "bad_request"},
        {"/tx", large, "body_too_large"},
        {"/tx", "{\"queries\":[{\"query\":\"nope\"}]}", "query_not_found"},
        {"/tx", "{\"queries\":[{\"query\":\"item\",\"params\":{\"id\":99}}]}", "row_not_found"},
        {"/tx", "{\"queries\":[{\"query\":\"add\",\"params\":{\"id\":1,\"name\":\"x\"}}]}",
         "conflict"},
        {"/tx", "{\"queries\":[{\"query\":\"code\",\"params\":{\"c\":\"22023\"}}]}", "bad_value"},
        {"/tx", "{\"queries\":[{\"query\":\"code\",\"params\":{\"c\":\"XX000\"}}]}",
         "internal_error"},
        {"/tx", "{\"queries\":[{\"query\":\"short\"}],\"timeout\":\"50ms\"}", "query_timed_out"},
        {"/sql", large, "body_too_large"},
        {"/sql", "{\"sql\":\"selec 1\"}", "bad_sql"},
        {"/sql", "{\"sql\":\"insert into item values (1, 'x')\"}", "conflict"},
        {"/sql", "{\"sql\":\"select code('22023')\"}", "bad_value"},
        {"/sql", "{\"sql\":\"select code('XX000')\"}", "internal_error"},
        {"/sql", "{\"sql\":\"select pg_sleep(20)\",\"timeout\":\"50ms\"}", "query_timed_out"},
        {"/sql", "{\"sql\":\"select * from secret\",\"pool\":\"nope\"}", "not_found"},
    };
    serve_ready((const char *const[]){"--token", "x", "--body-max", "4k", NULL});
    json_t *document = described(), *paths = json_object_get(document, "paths");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char status[8];
        http_reply r = send_as("x", "POST", cases[i].path, cases[i].body);
        if (!strstr(text(&r, "type"), cases[i].word))
            fail_msg("%s: %s", cases[i].body, r.body);
        snprintf(status, sizeof status, "%d", r.status);
        http_reply_free(&r);
        const char *at = json_string_value(
            look(paths, cases[i].path, "post", "responses", status, "$ref", NULL));
        if (!at || !look(document, "components", "responses", strrchr(at, '/') + 1, "content",
                         "application/problem+json", "examples", cases[i].word, NULL))
            fail_msg("%s does not name %s %s", cases[i].path, status, cases[i].word);
    }
    json_decref(document);
    free(large);
}

static void paths_that_differ_in_a_name_only_are_one(void **state)
{
    json_t *document = described();
    json_t *paths = json_object_get(document, "paths");
    assert_null(look(paths, "/things/{thing}", NULL));
    json_t *thing = look(paths, "/things/{id}", "put", NULL);
    assert_is(look(parameter(thing, "id"), "in", NULL), "\"path\"");
    assert_is(look(thing, "operationId", NULL), "\"thing_put\"");
    json_decref(document);
}

static void what_a_file_says_of_itself_is_told(void **state)
{
    json_t *document = described();
    json_t *nap = look(document, "paths", "/nap", "get", NULL);
    assert_is(look(nap, "description", NULL), "\"May take 30 s at the database.\"");
    json_t *ping = look(document, "paths", "/q/ping", "get", NULL);
    assert_is(look(ping, "summary", NULL), "\"Says <hello> & more.\"");
    assert_is(look(ping, "tags", NULL), "[\"queries\"]");
    assert_is(look(document, "paths", "/q/team/names", "get", "tags", NULL), "[\"team\"]");
    json_decref(document);
}

/* ---- The page ---- */

/* As HTML: quotes are &#39; and &quot;. */
static void a_page_has_a_command_for_each_query_that_can_be_run_as_it_stands(void **state)
{
    http_reply r = get("/");
    assert_status(&r, 200);
    assert_non_null(strstr(r.body, "/things/1&#39;</code></pre>"));
    assert_non_null(strstr(r.body, "-X PUT &#39;http://"));
    assert_non_null(strstr(r.body, "-X DELETE &#39;http://"));
    assert_non_null(strstr(r.body, "/things/1?why=text&#39;</code></pre>"));
    assert_non_null(strstr(r.body, "-d &#39;{&quot;name&quot;: &quot;text&quot;}&#39;"));
    assert_non_null(
        strstr(r.body, "-d &#39;{&quot;said&quot;: &quot;it&#39;\\&#39;&#39;s&quot;}&#39;"));
    http_reply_free(&r);
}

static void a_page_has_a_form_for_each_query_and_needs_nothing_from_outside(void **state)
{
    http_reply r = get("/docs");
    assert_status(&r, 200);
    assert_string_equal(http_header(&r, "Content-Type"), "text/html; charset=utf-8");
    assert_non_null(strstr(r.body, "<form method=\"post\" action=\"/q/rename\" data-method=\"PUT\" "
                                   "data-path=\"/items/{id}\">\n"));
    assert_non_null(strstr(r.body, "<input name=\"name\" data-in=\"body\" required>"));
    assert_non_null(strstr(r.body, "<input name=\"id\" data-in=\"path\" required>"));
    assert_non_null(strstr(r.body, "placeholder=\"it&#39;s &lt;you&gt; &amp; `me`\">"));
    assert_null(strstr(r.body, "src="));
    assert_null(strstr(r.body, "//cdn"));
    assert_null(strstr(r.body, "https:"));
    http_reply_free(&r);
}

/* ---- Who may do what ---- */

static void an_operators_request_needs_a_token(void **state)
{
    json_t *document = described();
    assert_is(look(document, "paths", "/reload", "post", "security", NULL), "[{\"token\":[]}]");
    assert_is(look(document, "components", "securitySchemes", "token", "scheme", NULL),
              "\"bearer\"");
    json_decref(document);
}

static void a_listener_of_their_own_is_not_described_to_others(void **state)
{
    serve_ready((const char *const[]){"--admin-listen", "127.0.0.1:0", NULL});
    json_t *document = described(), *paths = json_object_get(document, "paths");
    assert_null(look(paths, "/reload", NULL));
    assert_null(look(paths, "/pool", NULL));
    assert_non_null(look(paths, "/docs", NULL));
    assert_non_null(look(paths, "/items", NULL));
    json_decref(document);
}

static int serve_guarded(void **state)
{
    query_file("for_tokens", "-- @auth token\nselect 1 as x");
    query_file("for_jwts", "-- @auth jwt\n-- @route POST /for/jwts\nselect :a::text as x");
    serve_ready((const char *const[]){"--client-token", "one", "--jwt-secret",
                                      "a-secret-of-no-less-than-32-bytes", NULL});
    return 0;
}

static int stop_guarded(void **state)
{
    query_file("for_tokens", "select 1 as x");
    query_file("for_jwts", "select 1 as x");
    return stop(state);
}

static void what_a_query_asks_for_is_described(void **state)
{
    json_t *document = described(), *paths = json_object_get(document, "paths");
    json_t *token = look(paths, "/q/for_tokens", "get", NULL);
    json_t *jwt = look(paths, "/for/jwts", "post", NULL);
    assert_is(look(token, "security", NULL), "[{\"client\":[]},{\"token\":[]}]");
    assert_is(look(jwt, "security", NULL), "[{\"jwt\":[]}]");
    assert_non_null(look(token, "responses", "401", NULL));
    assert_non_null(look(jwt, "responses", "401", NULL));
    assert_null(look(paths, "/items", "get", "security", NULL));
    assert_null(look(paths, "/items", "get", "responses", "401", NULL));
    json_t *schemes = look(document, "components", "securitySchemes", NULL);
    assert_is(look(schemes, "jwt", "bearerFormat", NULL), "\"JWT\"");
    assert_is(look(schemes, "client", "scheme", NULL), "\"bearer\"");
    json_decref(document);
    a_linter_finds_nothing_wrong_with_it(state);
}

static void a_page_asks_for_a_token_where_a_query_does(void **state)
{
    http_reply r = get("/docs");
    assert_non_null(strstr(r.body, "<input id=\"token\" type=\"password\""));
    assert_non_null(strstr(r.body, "data-path=\"/for/jwts\" data-auth>"));
    assert_int_equal(raw_count(r.body, " data-auth>"), 2);
    http_reply_free(&r);
    const char *const json[] = {"Accept: application/json", NULL};
    r = http_send(client, "GET", "/", NULL, json);
    assert_int_equal(raw_count(r.body, "\"auth\":\"jwt\""), 1);
    assert_int_equal(raw_count(r.body, "\"auth\":\"token\""), 1);
    http_reply_free(&r);
}

static void a_page_without_such_queries_asks_for_none(void **state)
{
    http_reply r = get("/docs");
    assert_null(strstr(r.body, "id=\"token\""));
    http_reply_free(&r);
}

/* ---- Keeping it ---- */

static void what_a_client_has_already_is_not_sent_again(void **state)
{
    http_reply r = get("/openapi.json");
    char header[128];
    snprintf(header, sizeof header, "If-None-Match: \"other\", %s", http_header(&r, "ETag"));
    assert_memory_equal(http_header(&r, "ETag"), "\"", 1);
    http_reply_free(&r);
    r = http_send(client, "GET", "/openapi.json", NULL, (const char *const[]){header, NULL});
    assert_status(&r, 304);
    assert_int_equal(r.length, 0);
    assert_non_null(strstr(header, http_header(&r, "ETag")));
    http_reply_free(&r);
}

static void a_reload_is_described(void **state)
{
    serve_ready((const char *const[]){"--token", "open-sesame", NULL});
    http_reply r = get("/openapi.json");
    assert_null(look(r.json, "paths", "/q/late", NULL));
    char *before = strdup(http_header(&r, "ETag"));
    http_reply_free(&r);
    query_file("late", "select 1 as late");
    r = post_as("open-sesame", "/reload");
    assert_status(&r, 200);
    http_reply_free(&r);
    r = get("/openapi.json");
    assert_non_null(look(r.json, "paths", "/q/late", NULL));
    assert_string_not_equal(http_header(&r, "ETag"), before);
    http_reply_free(&r);
    free(before);
}

/* ---- The demo ---- */

static char *whole_file(const char *path)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "r");
    if (!f) {
        fprintf(stderr, "%s: to be run from the top of the checkout\n", path);
        exit(99);
    }
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static int demo_start(void **state)
{
    database = postgres_start(NULL);
    postgres_sql(database, whole_file("service/demo/schema.sql"));
    folder = strdup("service/demo/queries");
    return 0;
}

static int demo_end(void **state)
{
    free(folder);
    postgres_stop(database);
    return 0;
}

static int serve_demo(void **state)
{
    serve_ready((const char *const[]){NULL});
    return 0;
}

static int more_items_start(void **state)
{
    items_start(state);
    postgres_sql(database, "create type pair as (a text, b bigint[])");
    query_file("nested", "select array[row('x', array[1])::pair] as pairs, '{}'::jsonb as free, "
                         "0.5::float8 as half");
    query_file("thing_get", "-- @route GET /things/{id}\nselect :id::int as id");
    query_file("thing_put", "-- @route PUT /things/{thing}\nselect :thing::int as id");
    query_file("say", "-- @route POST /say\n-- @default said it's\nselect :said::text as said");
    query_file("thing_del",
               "-- @route DELETE /things/{id}\nselect :id::int as id, :why::text as why");
    char *team = NULL;
    assert_true(asprintf(&team, "mkdir '%s/team'", folder) > 0 && system(team) == 0);
    free(team);
    query_file("team/names", "-- One line.\n-- And another.\nselect 'a' as name");
    return 0;
}

int main(void)
{
    const struct CMUnitTest demo[] = {
        cmocka_unit_test_setup_teardown(a_linter_finds_nothing_wrong_with_it, serve_demo, stop),
        cmocka_unit_test_setup_teardown(every_path_and_method_described_is_served, serve_demo,
                                        stop),
    };
    const struct CMUnitTest tests[] = {
        usual(a_linter_finds_nothing_wrong_with_it),
        usual(every_path_and_method_described_is_served),
        usual(a_parameter_has_its_place_type_and_default),
        usual(an_answer_is_described_by_its_columns),
        usual(nested_types_are_described_as_deep_as_they_go),
        usual(only_problems_that_can_occur_are_named),
        cmocka_unit_test_teardown(what_can_go_wrong_with_several_queries_is_named, stop),
        usual(paths_that_differ_in_a_name_only_are_one),
        usual(what_a_file_says_of_itself_is_told),
        usual(a_page_has_a_command_for_each_query_that_can_be_run_as_it_stands),
        usual(a_page_has_a_form_for_each_query_and_needs_nothing_from_outside),
        usual(an_operators_request_needs_a_token),
        cmocka_unit_test_teardown(a_listener_of_their_own_is_not_described_to_others, stop),
        cmocka_unit_test_setup_teardown(what_a_query_asks_for_is_described, serve_guarded,
                                        stop_guarded),
        cmocka_unit_test_setup_teardown(a_page_asks_for_a_token_where_a_query_does, serve_guarded,
                                        stop_guarded),
        usual(a_page_without_such_queries_asks_for_none),
        usual(what_a_client_has_already_is_not_sent_again),
        cmocka_unit_test_teardown(a_reload_is_described, stop),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("openapi: demo", demo, demo_start, demo_end) +
           cmocka_run_group_tests_name("openapi", tests, more_items_start, items_end);
}
