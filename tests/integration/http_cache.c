/* http_cache.c: tests of answers that a client has already, and of how long it may keep them. */
#include "../support/items.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A GET that names the tag it knows; "" names none. */
static http_reply get_knowing(const char *path, const char *etag)
{
    char header[256];
    snprintf(header, sizeof header, "If-None-Match: %s", etag);
    return http_send(client, "GET", path, NULL, *etag ? (const char *const[]){header, NULL} : NULL);
}

/* The tag of an answer, which must have one. */
static void tag_of(const char *path, char etag[64])
{
    http_reply r = get(path);
    assert_status(&r, 200);
    assert_non_null(http_header(&r, "ETag"));
    snprintf(etag, 64, "%s", http_header(&r, "ETag"));
    http_reply_free(&r);
}

static void rows_that_a_client_has_are_not_sent_again(void **state)
{
    char etag[64];
    tag_of("/items?n=2", etag);
    assert_memory_equal(etag, "W/\"", 3); /* the pool's figures are not in it */
    http_reply r = get_knowing("/items?n=2", etag);
    assert_status(&r, 304);
    assert_int_equal(r.length, 0);
    assert_string_equal(http_header(&r, "ETag"), etag);
    assert_null(http_header(&r, "Content-Type"));
    assert_non_null(http_header(&r, "Server-Timing"));
    http_reply_free(&r);
    r = get_knowing("/items?n=3", etag);
    assert_status(&r, 200);
    http_reply_free(&r);
}

static void a_change_of_a_row_changes_the_tag(void **state)
{
    char etag[64];
    tag_of("/items/20", etag);
    http_reply r = http_send(client, "PUT", "/items/20", "{\"name\":\"another\"}", NULL);
    assert_status(&r, 200);
    assert_null(http_header(&r, "ETag"));
    assert_null(http_header(&r, "Cache-Control"));
    http_reply_free(&r);
    r = get_knowing("/items/20", etag);
    assert_status(&r, 200);
    assert_string_not_equal(http_header(&r, "ETag"), etag);
    http_reply_free(&r);
}

static void a_connection_goes_on_after_a_304(void **state)
{
    char etag[64], request[512];
    tag_of("/items?n=2", etag);
    int fd = raw_dial(weir_port(weir));
    snprintf(request, sizeof request,
             "GET /items?n=2 HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"x\", %s\r\n\r\n"
             "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
             etag);
    say(fd, request);
    char *heard = raw_hear(fd, "alive\n", 1);
    assert_int_equal(raw_count(heard, "HTTP/1.1 304 Not Modified"), 1);
    assert_int_equal(raw_count(heard, "HTTP/1.1 200 OK"), 1);
    assert_int_equal(raw_count(heard, "rows"), 0);
    /* A cache may take the length that a 304 tells for that of the rows. */
    assert_int_equal(raw_count(heard, "Content-Length: 0"), 0);
    free(heard);
    close(fd);
}

static void a_trace_is_of_one_request_and_not_kept(void **state)
{
    http_reply r = get_knowing("/items?n=2&_trace=1", "*");
    assert_status(&r, 200);
    assert_null(http_header(&r, "ETag"));
    assert_string_equal(http_header(&r, "Cache-Control"), "no-store");
    http_reply_free(&r);
}

static void a_problem_is_not_kept(void **state)
{
    http_reply r = get_knowing("/items/7000", "*");
    assert_problem(&r, 404, "row_not_found");
    assert_null(http_header(&r, "ETag"));
    assert_string_equal(http_header(&r, "Cache-Control"), "no-store");
    http_reply_free(&r);
}

static void a_post_is_answered_whatever_the_client_has(void **state)
{
    const char *const any[] = {"If-None-Match: *", NULL};
    http_reply r = http_send(client, "POST", "/q/ping", "{}", any);
    assert_status(&r, 200);
    assert_null(http_header(&r, "ETag"));
    http_reply_free(&r);
}

static void a_file_says_how_long_its_answer_may_be_kept(void **state)
{
    static const struct {
        const char *path, *said;
    } cases[] = {{"/q/ping", "no-cache"},
                 {"/q/kept", "private, max-age=5"},
                 {"/q/shared", "public, max-age=120"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_reply r = get(cases[i].path);
        assert_status(&r, 200);
        assert_string_equal(http_header(&r, "Cache-Control"), cases[i].said);
        http_reply_free(&r);
    }
}

static int cache_start(void **state)
{
    items_start(state);
    query_file("kept", "-- @cache 5s\nselect 1 as one");
    query_file("shared", "-- @cache 2m public\nselect 1 as one");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        usual(rows_that_a_client_has_are_not_sent_again),
        usual(a_change_of_a_row_changes_the_tag),
        usual(a_connection_goes_on_after_a_304),
        usual(a_trace_is_of_one_request_and_not_kept),
        usual(a_problem_is_not_kept),
        usual(a_post_is_answered_whatever_the_client_has),
        usual(a_file_says_how_long_its_answer_may_be_kept),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("http_cache", tests, cache_start, items_end);
}
