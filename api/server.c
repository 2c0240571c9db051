/* server.c: HTTP on all lanes: opened, drained and closed as one. */
#include "server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../pool/task.h"
#include "address.h"
#include "gzip.h"
#include "request.h"

/* Operators are few. */
#define POOL_LOG_CLIENTS_MAX 32

/* ---- Queries, as a lane holds them ---- */

lane_queries *lane_queries_ref(api_lane *lane)
{
    if (lane->queries)
        lane->queries->refs++;
    return lane->queries;
}

void lane_queries_unref(lane_queries *queries)
{
    if (!queries || --queries->refs > 0)
        return;
    query_set_unref(queries->set);
    free(queries);
}

/* A query set on its way to one lane. */
typedef struct install {
    weir_job job;
    api_lane *lane;
    lane_queries *queries;
} install;

static void install_here(weir_job *job)
{
    install *i = weir_container(job, install, job);

    lane_queries_unref(i->lane->queries);
    i->lane->queries = i->queries;
    free(i);
}

static install *prepare_install(api_lane *lane, query_set *set)
{
    install *i = malloc(sizeof *i);
    lane_queries *queries = malloc(sizeof *queries);

    if (!i || !queries) {
        free(i);
        free(queries);
        return NULL;
    }
    *queries = (lane_queries){.set = query_set_ref(set), .refs = 1};
    *i = (install){.job.run = install_here, .lane = lane, .queries = queries};
    return i;
}

void weir_api_install(weir_api *api, query_set *set)
{
    for (uint32_t i = 0; i < api->lane_count; i++) {
        install *next = prepare_install(api->lanes[i], set);
        if (next) /* without memory the lane keeps what it has */
            weir_lane_post(api->lanes[i]->lane, &next->job);
    }
    query_set_unref(set);
}

/* ---- Waiting for lanes ---- */

typedef struct api_wait {
    weir_wait wait;
    weir_api *api;
} api_wait;

static void end_wait(weir_api *api)
{
    weir_wait *wait = api->wait;

    api->wait = NULL;
    if (wait)
        wait_end(wait, 0);
}

static void wake_waiter(weir_job *job)
{
    weir_api *api = weir_container(job, weir_api, wake_job);

    atomic_store(&api->woken, false);
    end_wait(api);
}

static void wake(weir_api *api)
{
    weir_lane *lane = atomic_load(&api->waiting_lane);
    if (lane && !atomic_exchange(&api->woken, true))
        weir_lane_post(lane, &api->wake_job);
}

static void abandon_wait(weir_wait *wait)
{
    ((api_wait *)wait)->api->wait = NULL;
}

static void begin_wait(weir_wait *wait)
{
    ((api_wait *)wait)->api->wait = wait;
}

void server_request_began(api_lane *lane)
{
    atomic_fetch_add(&lane->requests, 1);
}

void server_request_ended(api_lane *lane)
{
    uint32_t before = atomic_fetch_sub(&lane->requests, 1);

    assert(before > 0);
    if (before == 1 && atomic_load(&lane->api->waiting_lane) && weir_api_requests(lane->api) == 0)
        wake(lane->api);
}

weir_pool *server_pool(const weir_api *api, const char *name)
{
    for (uint32_t i = 0; i < api->pool_count; i++)
        if (strcmp(weir_pool_name(api->pools[i]), name) == 0)
            return api->pools[i];
    return NULL;
}

uint32_t weir_api_requests(const weir_api *api)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < api->lane_count; i++)
        sum += atomic_load(&api->lanes[i]->requests);
    return sum;
}

uint64_t server_shared_requests(const weir_api *api)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < api->lane_count; i++)
        sum += atomic_load_explicit(&api->lanes[i]->shared_requests, memory_order_relaxed);
    return sum;
}

void weir_api_leave(weir_api *api)
{
    atomic_store(&api->leaving, true);
}

void weir_api_drain(weir_api *api)
{
    weir_api_leave(api);
    if (atomic_exchange(&api->draining, true))
        return;
    for (uint32_t i = 0; i < api->lane_count; i++)
        weir_lane_post(api->lanes[i]->lane, &api->lanes[i]->drain_job);
}

weir_async int weir_api_drained(weir_api *api)
{
    atomic_store(&api->waiting_lane, weir_lane_self());
    while (weir_api_requests(api) > 0) {
        api_wait waiting = {.wait.abandon = abandon_wait, .api = api};
        int r = task_wait(&waiting.wait, WEIR_NEVER, begin_wait);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- Cancelling ---- */

static void cancel_all(request_list *list)
{
    for (weir_request *req = list->first; req; req = req->next)
        weir_cancel(req->task);
}

static void cancel_here(weir_job *job)
{
    api_lane *lane = weir_container(job, api_lane, cancel_job);

    atomic_store(&lane->cancelling, false);
    cancel_all(&lane->fresh);
    cancel_all(&lane->watched);
    event_streams_cut(lane);
}

static void drain_here(weir_job *job)
{
    event_streams_end(weir_container(job, api_lane, drain_job));
}

static void judge_here(weir_job *job)
{
    api_lane *lane = weir_container(job, api_lane, judge_job);

    atomic_store(&lane->judging, false);
    event_streams_judge(lane);
}

void weir_api_cancel(weir_api *api)
{
    for (uint32_t i = 0; i < api->lane_count; i++)
        if (!atomic_exchange(&api->lanes[i]->cancelling, true))
            weir_lane_post(api->lanes[i]->lane, &api->lanes[i]->cancel_job);
}

/* ---- One lane ---- */

static void close_if_quiet(weir_job *job)
{
    api_lane *lane = weir_container(job, api_lane, job);

    if (lane->stopped || lane->fresh.first || lane->watched.first || lane->finished.first ||
        lane->runs_alive)
        return;
    lane->stopped = true;
    lane->handles++; /* until the end of this function */
    weir_lane_unhook(lane->lane, &lane->hook);
    weir_timer_stop(&lane->watch_timer);
    listener_stop(&lane->front);
    listener_stop(&lane->admin);
    lane_queries_unref(lane->queries);
    lane->queries = NULL;
    server_lane_released(lane);
}

/* On the lane of whoever closes. Comes after every wake-up that this lane has sent, so that none is
 * under way any more when the last lane is counted. */
static void lane_closed(weir_job *job)
{
    api_lane *lane = weir_container(job, api_lane, job);

    if (--lane->api->lanes_open == 0)
        end_wait(lane->api);
}

void server_lane_released(api_lane *lane)
{
    if (--lane->handles > 0 || !lane->stopped)
        return;
    lane->job.run = lane_closed;
    weir_lane_post(atomic_load(&lane->api->waiting_lane), &lane->job);
}

static void close_here(weir_job *job)
{
    api_lane *lane = weir_container(job, api_lane, close_job);

    lane->closing = true;
    cancel_all(&lane->fresh);
    cancel_all(&lane->watched);
    event_streams_cut(lane); /* none is suspended any more: the listener may end them */
    lane->job.run = close_if_quiet;
    weir_lane_push(lane->lane, &lane->job);
}

/* Answers all requests whose tasks have ended since the last time, and has streams go on, in one
 * turn of libmicrohttpd. */
static void answer_batch(weir_hook *hook)
{
    api_lane *lane = weir_container(hook, api_lane, hook);
    weir_request *req = lane->finished.first;

    if (!req && !lane->stirred)
        return;
    lane->stirred = false;
    lane->finished = (request_list){0};
    while (req) {
        weir_request *next = req->next;
        req->next = req->prev = NULL;
        request_answer(req);
        req = next;
    }
    listener_run(&lane->front);
    if (lane->admin.daemon)
        listener_run(&lane->admin);
    if (lane->closing)
        weir_lane_push(lane->lane, &lane->job);
}

static void start_here(weir_job *job)
{
    api_lane *lane = weir_container(job, api_lane, job);

    lane->hook.run = answer_batch;
    weir_lane_hook(lane->lane, &lane->hook);
    listener_start(&lane->front);
    if (lane->admin.daemon)
        listener_start(&lane->admin);
}

static void lane_free(api_lane *lane)
{
    if (!lane)
        return;
    if (lane->front.daemon)
        MHD_stop_daemon(lane->front.daemon);
    if (lane->admin.daemon)
        MHD_stop_daemon(lane->admin.daemon);
    metrics_shard_free(lane->metrics);
    gzip_close(lane->gzip);
    free(lane->scratch);
    free(lane);
}

static int lane_new(weir_api *api, uint32_t index, api_lane **made)
{
    api_lane *lane = aligned_alloc(64, (sizeof *lane + 63) / 64 * 64);
    if (!lane)
        return WEIR_ENOMEM;
    memset(lane, 0, sizeof *lane);
    lane->api = api;
    lane->lane = weir_runtime_lane(api->runtime, index);
    lane->job.run = start_here;
    lane->cancel_job.run = cancel_here;
    lane->close_job.run = close_here;
    lane->drain_job.run = drain_here;
    lane->judge_job.run = judge_here;
    id_source_open(&lane->ids);
    lane->scratch = malloc(api->connection_memory);
    if (!lane->scratch || metrics_shard_open(&lane->metrics) < 0) {
        lane_free(lane);
        return WEIR_ENOMEM;
    }
    *made = lane;
    return 0;
}

/* `tls`: as listener_open takes it. */
static int lane_listen(api_lane *lane, const weir_api_options *options, const char *tls, char *why,
                       size_t why_size)
{
    weir_api *api = lane->api;
    const char *listen = options->listen ? options->listen : "127.0.0.1:8080";
    int fd, r = address_listen(listen, api->lane_count > 1, &api->port, &fd, why, why_size);
    if (r == 0)
        r = listener_open(&lane->front, lane, fd, false, tls);
    /* Probes and scrapes are few: one lane answers them. */
    if (r < 0 || !options->admin_listen || lane != api->lanes[0])
        return r;
    r = address_listen(options->admin_listen, false, &api->admin_port, &fd, why, why_size);
    if (r < 0)
        return r;
    return listener_open(&lane->admin, lane, fd, true, options->admin_plain ? NULL : tls);
}

/* ---- All of it ---- */

static void api_free(weir_api *api)
{
    for (uint32_t i = 0; api->lanes && i < api->lane_count; i++)
        lane_free(api->lanes[i]);
    for (uint32_t i = 0; api->feeds && i < api->feed_count; i++)
        feed_free(api->feeds[i]);
    free(api->feeds);
    free(api->lanes);
    free(api->shards);
    free(api->pools);
    credentials_unref(api->credentials);
    pthread_mutex_destroy(&api->credentials_lock);
    guards_close(&api->guards);
    certificate_close(&api->certificate);
    free(api);
}

static uint64_t or_else(uint64_t value, uint64_t fallback)
{
    return value ? value : fallback;
}

static int open_feeds(weir_api *api, const weir_api_options *options)
{
    int r = 0;

    api->feeds = calloc(api->feed_count + 1, sizeof(feed *));
    if (!api->feeds)
        return WEIR_ENOMEM;
    for (uint32_t i = 0; r == 0 && i < api->feed_count; i++) {
        const feed_options o = {
            .runtime = api->runtime,
            .from = &options->feeds[i],
            .kept = (uint32_t)or_else(options->events_kept, 1024),
            .heartbeat_ns = api->events_heartbeat_ns,
            .on_feed = options->on_feed,
            .arg = options->arg,
        };
        r = feed_open(&o, &api->feeds[i]);
    }
    return r;
}

void weir_api_adjust(weir_api *api, const weir_api_options *options)
{
    api->acquire_timeout_ns = or_else(options->acquire_timeout_ns, WEIR_S(1));
    api->query_timeout_ns = or_else(options->query_timeout_ns, WEIR_S(5));
    api->stream_timeout_ns = or_else(options->stream_timeout_ns, WEIR_S(30));
    api->batch_max = (uint32_t)or_else(options->batch_max, 100);
    api->batch_concurrency = (uint32_t)or_else(options->batch_concurrency, 4);
    api->batch_timeout_ns = or_else(options->batch_timeout_ns, WEIR_S(20));
    api->body_max = or_else(options->body_max, 1 << 20);
    api->gzip_min = or_else(options->gzip_min, 1 << 10);
    api->expose_sql = options->expose_sql;
    guards_adjust(&api->guards, options);
}

static int api_new(const weir_api_options *options, weir_api **made, char *why, size_t why_size)
{
    weir_api *api = calloc(1, sizeof *api);
    if (!api)
        return WEIR_ENOMEM;
    *api = (weir_api){
        .runtime = options->runtime,
        .pool_count = options->pool_count,
        .operator= options->operator,
        .idle_timeout_ns = or_else(options->idle_timeout_ns, WEIR_S(60)),
        .connection_memory = or_else(options->connection_memory, 8 << 10),
        .connections_max = (uint32_t)or_else(options->connections_max, 4096),
        .feed_count = options->feed_count,
        .pool_log = options->pool_log,
        .event_clients = {.max = (uint32_t)or_else(options->events_clients_max, 1000)},
        .pool_log_clients = {.max = POOL_LOG_CLIENTS_MAX},
        .events_heartbeat_ns = or_else(options->events_heartbeat_ns, WEIR_S(15)),
        .auth = options->auth,
        .separate_admin = options->admin_listen != NULL,
        .on_request = options->on_request,
        .on_client_cut = options->on_client_cut,
        .arg = options->arg,
        .lane_count = weir_runtime_lanes(options->runtime),
        .lanes_open = weir_runtime_lanes(options->runtime),
        .wake_job.run = wake_waiter,
        .credentials_lock = PTHREAD_MUTEX_INITIALIZER,
        .credentials = credentials_new(), /* nobody's, until there are others */
    };
    certificate_open(&api->certificate, options->certificate);
    weir_api_adjust(api, options);
    api->pools = calloc(api->pool_count, sizeof *api->pools);
    api->lanes = calloc(api->lane_count, sizeof *api->lanes);
    api->shards = calloc(api->lane_count, sizeof *api->shards);
    int r = api->pools && api->lanes && api->shards && api->credentials ? 0 : WEIR_ENOMEM;
    if (r == 0 &&
        getrandom(api->pass_secret, sizeof api->pass_secret, 0) != sizeof api->pass_secret)
        r = WEIR_EIO;
    if (r == 0)
        r = guards_open(&api->guards, options, why, why_size);
    for (uint32_t i = 0; r == 0 && i < api->pool_count; i++)
        api->pools[i] = options->pools[i];
    for (uint32_t i = 0; r == 0 && i < api->lane_count; i++) {
        r = lane_new(api, i, &api->lanes[i]);
        api->shards[i] = r == 0 ? api->lanes[i]->metrics : NULL;
    }
    if (r == 0)
        r = open_feeds(api, options);
    if (r < 0) {
        api_free(api);
        return r;
    }
    *made = api;
    return 0;
}

static int choose_tls(const weir_api_options *options, const char **tls, char *why, size_t why_size)
{
    if (MHD_is_feature_supported(MHD_FEATURE_TLS) == MHD_YES)
        return certificate_priorities(options->tls_priorities, tls, why, why_size);
    snprintf(why, why_size, "this system's libmicrohttpd was built without TLS");
    return WEIR_EINVAL;
}

int weir_api_open(const weir_api_options *options, weir_api **api, char *why, size_t why_size)
{
    weir_api *made;

    if (!options->runtime || options->pool_count == 0) {
        snprintf(why, why_size, "a runtime and a pool are needed");
        return WEIR_EINVAL;
    }
    const char *tls = NULL;
    *why = '\0';
    int r = options->certificate ? choose_tls(options, &tls, why, why_size) : 0;
    if (r < 0)
        return r;
    r = api_new(options, &made, why, why_size);
    if (r < 0) {
        if (!*why)
            snprintf(why, why_size, "%s", weir_strerror(r));
        return r;
    }
    snprintf(why, why_size, "libmicrohttpd could not be started");
    for (uint32_t i = 0; r == 0 && i < made->lane_count; i++)
        r = lane_listen(made->lanes[i], options, tls, why, why_size);
    if (r < 0) {
        api_free(made);
        return r;
    }
    for (uint32_t i = 0; i < made->lane_count; i++)
        weir_lane_post(made->lanes[i]->lane, &made->lanes[i]->job);
    *why = '\0';
    *api = made;
    return 0;
}

bool weir_api_put_certificate(weir_api *api, weir_certificate *certificate)
{
    return certificate_put(&api->certificate, certificate);
}

credentials *weir_api_trust(weir_api *api, credentials *known)
{
    pthread_mutex_lock(&api->credentials_lock);
    credentials *old = api->credentials;
    api->credentials = known;
    pthread_mutex_unlock(&api->credentials_lock);
    for (uint32_t i = 0; i < api->lane_count; i++)
        if (!atomic_exchange(&api->lanes[i]->judging, true))
            weir_lane_post(api->lanes[i]->lane, &api->lanes[i]->judge_job);
    return old;
}

credentials *server_credentials(weir_api *api)
{
    pthread_mutex_lock(&api->credentials_lock);
    credentials *known = credentials_ref(api->credentials);
    pthread_mutex_unlock(&api->credentials_lock);
    return known;
}

uint16_t weir_api_port(const weir_api *api)
{
    return api->port;
}

uint16_t weir_api_admin_port(const weir_api *api)
{
    return api->admin_port;
}

weir_async void weir_api_close(weir_api *api)
{
    if (!api)
        return;
    atomic_store(&api->draining, true);
    for (uint32_t i = 0; i < api->feed_count; i++)
        feed_stop(api->feeds[i]);
    atomic_store(&api->waiting_lane, weir_lane_self());
    for (uint32_t i = 0; i < api->lane_count; i++)
        weir_lane_post(api->lanes[i]->lane, &api->lanes[i]->close_job);
    while (api->lanes_open > 0) {
        api_wait waiting = {.api = api};
        task_wait_firmly(&waiting.wait, begin_wait);
    }
    api_free(api);
}
