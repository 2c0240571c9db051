/* check.c: whether a folder of queries would be served, and what is doubtful about it. */
#include "check.h"

#include <inttypes.h>
#include <stdlib.h>

#include "../api/findings.h"
#include "../api/query_plan.h"
#include "../api/query_set.h"
#include "../pool/weir.h"
#include "access.h"
#include "complaint.h"
#include "exits.h"
#include "loader.h"
#include "serve_pools.h"

#define LOOK_NS WEIR_S(60) /* at all queries of a pool, on a connection that is there */

typedef struct checking {
    const config *config;
    const char *names[QUERY_POOLS_MAX + 1];
    query_set *set;
    query_fault fault; /* the last; all of them are in `all` */
    findings all;
} checking;

/* ---- What it says ---- */

static void list(const query_set *set)
{
    uint32_t count = query_set_count(set);
    for (uint32_t i = 0; i < count; i++) {
        const query *q = query_set_at(set, i);
        printf("%-8s %-40s %s\n", q->routed ? query_method_name(q->method) : "GET|POST",
               q->routed ? q->path : q->named_path, q->file);
    }
}

static void tell_findings(findings *all)
{
    findings_sort(all);
    for (uint32_t i = 0; i < all->count; i++) {
        const finding *f = &all->list[i];
        char line[16] = "";
        if (f->line > 0)
            snprintf(line, sizeof line, ":%" PRIu32, f->line);
        fprintf(stderr, "%s%s%s%s: %s\n", f->file, line, *f->file ? ": " : "",
                f->warning ? "warning" : "error", f->message);
    }
    if (all->errors + all->warnings > all->count)
        fprintf(stderr, "and %" PRIu32 " more\n", all->errors + all->warnings - all->count);
}

static void tell_sum(const findings *all)
{
    printf("%" PRIu32 " %s, %" PRIu32 " %s, %" PRIu32 " %s\n", all->files,
           all->files == 1 ? "query" : "queries", all->errors,
           all->errors == 1 ? "error" : "errors", all->warnings,
           all->warnings == 1 ? "warning" : "warnings");
}

static int no_database(const checking *k, uint32_t index, weir_pool *pool, int error)
{
    weir_error why;
    const char *reason = absence_reason(pool, error, &why);
    bool named = index > 0;
    complain("%sthe database%s%s%s cannot be asked: %s",
             k->all.errors == 0 ? "the files are well-formed, but " : "",
             named ? " of pool \"" : "", named ? k->names[index] : "", named ? "\"" : "", reason);
    return EXIT_UNAVAILABLE;
}

/* ---- What it asks ---- */

/* What a query with @auth jwt may refer to is there. */
static int review_query(checking *k, const query *q, weir_lease *lease)
{
    static const weir_setting no_claims = {"request.jwt.claims", "{}"};
    int r = weir_lease_settings(lease, &no_claims, q->auth == AUTH_JWT);
    return r < 0 ? r : query_plan_review(q, k->config->big_table, lease, &k->all);
}

static int review(checking *k, uint32_t index, weir_lease *lease)
{
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < query_set_count(k->set); i++) {
        const query *q = query_set_at(k->set, i);
        if (q->pool_index == index && q->described)
            r = review_query(k, q, lease);
    }
    return r;
}

static int look(checking *k, uint32_t index, weir_pool *pool)
{
    weir_scoped_lease weir_lease *lease = NULL;
    const weir_scope scope = {.deadline_ns = weir_after(k->config->connect_timeout_ns),
                              .label = "weir check",
                              .urgent = true};
    int r = weir_acquire(pool, &scope, &lease);
    if (r < 0)
        return no_database(k, index, pool, r);
    weir_scoped_timeout(limit, LOOK_NS);
    r = findings_keep(&k->fault, query_set_describe(k->set, index, lease, &k->fault));
    if (r == 0)
        r = review(k, index, lease);
    return r < 0 ? no_database(k, index, pool, r) : EXIT_FINE;
}

static int ask_database(checking *k, uint32_t index)
{
    weir_pool *pool = NULL;
    weir_pool_options options = serve_pool_options(k->config, index, NULL);
    options.max = 1;
    options.min = 0;
    options.on_event = NULL;
    int code = serve_open_pool(NULL, &options, index, &pool);
    if (code != EXIT_FINE)
        return code;
    code = look(k, index, pool);
    weir_pool_close(pool);
    return code;
}

/* As a task on a runtime of its own. One database that is away does not hide what the others say.
 */
static int ask_databases(void *arg)
{
    checking *k = arg;
    int code = EXIT_FINE;
    for (uint32_t i = 0; k->names[i]; i++) {
        int one = ask_database(k, i);
        if (one != EXIT_FINE && one != EXIT_UNAVAILABLE)
            return one;
        code = one != EXIT_FINE ? one : code;
    }
    return code;
}

static int verdict(const checking *k, int code)
{
    if (k->all.errors > 0)
        return EXIT_QUERIES;
    if (code == EXIT_FINE && k->config->strict && k->all.warnings > 0)
        return EXIT_QUERIES;
    return code;
}

static int tell(checking *k, int code)
{
    if (code < 0) {
        complain("%s", weir_strerror(code));
        return EXIT_SYSTEM;
    }
    tell_findings(&k->all);
    if (code != EXIT_FINE && code != EXIT_UNAVAILABLE)
        return code;
    if (k->all.errors == 0 && code == EXIT_FINE)
        list(k->set);
    if (k->all.errors > 0 || code == EXIT_FINE)
        tell_sum(&k->all);
    return verdict(k, code);
}

/* Reads what the flags name but the folder: what is wrong there is no finding in a query. */
static int read_access(const config *c, uint32_t *met)
{
    credentials *known;
    query_fault fault = {0};
    int r = access_read(c, &known, &fault);
    if (r == 0) {
        *met = access_kinds(known);
        credentials_unref(known);
        return EXIT_FINE;
    }
    return complain_of(&fault, r, EXIT_USAGE);
}

int check(const config *c)
{
    checking k = {.config = c};
    uint32_t auth_met = 0;
    int code = read_access(c, &auth_met);
    if (code != EXIT_FINE)
        return code;
    k.fault.all = &k.all;
    config_pool_names(c, k.names);
    code = query_set_read(c->queries, k.names, &k.set, &k.fault);
    if (code == 0)
        code = query_set_guard(k.set, (query_auth)c->auth, auth_met, &k.fault);
    if (code == 0)
        code = weir_run(NULL, ask_databases, &k);
    code = tell(&k, code);
    query_set_unref(k.set);
    findings_free(&k.all);
    return code;
}
