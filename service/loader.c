/* loader.c: the queries' way from their folder into service. */
#include "loader.h"

#include <stdio.h>
#include <stdlib.h>

#include "log.h"

#define TRY_NS      WEIR_S(1) /* how long one attempt waits for a connection */
#define PAUSE_NS    WEIR_MS(200)
#define DESCRIBE_NS WEIR_S(30) /* all queries, on a connection that is there */
#define REMIND_NS   WEIR_S(60) /* between lines that say that the database is still away */

const char *absence_reason(weir_pool *pool, int error, weir_error *memory)
{
    weir_pool_stats now;

    weir_pool_connect_error(pool, memory);
    weir_pool_stats_read(pool, &now);
    if (now.paused && error == WEIR_ETIMEDOUT)
        return "the pool is paused";
    return memory->code && *memory->message ? memory->message : weir_strerror(error);
}

/* ---- All lanes ---- */

int loader_open(loader *l, weir_runtime *runtime, weir_pool *const *pools, const char *const *names,
                weir_api *api)
{
    loader_visit *visits = calloc(weir_runtime_lanes(runtime), sizeof *visits);
    if (!visits)
        return WEIR_ENOMEM;
    *l = (loader){.runtime = runtime, .pools = pools, .names = names, .api = api, .visits = visits};
    while (names[l->pool_count])
        l->pool_count++;
    return 0;
}

void loader_close(loader *l)
{
    query_set_unref(l->served);
    free(l->visits);
    l->served = NULL;
    l->visits = NULL;
}

static void come_back(weir_job *job)
{
    weir_semaphore_release(&((loader_visit *)job)->loader->back);
}

static void turn_round(weir_job *job)
{
    job->run = come_back;
    weir_lane_post(((loader_visit *)job)->loader->home, job);
}

/* Waits until every lane has done what it was told so far. */
static void await_lanes(loader *l)
{
    uint32_t lanes = weir_runtime_lanes(l->runtime);
    l->home = weir_lane_self();
    l->back = (weir_semaphore)WEIR_SEMAPHORE(0);
    for (uint32_t i = 0; i < lanes; i++) {
        l->visits[i] = (loader_visit){.job.run = turn_round, .loader = l};
        weir_lane_post(weir_runtime_lane(l->runtime, i), &l->visits[i].job);
    }
    while (lanes > 0 && weir_semaphore_acquire(&l->back) == 0)
        lanes--;
}

/* ---- The queries ---- */

typedef struct reading {
    const loader_source *source;
    const char *const *pools;
    query_set *set;
    query_fault *fault;
    int outcome;
} reading;

static void read_folder(void *arg)
{
    reading *r = arg;
    r->outcome = query_set_read(r->source->folder, r->pools, &r->set, r->fault);
    if (r->outcome == 0)
        r->outcome = query_set_guard(r->set, r->source->auth, r->source->auth_met, r->fault);
}

static int describe_on(weir_pool *pool, uint32_t index, query_set *set, query_fault *fault)
{
    weir_scoped_lease weir_lease *lease = NULL;
    const weir_scope scope = {
        .deadline_ns = weir_after(TRY_NS), .label = "weir describe", .urgent = true};
    int r = weir_acquire(pool, &scope, &lease);
    if (r < 0)
        return r;
    weir_scoped_timeout(limit, DESCRIBE_NS);
    return query_set_describe(set, index, lease, fault);
}

/* Pools that no query names are asked too: a wrong URL is best known at the start. */
static int describe(loader *l, query_set *set, query_fault *fault)
{
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < l->pool_count; i++) {
        l->absent = i;
        r = describe_on(l->pools[i], i, set, fault);
    }
    return r;
}

/* One attempt, from the folder on: a set that was described in part is not used again. */
static int attempt(loader *l, const loader_source *source, query_set **set, query_fault *fault)
{
    reading files = {.source = source, .pools = l->names, .fault = fault};
    l->absent = 0;
    int r = weir_work(read_folder, &files);
    if (r == 0)
        r = files.outcome;
    if (r == 0)
        r = describe(l, files.set, fault);
    if (r == 0)
        *set = files.set;
    else
        query_set_unref(files.set);
    return r;
}

static bool is_absence(int r)
{
    return r < 0 && r != WEIR_EINVAL && r != WEIR_ECANCELED;
}

int loader_prepare(loader *l, const loader_source *source, query_set **set, query_fault *fault)
{
    int r = attempt(l, source, set, fault);
    weir_error why;
    if (is_absence(r))
        snprintf(fault->message, sizeof fault->message, "pool \"%s\": %s", l->names[l->absent],
                 absence_reason(l->pools[l->absent], r, &why));
    return r;
}

static void say_waiting(const loader *l, int error, uint64_t *said_ns)
{
    weir_error why;
    if (*said_ns && weir_now() - *said_ns < REMIND_NS)
        return;
    const char *reason = absence_reason(l->pools[l->absent], error, &why);
    log_say(WEIR_WARN, "service.waiting", "waiting for the database",
            field_text("pool", l->names[l->absent]), field_text("reason", reason));
    *said_ns = weir_now();
}

int loader_prepare_patiently(loader *l, const loader_source *source, query_set **set,
                             query_fault *fault)
{
    uint64_t said_ns = 0;
    for (;;) {
        *fault = (query_fault){0};
        int r = attempt(l, source, set, fault);
        if (!is_absence(r))
            return r;
        say_waiting(l, r, &said_ns);
        r = weir_sleep(PAUSE_NS);
        if (r < 0)
            return r;
    }
}

void loader_install(loader *l, query_set *set)
{
    query_set_unref(l->served);
    l->served = query_set_ref(set);
    weir_api_install(l->api, set);
    await_lanes(l);
}
