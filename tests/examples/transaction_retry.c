/* transaction_retry.c: a transaction that is tried again when it collides, until its deadline. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir.h>

/* The work of one transaction: 0, or the error of what failed. */
typedef int (*work_fn)(weir_lease *lease, void *arg);

static const weir_statement begin = {.sql = "begin isolation level repeatable read"};
static const weir_statement commit = {.sql = "commit"};

/* Serialization failure and deadlock: nothing has happened, and trying again may go well. */
static bool collided(const weir_error *error)
{
    return strcmp(error->sqlstate, "40001") == 0 || strcmp(error->sqlstate, "40P01") == 0;
}

/* Each try takes a lease of its own; what it leaves open the pool rolls back at its release. */
static int attempt(weir_pool *pool, work_fn work, void *arg, bool *again)
{
    weir_scoped_lease weir_lease *lease = NULL;
    *again = false;
    int r = weir_acquire(pool, NULL, &lease);
    if (r < 0)
        return r;
    r = weir_query(lease, &begin, NULL, NULL);
    if (r == 0)
        r = work(lease, arg);
    if (r == 0)
        r = weir_query(lease, &commit, NULL, NULL);
    if (r < 0)
        *again = collided(weir_lease_error(lease));
    return r;
}

/* Suspends for as long as the task's deadline allows. `*attempts` counts the tries. */
static int transaction(weir_pool *pool, work_fn work, void *arg, int *attempts)
{
    uint64_t pause_ns = WEIR_MS(5);
    for (;;) {
        bool again;
        ++*attempts;
        int r = attempt(pool, work, arg, &again);
        if (r == 0 || !again)
            return r;
        /* Some random while, so that those who collided do not do so again. */
        int late = weir_sleep((uint64_t)rand() % pause_ns);
        if (late < 0)
            return late;
        pause_ns *= 2;
    }
}

/* ---- What it is used for ---- */

static const weir_statement reset = {
    .sql = "create table if not exists balances (id int primary key, amount int not null)"};
static const weir_statement fill = {
    .sql = "insert into balances values (1, 0) on conflict (id) do update set amount = 0"};
static const weir_statement read_balance = {.sql = "select amount from balances where id = 1"};
static const weir_statement write_balance = {.sql = "update balances set amount = $1 where id = 1"};

/* Reads, thinks, and writes what it has thought: without a transaction, additions would be lost. */
static int add_one(weir_lease *lease, void *arg)
{
    (void)arg;
    weir_scoped_result weir_result *rows = NULL;
    int r = weir_query(lease, &read_balance, NULL, &rows);
    if (r < 0)
        return r;
    char text[16];
    const char *amount = text;
    snprintf(text, sizeof text, "%d", atoi(weir_result_value(rows, 0, 0)) + 1);
    r = weir_sleep(WEIR_MS(100));
    if (r < 0)
        return r;
    return weir_query(lease, &write_balance, &(weir_params){.count = 1, .values = &amount}, NULL);
}

typedef struct adder {
    weir_pool *pool;
    int attempts;
} adder;

static int add(void *arg)
{
    adder *a = arg;
    weir_scoped_timeout(limit, WEIR_S(10));
    return transaction(a->pool, add_one, NULL, &a->attempts);
}

static int add_at_once(weir_pool *pool)
{
    enum { ADDERS = 4 };
    adder adders[ADDERS] = {{0}};
    weir_scoped_group group = WEIR_GROUP(WEIR_GROUP_CANCEL_REST);
    int r = 0, attempts = 0;
    for (int i = 0; i < ADDERS && r == 0; i++) {
        adders[i].pool = pool;
        r = weir_group_spawn(&group, add, &adders[i]);
    }
    if (r == 0)
        r = weir_group_wait(&group);
    for (int i = 0; i < ADDERS; i++)
        attempts += adders[i].attempts;
    printf("%d additions, %s\n", ADDERS, attempts > ADDERS ? "some tried again" : "none twice");
    return r;
}

static int ask(weir_pool *pool, const weir_statement *statement, int *number)
{
    weir_scoped_lease weir_lease *lease = NULL;
    int r = weir_acquire(pool, NULL, &lease);
    if (r < 0)
        return r;
    weir_scoped_result weir_result *rows = NULL;
    r = weir_query(lease, statement, NULL, &rows);
    if (r == 0 && number)
        *number = atoi(weir_result_value(rows, 0, 0));
    return r;
}

static int program(void *arg)
{
    weir_pool *pool;
    weir_pool_options options = {.conninfo = arg, .max = 4};
    int r = weir_pool_open(NULL, &options, &pool, NULL);
    if (r < 0)
        return r;
    int balance = 0;
    if ((r = ask(pool, &reset, NULL)) == 0 && (r = ask(pool, &fill, NULL)) == 0 &&
        (r = add_at_once(pool)) == 0 && (r = ask(pool, &read_balance, &balance)) == 0)
        printf("balance %d\n", balance);
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
