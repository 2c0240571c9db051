/* several_pools.c: two pools in one process: writes go to the primary, reads to a standby where
 * there is one.
 *
 *     ./several_pools 'host=one,two dbname=shop'
 */
#include <stdio.h>
#include <weir.h>

typedef struct databases {
    weir_pool *primary, *replica;
} databases;

#define MODE                                                                                       \
    "select case when current_setting('transaction_read_only')::bool "                             \
    "then 'reading only' else 'reading and writing' end"
static const weir_statement change = {.sql = MODE};
static const weir_statement look = {.sql = MODE, .read_only = true};

static int ask(weir_pool *pool, const weir_statement *statement)
{
    weir_scope scope = {.deadline_ns = weir_after(WEIR_S(5))};
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(pool, &scope, &lease);
    if (r < 0)
        return r;
    weir_scoped_result weir_result *rows = NULL;
    r = weir_query(lease, statement, NULL, &rows);
    if (r == 0)
        printf("%s: %s\n", weir_pool_name(pool), weir_result_value(rows, 0, 0));
    return r;
}

/* Later keywords of a connection string win. */
static int open_pool(const char *name, const char *server, const char *wanted, uint32_t max,
                     weir_pool **pool)
{
    char conninfo[1024];
    snprintf(conninfo, sizeof conninfo, "%s target_session_attrs=%s", server ? server : "", wanted);
    weir_error why;
    weir_pool_options options = {.name = name, .conninfo = conninfo, .max = max};
    int r = weir_pool_open(NULL, &options, pool, &why);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", name, why.message);
    return r;
}

static int program(void *arg)
{
    databases d = {NULL, NULL};
    int r = open_pool("primary", arg, "read-write", 2, &d.primary);
    if (r == 0)
        r = open_pool("replica", arg, "prefer-standby", 8, &d.replica);
    if (r == 0)
        r = ask(d.primary, &change);
    if (r == 0)
        r = ask(d.replica, &look);
    weir_pool_close(d.replica); /* takes NULL */
    weir_pool_close(d.primary);
    return r;
}

int main(int argc, char **argv)
{
    int r = weir_run(NULL, program, argc > 1 ? argv[1] : NULL);
    if (r < 0)
        fprintf(stderr, "%s\n", weir_strerror(r));
    return r < 0;
}
