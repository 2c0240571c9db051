/* service_under_load.c: clients ask without pause while their database has its bad days. */
#include "../support/fresh.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { CLIENTS = 6 };

/* Clients that ask for a token of their own, again and again, and look what comes back. */
typedef struct load {
    pthread_t threads[CLIENTS];
    uint16_t port;
    atomic_bool stop;
    atomic_uint next;
    atomic_int good, refused, timed_out, crossed, unanswered, other;
    _Atomic double longest;
} load;

static bool is_own(const http_reply *reply, const char *token)
{
    const json_t *rows = json_object_get(reply->json, "rows");
    const char *value = json_string_value(json_object_get(json_array_get(rows, 0), "token"));
    return json_array_size(rows) == 1 && value && strcmp(value, token) == 0;
}

static void judge(load *l, const http_reply *reply, const char *token)
{
    if (reply->seconds > l->longest)
        l->longest = reply->seconds;
    if (reply->status == 0) {
        print_error("no answer: %s\n", reply->error);
        l->unanswered++;
    } else if (reply->status == 200 && is_own(reply, token)) {
        l->good++;
    } else if (reply->status == 200) {
        print_error("crossed: asked %s, got %s\n", token, reply->body);
        l->crossed++;
    } else if (reply->status == 503) {
        l->refused++;
    } else if (reply->status == 504) {
        l->timed_out++;
    } else {
        print_error("unexpected %d: %s\n", reply->status, reply->body);
        l->other++;
    }
}

static void *load_main(void *arg)
{
    load *l = arg;
    http_client *own = http_open(l->port);
    while (!l->stop) {
        char token[32], path[64];
        unsigned number = l->next++;
        snprintf(token, sizeof token, "t%u", number);
        snprintf(path, sizeof path, "/q/%s?token=%s", number % 4 ? "echo" : "brief", token);
        http_reply reply = http_get(own, path);
        judge(l, &reply, token);
        http_reply_free(&reply);
    }
    http_close(own);
    return NULL;
}

static void load_start(load *l)
{
    *l = (load){.port = weir_port(weir)};
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&l->threads[i], NULL, load_main, l), 0);
}

static void load_stop(load *l)
{
    l->stop = true;
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(l->threads[i], NULL);
}

/* No request may wait for longer than its acquire and query timeouts, and some grace. */
static void assert_unharmed(const load *l)
{
    assert_int_equal(l->crossed, 0);
    assert_int_equal(l->unanswered, 0);
    assert_int_equal(l->timed_out, 0);
    assert_int_equal(l->other, 0);
    assert_true(l->good > 0);
    assert_true(l->longest < 1 + 5 + 1 * slower());
}

static void load_files(void)
{
    query_file("echo", ECHO);
    query_file("brief", "select :token::text as token from pg_sleep(0.005)\n");
}

static const char *const small_pool[] = {"--pool-max", "4", "--lanes", "2", NULL};

static void backends_killed_under_load_cost_no_crossed_answer(void **state)
{
    load_files();
    serve_ready(small_pool);
    load l;
    load_start(&l);
    for (int round = 1; round <= 3; round++) {
        int before = l.good;
        assert_true(BECOMES(l.good > before + 100, 20));
        /* The postmaster then restarts all the others: a short outage. */
        postgres_signal_backends(database, SIGKILL);
        postgres_await(database);
        before = l.good;
        assert_true(BECOMES(l.good > before, 2));
    }
    load_stop(&l);
    assert_unharmed(&l);
}

static void backends_terminated_under_load_cost_no_crossed_answer(void **state)
{
    load_files();
    serve_ready(small_pool);
    load l;
    load_start(&l);
    for (int round = 1; round <= 10; round++) {
        int before = l.good;
        assert_true(BECOMES(l.good > before + 50, 20));
        assert_true(postgres_signal_backends(database, SIGTERM) > 0);
    }
    load_stop(&l);
    assert_unharmed(&l);
}

/* Its last words come in together with the reset that says it never read the query. */
static void a_backend_that_goes_without_reading_the_query_is_noticed_at_once(void **state)
{
    query_file("echo", ECHO);
    serve_ready((const char *const[]){"--pool-max", "1", NULL});
    assert_int_equal(http_status(weir_port(weir), "/q/echo?token=x"), 200);
    int granted = weir_events(weir, "lease.granted");
    assert_int_equal(postgres_signal_backends(database, SIGSTOP), 1);
    ask_beside(0, "/q/echo?token=x");
    assert_true(BECOMES(weir_events(weir, "lease.granted") > granted, 10));
    postgres_signal_backends(database, SIGTERM);
    postgres_signal_backends(database, SIGCONT);
    assert_true(BECOMES(is_answered(0), 2));
    assert_int_equal(answered(0), 503);
}

static void a_restart_of_the_server_under_load_is_survived(void **state)
{
    load_files();
    serve_ready(small_pool);
    load l;
    load_start(&l);
    assert_true(BECOMES(l.good > 100, 20));
    postgres_shut_down(database);
    int refused = l.refused;
    assert_true(BECOMES(l.refused > refused, 5));
    postgres_bring_up(database);
    int before = l.good;
    assert_true(BECOMES(l.good > before, 2));
    assert_true(BECOMES(l.good > before + 100, 20));
    load_stop(&l);
    assert_unharmed(&l);
}

static void a_server_that_stands_still_costs_no_hung_request(void **state)
{
    load_files();
    serve_ready(
        (const char *const[]){"--pool-max", "4", "--lanes", "2", "--query-timeout", "1s", NULL});
    load l;
    load_start(&l);
    assert_true(BECOMES(l.good > 100, 20));
    postgres_freeze(database);
    ask_beside(0, "/q/echo?token=x");
    int status = answered(0);
    assert_true(status == 503 || status == 504);
    postgres_thaw(database);
    int before = l.good;
    assert_true(BECOMES(l.good > before + 100, 20));
    load_stop(&l);
    assert_true(l.timed_out > 0);
    l.timed_out = 0;
    assert_unharmed(&l);
}

static void descriptors_and_connections_return_to_where_they_were(void **state)
{
    load_files();
    serve_ready((const char *const[]){"--idle-timeout", "200ms", "--lanes", "2", NULL});
    assert_int_equal(http_status(weir_port(weir), "/q/echo?token=x"), 200);
    assert_true(BECOMES(postgres_backends(database) == 0, 10));
    int descriptors = weir_descriptors(weir);
    for (int round = 0; round < 2; round++) {
        load l;
        load_start(&l);
        assert_true(BECOMES(l.good > 200, 20));
        postgres_signal_backends(database, SIGTERM);
        int before = l.good;
        assert_true(BECOMES(l.good > before + 100, 20));
        load_stop(&l);
        assert_unharmed(&l);
    }
    assert_true(BECOMES(postgres_backends(database) == 0, 10));
    /* The first count may have seen a client that was just leaving. */
    assert_true(BECOMES(weir_descriptors(weir) <= descriptors, 10));
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 10), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fresh(backends_killed_under_load_cost_no_crossed_answer),
        fresh(backends_terminated_under_load_cost_no_crossed_answer),
        fresh(a_backend_that_goes_without_reading_the_query_is_noticed_at_once),
        fresh(a_restart_of_the_server_under_load_is_survived),
        fresh(a_server_that_stands_still_costs_no_hung_request),
        fresh(descriptors_and_connections_return_to_where_they_were),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("service_under_load", tests, fresh_start, fresh_end);
}
