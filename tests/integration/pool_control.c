/* pool_control.c: tests of what operators do to a pool over HTTP while it serves. */
#include "../support/served.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TOKEN "open-sesame"

static char *elsewhere; /* a folder for the token file */
static char token_file[PATH_MAX];

static void tokens(const char *lines)
{
    FILE *f = fopen(token_file, "w");
    assert_non_null(f);
    fputs(lines, f);
    assert_int_equal(fclose(f), 0);
}

static int start_world(void **state)
{
    database = postgres_start("max_connections = 60\n");
    folder = scratch_folder();
    elsewhere = scratch_folder();
    snprintf(token_file, sizeof token_file, "%s/tokens", elsewhere);
    query_file("ping", "select 1 as one, pg_backend_pid() as pid\n");
    query_file("nap", "-- @route GET /nap\n-- @timeout 30s\nselect :s::float8 as slept from "
                      "pg_sleep(:s)\n");
    return 0;
}

static int end_world(void **state)
{
    scratch_remove(folder);
    scratch_remove(elsewhere);
    postgres_stop(database);
    return 0;
}

static int serve_with_tokens(void **state)
{
    tokens("# for the night shift\nanother-one\n" TOKEN "\n");
    serve_ready((const char *const[]){"--pool-max", "4", "--lanes", "2", "--token-file", token_file,
                                      "--acquire-timeout", "2s", NULL});
    return 0;
}

static int serve_without(void **state)
{
    serve_ready((const char *const[]){"--lanes", "1", NULL});
    return 0;
}

static http_reply control(const char *path)
{
    return post_as(TOKEN, path);
}

static void controls(const char *path, int status)
{
    http_reply r = control(path);
    assert_status(&r, status);
    http_reply_free(&r);
}

static bool truth(const http_reply *r, const char *name)
{
    return json_is_true(json_object_get(r->json, name));
}

static bool is_paused(void)
{
    http_reply r = get("/pool");
    bool paused = truth(&r, "paused");
    http_reply_free(&r);
    return paused;
}

static long number(const http_reply *r, const char *name)
{
    return (long)json_integer_value(json_object_get(r->json, name));
}

static const char *const endpoints[] = {"/pool/pause", "/pool/resume", "/pool/resize?max=2",
                                        "/pool/evict", "/pool/drain",  "/reload"};
#define ENDPOINTS (sizeof endpoints / sizeof *endpoints)

/* ---- Who may ---- */

static void without_a_token_nobody_may_and_is_told_what_to_set(void **state)
{
    for (size_t i = 0; i < ENDPOINTS; i++) {
        http_reply r = control(endpoints[i]);
        assert_problem(&r, 403, "no_token_set");
        assert_non_null(strstr(text(&r, "hint"), "--token-file"));
        http_reply_free(&r);
    }
    assert_false(is_paused());
}

static void a_wrong_or_missing_token_is_401_with_a_challenge(void **state)
{
    static const char *const wrong[] = {NULL, "", "open-sesam", "open-sesamee", "Open-Sesame"};
    for (size_t i = 0; i < ENDPOINTS; i++) {
        for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++) {
            http_reply r = post_as(wrong[w], endpoints[i]);
            assert_problem(&r, 401, "unauthorized");
            assert_memory_equal(http_header(&r, "WWW-Authenticate"), "Bearer realm=\"weir\"", 19);
            http_reply_free(&r);
        }
    }
    assert_false(is_paused());
    assert_true(BECOMES(weir_events(weir, "http.request") > 0, 5)); /* is told in the log */
    assert_int_equal(weir_events(weir, "service.draining"), 0);
    fails_with("GET", "/pool/pause", NULL, 405, "method_not_allowed");
    http_reply r = post_as("another-one", "/pool/resume");
    assert_status(&r, 200);
    http_reply_free(&r);
}

static void tokens_are_read_again_and_never_told(void **state)
{
    tokens("new-one\n");
    controls("/reload", 200);
    http_reply r = control("/pool/resume");
    assert_problem(&r, 401, "unauthorized");
    http_reply_free(&r);
    r = post_as("new-one", "/pool/resume");
    assert_status(&r, 200);
    http_reply_free(&r);

    tokens("new-one\nnot a token\n"); /* a wrong file changes nothing */
    r = post_as("new-one", "/reload");
    assert_problem(&r, 422, "reload_failed");
    assert_non_null(strstr(text(&r, "detail"), "/tokens:2: "));
    http_reply_free(&r);
    unlink(token_file);
    weir_signal(weir, SIGHUP);
    json_decref(weir_await_event(weir, "service.reload_failed", 2, 10));
    r = post_as("new-one", "/pool/resume");
    assert_status(&r, 200);
    http_reply_free(&r);
    assert_null(strstr(weir_output(weir), "new-one"));
    assert_null(strstr(weir_output(weir), TOKEN));
}

static void a_wrong_token_file_stops_the_start(void **state)
{
    tokens("s3cret with blanks\n");
    serve_unready((const char *const[]){"--token-file", token_file, NULL});
    assert_int_equal(weir_await_exit(weir, 20), 64);
    assert_non_null(strstr(weir_output(weir), "/tokens:1: a token is made of"));
    assert_null(strstr(weir_output(weir), "s3cret"));
    weir_stop(weir);
    serve_unready((const char *const[]){"--token-file", "/nonexistent", NULL});
    assert_int_equal(weir_await_exit(weir, 20), 64);
    assert_non_null(strstr(weir_output(weir), "weir: /nonexistent: the tokens cannot be read"));
    weir_stop(weir);
    static const char *const wrong[] = {"s3cret with blanks", "s3cret\ns3cret", "#s3cret", " "};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (i > 0)
            weir_stop(weir);
        serve_unready((const char *const[]){"--token", wrong[i], NULL});
        assert_int_equal(weir_await_exit(weir, 20), 64);
        assert_non_null(strstr(weir_output(weir), "weir: --token: a token is made of"));
        assert_null(strstr(weir_output(weir), "s3cret"));
    }
}

/* As of an editor that writes two bytes for each character: its first would let anybody in. */
static void a_token_file_with_a_nul_stops_the_start(void **state)
{
    FILE *f = fopen(token_file, "w");
    assert_non_null(f);
    assert_int_equal(fwrite("s\0"
                            "3\0"
                            "\n\0",
                            1, 6, f),
                     6);
    assert_int_equal(fclose(f), 0);
    serve_unready((const char *const[]){"--token-file", token_file, NULL});
    assert_int_equal(weir_await_exit(weir, 20), 64);
    assert_non_null(strstr(weir_output(weir), "it holds a NUL character"));
}

/* As the environment has it from a file. */
static void a_token_may_have_a_line_end_behind_it(void **state)
{
    serve_ready((const char *const[]){"--token", TOKEN "\n", NULL});
    controls("/pool/resume", 200);
}

static void an_admin_listener_takes_the_controls_along(void **state)
{
    serve_ready((const char *const[]){"--admin-listen", "127.0.0.1:0", "--token", TOKEN, "--lanes",
                                      "2", NULL});
    json_t *started = weir_await_event(weir, "service.started", 1, 5);
    uint16_t admin = (uint16_t)json_integer_value(json_object_get(started, "admin_port"));
    json_decref(started);
    for (size_t i = 0; i < ENDPOINTS; i++)
        controls(endpoints[i], 404);
    http_client *front = client;
    client = http_open(admin);
    controls("/pool/pause", 200);
    controls("/pool/resume", 200);
    controls("/reload", 200);
    controls("/pool/evict", 200);
    http_close(client);
    client = front;
}

/* ---- Pause and resume ---- */

static void a_pause_answers_once_nothing_is_leased(void **state)
{
    ask_beside(0, "/nap?s=0.4");
    assert_true(BECOMES(naps() == 1, 5));
    http_reply r = control("/pool/pause");
    assert_status(&r, 200);
    assert_true(r.seconds > 0.1);
    assert_true(truth(&r, "paused"));
    assert_int_equal(number(&r, "in_use"), 0);
    http_reply_free(&r);
    assert_int_equal(naps(), 0);
    assert_int_equal(answered(0), 200);
    assert_true(metric("weir_pool_paused{pool=\"default\"}") == 1);

    ask_beside(1, "/q/ping"); /* waits, and goes on with the pool */
    assert_true(BECOMES(pool("waiting") == 1, 1));
    r = control("/pool/resume");
    assert_status(&r, 200);
    assert_false(truth(&r, "paused"));
    http_reply_free(&r);
    assert_int_equal(answered(1), 200);
    json_decref(weir_await_event(weir, "pool.resumed", 1, 5)); /* and all before it */
    assert_int_equal(weir_events(weir, "pool.paused"), 1);
    assert_int_equal(weir_events(weir, "pool.resumed"), 1);
}

static void a_pool_at_rest_is_paused_without_a_wait(void **state)
{
    http_reply r = control("/pool/pause?timeout=0s");
    assert_status(&r, 200);
    assert_true(truth(&r, "paused"));
    http_reply_free(&r);
}

static void a_reload_that_meets_a_paused_pool_says_so(void **state)
{
    controls("/pool/pause", 200);
    http_reply r = control("/reload");
    assert_status(&r, 503);
    assert_string_equal(text(&r, "detail"), "pool \"default\": the pool is paused");
    http_reply_free(&r);
    controls("/pool/resume", 200);
    controls("/reload", 200);
}

static void who_waits_for_a_paused_pool_is_told_so(void **state)
{
    controls("/pool/pause", 200);
    http_reply r = get("/q/ping");
    assert_problem(&r, 503, "pool_timeout");
    assert_string_equal(json_string_value(member(&r, "pool", "verdict")), "paused");
    assert_non_null(strstr(text(&r, "detail"), "paused"));
    http_reply_free(&r);
    controls("/pool/resume", 200);
    r = get("/q/ping");
    assert_status(&r, 200);
    http_reply_free(&r);
}

static void a_pause_that_cannot_come_to_rest_names_the_holders(void **state)
{
    ask_beside(0, "/nap?s=1.5");
    assert_true(BECOMES(naps() == 1, 5));
    http_reply r = control("/pool/pause?timeout=100ms");
    assert_problem(&r, 504, "not_at_rest");
    json_t *holder = json_array_get(json_object_get(r.json, "holders"), 0);
    assert_string_equal(json_string_value(json_object_get(holder, "label")), "/nap");
    assert_string_equal(json_string_value(json_object_get(holder, "query")), "nap");
    assert_string_equal(json_string_value(member(&r, "pool", "verdict")), "paused");
    http_reply_free(&r);
    assert_true(is_paused());
    controls("/pool/resume", 200);
    assert_int_equal(answered(0), 200);
}

/* The connection of an operator whose pause waits for a nap to end. */
static int pause_under_a_nap(void)
{
    ask_beside(0, "/nap?s=1");
    assert_true(BECOMES(naps() == 1, 5));
    int fd = raw_dial(weir_port(weir));
    assert_true(raw_say(fd, "POST /pool/pause HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " TOKEN
                            "\r\nContent-Length: 0\r\n\r\n"));
    assert_true(BECOMES(is_paused(), 5));
    return fd;
}

static void a_pause_that_another_ends_says_so(void **state)
{
    int fd = pause_under_a_nap();
    controls("/pool/resume", 200);
    char *heard = raw_hear(fd, "}\n", 1);
    assert_memory_equal(heard, "HTTP/1.1 409", 12);
    assert_int_equal(raw_count(heard, "\"code\":\"resumed\""), 1);
    free(heard);
    close(fd);
    assert_int_equal(answered(0), 200);
}

static void an_operator_who_goes_away_leaves_the_pool_paused(void **state)
{
    int fd = pause_under_a_nap();
    raw_vanish(fd, true);
    assert_int_equal(answered(0), 200);
    assert_true(BECOMES(metric("http_server_active_requests") == 1, 5));
    assert_true(is_paused());
    controls("/pool/resume", 200);
}

/* ---- Resize and evict ---- */

static void a_resize_takes_effect_at_once(void **state)
{
    http_reply r = control("/pool/resize?max=20&min=3");
    assert_status(&r, 200);
    assert_int_equal(number(&r, "max"), 20);
    assert_int_equal(number(&r, "min"), 3);
    http_reply_free(&r);
    assert_true(metric("db_client_connection_max{pool=\"default\"}") == 20);
    assert_true(metric("db_client_connection_idle_min{pool=\"default\"}") == 3);
    assert_true(BECOMES(pool("idle") >= 3, 5));

    const char *const headers[] = {"Authorization: Bearer " TOKEN, NULL};
    r = http_send(client, "POST", "/pool/resize", "{\"max\": 1, \"min\": \"0\"}", headers);
    assert_status(&r, 200);
    assert_int_equal(number(&r, "max"), 1);
    http_reply_free(&r);
    assert_true(BECOMES(pool("size") <= 1, 5));
    assert_true(BECOMES(postgres_backends(database) <= 1, 5));
    r = control("/pool/resize?min=1"); /* what is not said stays */
    assert_int_equal(number(&r, "max"), 1);
    assert_int_equal(number(&r, "min"), 1);
    http_reply_free(&r);
}

static void a_resize_that_makes_no_sense_changes_nothing(void **state)
{
    static const struct {
        const char *path, *parameter;
    } wrong[] = {
        {"/pool/resize", "max"},
        {"/pool/resize?max=0", "max"},
        {"/pool/resize?max=-1", "max"},
        {"/pool/resize?max=many", "max"},
        {"/pool/resize?max=", "max"},
        {"/pool/resize?max", "max"},
        {"/pool/resize?max=99999999999", "max"},
        {"/pool/resize?max=101", "max"}, /* the limit */
        {"/pool/resize?min=5", "min"},   /* of 4 */
        {"/pool/resize?max=3&max=3", "max"},
        {"/pool/resize?spread=1s", "spread"},
        {"/pool/evict?spread=soon", "spread"},
        {"/pool/pause?timeout=5", "timeout"},
        {"/pool/drain?name=default", "name"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        http_reply r = control(wrong[i].path);
        assert_problem(&r, 400, "bad_parameter");
        assert_string_equal(text(&r, "parameter"), wrong[i].parameter);
        http_reply_free(&r);
    }
    http_reply r = control("/pool/resize?max=3&name=nowhere");
    assert_problem(&r, 404, "not_found");
    assert_non_null(strstr(text(&r, "detail"), "only \"default\""));
    http_reply_free(&r);
    static const char *const bodies[] = {"{\"max\":", "[3]", "{\"max\":3.5}", "{\"max\":[3]}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        const char *const headers[] = {"Authorization: Bearer " TOKEN, NULL};
        r = http_send(client, "POST", "/pool/resize", bodies[i], headers);
        assert_status(&r, 400);
        http_reply_free(&r);
    }
    assert_int_equal(pool("max"), 4);
}

static long backend(void)
{
    http_reply r = get("/q/ping");
    assert_status(&r, 200);
    long pid = (long)json_integer_value(
        json_object_get(json_array_get(json_object_get(r.json, "rows"), 0), "pid"));
    http_reply_free(&r);
    return pid;
}

static void an_evict_replaces_every_connection(void **state)
{
    ask_beside(0, "/nap?s=0.5");
    assert_true(BECOMES(naps() == 1, 5));
    long before = backend(); /* another one, idle now */
    controls("/pool/evict", 200);
    assert_int_equal(answered(0), 200); /* those in use, as they come back */
    assert_true(backend() != before);
    assert_true(BECOMES(
        metric("weir_connections_retired_total{pool=\"default\",reason=\"evicted\"}") >= 2, 5));
    double evicted = metric("weir_connections_retired_total{pool=\"default\",reason=\"evicted\"}");
    controls("/pool/evict?spread=1h", 200); /* idle ones, at some moment of the hour */
    assert_true(metric("weir_connections_retired_total{pool=\"default\",reason=\"evicted\"}") <=
                evicted + 1);
}

/* ---- Drain and reload ---- */

static void a_drain_ends_the_service_as_sigterm_does(void **state)
{
    serve_with_tokens(NULL);
    ask_beside(0, "/nap?s=0.7");
    assert_true(BECOMES(naps() == 1, 5));
    http_reply r = control("/pool/drain");
    assert_status(&r, 202);
    assert_true(truth(&r, "draining"));
    http_reply_free(&r);
    assert_true(BECOMES(http_status(weir_port(weir), "/q/ping") == 503, 5));
    r = control("/reload"); /* comes too late, and may be tried where the service is next */
    assert_problem(&r, 503, "draining");
    assert_non_null(http_header(&r, "Retry-After"));
    http_reply_free(&r);
    assert_int_equal(answered(0), 200);
    assert_int_equal(weir_await_exit(weir, 10), 0);
}

/* With a lease out, a request that waits for one, and an operator who waits for a pause. */
static void a_paused_service_still_ends(void **state)
{
    tokens(TOKEN "\n");
    serve_ready((const char *const[]){"--token-file", token_file, "--acquire-timeout", "20s",
                                      "--drain-timeout", "300ms", "--lanes", "2", NULL});
    ask_beside(0, "/nap?s=20");
    assert_true(BECOMES(naps() == 1, 5));
    int fd = raw_dial(weir_port(weir));
    assert_true(raw_say(fd, "POST /pool/pause HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " TOKEN
                            "\r\nContent-Length: 0\r\n\r\n"));
    assert_true(BECOMES(is_paused(), 5));
    ask_beside(1, "/q/ping");
    assert_true(BECOMES(pool("waiting") == 1, 5));
    double began = now();
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 10 * slower()), 0);
    assert_true(now() - began < 3 * slower());
    char *heard = raw_hear(fd, "}\n", 1);
    assert_memory_equal(heard, "HTTP/1.1 503", 12);
    assert_int_equal(raw_count(heard, "the service is stopping"), 1);
    free(heard);
    close(fd);
    assert_int_equal(answered(0), 503);
    assert_int_equal(answered(1), 503);
}

static void a_reload_answers_with_what_happened(void **state)
{
    query_file("fresh", "select 2 as two\n");
    http_reply r = control("/reload");
    assert_status(&r, 200);
    assert_int_equal(number(&r, "queries"), 3);
    http_reply_free(&r);
    for (int i = 0; i < 10; i++) /* on every lane, by now */
        assert_int_equal(http_status(weir_port(weir), "/q/fresh"), 200);

    query_file("fresh", "select 2 as two,\n  three\n");
    r = control("/reload");
    assert_problem(&r, 422, "reload_failed");
    assert_non_null(strstr(text(&r, "detail"), "/fresh.sql:2: "));
    assert_non_null(strstr(text(&r, "detail"), "three"));
    http_reply_free(&r);
    assert_int_equal(http_status(weir_port(weir), "/q/fresh"), 200);

    query_file("fresh", "select 2 as two\n");
    postgres_shut_down(database);
    r = control("/reload");
    assert_problem(&r, 503, "database_unavailable");
    http_reply_free(&r);
    postgres_bring_up(database);
    assert_true(BECOMES(http_status(weir_port(weir), "/q/fresh") == 200, 5));
    controls("/reload", 200);
    unlink(strcat(strcpy((char[PATH_MAX]){0}, folder), "/fresh.sql"));
}

/* Each is answered by a load that began after it was asked for. */
static void reloads_asked_for_together_are_all_answered(void **state)
{
    enum { ASKED = 12 };
    int fds[ASKED];
    for (int i = 0; i < ASKED; i++) {
        fds[i] = raw_dial(weir_port(weir));
        assert_true(raw_say(fds[i], "POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
                                    "Authorization: Bearer " TOKEN "\r\n\r\n"));
    }
    for (int i = 0; i < 3; i++)
        raw_vanish(fds[i], i % 2);
    for (int i = 3; i < ASKED; i++) {
        char *heard = raw_hear(fds[i], "}\n", 1);
        assert_memory_equal(heard, "HTTP/1.1 200", 12);
        assert_int_equal(raw_count(heard, "{\"queries\":2,"), 1);
        free(heard);
        close(fds[i]);
    }
}

#define with_tokens(name) cmocka_unit_test_setup_teardown(name, serve_with_tokens, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_token_nobody_may_and_is_told_what_to_set,
                                        serve_without, stop),
        with_tokens(a_wrong_or_missing_token_is_401_with_a_challenge),
        with_tokens(tokens_are_read_again_and_never_told),
        cmocka_unit_test_teardown(a_wrong_token_file_stops_the_start, stop_stopped),
        cmocka_unit_test_teardown(a_token_file_with_a_nul_stops_the_start, stop_stopped),
        cmocka_unit_test_teardown(a_token_may_have_a_line_end_behind_it, stop),
        cmocka_unit_test_teardown(an_admin_listener_takes_the_controls_along, stop),
        with_tokens(a_pause_answers_once_nothing_is_leased),
        with_tokens(a_pool_at_rest_is_paused_without_a_wait),
        with_tokens(a_reload_that_meets_a_paused_pool_says_so),
        with_tokens(who_waits_for_a_paused_pool_is_told_so),
        with_tokens(a_pause_that_cannot_come_to_rest_names_the_holders),
        with_tokens(a_pause_that_another_ends_says_so),
        with_tokens(an_operator_who_goes_away_leaves_the_pool_paused),
        with_tokens(a_resize_takes_effect_at_once),
        with_tokens(a_resize_that_makes_no_sense_changes_nothing),
        with_tokens(an_evict_replaces_every_connection),
        cmocka_unit_test_teardown(a_drain_ends_the_service_as_sigterm_does, stop_stopped),
        cmocka_unit_test_teardown(a_paused_service_still_ends, stop_stopped),
        with_tokens(a_reload_answers_with_what_happened),
        with_tokens(reloads_asked_for_together_are_all_answered),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("pool_control", tests, start_world, end_world);
}
