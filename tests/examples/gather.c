/* gather.c: three queries at once, each on a lease of its own, and one wait for all of them. */
#include <stdio.h>
#include <weir.h>

typedef struct figure {
    weir_pool *pool;
    const char *name;
    weir_statement statement;
    char value[32];
    int backend_pid;
} figure;

static int look_up(void *arg)
{
    figure *f = arg;
    weir_scope scope = {.label = f->name};
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(f->pool, &scope, &lease);
    if (r < 0)
        return r;
    weir_scoped_result weir_result *rows = NULL;
    r = weir_query(lease, &f->statement, NULL, &rows);
    if (r == WEIR_EQUERY)
        printf("%s: %s\n", f->name, weir_lease_error(lease)->message);
    if (r < 0)
        return r;
    snprintf(f->value, sizeof f->value, "%s", weir_result_value(rows, 0, 0));
    f->backend_pid = weir_lease_backend_pid(lease);
    return 0;
}

/* The first that fails cancels the others, at the server too. */
static int look_up_all(figure *figures, int count)
{
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_CANCEL_REST);
    for (int i = 0; i < count; i++) {
        int r = weir_group_spawn(&group, look_up, &figures[i]);
        if (r < 0)
            return r;
    }
    return weir_group_wait(&group);
}

static int show(weir_pool *pool)
{
    figure f[] = {
        {pool,
         "sum",
         {.sql = "select sum(n) from generate_series(1, 100) n, pg_sleep(0.2)"},
         "",
         0},
        {pool,
         "most",
         {.sql = "select max(n) from generate_series(1, 100) n, pg_sleep(0.2)"},
         "",
         0},
        {pool,
         "count",
         {.sql = "select count(*) from generate_series(1, 7), pg_sleep(0.2)"},
         "",
         0},
    };
    int r = look_up_all(f, 3);
    if (r < 0)
        return r;
    for (int i = 0; i < 3; i++)
        printf("%s %s\n", f[i].name, f[i].value);
    bool apart = f[0].backend_pid != f[1].backend_pid && f[1].backend_pid != f[2].backend_pid &&
                 f[2].backend_pid != f[0].backend_pid;
    printf("%s\n", apart ? "at once, on three connections" : "one after the other");

    f[1].statement.sql = "select 1 / 0";
    f[2].statement.sql = "select pg_sleep(60)";
    r = look_up_all(f, 3);
    printf("one fails: %s\n", weir_error_name(r));
    return 0;
}

static int program(void *arg)
{
    weir_pool *pool;
    weir_pool_options options = {.conninfo = arg, .max = 3};
    int r = weir_pool_open(NULL, &options, &pool, NULL);
    if (r < 0)
        return r;
    r = show(pool);
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
