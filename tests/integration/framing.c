/* framing.c: requests that do not say clearly where they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <limits.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/postgres.h"
#include "../support/raw_client.h"
#include "../support/scratch.h"
#include "../support/weir_process.h"

static postgres_server *database;
static char *folder;
static weir_process *weir;

/* All that is said in answer to `request`, until the other side closes or 10 s have passed. free()
 * it. */
static char *answer_to(const char *request)
{
    int fd = raw_dial(weir_port(weir));
    assert_true(fd >= 0 && raw_say(fd, request));
    char *heard = raw_hear(fd, "never said", 1);
    close(fd);
    return heard;
}

/* libmicrohttpd 1.0 refuses some of them by itself, before we are asked: with a page of its own. */
static bool says_why(const char *answer)
{
    return strstr(answer, "\"code\":\"bad_request\"") ||
           (MHD_VERSION >= 0x01000000 && strstr(answer, "\r\n\r\n<html>"));
}

/* One 400 and the end of the connection: what follows is not taken for a request. */
static void is_refused_from(const char *version, const char *header, const char *body)
{
    char request[1024];
    snprintf(request, sizeof request, "POST /q/ping %s\r\n%s\r\n%s", version, header, body);
    char *heard = answer_to(request);
    if (strncmp(heard, "HTTP/1.1 400 ", 13) != 0 || strstr(heard, "\nHTTP/1.1 ") ||
        !strstr(heard, "\r\nConnection: close\r\n") || !says_why(heard))
        fail_msg("%s was answered with: %s", request, heard);
    free(heard);
}

static void is_refused(const char *header, const char *body)
{
    is_refused_from("HTTP/1.1", header, body);
}

#define SMUGGLED "GET /q/ping HTTP/1.1\r\nHost: x\r\n\r\n"
#define CHUNKED  "2\r\n{}\r\n0\r\n\r\n"

static void a_body_of_two_lengths_is_refused(void **state)
{
    is_refused("Host: x\r\nContent-Length: 2\r\nContent-Length: 35\r\n", "{}" SMUGGLED);
    is_refused("Host: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n", CHUNKED SMUGGLED);
    is_refused("Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n", CHUNKED SMUGGLED);
}

static void a_coding_that_is_not_chunked_is_refused_at_once(void **state)
{
    is_refused("Host: x\r\nTransfer-Encoding: gzip\r\n", "{}");
    is_refused("Host: x\r\nTransfer-Encoding: gzip, chunked\r\n", CHUNKED);
    is_refused("Host: x\r\nTransfer-Encoding: xchunked\r\n", CHUNKED);
    is_refused("Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CHUNKED);
}

/* Whoever forwards it may not know of chunks, and take the first for the whole. */
static void chunks_are_for_http_1_1_alone(void **state)
{
    is_refused_from("HTTP/1.0", "Transfer-Encoding: chunked\r\n", CHUNKED SMUGGLED);
    is_refused_from("HTTP/1.0",
                    "Host: x\r\nConnection: keep-alive\r\n"
                    "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
                    CHUNKED SMUGGLED);
}

static void a_header_name_with_a_blank_is_refused(void **state)
{
    is_refused("Host: x\r\nContent-Length : 2\r\n", "{}" SMUGGLED);
    is_refused("Host: x\r\nTransfer-Encoding : chunked\r\n", CHUNKED SMUGGLED);
}

static void a_request_is_for_one_host(void **state)
{
    is_refused("", "");
    is_refused("Host: a\r\nHost: b\r\n", "");
    char *heard = answer_to("GET /q/ping HTTP/1.0\r\n\r\n");
    assert_memory_equal(heard, "HTTP/1.1 200", 12);
    free(heard);
}

static void one_asks_and_no_other(void **state)
{
    is_refused("Host: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n", "");
    is_refused("Host: x\r\nAuthorization: Bearer a\r\nauthorization: Basic b\r\n", "");
}

static int open_world(void **state)
{
    char file[PATH_MAX];
    database = postgres_start(NULL);
    folder = scratch_folder();
    snprintf(file, sizeof file, "%s/ping.sql", folder);
    FILE *f = fopen(file, "w");
    if (!f || fputs("select 1 as one\n", f) < 0 || fclose(f) != 0)
        return -1;
    weir = weir_serve(postgres_conninfo(database), folder, NULL);
    return weir_await_ready(weir) ? 0 : -1;
}

static int close_world(void **state)
{
    weir_stop(weir);
    scratch_remove(folder);
    postgres_stop(database);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_of_two_lengths_is_refused),
        cmocka_unit_test(a_coding_that_is_not_chunked_is_refused_at_once),
        cmocka_unit_test(chunks_are_for_http_1_1_alone),
        cmocka_unit_test(a_header_name_with_a_blank_is_refused),
        cmocka_unit_test(a_request_is_for_one_host),
        cmocka_unit_test(one_asks_and_no_other),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
