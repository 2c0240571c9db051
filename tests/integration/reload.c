/* reload.c: tests of POST /reload and SIGHUP: all of what is on disk, or none of it. */
#include "../support/served.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char configuration[PATH_MAX], token_file[PATH_MAX];

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void configure(const char *text)
{
    write_file(configuration, text);
}

static void forget_query(const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s.sql", folder, name);
    unlink(path);
}

static int start(void **state)
{
    database = postgres_start("max_connections = 60\n");
    folder = scratch_folder();
    snprintf(configuration, sizeof configuration, "%s/weir.conf", folder);
    snprintf(token_file, sizeof token_file, "%s/tokens", folder);
    query_file("ping", "select 1 as one\n");
    query_file("nap", "select pg_sleep(:s)::text as slept\n");
    query_file("text", "-- @route POST /text\nselect length(:text) as length\n");
    return 0;
}

static int end(void **state)
{
    scratch_remove(folder);
    postgres_stop(database);
    return 0;
}

/* What a test starts with: the default pool and another one. */
#define BEGINNING                                                                                  \
    "pool-max = 6\npool-min = 1\nlog-level = debug\ntoken-file = %s\npool = other=%s\n"            \
    "pool-size = other=3:1\n"

static char beginning[8192];

static int serve(void **state)
{
    snprintf(beginning, sizeof beginning, BEGINNING, token_file, postgres_conninfo(database));
    configure(beginning);
    write_file(token_file, "sesame\n");
    weir = weir_start((const char *const[]){"serve", "--config", configuration, "--listen",
                                            "127.0.0.1:0", "--database",
                                            postgres_conninfo(database), "--queries", folder,
                                            "--log-format", "json", "--lanes", "2", NULL});
    if (!weir_await_ready(weir))
        fail_msg("not ready:\n%s", weir_output(weir));
    client = http_open(weir_port(weir));
    return 0;
}

/* The configuration of the beginning, and more behind it or in its place. */
static void configure_more(const char *more)
{
    char text[32768];
    snprintf(text, sizeof text, "%s%s", beginning, more);
    configure(text);
}

static void configure_instead(const char *old, const char *new)
{
    char text[16384];
    const char *at = strstr(beginning, old);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - beginning), beginning, new,
             at + strlen(old));
    configure(text);
}

static http_reply reload(void)
{
    return post_as("sesame", "/reload");
}

/* What an array of the answer holds, as text. */
static void lists(const http_reply *r, const char *name, const char *expected)
{
    char *found = json_dumps(json_object_get(r->json, name), JSON_COMPACT);
    assert_non_null(found);
    assert_string_equal(found, expected);
    free(found);
}

static void reloads_and_changes(const char *expected)
{
    http_reply r = reload();
    assert_status(&r, 200);
    lists(&r, "changed", expected);
    http_reply_free(&r);
}

static long size_of(const char *pool_name, const char *what)
{
    char path[64];
    snprintf(path, sizeof path, "/pool?name=%s", pool_name);
    http_reply r = get(path);
    long value = (long)json_integer_value(json_object_get(r.json, what));
    http_reply_free(&r);
    return value;
}

static int status_of(const char *path)
{
    return http_status(weir_port(weir), path);
}

/* ---- What changes ---- */

static void settings_change(void **state)
{
    http_reply r;
    configure_more("query-timeout = 150ms\n");
    reloads_and_changes("[{\"name\":\"query-timeout\",\"from\":\"5s\",\"to\":\"150ms\"}]");
    for (int i = 0; i < 4; i++) /* whichever lane takes it */
        assert_int_equal(status_of("/q/nap?s=20"), 504);

    configure_more("body-max = 100\ngzip-min = off\nexpose-sql = on\nbatch-max = 1\n");
    reloads_and_changes("[{\"name\":\"query-timeout\",\"from\":\"150ms\",\"to\":\"5s\"},"
                        "{\"name\":\"batch-max\",\"from\":\"100\",\"to\":\"1\"},"
                        "{\"name\":\"body-max\",\"from\":\"1m\",\"to\":\"100\"},"
                        "{\"name\":\"gzip-min\",\"from\":\"1k\",\"to\":\"off\"},"
                        "{\"name\":\"expose-sql\",\"from\":\"off\",\"to\":\"on\"}]");
    char *body = repeated("{\"text\":\"", "0123456789", 20, "\"}");
    r = http_send(client, "POST", "/text", body, NULL);
    assert_problem(&r, 413, "body_too_large");
    http_reply_free(&r);
    free(body);
    fails_with("POST", "/batch", "[{\"query\":\"ping\"},{\"query\":\"ping\"}]", 400,
               "bad_parameter");

    configure("log-level = error\n");
    r = post_as("sesame", "/reload"); /* which loses its own token by that */
    assert_status(&r, 200);
    http_reply_free(&r);
    r = post_as("sesame", "/reload");
    assert_problem(&r, 403, "no_token_set");
    http_reply_free(&r);
}

static void the_log_level_changes(void **state)
{
    assert_int_equal(status_of("/q/ping"), 200);
    assert_true(BECOMES(weir_events(weir, "lease.granted") > 0, 10));
    configure_instead("log-level = debug", "log-level = info");
    reloads_and_changes("[{\"name\":\"log-level\",\"from\":\"debug\",\"to\":\"info\"}]");
    json_decref(weir_await_event(weir, "service.reloaded", 1, 10)); /* and all before it */
    int before = weir_events(weir, "lease.granted");
    for (int i = 0; i < 5; i++)
        assert_int_equal(status_of("/q/ping"), 200);
    configure(beginning);
    reloads_and_changes("[{\"name\":\"log-level\",\"from\":\"info\",\"to\":\"debug\"}]");
    assert_int_equal(weir_events(weir, "lease.granted"), before);
    assert_int_equal(status_of("/q/ping"), 200);
    assert_true(BECOMES(weir_events(weir, "lease.granted") > before, 5));
}

static void pools_change_their_sizes(void **state)
{
    configure_instead("pool-max = 6\npool-min = 1", "pool-max = 9\npool-min = 4");
    reloads_and_changes("[{\"name\":\"pool-max\",\"from\":\"6\",\"to\":\"9\"},"
                        "{\"name\":\"pool-min\",\"from\":\"1\",\"to\":\"4\"}]");
    assert_int_equal(size_of("default", "max"), 9);
    assert_true(BECOMES(size_of("default", "size") >= 4, 10));
    configure_instead("other=3:1", "other=5:2");
    reloads_and_changes("[{\"name\":\"pool-max\",\"from\":\"9\",\"to\":\"6\"},"
                        "{\"name\":\"pool-min\",\"from\":\"4\",\"to\":\"1\"},"
                        "{\"name\":\"pool-size\"}]");
    assert_int_equal(size_of("default", "max"), 6);
    assert_int_equal(size_of("other", "max"), 5);
    assert_true(BECOMES(size_of("other", "size") == 2, 10));
}

static void what_an_operator_has_set_stays_until_the_file_changes(void **state)
{
    http_reply r = post_as("sesame", "/pool/resize?max=4&min=2");
    assert_status(&r, 200);
    http_reply_free(&r);
    configure_more("query-timeout = 2s\n");
    reloads_and_changes("[{\"name\":\"query-timeout\",\"from\":\"5s\",\"to\":\"2s\"}]");
    assert_int_equal(size_of("default", "max"), 4);
    configure_instead("pool-max = 6", "pool-max = 7");
    reloads_and_changes("[{\"name\":\"pool-max\",\"from\":\"6\",\"to\":\"7\"},"
                        "{\"name\":\"query-timeout\",\"from\":\"2s\",\"to\":\"5s\"}]");
    assert_int_equal(size_of("default", "max"), 7);
    assert_int_equal(size_of("default", "min"), 2);
    configure_instead("pool-max = 6", "pool-max = 1"); /* fewer than the operator keeps open */
    reloads_and_changes("[{\"name\":\"pool-max\",\"from\":\"7\",\"to\":\"1\"}]");
    assert_int_equal(size_of("default", "max"), 1);
    assert_int_equal(size_of("default", "min"), 1);
}

static void queries_that_came_went_and_changed_are_named(void **state)
{
    query_file("old", "select 1 as one\n");
    query_file("odd", "select 1 as one\n");
    http_reply r = reload();
    assert_status(&r, 200);
    lists(&r, "queries_added", "[\"odd\",\"old\"]");
    lists(&r, "queries_removed", "[]");
    http_reply_free(&r);
    forget_query("old");
    query_file("new", "select 1 as one\n");
    query_file("odd", "select 1 as one -- still\n");
    r = reload();
    assert_status(&r, 200);
    assert_int_equal(json_integer_value(json_object_get(r.json, "queries")), 5);
    lists(&r, "queries_added", "[\"new\"]");
    lists(&r, "queries_removed", "[\"old\"]");
    lists(&r, "queries_changed", "[\"odd\"]");
    lists(&r, "changed", "[]");
    lists(&r, "restart_needed", "[]");
    http_reply_free(&r);
    json_t *line = weir_await_event(weir, "service.reloaded", 2, 10);
    assert_string_equal(json_string_value(json_object_get(line, "queries_changed")), "odd");
    json_decref(line);
    forget_query("new");
    forget_query("odd");
}

static void what_only_a_restart_changes_is_told_each_time(void **state)
{
    for (int i = 1; i <= 2; i++) {
        char text[8192];
        snprintf(text, sizeof text, "queue-max = 7\nlanes = 3\npool-max = 8\ntoken-file = %s\n",
                 token_file);
        configure(text);
        http_reply r = reload();
        assert_status(&r, 200);
        lists(&r, "restart_needed",
              "[{\"name\":\"pool\"},{\"name\":\"queue-max\",\"from\":\"1024\",\"to\":\"7\"}]");
        http_reply_free(&r);
        json_t *line = weir_await_event(weir, "service.restart_needed", i, 10);
        assert_string_equal(json_string_value(json_object_get(line, "settings")),
                            "pool, queue-max 1024 → 7");
        assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
        json_decref(line);
    }
    assert_int_equal(size_of("default", "queue_max"), 1024);
    assert_int_equal(size_of("default", "max"), 8);
    assert_int_equal(size_of("other", "max"), 3);
}

static void tokens_change_without_being_told(void **state)
{
    write_file(token_file, "sesame\nfresh-one\n");
    reloads_and_changes("[{\"name\":\"token-file\"}]");
    reloads_and_changes("[]");
    http_reply r = post_as("fresh-one", "/pool/resume");
    assert_status(&r, 200);
    http_reply_free(&r);
    assert_null(strstr(weir_output(weir), "fresh-one"));
}

static void contents_of_other_files_change_too(void **state)
{
    char clients[PATH_MAX + 16], secret[PATH_MAX + 16], more[2 * PATH_MAX + 128];
    snprintf(clients, sizeof clients, "%s/clients", folder);
    snprintf(secret, sizeof secret, "%s/secret", folder);
    write_file(clients, "client-one\n");
    write_file(secret, "0123456789abcdef0123456789abcdef\n");
    snprintf(more, sizeof more, "client-token-file = %s\njwt-secret-file = %s\n", clients, secret);
    configure_more(more);
    http_reply r = reload();
    assert_status(&r, 200);
    http_reply_free(&r);
    reloads_and_changes("[]");
    write_file(clients, "client-two\n");
    reloads_and_changes("[{\"name\":\"client-token-file\"}]");
    write_file(secret, "0123456789abcdef0123456789abcdeX\n");
    reloads_and_changes("[{\"name\":\"jwt-secret-file\"}]");
    write_file(secret, "too short\n");
    write_file(clients, "client-three\n");
    r = reload();
    assert_problem(&r, 422, "reload_failed");
    assert_non_null(strstr(text(&r, "detail"), "/secret: "));
    http_reply_free(&r);
    assert_null(strstr(weir_output(weir), "client-two"));
    assert_null(strstr(weir_output(weir), "client-three"));
}

static void sighup_does_the_same(void **state)
{
    configure_instead("pool-max = 6", "pool-max = 5");
    query_file("fresh", "select 2 as two\n");
    weir_signal(weir, SIGHUP);
    json_t *line = weir_await_event(weir, "service.reloaded", 1, 10);
    assert_string_equal(json_string_value(json_object_get(line, "changed")), "pool-max 6 → 5");
    assert_string_equal(json_string_value(json_object_get(line, "queries_added")), "fresh");
    json_decref(line);
    assert_int_equal(size_of("default", "max"), 5);
    assert_int_equal(status_of("/q/fresh"), 200);
    forget_query("fresh");
}

/* ---- What changes nothing ---- */

static void spoil(const char *what)
{
    if (strcmp(what, "query") == 0)
        query_file("wrong", "select nothing\n  from nowhere\n");
    else if (strcmp(what, "annotation") == 0)
        query_file("wrong", "-- @rout GET /x\nselect 1\n");
    else if (strcmp(what, "token") == 0)
        write_file(token_file, "sesame\nnew-one\nnot a token\n");
    else if (strcmp(what, "no token") == 0)
        write_file(token_file, "# to be filled\n");
    else if (strcmp(what, "token file") == 0)
        unlink(token_file);
    else if (strcmp(what, "configuration") == 0)
        unlink(configuration);
    else
        configure_more(what);
}

/* With each fault come good changes of each kind, of which none may show. */
static void a_fault_anywhere_changes_nothing(void **state)
{
    static const struct {
        const char *what, *detail;
    } faults[] = {
        {"query", "/wrong.sql:2: "},
        {"annotation", "/wrong.sql:1: "},
        {"token", "/tokens:3: "},
        {"no token", "/tokens: it holds no token: "},
        {"token file", "/tokens: the tokens cannot be read: "},
        {"configuration", "weir.conf cannot be read: "},
        {"pool-mx = 3\n", "/weir.conf:7: unknown name pool-mx: did you mean pool-max?"},
        {"query-timeout = never\n", "/weir.conf:7: query-timeout: "},
        {"pool-max = 3\n", "/weir.conf:7: pool-max has been said in line 1"},
        {"log-level\n", "/weir.conf:7: a line is NAME = VALUE"},
        {"queue-reserve = 2000\n", "--queue-reserve 2000 leaves no place of --queue-max 1024"},
        {"pool-size = other=101\n", "pool \"other\": a maximum of 101 is more than the 100 "},
        {"tls-cert = /nowhere\n", "--tls-cert needs --tls-key"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        configure_instead("pool-max = 6", "pool-max = 8");
        query_file("fresh", "select 2 as two\n");
        query_file("ping", "select 2 as two\n");
        write_file(token_file, "sesame\nnew-one\n");
        spoil(faults[i].what);
        http_reply r = reload();
        assert_problem(&r, 422, "reload_failed");
        if (!strstr(text(&r, "detail"), faults[i].detail))
            fail_msg("%s: %s", faults[i].what, text(&r, "detail"));
        http_reply_free(&r);
        r = post_as("new-one", "/pool/resume");
        assert_problem(&r, 401, "unauthorized");
        http_reply_free(&r);
        r = get("/q/ping");
        assert_non_null(strstr(r.body, "\"one\":1"));
        http_reply_free(&r);
        assert_int_equal(status_of("/q/fresh"), 404);
        assert_int_equal(size_of("default", "max"), 6);
        assert_int_equal(size_of("other", "max"), 3);
        assert_int_equal(weir_events(weir, "pool.resized"), 0);
        forget_query("wrong");
    }
    query_file("ping", "select 1 as one\n");
    forget_query("fresh");
}

static void a_database_that_is_away_changes_nothing(void **state)
{
    configure_instead("pool-max = 6", "pool-max = 8");
    write_file(token_file, "new-one\n");
    postgres_shut_down(database);
    http_reply r = reload();
    assert_problem(&r, 503, "database_unavailable");
    http_reply_free(&r);
    assert_int_equal(size_of("default", "max"), 6);
    postgres_bring_up(database);
    assert_true(BECOMES(status_of("/q/ping") == 200, 10));
    assert_true(BECOMES((r = reload(), http_reply_free(&r), size_of("default", "max")) == 8, 10));
    r = post_as("new-one", "/reload");
    assert_status(&r, 200);
    http_reply_free(&r);
}

/* ---- Several at once ---- */

static atomic_bool busy;
static atomic_int answers, failures;

static void *ask_on_and_on(void *arg)
{
    http_client *own = http_open(weir_port(weir));
    while (atomic_load(&busy)) {
        http_reply r = http_get(own, "/q/ping");
        bool good = r.status == 200 && strstr(r.body, "\"one\":1");
        atomic_fetch_add(good ? &answers : &failures, 1);
        http_reply_free(&r);
    }
    http_close(own);
    return NULL;
}

static void *reload_on_and_on(void *arg)
{
    http_client *own = http_open(weir_port(weir));
    const char *const headers[] = {"Authorization: Bearer sesame", NULL};
    for (int i = 0; i < 15; i++) {
        http_reply r = http_send(own, "POST", "/reload", NULL, headers);
        if (r.status != 200)
            atomic_fetch_add(&failures, 1);
        http_reply_free(&r);
    }
    http_close(own);
    return NULL;
}

static void reloads_under_load_lose_no_request(void **state)
{
    enum { ASKING = 3, RELOADING = 3 };
    pthread_t threads[ASKING + RELOADING];
    configure_instead("log-level = debug", "log-level = info"); /* a log that is soon read */
    reloads_and_changes("[{\"name\":\"log-level\",\"from\":\"debug\",\"to\":\"info\"}]");
    atomic_store(&busy, true);
    for (int i = 0; i < ASKING + RELOADING; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < ASKING ? ask_on_and_on : reload_on_and_on, NULL),
            0);
    char made[PATH_MAX + 16], odd[PATH_MAX + 16];
    snprintf(made, sizeof made, "%s/made", folder);
    snprintf(odd, sizeof odd, "%s/odd.sql", folder);
    for (int i = 0; i < 20; i++) {
        write_file(made, i % 2 ? "select 1 as one\n" : "select 2 as two\n");
        rename(made, odd); /* at once: half a file would be a fault */
        int before = weir_events(weir, "service.reloaded");
        weir_signal(weir, SIGHUP);
        assert_true(BECOMES(weir_events(weir, "service.reloaded") > before, 10));
    }
    for (int i = ASKING; i < ASKING + RELOADING; i++)
        pthread_join(threads[i], NULL);
    BECOMES(atomic_load(&answers) >= 100, 20);
    atomic_store(&busy, false);
    for (int i = 0; i < ASKING; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(failures, 0);
    assert_true(answers >= 100);
    forget_query("odd");
}

int main(void)
{
#define served(name) cmocka_unit_test_setup_teardown(name, serve, stop)
    const struct CMUnitTest tests[] = {
        served(settings_change),
        served(the_log_level_changes),
        served(pools_change_their_sizes),
        served(what_an_operator_has_set_stays_until_the_file_changes),
        served(queries_that_came_went_and_changed_are_named),
        served(what_only_a_restart_changes_is_told_each_time),
        served(tokens_change_without_being_told),
        served(contents_of_other_files_change_too),
        served(sighup_does_the_same),
        served(a_fault_anywhere_changes_nothing),
        served(a_database_that_is_away_changes_nothing),
        served(reloads_under_load_lose_no_request),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("reload", tests, start, end);
}
