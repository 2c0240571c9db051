/* promtool.c: what Prometheus's own checker says of /metrics, with every figure there can be. */
#include "../support/items.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Its exit code; what it says goes to the test's own output. */
static int promtool(const char *metrics)
{
    FILE *checker = popen("promtool check metrics 2>&1", "w");
    assert_non_null(checker);
    assert_int_equal(fwrite(metrics, strlen(metrics), 1, checker), 1);
    int status = pclose(checker);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool is_installed(void)
{
    return system("command -v promtool >/dev/null") == 0;
}

static void ask(const char *path, const char *accept, int status)
{
    const char *const headers[] = {accept, NULL};
    http_reply r = http_send(client, "GET", path, NULL, accept ? headers : NULL);
    assert_status(&r, status);
    http_reply_free(&r);
}

static void post(const char *path, const char *body, int status)
{
    const char *const token[] = {"Authorization: Bearer sesame", NULL};
    http_reply r = http_send(client, "POST", path, body, token);
    assert_status(&r, status);
    http_reply_free(&r);
}

/* One of each kind of request, done and refused. */
static void use_everything(void)
{
    ask("/items", NULL, 200);
    ask("/items", "Accept: text/csv", 200);
    ask("/items", "Accept-Encoding: gzip", 200);
    ask("/items", "If-None-Match: *", 304);
    ask("/q/elsewhere", NULL, 200);
    ask("/q/kept", NULL, 200);
    ask("/nowhere", NULL, 404);
    ask("/items/x", NULL, 400);
    ask("/short", NULL, 504);
    ask("/openapi.json", NULL, 200);
    post("/batch", "[{\"query\":\"ping\"},{\"query\":\"nap\"}]", 200);
    post("/tx", "{\"queries\":[{\"query\":\"ping\"}]}", 200);
    post("/sql", "{\"sql\":\"select 1\"}", 200);
    post("/pool/evict", NULL, 200);
    post("/pool/resize?max=3", NULL, 200);
    post("/reload", NULL, 200);
}

static void promtool_finds_nothing_wrong_with_metrics(void **state)
{
    if (!is_installed()) {
        const char *wish = getenv("PROMTOOL");
        if (wish && strcmp(wish, "required") == 0)
            fail_msg("promtool is not installed");
        skip();
    }
    use_everything();
    int fd = raw_dial(weir_port(weir)); /* and one under way */
    say(fd, "GET /nap?s=20 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(BECOMES(naps() == 1, 5));
    http_reply r = get("/metrics");
    assert_status(&r, 200);
    assert_int_equal(promtool(r.body), 0);
    http_reply_free(&r);
    close(fd);
    assert_true(BECOMES(naps() == 0, 5));
}

static void promtool_would_say_so(void **state)
{
    if (!is_installed())
        skip();
    assert_int_not_equal(promtool("# HELP bad_count Bad.\n# TYPE bad_count gauge\nbad_count 1\n"),
                         0);
}

static int serve_with_everything(void **state)
{
    char second[512];
    snprintf(second, sizeof second, "second=%s", postgres_conninfo(database));
    serve_ready((const char *const[]){"--pool", second, "--token", "sesame", "--lanes", "2", NULL});
    return 0;
}

static int metrics_start(void **state)
{
    items_start(state);
    query_file("elsewhere", "-- @pool second\nselect 1 as one");
    query_file("kept", "-- @cache 5s\nselect 1 as one");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(promtool_finds_nothing_wrong_with_metrics,
                                        serve_with_everything, stop),
        cmocka_unit_test(promtool_would_say_so),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("promtool", tests, metrics_start, items_end);
}
