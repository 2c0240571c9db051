/* feed.c: one database's NOTIFYs, as topics that clients follow. */
#include "feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../pool/task.h"

/* For so many beats after the last follower has gone it still listens: one that comes back
 * soon misses nothing. */
#define LINGER_BEATS 4

/* How long it waits for a connection before it looks again whether anybody still follows. */
#define PATIENCE WEIR_S(5)

/* Between attempts that came to nothing, where the pool does not make the pause itself. */
#define PAUSE WEIR_MS(500)

/* The connection is checked at least so often, and has so long to answer. */
#define BEAT_MAX     WEIR_S(15)
#define ANSWER_LIMIT WEIR_S(5)

/* After such a part of what is kept, followers get their turn: else a burst would be gone before it
 * was seen. */
#define BURST_SHARE 4

struct feed {
    weir_pool *pool;
    uint64_t beat_ns;
    void (*on_feed)(void *arg, const weir_feed_event *event);
    void *arg;
    weir_lane *lane;
    weir_task *task; /* NULL: nobody follows */
    weir_wait *stopper;
    bool stopped;
    weir_job wake_job;
    _Atomic bool woken; /* it is under way */
    _Atomic bool listening;

    uint64_t followed_ns;      /* when somebody last followed */
    uint64_t heard_ns;         /* when the connection was last known to be well */
    uint64_t deaf_ns;          /* since when it has not listened; 0: it never has */
    const char *reason;        /* why not */
    uint32_t burst, burst_max; /* events since the last turn of the followers */
    size_t burst_bytes;
    bool refusal_told;

    uint32_t count;
    struct {
        char *name;
        topic *topic;
    } channels[];
};

/* ---- What followers are told ---- */

static void publish_gap(feed *f, const char *data)
{
    const topic_event gap = {.name = "gap", .data = data, .length = strlen(data), .gap = true};

    for (uint32_t i = 0; i < f->count; i++)
        topic_publish(f->channels[i].topic, &gap);
}

static void tell_silence(feed *f, uint64_t silence_ns)
{
    char data[96];

    snprintf(data, sizeof data, "{\"reason\":\"%s\",\"for_ms\":%.3f}", f->reason,
             (double)silence_ns / 1e6);
    publish_gap(f, data);
}

static void tell_overflow(feed *f, uint64_t lost)
{
    char data[96];

    snprintf(data, sizeof data, "{\"reason\":\"overflow\",\"missed\":%llu}",
             (unsigned long long)lost);
    publish_gap(f, data);
}

static void publish(feed *f, const weir_notification *n)
{
    topic *t = feed_find(f, n->channel);

    if (n->lost)
        tell_overflow(f, n->lost);
    if (t)
        topic_publish(t, &(topic_event){.data = n->payload, .length = n->length});
    f->burst_bytes += n->length;
    if (++f->burst < f->burst_max && f->burst_bytes < TOPIC_BYTES_MAX / BURST_SHARE)
        return;
    f->burst = 0;
    f->burst_bytes = 0;
    weir_sleep(WEIR_MS(1));
}

static void set_live(feed *f, bool live)
{
    atomic_store(&f->listening, live);
    for (uint32_t i = 0; i < f->count; i++)
        topic_set_live(f->channels[i].topic, live);
}

static void tell(const feed *f, weir_feed_event what)
{
    what.pool = weir_pool_name(f->pool);
    what.channels = f->count;
    if (f->on_feed)
        f->on_feed(f->arg, &what);
}

/* ---- Listening ---- */

static bool is_followed(feed *f)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (topic_followers(f->channels[i].topic) > 0) {
            f->followed_ns = weir_now();
            return true;
        }
    return false;
}

static weir_async int run_sql(weir_lease *lease, const char *sql)
{
    const weir_statement statement = {.sql = sql, .name = "LISTEN", .adhoc = true};
    weir_scoped_timeout(limit, ANSWER_LIMIT);
    return weir_query(lease, &statement, NULL, NULL);
}

static weir_async int listen_to(weir_lease *lease, const char *channel)
{
    char sql[2 * WEIR_CHANNEL_MAX + sizeof "LISTEN \"\""], *to = stpcpy(sql, "LISTEN \"");

    for (const char *at = channel; *at; at++) {
        if (*at == '"')
            *to++ = '"';
        *to++ = *at;
    }
    strcpy(to, "\"");
    return run_sql(lease, sql);
}

static weir_async int listen_to_all(const feed *f, weir_lease *lease)
{
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < f->count; i++)
        r = listen_to(lease, f->channels[i].name);
    return r;
}

static void begin_hearing(feed *f)
{
    uint64_t silence_ns = f->deaf_ns ? weir_now() - f->deaf_ns : 0;

    if (f->deaf_ns)
        tell_silence(f, silence_ns);
    set_live(f, true);
    f->refusal_told = false;
    tell(f, (weir_feed_event){.listening = true, .duration_ns = silence_ns});
}

static void end_hearing(feed *f, const char *reason, const weir_error *error)
{
    set_live(f, false);
    f->reason = reason;
    if (f->stopped) /* as it was told to */
        return;
    tell(f, (weir_feed_event){.reason = reason, .message = error ? error->message : NULL});
}

static weir_async int hear_until(feed *f, weir_lease *lease, uint64_t until_ns)
{
    weir_scope limit = {.deadline_ns = until_ns};
    weir_notification *n = NULL;

    weir_scope_enter(&limit);
    int r = weir_notified(lease, &n);
    weir_scope_leave(&limit);
    f->deaf_ns = weir_now();
    if (r == 0)
        publish(f, n);
    weir_notification_free(n);
    return r;
}

/* A connection that is dead may well be silent: then nothing has been heard since it was last well.
 */
static weir_async int check(feed *f, weir_lease *lease)
{
    int r = run_sql(lease, "SELECT 1");

    f->deaf_ns = r < 0 ? f->heard_ns : weir_now();
    f->heard_ns = f->deaf_ns;
    return r;
}

/* Until nobody follows any more (0), or an error; then `deaf_ns` says since when. */
static weir_async int hear(feed *f, weir_lease *lease)
{
    uint64_t beat_ns = weir_after(f->beat_ns);

    f->heard_ns = weir_now();
    for (;;) {
        int r = hear_until(f, lease, beat_ns);
        if (r < 0 && r != WEIR_ETIMEDOUT)
            return r;
        if (weir_now() < beat_ns)
            continue;
        beat_ns = weir_after(f->beat_ns);
        if (!is_followed(f) && weir_now() - f->followed_ns > LINGER_BEATS * f->beat_ns)
            return 0;
        r = check(f, lease);
        if (r < 0)
            return r;
    }
}

static void tell_refusal(feed *f, const weir_error *error)
{
    if (!f->refusal_told)
        tell(f, (weir_feed_event){.reason = "refused", .message = error->message});
    f->refusal_told = true;
}

/* An error where it was not worth while. */
static weir_async int attend(feed *f)
{
    weir_scoped_lease weir_lease *lease = NULL;
    const weir_scope scope = {.deadline_ns = weir_after(PATIENCE), .label = "events"};
    int r = weir_acquire(f->pool, &scope, &lease);

    if (r < 0)
        return r;
    r = listen_to_all(f, lease);
    if (r < 0) {
        if (r != WEIR_ECANCELED)
            tell_refusal(f, weir_lease_error(lease));
        return r;
    }
    uint64_t began_ns = weir_now();
    begin_hearing(f);
    r = hear(f, lease);
    end_hearing(f, r == 0 ? "idle" : "connection_lost", r < 0 ? weir_lease_error(lease) : NULL);
    return weir_now() - began_ns < PAUSE ? r : 0;
}

static int run(void *arg)
{
    feed *f = arg;

    while (!f->stopped && is_followed(f))
        if (attend(f) < 0)
            weir_sleep(PAUSE);
    weir_detach(f->task);
    f->task = NULL;
    if (f->stopper)
        wait_end(f->stopper, 0);
    return 0;
}

/* Without memory for a task nothing is heard until the next follower comes. */
static void waken(weir_job *job)
{
    feed *f = weir_container(job, feed, wake_job);

    atomic_store(&f->woken, false);
    if (!f->task && !f->stopped && weir_spawn(run, f, &f->task) < 0)
        f->task = NULL;
}

void feed_wake(feed *f)
{
    if (!atomic_load(&f->listening) && !atomic_exchange(&f->woken, true))
        weir_lane_post(f->lane, &f->wake_job);
}

/* ---- Its life ---- */

void feed_free(feed *f)
{
    if (!f)
        return;
    for (uint32_t i = 0; i < f->count; i++) {
        topic_close(f->channels[i].topic);
        free(f->channels[i].name);
    }
    free(f);
}

static int add_channel(feed *f, const feed_options *o, const char *name)
{
    char path[WEIR_CHANNEL_MAX + sizeof "/events/"];
    char *copy = strdup(name);

    snprintf(path, sizeof path, "/events/%s", name);
    if (!copy || topic_open(o->runtime, path, o->kept, &f->channels[f->count].topic) < 0) {
        free(copy);
        return WEIR_ENOMEM;
    }
    f->channels[f->count++].name = copy;
    return 0;
}

int feed_open(const feed_options *o, feed **made)
{
    feed *f = calloc(1, sizeof *f + o->from->channel_count * sizeof *f->channels);
    int r = 0;

    if (!f)
        return WEIR_ENOMEM;
    f->pool = o->from->pool;
    f->beat_ns = o->heartbeat_ns < BEAT_MAX ? o->heartbeat_ns : BEAT_MAX;
    f->on_feed = o->on_feed;
    f->arg = o->arg;
    f->lane = weir_runtime_lane(o->runtime, 0);
    f->wake_job.run = waken;
    f->burst_max = o->kept / BURST_SHARE + 1;
    for (uint32_t i = 0; r == 0 && i < o->from->channel_count; i++)
        r = add_channel(f, o, o->from->channels[i]);
    if (r < 0) {
        feed_free(f);
        return r;
    }
    *made = f;
    return 0;
}

typedef struct stopping {
    weir_wait wait;
    feed *feed;
} stopping;

static void begin_stopping(weir_wait *wait)
{
    weir_container(wait, stopping, wait)->feed->stopper = wait;
}

void feed_stop(feed *f)
{
    stopping s = {.feed = f};

    f->stopped = true;
    if (!f->task)
        return;
    weir_cancel(f->task);
    task_wait_firmly(&s.wait, begin_stopping);
}

weir_pool *feed_pool(const feed *f)
{
    return f->pool;
}

bool feed_is_listening(const feed *f)
{
    return atomic_load(&f->listening);
}

uint32_t feed_channels(const feed *f)
{
    return f->count;
}

const char *feed_channel(const feed *f, uint32_t channel)
{
    return f->channels[channel].name;
}

topic *feed_topic(const feed *f, uint32_t channel)
{
    return f->channels[channel].topic;
}

topic *feed_find(const feed *f, const char *channel)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (strcmp(f->channels[i].name, channel) == 0)
            return f->channels[i].topic;
    return NULL;
}
