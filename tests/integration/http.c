/* http.c: tests of HTTP as clients meet it: answers, problems, limits, odd clients and vanishing
 * ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../support/http_client.h"
#include "../support/postgres.h"
#include "../support/scratch.h"
#include "../support/weir_process.h"

static postgres_server *database;
static char *folder;
static weir_process *weir;
static http_client *client;

/* ---- Helpers ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* How much longer things may take in an instrumented build. */
static double slower(void)
{
    const char *factor = getenv("TEST_SLOWER");
    return factor && *factor ? strtod(factor, NULL) : 1;
}

#define BECOMES(condition, seconds)                                                                \
    ({                                                                                             \
        double until_ = now() + (seconds)*slower();                                                \
        bool true_;                                                                                \
        while (!(true_ = (condition)) && now() < until_)                                           \
            nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);                               \
        true_;                                                                                     \
    })

/* A client that says exactly what it is told to. */
static int dial(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(weir_port(weir)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    return fd;
}

static void say(int fd, const char *text)
{
    size_t length = strlen(text);
    assert_int_equal(send(fd, text, length, MSG_NOSIGNAL), length);
}

static int count(const char *text, const char *needle)
{
    int n = 0;
    for (; (text = strstr(text, needle)); text += strlen(needle))
        n++;
    return n;
}

/* Reads until `needle` has come `times` times, the other side closes, or 10 s have passed. */
static char *hear(int fd, const char *needle, int times)
{
    size_t length = 0, room = 1 << 20;
    char *text = calloc(1, room);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (count(text, needle) < times && poll(&wait, 1, 10000) == 1) {
        ssize_t n = recv(fd, text + length, room - 1 - length, 0);
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    return text;
}

static http_reply get(const char *path)
{
    return http_get(client, path);
}

static const char *text(const http_reply *r, const char *name)
{
    const char *value = json_string_value(json_object_get(r->json, name));
    return value ? value : "";
}

static json_t *member(const http_reply *r, const char *object, const char *name)
{
    return json_object_get(json_object_get(r->json, object), name);
}

#define assert_problem(reply, expected_status, expected_code)                                      \
    do {                                                                                           \
        if ((reply)->status != (expected_status))                                                  \
            fail_msg("%d %s", (reply)->status, (reply)->status ? (reply)->body : (reply)->error);  \
        assert_string_equal(text(reply, "code"), expected_code);                                   \
        assert_string_equal(http_header(reply, "Content-Type"), "application/problem+json");       \
        assert_int_equal(json_integer_value(json_object_get((reply)->json, "status")),             \
                         expected_status);                                                         \
        assert_string_equal(text(reply, "request_id"), http_header(reply, "X-Request-Id"));        \
    } while (0)

#define assert_status(reply, expected)                                                             \
    do {                                                                                           \
        if ((reply)->status != (expected))                                                         \
            fail_msg("%d %s", (reply)->status, (reply)->status ? (reply)->body : (reply)->error);  \
    } while (0)

/* One request whose problem is all that matters. */
static void fails_with(const char *method, const char *path, const char *body, int status,
                       const char *code)
{
    http_reply r = http_send(client, method, path, body, NULL);
    assert_problem(&r, status, code);
    http_reply_free(&r);
}

static double metric(const char *name)
{
    http_reply r = get("/metrics");
    char line[256];
    assert_status(&r, 200);
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(r.body, line);
    double value = at ? strtod(at + strlen(line), NULL) : 0;
    http_reply_free(&r);
    return value;
}

static long pool(const char *name)
{
    http_reply r = get("/pool");
    long value = (long)json_integer_value(json_object_get(r.json, name));
    http_reply_free(&r);
    return value;
}

/* ---- The world ---- */

static void file(const char *name, const char *sql)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s.sql", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(sql, f);
    assert_int_equal(fclose(f), 0);
}

#define SCHEMA                                                                                     \
    "create table parent (id int primary key);"                                                    \
    "create table item (id int primary key, name text not null, price int check (price > 0),"      \
    " parent int references parent);"                                                              \
    "insert into item select g, 'item ' || g, g from generate_series(1, 50) g;"                    \
    "create role nobody_much; create table secret (id int);"                                       \
    "create function shout() returns int language plpgsql as $$ begin raise 'too loud' using "     \
    "hint = 'whisper'; end $$;"                                                                    \
    "create function as_nobody() returns bigint language plpgsql security definer as $$ begin "    \
    "return (select count(*) from secret); end $$; alter function as_nobody() owner to "           \
    "nobody_much;"                                                                                 \
    "create function code(c text) returns int language plpgsql as $$ begin raise exception "       \
    "'raised' using errcode = c; end $$;"

static int start_world(void **state)
{
    database = postgres_start("max_connections = 40\n");
    postgres_sql(database, SCHEMA);
    folder = scratch_folder();
    file("ping", "-- Says <hello> & more.\nselect 1 as one, 'hi' as word\n");
    file("echo", "-- @optional a\n-- @optional b\nselect :a::text as a, :b::text as b\n");
    file("item", "-- @route GET /items/{id}\n-- @returns row\nselect id, name from item where id = "
                 ":id\n");
    file("items", "-- @route GET /items\n-- @default n 3\nselect id from item order by id limit "
                  ":n\n");
    file("add", "-- @route POST /items\n-- @returns row\n-- @optional price\n-- @optional parent\n"
                "-- @optional name\n"
                "insert into item (id, name, price, parent) values (:id, :name, :price, :parent) "
                "returning id, name\n");
    file("rename", "-- @route PUT /items/{id}\n-- @returns count\nupdate item set name = :name "
                   "where id >= :id and id < :id + 2\n");
    file("remove", "-- @route DELETE /items/{id}\n-- @returns count\ndelete from item where id = "
                   ":id\n");
    file("typed", "select :at::timestamptz as at, :every::interval as every, :host::inet as host, "
                  ":price::money as price, :span::int4range as span, :day::date as day\n");
    file("greet", "-- Greets `<who>` with `care.\n-- @default who it's <you> & `me`\n"
                  "select :who::text as greeted\n");
    file("named", "-- @route GET /by/{name}/x\nselect :name::text as name\n");
    file("nap", "-- @route GET /nap\n-- @timeout 30s\nselect :s::float8 as slept from "
                "pg_sleep(:s)\n");
    file("short", "-- @route GET /short\n-- @timeout 150ms\nselect pg_sleep(20)::text as slept\n");
    file("shout", "select shout() as loud\n");
    file("forbidden", "select as_nobody() as n\n");
    file("code", "select code(:c) as n\n");
    file("big", "select repeat('x', 1000) as x from generate_series(1, :n::int)\n");
    file("gone", "select * from vanishing\n");
    return 0;
}

static int end_world(void **state)
{
    scratch_remove(folder);
    postgres_stop(database);
    return 0;
}

static void serve(const char *const *flags)
{
    postgres_sql(database,
                 "set client_min_messages = error; create table if not exists vanishing (id int)");
    weir = weir_serve(postgres_conninfo(database), folder, flags);
    if (!weir_await_ready(weir))
        fail_msg("not ready:\n%s", weir_output(weir));
    client = http_open(weir_port(weir));
}

static int serve_usually(void **state)
{
    serve((const char *const[]){"--pool-max", "4", "--lanes", "2", "--log-level", "info", NULL});
    return 0;
}

/* How long a request waits for the only connection, times slower(). */
#define ACQUIRE_MS 300

static int serve_narrowly(void **state)
{
    char patience[32];
    snprintf(patience, sizeof patience, "%.0fms", ACQUIRE_MS * slower());
    serve((const char *const[]){"--pool-max", "1", "--queue-max", "2", "--acquire-timeout",
                                patience, "--lanes", "1", "--body-max", "64k", "--expose-sql",
                                NULL});
    return 0;
}

/* Requests made beside the test's own. Not on its stack, which a failed assertion leaves. */
typedef struct asker {
    pthread_t thread;
    bool running;
    char path[64];
    http_reply reply;
} asker;

static asker askers[3];

static void *ask(void *arg)
{
    asker *a = arg;
    http_client *own = http_open(weir_port(weir));
    a->reply = http_get(own, a->path);
    http_close(own);
    return NULL;
}

static void ask_beside(int index, const char *path)
{
    asker *a = &askers[index];
    snprintf(a->path, sizeof a->path, "%s", path);
    assert_int_equal(pthread_create(&a->thread, NULL, ask, a), 0);
    a->running = true;
}

static void end_askers(void)
{
    for (int i = 0; i < 3; i++) {
        if (!askers[i].running)
            continue;
        pthread_join(askers[i].thread, NULL);
        http_reply_free(&askers[i].reply);
        askers[i].running = false;
    }
}

/* Every test ends with an orderly stop, so that nothing is left behind in the server. */
static int stop(void **state)
{
    end_askers();
    http_close(client);
    weir_signal(weir, SIGTERM);
    int code = weir_await_exit(weir, 20);
    if (code != 0)
        print_error("exit code %d\n%s\n", code, weir_output(weir));
    weir_stop(weir);
    return code;
}

/* ---- Answers ---- */

static void rows_come_with_their_count_and_the_pool(void **state)
{
    http_reply r = get("/items?n=2");
    assert_status(&r, 200);
    assert_string_equal(http_header(&r, "Content-Type"), "application/json");
    assert_memory_equal(r.body, "{\"rows\":[{\"id\":1},{\"id\":2}],\"count\":2,\"pool\":{", 45);
    static const char *const members[] = {"name", "connection", "wait_ms", "query_ms",
                                          "size", "in_use",     "idle",    "waiting"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        assert_non_null(member(&r, "pool", members[i]));
    assert_null(member(&r, "pool", "lifecycle"));
    double acquire, query;
    assert_int_equal(sscanf(http_header(&r, "Server-Timing"), "acquire;dur=%lf, query;dur=%lf",
                            &acquire, &query),
                     2);
    assert_true(query > 0);
    http_reply_free(&r);
}

static void one_row_is_an_object_or_a_404(void **state)
{
    http_reply r = get("/items/7");
    assert_status(&r, 200);
    assert_string_equal(json_string_value(member(&r, "row", "name")), "item 7");
    http_reply_free(&r);
    fails_with("GET", "/items/7000", NULL, 404, "row_not_found");
}

static void a_write_says_how_many_rows_it_changed(void **state)
{
    http_reply r = http_send(client, "PUT", "/items/10", "{\"name\":\"renamed\"}", NULL);
    assert_status(&r, 200);
    assert_int_equal(json_integer_value(json_object_get(r.json, "count")), 2);
    http_reply_free(&r);
    r = http_send(client, "POST", "/items", "{\"id\":900,\"name\":\"new\"}", NULL);
    assert_status(&r, 200);
    assert_int_equal(json_integer_value(member(&r, "row", "id")), 900);
    http_reply_free(&r);
    r = http_send(client, "DELETE", "/items/900", NULL, NULL);
    assert_int_equal(json_integer_value(json_object_get(r.json, "count")), 1);
    http_reply_free(&r);
}

static void a_trace_tells_the_lifecycle_in_order(void **state)
{
    static const char *const expected[] = {"lease.requested", "lease.granted", "query.sent",
                                           "query.first_row", "query.done",    "lease.released"};
    http_reply r = get("/nap?s=0.03&_trace=1");
    assert_status(&r, 200);
    json_t *steps = member(&r, "pool", "lifecycle"), *step;
    size_t i, found = 0;
    double last = 0;
    json_array_foreach(steps, i, step)
    {
        double at = json_real_value(json_object_get(step, "at_ms"));
        assert_true(at >= last);
        last = at;
        const char *event = json_string_value(json_object_get(step, "event"));
        if (found < 6 && strcmp(event, expected[found]) == 0)
            found++;
    }
    assert_int_equal(found, 6);
    assert_true(last >= 30);
    http_reply_free(&r);

    r = get("/items/7000?_trace=1"); /* on errors too */
    assert_problem(&r, 404, "row_not_found");
    assert_true(json_array_size(member(&r, "pool", "lifecycle")) >= 5);
    http_reply_free(&r);
}

static void a_trace_tells_of_no_row_where_none_came(void **state)
{
    static const char *const paths[] = {"/q/shout?_trace=1", "/short?_trace=1",
                                        "/items/7000?_trace=1"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        http_reply r = get(paths[i]);
        assert_true(r.status >= 400);
        assert_non_null(strstr(r.body, "\"query.sent\""));
        assert_null(strstr(r.body, "\"query.first_row\""));
        http_reply_free(&r);
    }
}

static void a_request_keeps_its_id_or_is_given_one(void **state)
{
    const char *const given[] = {"X-Request-Id: abc-123", NULL};
    http_reply r = http_send(client, "GET", "/q/ping", NULL, given);
    assert_string_equal(http_header(&r, "X-Request-Id"), "abc-123");
    http_reply_free(&r);
    const char *const bad[] = {"X-Request-Id: a b", NULL};
    r = http_send(client, "GET", "/q/ping", NULL, bad);
    assert_int_equal(strlen(http_header(&r, "X-Request-Id")), 32);
    http_reply_free(&r);
}

static void values_are_decoded_once_and_keep_their_slashes(void **state)
{
    static const struct {
        const char *path, *a;
    } cases[] = {
        {"/q/echo?a=x+y", "x y"},       {"/q/echo?a=x%2By", "x+y"},
        {"/q/echo?a=%2541", "%41"},     {"/q/echo?a=%C3%A4", "\xc3\xa4"},
        {"/q/echo?a=1=2", "1=2"},       {"/q/echo?a=", ""},
        {"/q/echo?&&a=z&", "z"},        {"/q/echo?%61=named", "named"},
        {"/q/echo?a=%26b%3D2", "&b=2"}, {"/%71/echo?a=path", "path"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_reply r = get(cases[i].path);
        assert_status(&r, 200);
        json_t *row = json_array_get(json_object_get(r.json, "rows"), 0);
        assert_string_equal(json_string_value(json_object_get(row, "a")), cases[i].a);
        http_reply_free(&r);
    }
    http_reply r = get("/by/a%2Fb%20c/x");
    json_t *row = json_array_get(json_object_get(r.json, "rows"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "name")), "a/b c");
    http_reply_free(&r);
}

static void head_is_get_without_a_body(void **state)
{
    int fd = dial();
    say(fd, "HEAD /q/ping HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    char *heard = hear(fd, "alive\n", 1);
    assert_int_equal(count(heard, "HTTP/1.1 200 OK"), 2);
    assert_int_equal(count(heard, "\"rows\""), 0);
    assert_true(count(heard, "Content-Length: ") == 2 && count(heard, "Content-Length: 0") == 0);
    free(heard);
    close(fd);
}

static void options_says_what_a_path_takes(void **state)
{
    static const struct {
        const char *path, *allow;
    } cases[] = {{"/items", "GET, HEAD, POST"},
                 {"/items/1", "GET, HEAD, PUT, DELETE"},
                 {"/livez", "GET, HEAD"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_reply r = http_send(client, "OPTIONS", cases[i].path, NULL, NULL);
        assert_status(&r, 204);
        assert_string_equal(http_header(&r, "Allow"), cases[i].allow);
        http_reply_free(&r);
    }
}

static void a_large_answer_arrives_whole(void **state)
{
    http_reply r = get("/q/big?n=5000");
    assert_status(&r, 200);
    assert_int_equal(json_array_size(json_object_get(r.json, "rows")), 5000);
    assert_true(r.length > 5000 * 1000);
    http_reply_free(&r);
}

/* ---- Problems ---- */

static void what_is_not_there_is_404_and_the_wrong_method_405(void **state)
{
    fails_with("GET", "/nowhere", NULL, 404, "not_found");
    fails_with("GET", "/q/nowhere", NULL, 404, "not_found");
    fails_with("GET", "/by/a/b/x", NULL, 404, "not_found");
    fails_with("OPTIONS", "/nowhere", NULL, 404, "not_found");
    fails_with("GET", "/sql", NULL, 404, "not_found");
    http_reply r = http_send(client, "PATCH", "/items/1", NULL, NULL);
    assert_problem(&r, 405, "method_not_allowed");
    assert_string_equal(http_header(&r, "Allow"), "GET, HEAD, PUT, DELETE");
    http_reply_free(&r);
    r = http_send(client, "BREW", "/livez", NULL, NULL);
    assert_problem(&r, 405, "method_not_allowed");
    assert_string_equal(http_header(&r, "Allow"), "GET, HEAD");
    http_reply_free(&r);
}

static void what_cannot_be_decoded_is_400(void **state)
{
    static const char *const bad[] = {
        "/q/%zz",        "/q/%00ping",    "/q/ping%ff", "/q/echo?a=%",      "/q/echo?a=%4",
        "/q/echo?a=%00", "/q/echo?a=%ff", "/q/echo?=1", "/q/echo?a=%C0%80", "/q/echo?%zz=1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        fails_with("GET", bad[i], NULL, 400, "bad_request");
    int fd = dial(); /* and what is told of it is JSON all the same */
    say(fd, "GET /q/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n");
    char *heard = hear(fd, "}\n", 1);
    json_t *told = json_loads(strstr(heard, "\r\n\r\n"), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(told, "instance")), "/q/??");
    json_decref(told);
    free(heard);
    close(fd);
}

static void a_bad_parameter_is_named_before_any_connection_is_taken(void **state)
{
    double granted = metric("weir_leases_granted_total{pool=\"default\"}");
    http_reply r = get("/items/seven");
    assert_problem(&r, 400, "bad_parameter");
    assert_string_equal(text(&r, "parameter"), "id");
    http_reply_free(&r);
    fails_with("GET", "/items?wrong=1", NULL, 400, "bad_parameter");
    fails_with("GET", "/items?n=1&n=2", NULL, 400, "bad_parameter");
    fails_with("POST", "/items", "{\"id\":", 400, "bad_parameter");
    fails_with("POST", "/items", "[1]", 400, "bad_parameter");
    assert_true(metric("weir_leases_granted_total{pool=\"default\"}") == granted);
}

static void a_value_that_only_the_server_can_judge_is_named_too(void **state)
{
    static const struct {
        const char *name, *bad, *code;
    } cases[] = {
        {"at", "yesterdayish", "22007"},   {"at", "2026-13-41", "22008"},
        {"every", "a%20while", "22007"},   {"host", "1.2.3.400", "22P02"},
        {"price", "dear", "22P02"},        {"span", "%5B2,1)", "22000"},
        {"day", "%0Atoday%20$1", "22007"},
    };
    static const char *const good[][2] = {{"at", "2026-01-01"}, {"every", "1h"},
                                          {"host", "::1"},      {"price", "1"},
                                          {"span", "%5B1,2)"},  {"day", "2026-01-01"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[512] = "/q/typed?";
        for (size_t p = 0; p < sizeof good / sizeof *good; p++) {
            bool is_bad = strcmp(good[p][0], cases[i].name) == 0;
            size_t length = strlen(path);
            snprintf(path + length, sizeof path - length, "%s=%s&", good[p][0],
                     is_bad ? cases[i].bad : good[p][1]);
        }
        http_reply r = get(path);
        assert_problem(&r, 400, cases[i].code);
        assert_string_equal(text(&r, "parameter"), cases[i].name);
        http_reply_free(&r);
    }
}

static void too_many_arguments_are_refused(void **state)
{
    char path[4096] = "/q/echo?a=1";
    for (int i = 0; i < 300; i++)
        strcat(path, "&_x=1");
    fails_with("GET", path, NULL, 400, "bad_request");
}

static void the_servers_errors_have_the_status_of_the_table(void **state)
{
    fails_with("POST", "/items", "{\"id\":1,\"name\":\"x\"}", 409, "23505");
    fails_with("POST", "/items", "{\"id\":901,\"name\":\"x\",\"parent\":5}", 409, "23503");
    fails_with("POST", "/items", "{\"id\":901}", 400, "23502");
    fails_with("POST", "/items", "{\"id\":901,\"name\":\"x\",\"price\":-1}", 400, "23514");
    fails_with("GET", "/q/forbidden", NULL, 403, "42501");
    fails_with("GET", "/q/code?c=40001", NULL, 409, "40001");
    fails_with("GET", "/q/code?c=22003", NULL, 400, "22003");
    fails_with("GET", "/q/code?c=53300", NULL, 503, "53300");
    fails_with("GET", "/q/code?c=XX001", NULL, 500, "XX001");
    http_reply r = get("/q/shout");
    assert_problem(&r, 400, "P0001");
    assert_string_equal(text(&r, "detail"), "too loud");
    assert_string_equal(text(&r, "hint"), "whisper");
    assert_null(json_object_get(r.json, "sql")); /* never, unless it may be exposed */
    http_reply_free(&r);
}

static const char *const rows_that_are_refused[] = {"{\"id\":987654}",
                                                    "{\"id\":987654,\"name\":\"x\",\"price\":-1}"};

static void a_refused_row_is_not_shown_but_a_refused_key_is(void **state)
{
    for (int i = 0; i < 2; i++) {
        http_reply r = http_send(client, "POST", "/items", rows_that_are_refused[i], NULL);
        assert_status(&r, 400);
        assert_true(*text(&r, "detail") && !strstr(text(&r, "detail"), "987654"));
        http_reply_free(&r);
    }
    http_reply r = http_send(client, "POST", "/items", "{\"id\":1,\"name\":\"x\"}", NULL);
    assert_problem(&r, 409, "23505");
    assert_non_null(strstr(text(&r, "detail"), "Key (id)=(1)"));
    http_reply_free(&r);
}

static void a_get_cannot_write_and_is_told_what_can(void **state)
{
    http_reply r = get("/q/add?id=902&name=x");
    assert_problem(&r, 405, "25006");
    assert_string_equal(http_header(&r, "Allow"), "POST");
    http_reply_free(&r);
    r = http_send(client, "POST", "/q/add", "{\"id\":902,\"name\":\"x\"}", NULL);
    assert_status(&r, 200);
    http_reply_free(&r);
    r = http_send(client, "DELETE", "/items/902", NULL, NULL);
    http_reply_free(&r);
}

static void a_query_that_takes_too_long_is_504_and_the_connection_lives_on(void **state)
{
    http_reply r = get("/short");
    assert_problem(&r, 504, "query_timed_out");
    assert_true(r.seconds < 5 * slower());
    http_reply_free(&r);
    r = get("/q/ping");
    assert_status(&r, 200);
    http_reply_free(&r);
    assert_true(metric("weir_queries_cancelled_total{pool=\"default\"}") == 1);
}

static void a_statement_that_stops_working_is_a_500_and_recovers(void **state)
{
    http_reply r = get("/q/gone");
    assert_status(&r, 200);
    http_reply_free(&r);
    postgres_sql(database, "drop table vanishing");
    fails_with("GET", "/q/gone", NULL, 500, "42P01");
    postgres_sql(database, "create table vanishing (id int)");
    r = get("/q/gone");
    assert_status(&r, 200);
    http_reply_free(&r);
}

/* ---- Bodies and headers ---- */

/* The status of one request, said word for word on a connection of its own. */
static int status_of(const char *request)
{
    int fd = dial(), status = 0;
    say(fd, request);
    char *heard = hear(fd, "\r\n\r\n", 1);
    sscanf(heard, "HTTP/1.1 %d", &status);
    free(heard);
    close(fd);
    return status;
}

static void a_body_must_be_json(void **state)
{
    const char *dup = "{\"id\":1,\"name\":\"a\"}";
    assert_int_equal(strlen(dup), 19);
    static const struct {
        const char *type;
        int status;
    } cases[] = {
        {"Content-Type: application/json\r\n", 409},
        {"content-type: Application/JSON ; charset=utf-8\r\n", 409},
        {"Content-Type: application/x-www-form-urlencoded\r\n", 415},
        {"Content-Type: application/jsonp\r\n", 415},
        {"Content-Type: text/plain\r\n", 415},
        {"", 415},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char request[512];
        snprintf(request, sizeof request,
                 "POST /items HTTP/1.1\r\nHost: x\r\n%sContent-Length: 19\r\n\r\n%s", cases[i].type,
                 dup);
        assert_int_equal(status_of(request), cases[i].status);
    }
}

static char *filled(size_t length)
{
    char *body = malloc(length + 1);
    memset(body, ' ', length);
    body[length] = '\0';
    return body;
}

static void a_body_too_large_is_413_however_it_is_sent(void **state)
{
    char *body = filled(200000);
    fails_with("POST", "/items", body, 413, "body_too_large");
    const char *const chunked[] = {"Transfer-Encoding: chunked", "Expect:", NULL};
    http_reply r = http_send(client, "POST", "/items", body, chunked);
    assert_problem(&r, 413, "body_too_large");
    http_reply_free(&r);
    free(body);

    int asking = dial(); /* one that asks first need not send it */
    say(asking, "POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n"
                "Expect: 100-continue\r\n\r\n");
    char *told = hear(asking, "body_too_large", 1);
    assert_memory_equal(told, "HTTP/1.1 413", 12);
    free(told);
    close(asking);

    int fd = dial(); /* one that nobody would wait for is refused unread */
    say(fd, "POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
    char *heard = hear(fd, "body_too_large", 1);
    assert_memory_equal(heard, "HTTP/1.1 413", 12);
    assert_int_equal(count(heard, "Connection: close"), 1);
    free(heard);
    close(fd);
}

static void a_body_without_end_is_cut_off(void **state)
{
    int fd = dial();
    char *piece = filled(0x10000 + 2);
    memcpy(piece + 0x10000, "\r\n", 2);
    signal(SIGPIPE, SIG_IGN);
    say(fd, "POST /items HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    int sent = 0;
    while (sent < 1000 && send(fd, "10000\r\n", 7, MSG_NOSIGNAL) == 7 &&
           send(fd, piece, 0x10002, MSG_NOSIGNAL) > 0)
        sent++;
    assert_true(sent < 1000);
    free(piece);
    close(fd);
}

static void a_body_up_to_the_limit_in_pieces_is_taken(void **state)
{
    int fd = dial();
    say(fd, "POST /items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
    char *spaces = filled(0x1000);
    for (int i = 0; i < 15; i++) {
        say(fd, "1000\r\n");
        say(fd, spaces);
        say(fd, "\r\n");
    }
    say(fd, "15\r\n{\"id\":1,\"name\":\"dup\"}\r\n0\r\n\r\n");
    char *heard = hear(fd, "23505", 1);
    assert_memory_equal(heard, "HTTP/1.1 409", 12);
    free(heard);
    free(spaces);
    close(fd);
}

static void expect_100_continue_is_answered(void **state)
{
    int fd = dial();
    say(fd, "POST /items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Content-Length: 19\r\nExpect: 100-continue\r\n\r\n");
    char *heard = hear(fd, "\r\n\r\n", 1);
    assert_string_equal(heard, "HTTP/1.1 100 Continue\r\n\r\n");
    free(heard);
    say(fd, "{\"id\":1,\"name\":\"a\"}");
    heard = hear(fd, "23505", 1);
    assert_memory_equal(heard, "HTTP/1.1 409", 12);
    free(heard);
    close(fd);
}

/* Whatever its length, a header gets an answer or an end, and never silence. */
static void long_headers_are_431_and_never_a_hang(void **state)
{
    int refused = 0, taken = 0;
    for (size_t length = 500; length < 40000; length += 1500) {
        int fd = dial();
        char *padding = filled(length);
        memset(padding, 'x', length);
        say(fd, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Padding: ");
        send(fd, padding, length, MSG_NOSIGNAL);
        send(fd, "\r\n\r\n", 4, MSG_NOSIGNAL);
        double began = now();
        char *heard = hear(fd, "\r\n\r\n", 1);
        assert_true(now() - began < 5 * slower());
        refused += strncmp(heard, "HTTP/1.1 431", 12) == 0;
        taken += strncmp(heard, "HTTP/1.1 200", 12) == 0;
        free(heard);
        free(padding);
        close(fd);
    }
    assert_true(taken >= 4 && refused >= 10);
}

static void a_long_path_is_414(void **state)
{
    int fd = dial();
    char *path = filled(60000);
    memset(path, 'x', 60000);
    say(fd, "GET /");
    send(fd, path, 60000, MSG_NOSIGNAL);
    send(fd, " HTTP/1.1\r\n\r\n", 13, MSG_NOSIGNAL);
    char *heard = hear(fd, "\r\n\r\n", 1);
    assert_memory_equal(heard, "HTTP/1.1 414", 12);
    free(heard);
    free(path);
    close(fd);
}

static void long_arguments_fit_or_are_refused(void **state)
{
    int answered = 0, refused = 0;
    for (size_t length = 500; length < 15000; length += 500) {
        char *value = filled(length), *request = malloc(length + 64);
        memset(value, 'y', length);
        sprintf(request, "GET /q/echo?a=%s HTTP/1.1\r\nHost: x\r\n\r\n", value);
        int fd = dial();
        say(fd, request);
        char *heard = hear(fd, "\"pool\"", 1);
        if (strncmp(heard, "HTTP/1.1 200", 12) == 0) {
            assert_int_equal(count(heard, value), 1);
            answered++;
        } else {
            refused += strncmp(heard, "HTTP/1.1 4", 10) == 0;
        }
        close(fd);
        free(heard);
        free(request);
        free(value);
    }
    assert_true(answered >= 10 && refused >= 10);
}

/* Many short ones cost more memory than their bytes. */
static void many_headers_are_431_and_never_a_hang(void **state)
{
    int taken = 0, refused = 0;
    for (int many = 10; many <= 2000; many += 60) {
        char *request = malloc(64 + (size_t)many * 8);
        int length = sprintf(request, "GET /livez HTTP/1.1\r\nHost: x\r\n");
        for (int i = 0; i < many; i++)
            length += sprintf(request + length, "a: b\r\n");
        strcpy(request + length, "\r\n");
        double began = now();
        int status = status_of(request);
        assert_true(now() - began < 5 * slower());
        taken += status == 200;
        refused += status == 431;
        free(request);
    }
    assert_true(taken >= 2 && refused >= 15);
}

/* ---- Clients of all kinds ---- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    int fd = dial();
    char requests[8192] = "";
    for (int i = 1; i <= 40; i++) {
        char one[128];
        snprintf(one, sizeof one, "GET /items/%d HTTP/1.1\r\nHost: x\r\nX-Request-Id: p%d\r\n\r\n",
                 i, i);
        strcat(requests, one);
    }
    say(fd, requests);
    char *heard = hear(fd, "\"pool\"", 40);
    const char *at = heard;
    for (int i = 1; i <= 40; i++) {
        char id[32], row[32];
        snprintf(id, sizeof id, "X-Request-Id: p%d\r\n", i);
        snprintf(row, sizeof row, "{\"row\":{\"id\":%d,", i);
        at = strstr(at, id);
        assert_non_null(at);
        const char *body = strstr(at, "{\"row\"");
        assert_memory_equal(body, row, strlen(row));
    }
    free(heard);
    close(fd);
}

static void http_1_0_closes_unless_asked_not_to(void **state)
{
    int fd = dial();
    say(fd, "GET /q/ping HTTP/1.0\r\n\r\n");
    char *heard = hear(fd, "never", 1); /* until it closes */
    assert_int_equal(count(heard, "\"rows\""), 1);
    free(heard);
    close(fd);
    fd = dial();
    say(fd, "GET /q/ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    free(hear(fd, "\"pool\"", 1));
    say(fd, "GET /q/ping HTTP/1.0\r\n\r\n");
    heard = hear(fd, "never", 1);
    assert_int_equal(count(heard, "\"rows\""), 1);
    free(heard);
    close(fd);
}

static void a_request_byte_by_byte_is_understood(void **state)
{
    int fd = dial();
    const char *request = "GET /q/ping HTTP/1.1\r\nHost: x\r\n\r\n";
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
    for (; *request; request++)
        assert_int_equal(send(fd, request, 1, MSG_NOSIGNAL), 1);
    char *heard = hear(fd, "\"pool\"", 1);
    assert_memory_equal(heard, "HTTP/1.1 200", 12);
    free(heard);
    close(fd);
}

static void garbage_costs_nothing_lasting(void **state)
{
    static const char *const garbage[] = {
        "\r\n\r\n\r\n",
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", /* TLS */
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\n",
        "POST /items HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /q/echo?%a=%b&%c HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://h/q/ping HTTP/1.1\r\nHost: x\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET ../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf",
    };
    int before = weir_descriptors(weir);
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        int fd = dial();
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        say(fd, garbage[i]);
        poll(&wait, 1, 100);
        close(fd);
    }
    http_reply r = get("/q/ping");
    assert_status(&r, 200);
    http_reply_free(&r);
    assert_true(BECOMES(metric("http_server_active_requests") == 1, 5)); /* the one that asks */
    assert_true(BECOMES(weir_descriptors(weir) <= before + 2, 5));
}

static int naps(void)
{
    return (int)postgres_number(database, "select count(*) from pg_stat_activity where state = "
                                          "'active' and query like '%as slept from pg_sleep%' and "
                                          "pid <> pg_backend_pid()");
}

#define GONE                                                                                       \
    "http_server_request_duration_seconds_count{route=\"/nap\",method=\"GET\",status=\"499\"}"

static void vanish(int fd, bool by_reset)
{
    struct linger at_once = {.l_onoff = 1};
    if (by_reset)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

static void a_client_that_vanishes_while_its_query_runs_has_it_cancelled(void **state)
{
    for (int by_reset = 0; by_reset < 2; by_reset++) {
        int fd = dial();
        say(fd, "GET /nap?s=25 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(BECOMES(naps() == 1, 5));
        vanish(fd, by_reset);
        assert_true(BECOMES(naps() == 0, 5));
        assert_true(BECOMES(metric(GONE) == by_reset + 1, 5));
        assert_true(BECOMES(pool("in_use") == 0 && pool("cancelling") == 0, 5));
    }
}

static void a_client_that_vanishes_while_it_waits_leaves_the_queue(void **state)
{
    int holder = dial(), waiter = dial();
    say(holder, "GET /nap?s=25 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(BECOMES(naps() == 1, 5));
    say(waiter, "GET /nap?s=24 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(BECOMES(pool("waiting") == 1, 5));
    vanish(waiter, false);
    assert_true(BECOMES(pool("waiting") == 0, 0.25)); /* before its deadline would have it */
    vanish(holder, false);
    assert_true(BECOMES(naps() == 0, 5));
}

/* At every moment of a quick request: before, in and after its task. */
static void clients_that_vanish_at_any_moment_leave_nothing_behind(void **state)
{
    int before = weir_descriptors(weir);
    for (int i = 0; i < 600; i++) {
        int fd = dial();
        char request[128];
        snprintf(request, sizeof request, "GET /nap?s=%s HTTP/1.1\r\nHost: x\r\n\r\n",
                 i % 3 ? "0" : "0.02");
        say(fd, request);
        nanosleep(&(struct timespec){.tv_nsec = (i * 7919) % 3000 * 1000}, NULL);
        vanish(fd, i % 2);
    }
    assert_true(BECOMES(metric("http_server_active_requests") == 1, 10));
    assert_true(BECOMES(pool("in_use") == 0 && pool("waiting") == 0, 10));
    http_reply r = get("/q/ping");
    assert_status(&r, 200);
    http_reply_free(&r);
    /* A full pool, at most: its sockets, and what watches them. */
    assert_true(BECOMES(weir_descriptors(weir) <= before + 2 * 6, 10));
}

/* Grants that are under way from one lane to another find their takers gone. */
static void waiters_that_vanish_leave_nothing_behind(void **state)
{
    enum { CLIENTS = 60 };
    int fds[CLIENTS];
    for (int round = 0; round < 25; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            fds[i] = dial();
            say(fds[i], "GET /nap?s=0.001 HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        nanosleep(&(struct timespec){.tv_nsec = (round * 7919) % 30000 * 1000}, NULL);
        for (int i = 0; i < CLIENTS; i++)
            vanish(fds[i], i % 2);
    }
    assert_true(BECOMES(metric("http_server_active_requests") == 1, 10));
    assert_true(BECOMES(pool("in_use") == 0 && pool("waiting") == 0, 10));
    assert_true(metric("weir_leases_refused_total{pool=\"default\",reason=\"cancelled\"}") > 0);
    http_reply r = get("/items/1");
    assert_status(&r, 200);
    http_reply_free(&r);
}

static void pipelined_requests_behind_a_slow_one_are_no_sign_of_absence(void **state)
{
    int fd = dial();
    say(fd, "GET /nap?s=0.2 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(BECOMES(naps() == 1, 5));
    say(fd, "GET /items/3 HTTP/1.1\r\nHost: x\r\n\r\n");
    char *heard = hear(fd, "\"pool\"", 2);
    assert_int_equal(count(heard, "HTTP/1.1 200 OK"), 2);
    assert_true(strstr(heard, "slept") < strstr(heard, "item 3"));
    free(heard);
    close(fd);
}

/* ---- A pool that has no more ---- */

/* Holds one connection for a multiple of the time that a request waits for it. */
static void hold(double times)
{
    char path[64];
    snprintf(path, sizeof path, "/nap?s=%.3f", ACQUIRE_MS / 1000.0 * times * slower());
    ask_beside(0, path);
    assert_true(BECOMES(naps() == 1, 5));
}

static int answered(int index)
{
    pthread_join(askers[index].thread, NULL);
    askers[index].running = false;
    int status = askers[index].reply.status;
    http_reply_free(&askers[index].reply);
    return status;
}

static void a_full_pool_says_who_holds_it_and_when_to_come_back(void **state)
{
    hold(3);
    http_reply r = get("/items/1?_trace=1");
    assert_problem(&r, 503, "pool_timeout");
    assert_in_range(atoi(http_header(&r, "Retry-After")), 1, 120);
    assert_true(json_is_true(json_object_get(r.json, "retryable")));
    char limit[64]; /* as it was set, and not when its end was seen */
    snprintf(limit, sizeof limit, " within %.0f ms: ", ACQUIRE_MS * slower());
    assert_non_null(strstr(text(&r, "detail"), limit));
    assert_int_equal(json_integer_value(member(&r, "pool", "in_use")), 1);
    assert_int_equal(json_integer_value(member(&r, "pool", "max")), 1);
    /* The wait's time begins a little before the wait itself. */
    double waited_ms = json_real_value(member(&r, "pool", "waited_ms"));
    assert_true(waited_ms >= 0.8 * ACQUIRE_MS * slower() && waited_ms < 3 * ACQUIRE_MS * slower());
    json_t *held = json_array_get(json_object_get(r.json, "holders"), 0);
    assert_string_equal(json_string_value(json_object_get(held, "label")), "/nap");
    assert_true(json_real_value(json_object_get(held, "age_ms")) >= 0.8 * waited_ms);
    assert_true(json_is_true(json_object_get(held, "running")));
    assert_true(json_integer_value(json_object_get(held, "backend_pid")) > 0);
    http_reply_free(&r);
    assert_int_equal(answered(0), 200);
}

static void a_full_queue_refuses_at_once(void **state)
{
    hold(2);
    ask_beside(1, "/items/1");
    ask_beside(2, "/items/2");
    assert_true(BECOMES(pool("waiting") == 2, 0.25));
    http_reply r = get("/items/3");
    assert_problem(&r, 503, "queue_full");
    assert_true(r.seconds < 0.25 * slower());
    http_reply_free(&r);
    for (int i = 0; i < 3; i++)
        answered(i);
}

static void probes_and_metrics_need_no_connection(void **state)
{
    hold(2);
    static const char *const paths[] = {"/livez", "/readyz", "/metrics", "/pool", "/"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        http_reply r = get(paths[i]);
        assert_status(&r, 200);
        assert_true(r.seconds < 0.25 * slower());
        http_reply_free(&r);
    }
    answered(0);
}

static void sql_is_shown_only_where_it_may_be(void **state)
{
    http_reply r = get("/q/shout"); /* this one runs with --expose-sql */
    assert_problem(&r, 400, "P0001");
    assert_non_null(strstr(text(&r, "sql"), "select shout()"));
    http_reply_free(&r);
    for (int i = 0; i < 2; i++) { /* and so are refused rows */
        r = http_send(client, "POST", "/items", rows_that_are_refused[i], NULL);
        assert_status(&r, 400);
        assert_non_null(strstr(text(&r, "detail"), "(987654, "));
        http_reply_free(&r);
    }
}

static void a_database_that_is_away_is_503_and_not_ready(void **state)
{
    postgres_shut_down(database);
    http_reply r = get("/items/1");
    assert_status(&r, 503);
    assert_true(r.seconds < 5 * slower());
    assert_non_null(http_header(&r, "Retry-After"));
    http_reply_free(&r);
    assert_true(BECOMES(http_status(weir_port(weir), "/readyz") == 503, 5));
    assert_int_equal(http_status(weir_port(weir), "/livez"), 200);
    r = get("/items/1");
    assert_problem(&r, 503, "database_unavailable");
    http_reply_free(&r);
    r = get("/readyz?verbose");
    assert_status(&r, 503);
    assert_true(json_is_false(json_object_get(r.json, "ready")));
    http_reply_free(&r);
    assert_non_null(strstr(weir_output(weir), "\"msg\":\"the database cannot be reached\""));
    assert_null(strstr(weir_output(weir), "\"msg\":\"\""));
    r = get("/pool");
    assert_true(json_string_length(member(&r, "connect_error", "message")) > 0);
    http_reply_free(&r);
    postgres_bring_up(database);
    assert_true(BECOMES(http_status(weir_port(weir), "/items/1") == 200, 5));
    assert_true(BECOMES(http_status(weir_port(weir), "/readyz") == 200, 5));
}

/* ---- For operators and people ---- */

static void the_pool_shows_leases_and_connections(void **state)
{
    hold(2);
    http_reply r = get("/pool");
    assert_status(&r, 200);
    assert_string_equal(text(&r, "name"), "default");
    assert_int_equal(json_integer_value(json_object_get(r.json, "in_use")), 1);
    json_t *lease = json_array_get(json_object_get(r.json, "leases"), 0);
    assert_string_equal(json_string_value(json_object_get(lease, "label")), "/nap");
    assert_int_equal(json_string_length(json_object_get(lease, "request_id")), 32);
    assert_true(json_array_size(json_object_get(r.json, "connections")) >= 1);
    assert_true(json_real_value(member(&r, "create", "p50_ms")) > 0);
    http_reply_free(&r);
    answered(0);
}

static void metrics_count_requests_by_route_method_and_status(void **state)
{
    for (int i = 0; i < 3; i++) {
        http_reply r = get("/items/1");
        assert_status(&r, 200);
        http_reply_free(&r);
    }
    fails_with("GET", "/nowhere/at/all", NULL, 404, "not_found");
    fails_with("BREW", "/nowhere", NULL, 404, "not_found");
    assert_true(metric("http_server_request_duration_seconds_count{route=\"/items/{id}\","
                       "method=\"GET\",status=\"200\"}") == 3);
    assert_true(metric("http_server_request_duration_seconds_count{route=\"\",method=\"GET\","
                       "status=\"404\"}") == 1);
    assert_true(metric("http_server_request_duration_seconds_count{route=\"\",method=\"_OTHER\","
                       "status=\"404\"}") == 1);
    assert_true(metric("db_client_operation_duration_seconds_count{pool=\"default\",query=\"item\"}"
                       "") == 3);
    const char *const asks[] = {"Accept: application/openmetrics-text; version=1.0.0", NULL};
    http_reply r = http_send(client, "GET", "/metrics", NULL, asks);
    assert_non_null(strstr(http_header(&r, "Content-Type"), "application/openmetrics-text"));
    assert_string_equal(r.body + r.length - 6, "# EOF\n");
    http_reply_free(&r);
    r = get("/metrics");
    assert_string_equal(http_header(&r, "Content-Type"),
                        "text/plain; version=0.0.4; charset=utf-8");
    http_reply_free(&r);
}

static void the_first_page_lists_the_queries_and_escapes_what_they_say(void **state)
{
    http_reply r = get("/");
    assert_status(&r, 200);
    assert_string_equal(http_header(&r, "Content-Type"), "text/html; charset=utf-8");
    assert_non_null(strstr(r.body, "Says &lt;hello&gt; &amp; more."));
    assert_non_null(strstr(r.body, "/items/{id}"));
    assert_non_null(strstr(r.body, "Greets <code>&lt;who&gt;</code> with `care."));
    assert_non_null(strstr(r.body, "/q/greet?who=it%27s%20%3Cyou%3E%20%26%20%60me%60&#39;"));
    assert_null(strstr(r.body, "<p></p>"));
    http_reply_free(&r);
    const char *const asks[] = {"Accept: application/json", NULL};
    r = http_send(client, "GET", "/", NULL, asks);
    assert_true(json_array_size(json_object_get(r.json, "queries")) >= 12);
    http_reply_free(&r);
}

static void the_type_of_a_problem_can_be_looked_up(void **state)
{
    http_reply r = get("/nowhere"), page;
    page = get(text(&r, "type"));
    assert_status(&page, 200);
    assert_non_null(strstr(page.body, "not_found"));
    http_reply_free(&page);
    http_reply_free(&r);
    page = get("/problems/bad_parameter");
    assert_non_null(strstr(page.body, "<code>parameter</code> names it"));
    assert_null(strchr(page.body, '`'));
    http_reply_free(&page);
    fails_with("GET", "/problems/nonsense", NULL, 404, "not_found");
}

static void an_admin_listener_takes_what_is_for_operators_along(void **state)
{
    serve((const char *const[]){"--admin-listen", "127.0.0.1:0", NULL});
    json_t *started = weir_await_event(weir, "service.started", 1, 5);
    uint16_t admin = (uint16_t)json_integer_value(json_object_get(started, "admin_port"));
    json_decref(started);
    static const char *const paths[] = {"/livez", "/readyz", "/metrics", "/pool"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_int_equal(http_status(weir_port(weir), paths[i]), 404);
        assert_int_equal(http_status(admin, paths[i]), 200);
    }
    assert_int_equal(http_status(weir_port(weir), "/q/ping"), 200);
    assert_int_equal(http_status(admin, "/q/ping"), 404);
    assert_int_equal(http_status(admin, "/"), 404);
}

/* ---- The end ---- */

static void while_draining_new_requests_are_refused_and_running_ones_end(void **state)
{
    /* The drain is not to end before what is held does, however slow this program is run. */
    serve((const char *const[]){"--pool-max", "4", "--drain-timeout", "60s", NULL});
    hold(4);
    http_reply r = get("/q/ping"); /* its connection stays open */
    http_reply_free(&r);
    weir_signal(weir, SIGTERM);
    json_decref(weir_await_event(weir, "service.draining", 1, 5));
    r = get("/q/ping");
    assert_problem(&r, 503, "draining");
    assert_string_equal(http_header(&r, "Connection"), "close");
    http_reply_free(&r);
    assert_int_equal(http_status(weir_port(weir), "/readyz"), 503);
    assert_int_equal(http_status(weir_port(weir), "/livez"), 200);
    assert_int_equal(answered(0), 200);
    assert_int_equal(weir_await_exit(weir, 10), 0);
}

static int stop_stopped(void **state)
{
    end_askers();
    http_close(client);
    weir_stop(weir);
    return 0;
}

#define usual(name)  cmocka_unit_test_setup_teardown(name, serve_usually, stop)
#define narrow(name) cmocka_unit_test_setup_teardown(name, serve_narrowly, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        usual(rows_come_with_their_count_and_the_pool),
        usual(one_row_is_an_object_or_a_404),
        usual(a_write_says_how_many_rows_it_changed),
        usual(a_trace_tells_the_lifecycle_in_order),
        usual(a_trace_tells_of_no_row_where_none_came),
        usual(a_request_keeps_its_id_or_is_given_one),
        usual(values_are_decoded_once_and_keep_their_slashes),
        usual(head_is_get_without_a_body),
        usual(options_says_what_a_path_takes),
        usual(a_large_answer_arrives_whole),
        usual(what_is_not_there_is_404_and_the_wrong_method_405),
        usual(what_cannot_be_decoded_is_400),
        usual(a_bad_parameter_is_named_before_any_connection_is_taken),
        usual(a_value_that_only_the_server_can_judge_is_named_too),
        usual(too_many_arguments_are_refused),
        usual(the_servers_errors_have_the_status_of_the_table),
        usual(a_refused_row_is_not_shown_but_a_refused_key_is),
        usual(a_get_cannot_write_and_is_told_what_can),
        usual(a_query_that_takes_too_long_is_504_and_the_connection_lives_on),
        usual(a_statement_that_stops_working_is_a_500_and_recovers),
        usual(a_body_must_be_json),
        narrow(a_body_too_large_is_413_however_it_is_sent),
        narrow(a_body_without_end_is_cut_off),
        narrow(a_body_up_to_the_limit_in_pieces_is_taken),
        usual(expect_100_continue_is_answered),
        usual(long_headers_are_431_and_never_a_hang),
        usual(a_long_path_is_414),
        usual(long_arguments_fit_or_are_refused),
        usual(many_headers_are_431_and_never_a_hang),
        usual(pipelined_requests_are_answered_in_order),
        usual(http_1_0_closes_unless_asked_not_to),
        usual(a_request_byte_by_byte_is_understood),
        usual(garbage_costs_nothing_lasting),
        usual(a_client_that_vanishes_while_its_query_runs_has_it_cancelled),
        narrow(a_client_that_vanishes_while_it_waits_leaves_the_queue),
        usual(clients_that_vanish_at_any_moment_leave_nothing_behind),
        usual(waiters_that_vanish_leave_nothing_behind),
        usual(pipelined_requests_behind_a_slow_one_are_no_sign_of_absence),
        narrow(a_full_pool_says_who_holds_it_and_when_to_come_back),
        narrow(a_full_queue_refuses_at_once),
        narrow(probes_and_metrics_need_no_connection),
        narrow(sql_is_shown_only_where_it_may_be),
        usual(a_database_that_is_away_is_503_and_not_ready),
        usual(the_pool_shows_leases_and_connections),
        usual(metrics_count_requests_by_route_method_and_status),
        usual(the_first_page_lists_the_queries_and_escapes_what_they_say),
        usual(the_type_of_a_problem_can_be_looked_up),
        cmocka_unit_test_teardown(an_admin_listener_takes_what_is_for_operators_along, stop),
        cmocka_unit_test_teardown(while_draining_new_requests_are_refused_and_running_ones_end,
                                  stop_stopped),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests(tests, start_world, end_world);
}
