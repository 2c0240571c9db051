/* driver_impostor.c: servers that say what a real one cannot be made to say. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/driver_world.h"

static int listener, client;

static uint16_t listen_somewhere(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&a, size) != 0 ||
        listen(listener, 16) != 0 || getsockname(listener, (struct sockaddr *)&a, &size) != 0)
        fail();
    return ntohs(a.sin_port);
}

/* One message of the protocol: its type, and what follows the length. */
static void tell(char type, const void *body, size_t size)
{
    char message[128] = {type};
    uint32_t length = htonl((uint32_t)size + 4);
    memcpy(message + 1, &length, 4);
    memcpy(message + 5, body, size);
    if (write(client, message, size + 5) < 0)
        perror("impostor");
}

static void report(const char *name, const char *value)
{
    char body[100];
    size_t named = (size_t)snprintf(body, sizeof body, "%s", name) + 1;
    size_t valued = (size_t)snprintf(body + named, sizeof body - named, "%s", value) + 1;
    tell('S', body, named + valued);
}

static bool await_client(void)
{
    char startup[1024];
    client = -1;
    for (int i = 0; i < 2000 && client < 0; i++) {
        client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        weir_sleep(WEIR_MS(5));
    }
    for (int i = 0; i < 2000 && client >= 0; i++) {
        if (recv(client, startup, sizeof startup, MSG_DONTWAIT) > 0)
            return true;
        weir_sleep(WEIR_MS(5));
    }
    return false;
}

static void let_in(void)
{
    tell('R', "\0\0\0\0", 4);
    report("server_version", "15.0");
    report("client_encoding", "UTF8");
    report("DateStyle", "ISO, MDY");
    report("default_transaction_read_only", "off");
    report("in_hot_standby", "off");
    tell('K', "\0\0\0\1\0\0\0\2", 8);
    tell('Z', "I", 1);
}

static int demoted_while_idle(world *w)
{
    if (!await_client())
        return -100;
    let_in();
    for (int i = 0; i < 2000 && !w->events[WEIR_CONNECTION_OPENED]; i++)
        weir_sleep(WEIR_MS(5));
    report("TimeZone", "UTC"); /* nothing to it */
    weir_sleep(WEIR_MS(50));
    w->number[0] = w->events[WEIR_CONNECTION_RETIRED];
    report("in_hot_standby", "on");
    int turns = w->number[2] ? 2000 : 20;
    for (int i = 0; i < turns && !w->retired[WEIR_RETIRE_READ_ONLY]; i++)
        weir_sleep(WEIR_MS(5));
    w->number[1] = w->retired[WEIR_RETIRE_READ_ONLY];
    close(client);
    close(listener);
    return 0;
}

static void a_primary_that_becomes_a_standby_is_left_even_by_idle_connections(void **state)
{
    const char *const attributes[] = {"read-write", "primary", "any"};
    for (int i = 0; i < 3; i++) {
        char conninfo[200];
        snprintf(conninfo, sizeof conninfo,
                 "host=127.0.0.1 port=%u user=postgres sslmode=disable gssencmode=disable "
                 "target_session_attrs=%s",
                 listen_somewhere(), attributes[i]);
        world w = {.options = {.conninfo = conninfo, .max = 1, .min = 1}, .number[2] = i < 2};
        play(&w, demoted_while_idle);
        assert_true(w.events[WEIR_CONNECTION_OPENED] >= 1);
        assert_int_equal(w.number[0], 0);
        assert_int_equal(w.number[1], w.number[2]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_primary_that_becomes_a_standby_is_left_even_by_idle_connections),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
