/* scoped_acquire.c: a lease under a deadline, given back on every path out.
 *
 *     cc scoped_acquire.c $(pkg-config --cflags --libs weir)
 *     ./a.out postgresql://user@host/db
 */
#include <stdio.h>
#include <weir.h>

static const weir_statement greeting = {.sql = "select 'Hello, ' || $1"};
static const weir_statement slow = {.sql = "select pg_sleep(0.3)"};

/* At most `patience_ns` for the connection, and at most a second for all of it. */
static int greet(weir_pool *pool, const char *name, uint64_t patience_ns)
{
    weir_scoped_timeout(all, WEIR_S(1));
    weir_scope scope = {.deadline_ns = weir_after(patience_ns), .label = "greet"};
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(pool, &scope, &lease);
    if (r < 0)
        return r;
    weir_scoped_result weir_result *rows = NULL;
    r = weir_query(lease, &greeting, &(weir_params){.count = 1, .values = &name}, &rows);
    if (r < 0)
        return r;
    printf("%s\n", weir_result_value(rows, 0, 0));
    return 0;
}

/* Keeps the pool's only connection for a while. */
static int occupy(void *arg)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(arg, NULL, &lease);
    return r < 0 ? r : weir_query(lease, &slow, NULL, NULL);
}

static int use(weir_pool *pool)
{
    int r = greet(pool, "world", WEIR_S(1));
    if (r < 0)
        return r;
    weir_scoped_group others = WEIR_GROUP(WEIR_GROUP_COLLECT_ALL);
    r = weir_group_spawn(&others, occupy, pool);
    if (r < 0)
        return r;
    weir_yield(); /* it takes the connection */
    r = greet(pool, "hurry", WEIR_MS(50));
    printf("in a hurry: %s\n", weir_error_name(r));
    return greet(pool, "patience", WEIR_S(1));
}

static int program(void *arg)
{
    weir_pool *pool;
    weir_error why;
    weir_pool_options options = {.conninfo = arg, .max = 1};
    int r = weir_pool_open(NULL, &options, &pool, &why);
    if (r < 0) {
        fprintf(stderr, "%s\n", why.message);
        return r;
    }
    r = use(pool);
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
