/* tls.c: tests of HTTPS: what is agreed on, who leaves, who says nothing, and new certificates. */
#include "../support/served.h"

#include <arpa/inet.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/certificate.h"
#include "../support/tls_client.h"

#define TLS_1_2 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define TLS_1_3 "NORMAL:-VERS-ALL:+VERS-TLS1.3"

static char certificate[PATH_MAX], key[PATH_MAX], other_key[PATH_MAX], authorities[PATH_MAX];

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void append_file(const char *from, const char *to)
{
    char bytes[8192];
    FILE *in = fopen(from, "r"), *out = fopen(to, "a");
    assert_non_null(in);
    assert_non_null(out);
    size_t length = fread(bytes, 1, sizeof bytes, in);
    assert_true(length > 0 && fwrite(bytes, 1, length, out) == length);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* Puts a certificate of this name in place, and lets our own client believe it. */
static void certify(const char *name, int days)
{
    certificate_write(name, days, certificate, key);
    append_file(certificate, authorities);
}

static int start(void **state)
{
    database = postgres_start("max_connections = 40\n");
    folder = scratch_folder();
    snprintf(certificate, sizeof certificate, "%s/cert.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    snprintf(other_key, sizeof other_key, "%s/other.pem", folder);
    snprintf(authorities, sizeof authorities, "%s/authorities.pem", folder);
    query_file("ping", "select 1 as one\n");
    query_file("nap", "-- @route GET /nap\n-- @timeout 30s\nselect pg_sleep(:s)::text as slept\n");
    query_file("series", "select generate_series(1, :n::int) as g, 'some words' as words\n");
    query_file("length", "-- @route POST /length\nselect length(:text) as length\n");
    return 0;
}

static int end(void **state)
{
    scratch_remove(folder);
    postgres_stop(database);
    return 0;
}

static void serve_tls(const char *const *more)
{
    unlink(authorities);
    certify("first", 30);
    serve_unready(joined_flags((const char *const[]){"--tls-cert", certificate, "--tls-key", key,
                                                     "--token", "sesame", "--lanes", "2", NULL},
                               more));
    if (!weir_await_ready(weir))
        fail_msg("not ready:\n%s", weir_output(weir));
    client = http_open_tls(weir_port(weir), authorities);
}

static int serve(void **state)
{
    serve_tls((const char *const[]){"--pool-max", "4", NULL});
    return 0;
}

static int status_of(const char *path)
{
    return http_status_tls(weir_port(weir), authorities, path);
}

/* ---- What is agreed on ---- */

static int lines(const http_reply *r)
{
    int count = 0;
    for (const char *at = r->body, *end = r->body + r->length;
         (at = memchr(at, '\n', (size_t)(end - at))); at++)
        count++;
    return count;
}

static void requests_are_answered_over_tls(void **state)
{
    http_reply r = get("/q/ping");
    assert_status(&r, 200);
    http_reply_free(&r);
    char *body = repeated("{\"text\":\"", "0123456789", 60000, "\"}");
    r = http_send(client, "POST", "/length", body, NULL);
    assert_status(&r, 200);
    assert_non_null(strstr(r.body, "\"length\":600000"));
    http_reply_free(&r);
    free(body);
    r = http_send(client, "GET", "/q/series?n=200000", NULL,
                  (const char *const[]){"Accept: application/x-ndjson", NULL});
    assert_status(&r, 200);
    assert_int_equal(lines(&r), 200000);
    http_reply_free(&r);
    r = get("/q/series?n=9000");
    assert_status(&r, 200);
    assert_int_equal(json_integer_value(json_object_get(r.json, "count")), 9000);
    http_reply_free(&r);
    r = http_send(client, "GET", "/", NULL, (const char *const[]){"Accept: text/html", NULL});
    assert_non_null(strstr(r.body, "&#39;https://127.0.0.1:"));
    http_reply_free(&r);
}

static void tls_1_2_and_1_3_and_nothing_older_is_spoken(void **state)
{
    static const char *const good[] = {TLS_1_2, TLS_1_3}, *const bad[] = {
                                                              "NORMAL:-VERS-ALL:+VERS-TLS1.1",
                                                              "NORMAL:-VERS-ALL:+VERS-TLS1.0",
                                                              TLS_1_2 ":-KX-ALL:+RSA"};
    for (int i = 0; i < 2; i++) {
        tls_client *c = tls_dial(weir_port(weir), good[i]);
        assert_non_null(c);
        assert_string_equal(tls_protocol(c), "http/1.1");
        assert_string_equal(tls_name(c), "first");
        assert_true(tls_say(c, "GET /q/ping HTTP/1.1\r\nHost: x\r\n\r\n"));
        char *heard = tls_hear(c, "\"pool\"", 1, NULL);
        assert_memory_equal(heard, "HTTP/1.1 200", 12);
        free(heard);
        tls_vanish(c, true);
    }
    for (int i = 0; i < 3; i++)
        assert_null(tls_dial(weir_port(weir), bad[i]));
}

static void the_end_of_a_stream_without_chunks_is_said(void **state)
{
    bool ended;
    tls_client *c = tls_dial(weir_port(weir), NULL);
    assert_non_null(c);
    assert_true(tls_say(c, "GET /q/series?n=3000 HTTP/1.0\r\nAccept: text/csv\r\n\r\n"));
    char *heard = tls_hear(c, "never", 1, &ended);
    assert_true(ended);
    assert_int_equal(raw_count(heard, ",some words\r\n"), 3000);
    free(heard);
    tls_vanish(c, true);
}

static void plain_http_is_cut_off(void **state)
{
    int fd = raw_dial(weir_port(weir));
    assert_true(raw_say(fd, "GET /q/ping HTTP/1.1\r\nHost: x\r\n\r\n"));
    char *heard = raw_hear(fd, "never", 1);
    assert_int_equal(raw_count(heard, "HTTP/1.1"), 0);
    free(heard);
    close(fd);
    assert_int_equal(status_of("/q/ping"), 200);
}

static void weir_health_asks_under_tls_too(void **state)
{
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", weir_port(weir));
    for (int tls = 0; tls < 2; tls++) {
        weir_process *asking = weir_start(
            (const char *const[]){"health", "--listen", address, tls ? "--tls-cert" : NULL,
                                  certificate, "--tls-key", key, NULL});
        int code = weir_await_exit(asking, 10);
        if (tls)
            assert_string_equal(weir_output(asking), "ready\n");
        weir_stop(asking);
        assert_int_equal(code == 0, tls);
    }
}

/* ---- Clients that leave, or say nothing ---- */

#define GONE                                                                                       \
    "http_server_request_duration_seconds_count{route=\"/nap\",method=\"GET\",status=\"499\"}"

static void a_client_that_leaves_has_its_query_cancelled(void **state)
{
    static const char *const versions[] = {TLS_1_2, TLS_1_3};
    for (int i = 0; i < 4; i++) {
        tls_client *c = tls_dial(weir_port(weir), versions[i % 2]);
        assert_non_null(c);
        assert_true(tls_say(c, "GET /nap?s=25 HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_true(BECOMES(naps() == 1, 5));
        tls_vanish(c, i < 2); /* with a word, or without */
        assert_true(BECOMES(naps() == 0, 5));
        assert_true(BECOMES(metric(GONE) == i + 1, 5));
    }
}

static void a_request_behind_one_that_runs_keeps_it(void **state)
{
    tls_client *c = tls_dial(weir_port(weir), NULL);
    assert_true(tls_say(c, "GET /nap?s=0.3 HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(BECOMES(naps() == 1, 5));
    assert_true(tls_say(c, "GET /q/ping HTTP/1.1\r\nHost: x\r\n\r\n"));
    char *heard = tls_hear(c, "\"pool\"", 2, NULL);
    assert_int_equal(raw_count(heard, "HTTP/1.1 200"), 2);
    free(heard);
    tls_vanish(c, true);
}

static int serve_impatiently(void **state)
{
    serve_tls((const char *const[]){"--client-timeout", "1s", NULL});
    return 0;
}

/* The second begins a handshake and leaves it at that. */
static void who_does_not_shake_hands_is_cut_off(void **state)
{
    static const char hello[] = "\x16\x03\x01\x02";
    int fds[2] = {raw_dial(weir_port(weir)), raw_dial(weir_port(weir))};
    assert_true(raw_say(fds[1], hello));
    double began = now();
    for (int i = 0; i < 2; i++) {
        free(raw_hear(fds[i], "never", 1));
        assert_true(now() - began < 5 * slower());
        close(fds[i]);
    }
    assert_int_equal(status_of("/q/ping"), 200);
}

static void a_drain_answers_what_is_under_way(void **state)
{
    tls_client *c = tls_dial(weir_port(weir), NULL);
    assert_true(tls_say(c, "GET /nap?s=0.5 HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(BECOMES(naps() == 1, 5));
    weir_signal(weir, SIGTERM);
    char *heard = tls_hear(c, "\"pool\"", 1, NULL);
    assert_memory_equal(heard, "HTTP/1.1 200", 12);
    free(heard);
    tls_vanish(c, true);
    assert_int_equal(weir_await_exit(weir, 10), 0);
}

/* ---- New certificates ---- */

static http_reply reload(void)
{
    return post_as("sesame", "/reload");
}

static void a_new_certificate_is_for_new_connections(void **state)
{
    tls_client *old = tls_dial(weir_port(weir), NULL);
    int half = raw_dial(weir_port(weir)); /* its handshake has not begun */
    certify("second", 60);
    http_reply r = reload();
    assert_status(&r, 200);
    json_t *change = json_array_get(json_object_get(r.json, "changed"), 0);
    assert_string_equal(json_string_value(json_object_get(change, "name")), "tls-cert");
    assert_int_equal(json_array_size(json_object_get(r.json, "changed")), 1);
    http_reply_free(&r);
    tls_client *new = tls_dial(weir_port(weir), NULL);
    assert_string_equal(tls_name(new), "second");
    assert_true(tls_say(old, "GET /q/ping HTTP/1.1\r\nHost: x\r\n\r\n"));
    char *heard = tls_hear(old, "\"pool\"", 1, NULL);
    assert_memory_equal(heard, "HTTP/1.1 200", 12);
    free(heard);
    tls_vanish(old, true);
    tls_vanish(new, true);
    close(half);
    assert_true(metric("weir_tls_certificate_expiry_timestamp_seconds") >
                (double)time(NULL) + 59 * 86400);
    r = reload();
    assert_int_equal(json_array_size(json_object_get(r.json, "changed")), 0);
    http_reply_free(&r);
}

static void a_faulty_certificate_changes_nothing(void **state)
{
    static const struct {
        const char *what, *file;
    } faults[] = {{"no key", "key.pem"},
                  {"another key", "key.pem"},
                  {"no certificate", "cert.pem"},
                  {"no PEM", "cert.pem"},
                  {"a query", "wrong.sql"}};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        certify("third", 30);
        switch (i) {
        case 0: unlink(key); break;
        case 1: certificate_write("fourth", 30, other_key, key); break;
        case 2: unlink(certificate); break;
        case 3: write_file(certificate, "a certificate, honestly\n"); break;
        case 4: query_file("wrong", "select nothing from nowhere\n"); break;
        }
        http_reply r = reload();
        assert_problem(&r, 422, "reload_failed");
        if (!strstr(text(&r, "detail"), faults[i].file))
            fail_msg("%s: %s", faults[i].what, text(&r, "detail"));
        http_reply_free(&r);
        tls_client *c = tls_dial(weir_port(weir), NULL);
        assert_string_equal(tls_name(c), "first");
        tls_vanish(c, true);
    }
    unlink(strcat(strcpy((char[PATH_MAX]){0}, folder), "/wrong.sql"));
}

static atomic_bool asking;
static atomic_int answers, failures;

static void *ask_on_and_on(void *arg)
{
    while (atomic_load(&asking))
        atomic_fetch_add(status_of("/q/ping") == 200 ? &answers : &failures, 1);
    return NULL;
}

static void certificates_are_replaced_under_load(void **state)
{
    enum { THREADS = 3, TIMES = 25 };
    pthread_t threads[THREADS];
    http_reply r;
    char both[2][2][PATH_MAX + 16];
    for (int i = 0; i < 2; i++) {
        certify(i ? "even" : "odd", 30);
        snprintf(both[i][0], sizeof both[i][0], "%s.%d", certificate, i);
        snprintf(both[i][1], sizeof both[i][1], "%s.%d", key, i);
        rename(certificate, both[i][0]);
        rename(key, both[i][1]);
    }
    atomic_store(&asking, true);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_on_and_on, NULL), 0);
    int reloaded = 0;
    for (int i = 0; i < TIMES; i++) {
        unlink(certificate);
        unlink(key);
        if (link(both[i % 2][0], certificate) == 0 && link(both[i % 2][1], key) == 0) {
            r = reload();
            reloaded += r.status == 200;
            http_reply_free(&r);
        }
    }
    BECOMES(atomic_load(&answers) >= 20, 20);
    atomic_store(&asking, false);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(reloaded, TIMES);
    assert_int_equal(failures, 0);
    assert_true(answers >= 20);
}

/* ---- The start ---- */

static void what_is_wrong_with_a_certificate_stops_the_start(void **state)
{
    certify("first", 30);
    certificate_write("other", 30, authorities, other_key);
    const struct {
        const char *flags[5], *why;
    } wrong[] = {
        {{"--tls-cert", certificate}, "--tls-cert needs --tls-key"},
        {{"--tls-key", key}, "--tls-key needs --tls-cert"},
        {{"--tls-cert", "/nowhere", "--tls-key", key},
         "/nowhere: the certificate cannot be read: No such file or directory"},
        {{"--tls-cert", certificate, "--tls-key", "/nowhere"},
         "/nowhere: the key cannot be read: No such file or directory"},
        {{"--tls-cert", key, "--tls-key", key}, "key.pem: no certificate in PEM: "},
        {{"--tls-cert", certificate, "--tls-key", certificate}, "cert.pem: "},
        {{"--tls-cert", certificate, "--tls-key", other_key},
         "other.pem: it is not the key of the certificate"},
        {{"--tls-cert", certificate, "--tls-key=", NULL}, "--tls-key must not be empty"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        weir = weir_serve(postgres_conninfo(database), folder, wrong[i].flags);
        assert_int_equal(weir_await_exit(weir, 10), 64);
        if (!strstr(weir_output(weir), wrong[i].why) || raw_count(weir_output(weir), "\n") != 1)
            fail_msg("%s", weir_output(weir));
        weir_stop(weir);
    }
    weir = weir_serve(postgres_conninfo(database), folder,
                      (const char *const[]){"--tls-cert", certificate, "--tls-key", key,
                                            "--tls-priorities", "NORMAL:+VERS-TLS1.9", NULL});
    assert_int_equal(weir_await_exit(weir, 10), 64);
    assert_non_null(strstr(weir_output(weir), "--tls-priorities: "));
}

static void a_certificate_that_has_expired_is_told(void **state)
{
    certify("stale", -2);
    serve_unready(
        (const char *const[]){"--tls-cert", certificate, "--tls-key", key, "--lanes", "1", NULL});
    json_t *line = weir_await_event(weir, "tls.certificate", 1, 10);
    assert_string_equal(json_string_value(json_object_get(line, "msg")),
                        "the certificate has expired");
    assert_string_equal(json_string_value(json_object_get(line, "file")), certificate);
    json_decref(line);
    assert_true(weir_await_ready(weir));
}

/* Each answers on its own port, which the log tells. */
static void the_admin_listener_is_https_unless_told_otherwise(void **state)
{
    for (int plain = 0; plain < 2; plain++) {
        serve_tls((const char *const[]){"--admin-listen", "127.0.0.1:0", "--admin-tls",
                                        plain ? "off" : "on", NULL});
        json_t *line = weir_await_event(weir, "service.started", 1, 10);
        uint16_t port = (uint16_t)json_integer_value(json_object_get(line, "admin_port"));
        json_decref(line);
        assert_int_equal(http_status_tls(port, authorities, "/livez"), plain ? 0 : 200);
        assert_int_equal(http_status(port, "/livez"), plain ? 200 : 0);
        assert_int_equal(status_of("/q/ping"), 200);
        assert_int_equal(stop(state), 0);
    }
}

int main(void)
{
#define over_tls(name) cmocka_unit_test_setup_teardown(name, serve, stop)
    const struct CMUnitTest tests[] = {
        over_tls(requests_are_answered_over_tls),
        over_tls(tls_1_2_and_1_3_and_nothing_older_is_spoken),
        over_tls(the_end_of_a_stream_without_chunks_is_said),
        over_tls(plain_http_is_cut_off),
        over_tls(weir_health_asks_under_tls_too),
        over_tls(a_client_that_leaves_has_its_query_cancelled),
        over_tls(a_request_behind_one_that_runs_keeps_it),
        cmocka_unit_test_setup_teardown(who_does_not_shake_hands_is_cut_off, serve_impatiently,
                                        stop),
        cmocka_unit_test_setup_teardown(a_drain_answers_what_is_under_way, serve, stop_stopped),
        over_tls(a_new_certificate_is_for_new_connections),
        over_tls(a_faulty_certificate_changes_nothing),
        over_tls(certificates_are_replaced_under_load),
        cmocka_unit_test_teardown(what_is_wrong_with_a_certificate_stops_the_start, stop_stopped),
        cmocka_unit_test_teardown(a_certificate_that_has_expired_is_told, stop),
        cmocka_unit_test_teardown(the_admin_listener_is_https_unless_told_otherwise, stop_stopped),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("tls", tests, start, end);
}
