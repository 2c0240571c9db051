/* http_gzip.c: tests of answers sent as gzip. */
#include "../support/items.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define GZIP "Accept-Encoding: gzip\r\n"

/* Its rows take long to pack, and so does what describes it. */
static int start(void **state)
{
    items_start(state);
    char *long_winded =
        repeated("", "-- It says words and more words.\n", 20000,
                 "select md5(g::text) || md5(g || 'x') as word from generate_series(1, :n::int) g");
    query_file("words", long_winded);
    free(long_winded);
    return 0;
}

static http_reply get_gzip(const char *path)
{
    return http_send(client, "GET", path, NULL,
                     (const char *const[]){"Accept-Encoding: gzip", NULL});
}

/* What is in an answer that must be gzip; free() it. */
static char *unpacked_text(const http_reply *r, size_t *length)
{
    enum { MOST = 16 << 20 };
    assert_string_equal(http_header(r, "Content-Encoding"), "gzip");
    assert_string_equal(http_header(r, "Vary"), "Accept-Encoding");
    char *plain = malloc(MOST);
    z_stream s = {.next_in = (unsigned char *)r->body,
                  .avail_in = (unsigned)r->length,
                  .next_out = (unsigned char *)plain,
                  .avail_out = MOST};
    assert_int_equal(inflateInit2(&s, 15 + 16), Z_OK);
    assert_int_equal(inflate(&s, Z_FINISH), Z_STREAM_END);
    *length = s.total_out;
    inflateEnd(&s);
    return plain;
}

static json_t *unpacked(const http_reply *r)
{
    size_t length;
    char *plain = unpacked_text(r, &length);
    json_t *json = json_loadb(plain, length, 0, NULL);
    free(plain);
    assert_non_null(json);
    return json;
}

static void assert_plain(const http_reply *r)
{
    assert_status(r, 200);
    assert_null(http_header(r, "Content-Encoding"));
    assert_non_null(r->json);
}

static void an_answer_is_packed_for_who_asks_and_is_the_same(void **state)
{
    http_reply plain = get("/q/big?n=20");
    assert_plain(&plain);
    assert_string_equal(http_header(&plain, "Vary"), "Accept-Encoding");
    http_reply r = get_gzip("/q/big?n=20");
    assert_status(&r, 200);
    assert_true(r.length < plain.length / 10);
    assert_string_equal(http_header(&r, "ETag"), http_header(&plain, "ETag"));
    json_t *json = unpacked(&r);
    assert_true(json_equal(json_object_get(json, "rows"), json_object_get(plain.json, "rows")));
    assert_non_null(json_object_get(json, "pool"));
    json_decref(json);
    http_reply_free(&plain);
    http_reply_free(&r);
}

static void a_large_answer_is_packed_whole(void **state)
{
    http_reply r = get_gzip("/q/big?n=5000&_trace=1");
    assert_status(&r, 200);
    assert_true(r.length < 500000);
    json_t *json = unpacked(&r);
    assert_int_equal(json_array_size(json_object_get(json, "rows")), 5000);
    assert_non_null(json_object_get(json_object_get(json, "pool"), "lifecycle"));
    json_decref(json);
    http_reply_free(&r);
}

static void a_large_answer_that_a_client_has_is_not_sent_again(void **state)
{
    char header[128];
    http_reply r = get_gzip("/q/big?n=5000");
    snprintf(header, sizeof header, "If-None-Match: %s", http_header(&r, "ETag"));
    http_reply_free(&r);
    r = http_send(client, "GET", "/q/big?n=5000", NULL,
                  (const char *const[]){header, "Accept-Encoding: gzip", NULL});
    assert_status(&r, 304);
    assert_int_equal(r.length, 0);
    assert_null(http_header(&r, "Content-Encoding"));
    assert_string_equal(http_header(&r, "Vary"), "Accept-Encoding");
    http_reply_free(&r);
}

static void a_small_answer_stays_plain(void **state)
{
    http_reply r = get_gzip("/q/ping");
    assert_plain(&r);
    assert_string_equal(http_header(&r, "Vary"), "Accept"); /* it could have been a stream */
    http_reply_free(&r);
}

static int serve_a_token(void **state)
{
    serve_ready((const char *const[]){"--pool-max", "4", "--token", "open-sesame", NULL});
    return 0;
}

static http_reply post_gzip(const char *path, const char *body)
{
    return http_send(
        client, "POST", path, body,
        (const char *const[]){"Accept-Encoding: gzip", "Authorization: Bearer open-sesame", NULL});
}

#define WORDS "{\"query\":\"words\",\"params\":{\"n\":10000}},"
#define SQL   "{\"sql\":\"select repeat('y', 100) as word from generate_series(1, 10000)\"},"

static const struct several {
    const char *path, *head, *piece, *tail;
} several[] = {
    {"/batch", "[", WORDS, "{\"query\":\"nothing\"}]"},
    {"/tx", "{\"queries\":[", WORDS, "{\"query\":\"ping\"}]}"},
    {"/sql", "{\"queries\":[", SQL, "{\"sql\":\"select 1\"}]}"},
};

static void several_large_results_are_packed_whole(void **state)
{
    for (size_t i = 0; i < sizeof several / sizeof *several; i++) {
        const struct several *s = &several[i];
        char *body = repeated(s->head, s->piece, 8, s->tail);
        http_reply plain = send_as("open-sesame", "POST", s->path, body);
        http_reply r = post_gzip(s->path, body);
        assert_plain(&plain);
        assert_status(&r, 200);
        json_t *json = unpacked(&r);
        assert_int_equal(json_array_size(json_object_get(json, "results")), 9);
        for (size_t p = 0; p < 8; p++) {
            json_t *was = json_array_get(json_object_get(plain.json, "results"), p);
            json_t *is = json_array_get(json_object_get(json, "results"), p);
            assert_int_equal(json_array_size(json_object_get(is, "rows")), 10000);
            assert_true(json_equal(json_object_get(is, "rows"), json_object_get(was, "rows")));
        }
        json_decref(json);
        http_reply_free(&plain);
        http_reply_free(&r);
        free(body);
    }
}

/* Whether others had their answers throughout: none waited for most of what this one took. */
static bool others_are_answered_during(const struct several *s)
{
    char *body = repeated(s->head, s->piece, 20, s->tail);
    double longest = 0, began = now();
    int fd = post_beside(s->path, GZIP, body);
    struct pollfd p = {fd, POLLIN, 0};
    while (poll(&p, 1, 0) == 0 && now() < began + 30 * slower()) {
        double asked = now();
        assert_answered(get("/livez"), 200);
        double took = now() - asked;
        longest = took > longest ? took : longest;
    }
    double whole = now() - began;
    char *heard = raw_hear(fd, "\r\n\r\n", 1);
    assert_memory_equal(heard, "HTTP/1.1 200", 12);
    free(heard);
    close(fd);
    free(body);
    return longest < whole / 4;
}

/* A machine that is busy may hold anybody up now and then, but not each time. */
static void others_are_answered_while_several_results_are_packed(void **state)
{
    serve_ready((const char *const[]){"--pool-max", "4", "--lanes", "1", NULL});
    for (int i = 0; i < 2; i++) /* what a token asks for is packed in the same way */
        assert_true(BECOMES(others_are_answered_during(&several[i]), 15));
}

static void a_large_page_is_packed_whole(void **state)
{
    static const char *const paths[] = {"/docs", "/openapi.json"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        http_reply plain = get(paths[i]), r = get_gzip(paths[i]);
        assert_status(&plain, 200);
        assert_status(&r, 200);
        assert_true(plain.length > 500000);
        size_t length;
        char *text = unpacked_text(&r, &length);
        assert_int_equal(length, plain.length);
        assert_memory_equal(text, plain.body, length);
        free(text);
        http_reply_free(&plain);
        http_reply_free(&r);
    }
}

static void pages_and_descriptions_are_packed_too(void **state)
{
    http_reply r = get_gzip("/openapi.json");
    assert_status(&r, 200);
    json_t *json = unpacked(&r);
    assert_non_null(json_object_get(json, "openapi"));
    json_decref(json);
    http_reply_free(&r);
    r = get_gzip("/metrics");
    assert_string_equal(http_header(&r, "Content-Encoding"), "gzip");
    http_reply_free(&r);
}

static void the_size_can_be_chosen_and_packing_turned_off(void **state)
{
    serve_ready((const char *const[]){"--gzip-min", "1", NULL});
    http_reply r = get_gzip("/q/echo?a=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_status(&r, 200);
    json_decref(unpacked(&r));
    http_reply_free(&r);
    stop(state);
    serve_ready((const char *const[]){"--gzip-min", "off", NULL});
    r = get_gzip("/q/big?n=5000");
    assert_plain(&r);
    assert_string_equal(http_header(&r, "Vary"), "Accept"); /* it could have been a stream */
    http_reply_free(&r);
}

/* While thousands of rows are packed, others are answered; who leaves then leaves nothing behind.
 */
static void clients_that_leave_while_theirs_is_packed_do_no_harm(void **state)
{
    static const char *const gets[] = {"GET /q/big?n=3000 HTTP/1.1\r\nHost: x\r\n" GZIP "\r\n",
                                       "GET /docs HTTP/1.1\r\nHost: x\r\n" GZIP "\r\n"};
    char *batch = repeated("[", WORDS, 4, "{\"query\":\"ping\"}]");
    for (int i = 0; i < 30; i++) {
        int fd = i % 3 < 2 ? raw_dial(weir_port(weir)) : post_beside("/batch", GZIP, batch);
        if (i % 3 < 2)
            say(fd, gets[i % 3]);
        if (i % 2) /* so that some are at the server, some at the packer */
            naps();
        close(fd);
    }
    free(batch);
    assert_answered(get("/q/ping"), 200);
    assert_true(BECOMES(pool("in_use") == 0, 10));
    assert_true(BECOMES(metric("http_server_active_requests") == 1, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        usual(an_answer_is_packed_for_who_asks_and_is_the_same),
        usual(a_large_answer_is_packed_whole),
        usual(a_large_answer_that_a_client_has_is_not_sent_again),
        usual(a_small_answer_stays_plain),
        usual(pages_and_descriptions_are_packed_too),
        cmocka_unit_test_setup_teardown(several_large_results_are_packed_whole, serve_a_token,
                                        stop),
        cmocka_unit_test_teardown(others_are_answered_while_several_results_are_packed, stop),
        usual(a_large_page_is_packed_whole),
        usual(clients_that_leave_while_theirs_is_packed_do_no_harm),
        cmocka_unit_test_teardown(the_size_can_be_chosen_and_packing_turned_off, stop),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("http_gzip", tests, start, items_end);
}
