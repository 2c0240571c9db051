/* cancel.c: a task cancelled while its query runs, which stops at the server too. */
#include <stdio.h>
#include <weir.h>

static const weir_statement endless = {.sql = "select pg_sleep(3600)"};
static const weir_statement quick = {.sql = "select 'the next query runs at once'"};
static const weir_statement others = {
    .sql = "select count(*) from pg_stat_activity "
           "where state = 'active' and query like '%pg_sleep(3600)' and pid <> pg_backend_pid()"};

/* Cancelled, it comes back from its wait with WEIR_ECANCELED, and its scopes give back the lease.
 */
static int run_for_ever(void *arg)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(arg, NULL, &lease);
    return r < 0 ? r : weir_query(lease, &endless, NULL, NULL);
}

static int ask(weir_pool *pool, const weir_statement *statement)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(pool, NULL, &lease);
    if (r < 0)
        return r;
    weir_scoped_result weir_result *rows = NULL;
    r = weir_query(lease, statement, NULL, &rows);
    if (r == 0)
        printf("%s\n", weir_result_value(rows, 0, 0));
    return r;
}

static int change_ones_mind(weir_pool *pool)
{
    weir_task *task;
    int r = weir_spawn(run_for_ever, pool, &task);
    if (r < 0)
        return r;
    weir_sleep(WEIR_MS(200));
    weir_cancel(task);
    int result;
    r = weir_join(task, &result);
    if (r < 0)
        return r;
    printf("%s\n", weir_error_name(result));
    /* The pool's only connection serves again once the server has stopped the query, not before. */
    r = ask(pool, &quick);
    if (r < 0)
        return r;
    printf("still running: ");
    return ask(pool, &others);
}

static int program(void *arg)
{
    weir_pool *pool;
    weir_pool_options options = {.conninfo = arg, .max = 1};
    int r = weir_pool_open(NULL, &options, &pool, NULL);
    if (r < 0)
        return r;
    r = change_ones_mind(pool);
    weir_pool_close(pool);
    return r;
}

int main(int argc, char **argv)
{
    int r = weir_run(NULL, program, argc > 1 ? argv[1] : NULL);
    if (r < 0)
        fprintf(stderr, "%s\n", weir_strerror(r));
    return r < 0;
}
