/* own_loop.c: a program with a libuv loop of its own, and callbacks only.
 *
 *     cc own_loop.c $(pkg-config --cflags --libs weir libuv)
 *
 * A timer of the program's ticks on the same loop while the queries run. */
#include <stdio.h>
#include <uv.h>
#include <weir.h>

enum { QUESTIONS = 3 };

typedef struct app {
    uv_loop_t loop;
    uv_timer_t clock;
    weir_runtime *runtime;
    weir_pool *pool;
    int open_questions, ticks, failed;
} app;

typedef struct question {
    app *app;
    weir_lease *lease;
    const char *number;
    weir_params params;
} question;

static const weir_statement square = {.sql = "select $1::int * $1::int from pg_sleep(0.1)"};

/* ---- The end: the pool, then the runtime, then the loop has nothing left to do ---- */

static void pool_closed(void *arg)
{
    app *a = arg;
    weir_runtime_close(a->runtime);
    uv_close((uv_handle_t *)&a->clock, NULL);
}

static void question_over(question *q, int error)
{
    if (error < 0) {
        fprintf(stderr, "%s: %s\n", q->number, weir_strerror(error));
        q->app->failed++;
    }
    if (--q->app->open_questions == 0)
        weir_pool_close_cb(q->app->pool, pool_closed, q->app);
}

/* ---- One question: a lease, an answer, the lease back ---- */

static void answer_arrives(void *arg, int error, weir_result *rows)
{
    question *q = arg;
    if (error == 0)
        printf("%s squared is %s\n", q->number, weir_result_value(rows, 0, 0));
    weir_result_free(rows);
    weir_release(q->lease);
    question_over(q, error);
}

static void lease_arrives(void *arg, int error, weir_lease *lease)
{
    question *q = arg;
    if (error < 0) {
        question_over(q, error);
        return;
    }
    q->lease = lease;
    error = weir_query_cb(lease, &square, &q->params, weir_after(WEIR_S(2)), answer_arrives, q);
    if (error < 0) { /* answer_arrives will not be called */
        weir_release(lease);
        question_over(q, error);
    }
}

static void ask(app *a, question *q, const char *const *number)
{
    *q = (question){.app = a, .number = *number, .params = {.count = 1, .values = number}};
    weir_scope scope = {.deadline_ns = weir_after(WEIR_S(2)), .label = "own_loop"};
    a->open_questions++;
    int r = weir_acquire_cb(a->pool, &scope, lease_arrives, q, NULL);
    if (r < 0)
        question_over(q, r);
}

/* ---- The program ---- */

static void tick(uv_timer_t *clock)
{
    ((app *)clock->data)->ticks++;
}

static int start(app *a, const char *conninfo)
{
    int r = weir_runtime_open(&(weir_runtime_options){.loop = &a->loop}, &a->runtime);
    if (r < 0)
        return r;
    weir_pool_options options = {.conninfo = conninfo, .max = 1};
    r = weir_pool_open(a->runtime, &options, &a->pool, NULL);
    if (r < 0)
        weir_runtime_close(a->runtime); /* closes its handles when the loop runs */
    return r;
}

int main(int argc, char **argv)
{
    static const char *const numbers[QUESTIONS] = {"2", "3", "4"};
    static question questions[QUESTIONS];
    static app a;
    if (uv_loop_init(&a.loop) < 0)
        return 1;
    int r = start(&a, argc > 1 ? argv[1] : NULL);
    if (r == 0) {
        a.clock.data = &a;
        uv_timer_init(&a.loop, &a.clock);
        uv_timer_start(&a.clock, tick, 10, 10);
        for (int i = 0; i < QUESTIONS; i++)
            ask(&a, &questions[i], &numbers[i]);
    }
    uv_run(&a.loop, UV_RUN_DEFAULT); /* returns when all is closed */
    if (r < 0)
        fprintf(stderr, "%s\n", weir_strerror(r));
    else
        printf("%s\n", a.ticks >= QUESTIONS ? "and the clock went on ticking" : "nothing ticked");
    return uv_loop_close(&a.loop) < 0 || r < 0 || a.failed;
}
