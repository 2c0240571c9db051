/* service.c: tests of the program weir over a real PostgreSQL: its start, its bad days, its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../support/http_client.h"
#include "../support/patience.h"
#include "../support/postgres.h"
#include "../support/scratch.h"
#include "../support/weir_process.h"

static postgres_server *database;
static char *folder; /* of queries, fresh for each test */
static weir_process *weir;

/* ---- Helpers ---- */

static void query_file(const char *name, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

#define ECHO "select :token::text as token\n"
#define NAP                                                                                        \
    "-- @route GET /nap\n-- @timeout 30s\n"                                                        \
    "select :seconds::float8 as slept from pg_sleep(:seconds)\n"

static void serve(const char *const *flags)
{
    weir = weir_serve(postgres_conninfo(database), folder, flags);
}

static void serve_ready(const char *const *flags)
{
    serve(flags);
    if (!weir_await_ready(weir))
        fail_msg("not ready:\n%s", weir_output(weir));
}

static int naps_running(void)
{
    return (int)postgres_number(database, "select count(*) from pg_stat_activity where "
                                          "state = 'active' and query like '%pg_sleep(%' "
                                          "and pid <> pg_backend_pid()");
}

/* A request in a thread of its own. */
typedef struct request {
    pthread_t thread;
    uint16_t port;
    const char *path;
    atomic_int status; /* -1 until it has ended */
} request;

static void *request_main(void *arg)
{
    request *r = arg;
    atomic_store(&r->status, http_status(r->port, r->path));
    return NULL;
}

static void request_start(request *r, const char *path)
{
    r->port = weir_port(weir);
    r->path = path;
    r->status = -1;
    assert_int_equal(pthread_create(&r->thread, NULL, request_main, r), 0);
}

static int request_join(request *r)
{
    pthread_join(r->thread, NULL);
    return r->status;
}

static int set_up(void **state)
{
    (void)state;
    folder = scratch_folder();
    return 0;
}

/* Every line that a service in JSON mode wrote must be one JSON object. */
static bool all_json(const char *output)
{
    for (const char *line = output, *end; (end = strchr(line, '\n')); line = end + 1) {
        json_t *json = json_loadb(line, (size_t)(end - line), 0, NULL);
        bool good = json_is_object(json) && json_is_string(json_object_get(json, "ts")) &&
                    json_is_string(json_object_get(json, "level")) &&
                    json_is_string(json_object_get(json, "msg"));
        json_decref(json);
        if (!good) {
            fprintf(stderr, "not a log line, and what follows it:\n%.6000s\n", line);
            return false;
        }
    }
    return true;
}

static int tear_down(void **state)
{
    (void)state;
    bool good = true;
    if (weir && strstr(weir_output(weir), "service.started"))
        good = all_json(weir_output(weir));
    weir_stop(weir);
    weir = NULL;
    if (!postgres_pid(database)) /* a test that failed half-way */
        postgres_bring_up(database);
    scratch_remove(folder);
    return good ? 0 : -1;
}

static int start_database(void **state)
{
    (void)state;
    database = postgres_start(NULL);
    return 0;
}

static int stop_database(void **state)
{
    (void)state;
    postgres_stop(database);
    return 0;
}

/* ---- Start ---- */

static void a_request_is_answered_from_the_database(void **state)
{
    (void)state;
    query_file("echo.sql", ECHO);
    serve_ready(NULL);
    http_client *client = http_open(weir_port(weir));
    http_reply reply = http_get(client, "/q/echo?token=hello");
    assert_int_equal(reply.status, 200);
    const json_t *row = json_array_get(json_object_get(reply.json, "rows"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "token")), "hello");
    http_reply_free(&reply);
    http_close(client);
    assert_int_equal(http_status(weir_port(weir), "/readyz"), 200);
    assert_int_equal(http_status(weir_port(weir), "/livez"), 200);
}

static void several_lanes_serve_one_port(void **state)
{
    (void)state;
    query_file("echo.sql", ECHO);
    serve_ready((const char *const[]){"--lanes", "3", NULL});
    for (int i = 0; i < 30; i++)
        assert_int_equal(http_status(weir_port(weir), "/q/echo?token=x"), 200);
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 10), 0);
}

static void a_database_that_comes_later_is_waited_for(void **state)
{
    (void)state;
    query_file("echo.sql", ECHO);
    postgres_shut_down(database);
    serve(NULL);
    json_t *waiting = weir_await_event(weir, "service.waiting", 1, 20);
    assert_non_null(waiting);
    assert_true(strlen(json_string_value(json_object_get(waiting, "reason"))) > 10);
    json_decref(waiting);
    assert_int_equal(http_status(weir_port(weir), "/livez"), 200);
    assert_int_equal(http_status(weir_port(weir), "/readyz"), 503);
    assert_int_equal(http_status(weir_port(weir), "/q/echo?token=x"), 503);

    postgres_bring_up(database);
    json_t *ready = weir_await_event(weir, "service.ready", 1, 2 * slower());
    assert_non_null(ready);
    json_decref(ready);
    assert_int_equal(http_status(weir_port(weir), "/readyz"), 200);
    assert_int_equal(http_status(weir_port(weir), "/q/echo?token=x"), 200);
    assert_int_equal(weir_events(weir, "service.waiting"), 1);
}

static void waiting_for_the_database_ends_with_sigterm(void **state)
{
    (void)state;
    query_file("echo.sql", ECHO);
    postgres_shut_down(database);
    serve(NULL);
    json_decref(weir_await_event(weir, "service.waiting", 1, 20));
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 5), 0);
    postgres_bring_up(database);
}

/* Runs weir to its end and checks its exit code and a piece of what it says. */
static void ends_with(const char *const *arguments, int code, const char *said)
{
    weir = weir_start(arguments);
    assert_int_equal(weir_await_exit(weir, 20), code);
    if (!strstr(weir_output(weir), said))
        fail_msg("expected \"%s\" in:\n%s", said, weir_output(weir));
    weir_stop(weir);
    weir = NULL;
}

static void a_file_that_does_not_prepare_stops_the_start(void **state)
{
    (void)state;
    query_file("good.sql", ECHO);
    query_file("wrong.sql", "-- Fine so far.\nselect 1,\n       missing_column\n");
    serve(NULL);
    assert_int_equal(weir_await_exit(weir, 20), 65);
    json_t *line = weir_await_event(weir, "service.start_failed", 1, 1);
    assert_non_null(line);
    assert_non_null(strstr(json_string_value(json_object_get(line, "file")), "/wrong.sql"));
    assert_int_equal(json_integer_value(json_object_get(line, "line")), 3);
    assert_non_null(strstr(json_string_value(json_object_get(line, "msg")), "missing_column"));
    json_decref(line);
}

static void a_file_that_does_not_parse_stops_the_start(void **state)
{
    char said[PATH_MAX];
    (void)state;
    query_file("wrong.sql", "-- A query.\n-- @rout GET /x\nselect 1\n");
    snprintf(said, sizeof said, "weir: %s/wrong.sql:2: ", folder);
    ends_with((const char *const[]){"serve", "--queries", folder, NULL}, 65, said);
}

static void what_cannot_be_served_is_said_in_one_line(void **state)
{
    char listen[32];
    (void)state;
    query_file("echo.sql", ECHO);
    ends_with((const char *const[]){"serve", "--pool-mx", "3", NULL}, 64,
              "did you mean --pool-max");
    ends_with((const char *const[]){"serve", "--query-timeout", "5", NULL}, 64, "--query-timeout");
    ends_with((const char *const[]){"serve", "--queries", folder, "--listen", "nowhere", NULL}, 64,
              "nowhere");
    ends_with((const char *const[]){"serve", "--queries", folder, "--database",
                                    "postgres://joe:s3cret@db/x?nonsense=1", NULL},
              64, "--database: ");
    ends_with((const char *const[]){"serve", "--queries", "/nonexistent", NULL}, 65,
              "/nonexistent");
    ends_with((const char *const[]){"sreve", NULL}, 64, "did you mean serve");
    ends_with((const char *const[]){"version", NULL}, 0, "weir 0.");

    serve(NULL);
    snprintf(listen, sizeof listen, "127.0.0.1:%u", weir_port(weir));
    weir_process *first = weir;
    ends_with((const char *const[]){"serve", "--queries", folder, "--listen", listen, NULL}, 69,
              listen);
    weir = first;
}

static void check_tells_what_would_be_served(void **state)
{
    char said[PATH_MAX];
    (void)state;
    query_file("echo.sql", ECHO);
    query_file("nap.sql", NAP);
    const char *const good[] = {"check", folder, "--database", postgres_conninfo(database), NULL};
    ends_with(good, 0, "2 queries");
    ends_with(good, 0, "/nap");
    ends_with((const char *const[]){"check", folder, "--database", "host=/nonexistent",
                                    "--connect-timeout", "300ms", NULL},
              69, "the database cannot be asked");
    query_file("wrong.sql", "select nonsense(:x)\n");
    snprintf(said, sizeof said, "%s/wrong.sql:1: error: ", folder);
    ends_with(good, 65, said);
}

static void a_password_is_never_in_the_log(void **state)
{
    char conninfo[256];
    (void)state;
    query_file("echo.sql", ECHO);
    snprintf(conninfo, sizeof conninfo, "%s password=s3cret", postgres_conninfo(database));
    weir = weir_serve(conninfo, folder, NULL);
    assert_true(weir_await_ready(weir));
    postgres_shut_down(database);
    assert_int_equal(http_status(weir_port(weir), "/q/echo?token=x"), 503);
    postgres_bring_up(database);
    assert_null(strstr(weir_output(weir), "s3cret"));
    assert_non_null(strstr(weir_output(weir), "password=***"));
}

static void what_is_to_run_on_connect_runs_before_any_query(void **state)
{
    (void)state;
    query_file("greeting.sql", "select current_setting('app.greeting') as greeting\n");
    serve_ready((const char *const[]){"--on-connect",
                                      "set app.greeting = 'hello'; set work_mem = '8MB'",
                                      "--host-order", "random", NULL});
    http_client *client = http_open(weir_port(weir));
    http_reply reply = http_get(client, "/q/greeting");
    assert_non_null(strstr(reply.body, "[{\"greeting\":\"hello\"}]"));
    http_reply_free(&reply);
    http_close(client);
    weir_stop(weir);

    serve((const char *const[]){"--on-connect", "set nonsense", NULL});
    json_t *waiting = weir_await_event(weir, "service.waiting", 1, 20);
    const char *reason = json_string_value(json_object_get(waiting, "reason"));
    assert_true(reason && strstr(reason, "syntax error"));
    json_decref(waiting);
}

/* ---- Reload ---- */

static void sighup_takes_new_queries(void **state)
{
    (void)state;
    query_file("echo.sql", ECHO);
    serve_ready((const char *const[]){"--lanes", "3", NULL});
    assert_int_equal(http_status(weir_port(weir), "/q/fresh"), 404);
    query_file("fresh.sql", "select 1 as one\n");
    weir_signal(weir, SIGHUP);
    json_t *line = weir_await_event(weir, "service.reloaded", 1, 10);
    assert_int_equal(json_integer_value(json_object_get(line, "queries")), 2);
    json_decref(line);
    for (int i = 0; i < 20; i++) /* whichever lane takes it */
        assert_int_equal(http_status(weir_port(weir), "/q/fresh"), 200);
}

static void sighup_with_a_wrong_file_changes_nothing(void **state)
{
    (void)state;
    query_file("echo.sql", ECHO);
    serve_ready(NULL);
    query_file("fresh.sql", "select 1 as one\n");
    query_file("wrong.sql", "select 1 as one,\n  from nowhere\n");
    weir_signal(weir, SIGHUP);
    json_t *line = weir_await_event(weir, "service.reload_failed", 1, 10);
    assert_non_null(line);
    assert_non_null(strstr(json_string_value(json_object_get(line, "file")), "/wrong.sql"));
    json_decref(line);
    assert_int_equal(http_status(weir_port(weir), "/q/fresh"), 404);
    assert_int_equal(http_status(weir_port(weir), "/q/echo?token=x"), 200);
    assert_int_equal(weir_events(weir, "service.reloaded"), 0);

    query_file("wrong.sql", "select 1 as one\n");
    weir_signal(weir, SIGHUP);
    json_decref(weir_await_event(weir, "service.reloaded", 1, 10));
    assert_int_equal(http_status(weir_port(weir), "/q/fresh"), 200);
}

/* ---- The end ---- */

static void sigterm_lets_a_running_request_finish(void **state)
{
    (void)state;
    query_file("nap.sql", NAP);
    query_file("echo.sql", ECHO);
    serve_ready(NULL);
    uint16_t port = weir_port(weir);
    request slow;
    request_start(&slow, "/nap?seconds=1.5");
    assert_true(BECOMES(naps_running() == 1, 10));
    weir_signal(weir, SIGTERM);
    json_decref(weir_await_event(weir, "service.draining", 1, 10));
    assert_int_equal(slow.status, -1);
    assert_int_equal(http_status(port, "/q/echo?token=x"), 503);
    assert_int_equal(http_status(port, "/readyz"), 503);
    assert_int_equal(request_join(&slow), 200);
    assert_int_equal(weir_await_exit(weir, 10), 0);
    assert_int_equal(weir_events(weir, "service.cancelling"), 0);
}

static void the_drain_timeout_cancels_what_still_runs(void **state)
{
    (void)state;
    query_file("nap.sql", NAP);
    serve_ready((const char *const[]){"--drain-timeout", "300ms", NULL});
    request slow;
    request_start(&slow, "/nap?seconds=25");
    assert_true(BECOMES(naps_running() == 1, 10));
    weir_signal(weir, SIGTERM);
    assert_int_equal(weir_await_exit(weir, 5 * slower()), 0);
    assert_int_equal(request_join(&slow), 503);
    assert_int_equal(weir_events(weir, "service.cancelling"), 1);
    assert_true(BECOMES(naps_running() == 0, 5));
}

static void a_second_sigint_ends_it_at_once(void **state)
{
    (void)state;
    query_file("nap.sql", NAP);
    serve_ready(NULL);
    request slow;
    request_start(&slow, "/nap?seconds=5");
    assert_true(BECOMES(naps_running() == 1, 10));
    weir_signal(weir, SIGINT);
    json_decref(weir_await_event(weir, "service.draining", 1, 10));
    weir_signal(weir, SIGINT);
    assert_int_equal(weir_await_exit(weir, 2 * slower()), 130);
    assert_int_equal(request_join(&slow), 0);
    postgres_sql(database, "select pg_terminate_backend(pid) from pg_stat_activity "
                           "where pid <> pg_backend_pid() and backend_type = 'client backend'");
}

/* ---- Bad days, under load ---- */

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
    http_client *client = http_open(l->port);
    while (!l->stop) {
        char token[32], path[64];
        unsigned number = l->next++;
        snprintf(token, sizeof token, "t%u", number);
        snprintf(path, sizeof path, "/q/%s?token=%s", number % 4 ? "echo" : "brief", token);
        http_reply reply = http_get(client, path);
        judge(l, &reply, token);
        http_reply_free(&reply);
    }
    http_close(client);
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
    query_file("echo.sql", ECHO);
    query_file("brief.sql", "select :token::text as token from pg_sleep(0.005)\n");
}

static const char *const small_pool[] = {"--pool-max", "4", "--lanes", "2", NULL};

static void backends_killed_under_load_cost_no_crossed_answer(void **state)
{
    (void)state;
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
    (void)state;
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
    (void)state;
    query_file("echo.sql", ECHO);
    serve_ready((const char *const[]){"--pool-max", "1", NULL});
    assert_int_equal(http_status(weir_port(weir), "/q/echo?token=x"), 200);
    int granted = weir_events(weir, "lease.granted");
    assert_int_equal(postgres_signal_backends(database, SIGSTOP), 1);
    request unread;
    request_start(&unread, "/q/echo?token=x");
    assert_true(BECOMES(weir_events(weir, "lease.granted") > granted, 10));
    postgres_signal_backends(database, SIGTERM);
    postgres_signal_backends(database, SIGCONT);
    assert_true(BECOMES(unread.status != -1, 2));
    assert_int_equal(request_join(&unread), 503);
}

static void a_restart_of_the_server_under_load_is_survived(void **state)
{
    (void)state;
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
    (void)state;
    load_files();
    serve_ready(
        (const char *const[]){"--pool-max", "4", "--lanes", "2", "--query-timeout", "1s", NULL});
    load l;
    load_start(&l);
    assert_true(BECOMES(l.good > 100, 20));
    postgres_freeze(database);
    request stuck;
    request_start(&stuck, "/q/echo?token=x");
    int status = request_join(&stuck);
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
    (void)state;
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

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_request_is_answered_from_the_database),
        test(several_lanes_serve_one_port),
        test(a_database_that_comes_later_is_waited_for),
        test(waiting_for_the_database_ends_with_sigterm),
        test(a_file_that_does_not_prepare_stops_the_start),
        test(a_file_that_does_not_parse_stops_the_start),
        test(what_cannot_be_served_is_said_in_one_line),
        test(check_tells_what_would_be_served),
        test(a_password_is_never_in_the_log),
        test(what_is_to_run_on_connect_runs_before_any_query),
        test(sighup_takes_new_queries),
        test(sighup_with_a_wrong_file_changes_nothing),
        test(sigterm_lets_a_running_request_finish),
        test(the_drain_timeout_cancels_what_still_runs),
        test(a_second_sigint_ends_it_at_once),
        test(backends_killed_under_load_cost_no_crossed_answer),
        test(backends_terminated_under_load_cost_no_crossed_answer),
        test(a_backend_that_goes_without_reading_the_query_is_noticed_at_once),
        test(a_restart_of_the_server_under_load_is_survived),
        test(a_server_that_stands_still_costs_no_hung_request),
        test(descriptors_and_connections_return_to_where_they_were),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("service", tests, start_database, stop_database);
}
