/* check.c: whether a folder of queries would be served. */
#include "check.h"

#include <inttypes.h>
#include <stdlib.h>

#include "../api/query_set.h"
#include "../pool/weir.h"
#include "exits.h"
#include "loader.h"
#include "secret.h"
#include "serve.h"

typedef struct checking {
    const config *config;
    query_set *set;
    weir_pool *pool;
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

static int no_database(const checking *k, int error)
{
    weir_error why;
    const char *reason = absence_reason(k->pool, error, &why);
    fprintf(stderr, "weir: the files are well-formed, but the database cannot be asked: %s\n",
            reason);
    return EXIT_UNAVAILABLE;
}

static int describe(checking *k)
{
    weir_scoped_lease weir_lease *lease = NULL;
    const weir_scope scope = {.deadline_ns = weir_after(k->config->connect_timeout_ns),
                              .label = "weir check"};
    int r = weir_acquire(k->pool, &scope, &lease);
    if (r == 0)
        r = query_set_describe(k->set, lease, &k->fault);
    if (r == WEIR_EINVAL)
        return wrong_file(k);
    if (r < 0)
        return no_database(k, r);
    list(k->set);
    return EXIT_FINE;
}

/* As a task on a runtime of its own. */
static int ask_database(void *arg)
{
    checking *k = arg;
    weir_error why = {0};
    weir_pool_options options = serve_pool_options(k->config);
    options.max = 1;
    options.min = 0;
    options.on_event = NULL;
    int r = weir_pool_open(NULL, &options, &k->pool, &why);
    if (r < 0) {
        secret_blot(k->config->database, why.message);
        fprintf(stderr, "weir: --database: %s\n", *why.message ? why.message : weir_strerror(r));
        return r == WEIR_EINVAL ? EXIT_USAGE : EXIT_SYSTEM;
    }
    int code = describe(k);
    weir_pool_close(k->pool);
    return code;
}

int check(const config *c)
{
    checking k = {.config = c};
    int r = query_set_read(c->queries, &k.set, &k.fault);
    if (r == WEIR_EINVAL)
        return wrong_file(&k);
    int code = r < 0 ? r : weir_run(NULL, ask_database, &k);
    query_set_unref(k.set);
    if (code < 0) {
        fprintf(stderr, "weir: %s\n", weir_strerror(code));
        return EXIT_SYSTEM;
    }
    return code;
}
