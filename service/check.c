/* check.c: whether a folder of queries would be served. */
#include "check.h"

#include <inttypes.h>
#include <stdlib.h>

#include "../api/query_set.h"
#include "../pool/weir.h"
#include "exits.h"
#include "loader.h"
#include "serve.h"

typedef struct checking {
    const config *config;
    const char *names[QUERY_POOLS_MAX + 1];
    query_set *set;
    query_fault fault;
} checking;

static void list(const query_set *set)
{
    uint32_t count = query_set_count(set);
    for (uint32_t i = 0; i < count; i++) {
        const query *q = query_set_at(set, i);
        printf("%-8s %-40s %s\n", q->routed ? query_method_name(q->method) : "GET|POST",
               q->routed ? q->path : q->named_path, q->file);
    }
    printf("%" PRIu32 " %s\n", count, count == 1 ? "query" : "queries");
}

static int wrong_file(const checking *k)
{
    char text[sizeof k->fault.file + sizeof k->fault.message + 16];
    fault_text(&k->fault, text, sizeof text);
    fprintf(stderr, "%s\n", text);
    return EXIT_QUERIES;
}

static int no_database(const checking *k, uint32_t index, weir_pool *pool, int error)
{
    weir_error why;
    const char *reason = absence_reason(pool, error, &why);
    bool named = index > 0;
    fprintf(stderr, "weir: the files are well-formed, but the database%s%s%s cannot be asked: %s\n",
            named ? " of pool \"" : "", named ? k->names[index] : "", named ? "\"" : "", reason);
    return EXIT_UNAVAILABLE;
}

static int describe(checking *k, uint32_t index, weir_pool *pool)
{
    weir_scoped_lease weir_lease *lease = NULL;
    const weir_scope scope = {.deadline_ns = weir_after(k->config->connect_timeout_ns),
                              .label = "weir check",
                              .urgent = true};
    int r = weir_acquire(pool, &scope, &lease);
    if (r == 0)
        r = query_set_describe(k->set, index, lease, &k->fault);
    if (r == WEIR_EINVAL)
        return wrong_file(k);
    return r < 0 ? no_database(k, index, pool, r) : EXIT_FINE;
}

static int ask_database(checking *k, uint32_t index)
{
    weir_pool *pool = NULL;
    weir_pool_options options = serve_pool_options(k->config, index);
    options.max = 1;
    options.min = 0;
    options.on_event = NULL;
    int code = serve_open_pool(NULL, &options, index, &pool);
    if (code != EXIT_FINE)
        return code;
    code = describe(k, index, pool);
    weir_pool_close(pool);
    return code;
}

/* As a task on a runtime of its own. */
static int ask_databases(void *arg)
{
    checking *k = arg;
    int code = EXIT_FINE;
    for (uint32_t i = 0; code == EXIT_FINE && k->names[i]; i++)
        code = ask_database(k, i);
    if (code == EXIT_FINE)
        list(k->set);
    return code;
}

int check(const config *c)
{
    checking k = {.config = c};
    config_pool_names(c, k.names);
    int r = query_set_read(c->queries, k.names, &k.set, &k.fault);
    if (r == WEIR_EINVAL)
        return wrong_file(&k);
    int code = r < 0 ? r : weir_run(NULL, ask_databases, &k);
    query_set_unref(k.set);
    if (code < 0) {
        fprintf(stderr, "weir: %s\n", weir_strerror(code));
        return EXIT_SYSTEM;
    }
    return code;
}
