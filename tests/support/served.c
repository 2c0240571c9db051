/* served.c: a database, a folder of queries, and the program that serves them, for tests over HTTP.
 */
#include "served.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

postgres_server *database;
char *folder;
weir_process *weir;
http_client *client;

void query_file(const char *name, const char *sql)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s.sql", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(sql, f);
    assert_int_equal(fclose(f), 0);
}

void serve_unready(const char *const *flags)
{
    weir = weir_serve(postgres_conninfo(database), folder, flags);
}

void serve_ready(const char *const *flags)
{
    serve_unready(flags);
    if (!weir_await_ready(weir))
        fail_msg("not ready:\n%s", weir_output(weir));
    client = http_open(weir_port(weir));
}

const char *const *joined_flags(const char *const *first, const char *const *rest)
{
    enum { MOST = 32 };
    static const char *flags[MOST];
    const char *const *const lists[] = {first, rest};
    int count = 0;
    for (int i = 0; i < 2; i++)
        for (const char *const *flag = lists[i]; flag && *flag; flag++) {
            assert_true(count < MOST - 1);
            flags[count++] = *flag;
        }
    flags[count] = NULL;
    return flags;
}

/* ---- Requests beside the test's own. Not on its stack, which a failed assertion leaves. ---- */

static struct asker {
    pthread_t thread;
    bool running;
    atomic_bool done;
    char path[64];
    http_reply reply;
} askers[ASKERS];

static void *ask(void *arg)
{
    struct asker *a = arg;
    http_client *own = http_open(weir_port(weir));
    a->reply = http_get(own, a->path);
    http_close(own);
    atomic_store(&a->done, true);
    return NULL;
}

void ask_beside(int index, const char *path)
{
    struct asker *a = &askers[index];
    snprintf(a->path, sizeof a->path, "%s", path);
    atomic_store(&a->done, false);
    assert_int_equal(pthread_create(&a->thread, NULL, ask, a), 0);
    a->running = true;
}

bool is_answered(int index)
{
    return atomic_load(&askers[index].done);
}

http_reply answer_of(int index)
{
    pthread_join(askers[index].thread, NULL);
    askers[index].running = false;
    return askers[index].reply;
}

int answered(int index)
{
    http_reply r = answer_of(index);
    int status = r.status;
    http_reply_free(&r);
    return status;
}

static void end_askers(void)
{
    for (int i = 0; i < ASKERS; i++)
        if (askers[i].running)
            answered(i);
}

/* ---- The end ---- */

int stop_stopped(void **state)
{
    end_askers();
    http_close(client);
    client = NULL;
    weir_stop(weir);
    weir = NULL;
    if (postgres_is_down(database)) /* a test that failed half-way */
        postgres_bring_up(database);
    return 0;
}

int stop(void **state)
{
    end_askers();
    weir_signal(weir, SIGTERM);
    int code = weir_await_exit(weir, 20);
    if (code != 0)
        print_error("exit code %d\n%s\n", code, weir_output(weir));
    stop_stopped(state);
    return code;
}

/* ---- Requests and answers ---- */

http_reply get(const char *path)
{
    return http_get(client, path);
}

http_reply send_as(const char *token, const char *method, const char *path, const char *body)
{
    char *authorization;
    assert_true(asprintf(&authorization, "Authorization: Bearer %s", token ? token : "") > 0);
    const char *const headers[] = {token ? authorization : NULL, NULL};
    http_reply r = http_send(client, method, path, body, headers);
    free(authorization);
    return r;
}

http_reply post_as(const char *token, const char *path)
{
    return send_as(token, "POST", path, NULL);
}

const char *text(const http_reply *r, const char *name)
{
    const char *value = json_string_value(json_object_get(r->json, name));
    return value ? value : "";
}

json_t *member(const http_reply *r, const char *object, const char *name)
{
    return json_object_get(json_object_get(r->json, object), name);
}

void fails_with(const char *method, const char *path, const char *body, int status,
                const char *code)
{
    http_reply r = http_send(client, method, path, body, NULL);
    assert_problem(&r, status, code);
    http_reply_free(&r);
}

double metric(const char *name)
{
    http_reply r = get("/metrics");
    char line[256];
    assert_status(&r, 200);
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(r.body, line);
    double value = at ? strtod(at + strlen(line), NULL) : 0;
    http_reply_free(&r);
    return value;
}

long pool(const char *name)
{
    http_reply r = get("/pool");
    long value = (long)json_integer_value(json_object_get(r.json, name));
    http_reply_free(&r);
    return value;
}

int post_beside(const char *path, const char *headers, const char *body)
{
    char *request;
    int fd = raw_dial(weir_port(weir));
    assert_true(asprintf(&request,
                         "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s"
                         "Content-Length: %zu\r\n\r\n%s",
                         path, headers ? headers : "", strlen(body), body) > 0);
    assert_true(raw_say(fd, request));
    free(request);
    return fd;
}

char *repeated(const char *head, const char *piece, int times, const char *tail)
{
    char *made = malloc(strlen(head) + strlen(piece) * (size_t)times + strlen(tail) + 1);
    char *at = stpcpy(made, head);
    for (int i = 0; i < times; i++)
        at = stpcpy(at, piece);
    stpcpy(at, tail);
    return made;
}

int naps(void)
{
    return (int)postgres_number(database, "select count(*) from pg_stat_activity where "
                                          "state = 'active' and query like '%pg_sleep(%' and pid "
                                          "<> pg_backend_pid()");
}
