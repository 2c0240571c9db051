/* topic.c: the latest events of one kind, and who follows them. */
#include "topic.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What one lane has of a topic. Its own thread's, but for the atomics. */
typedef struct topic_lane {
    topic *topic;
    weir_lane *lane;
    follower *first;
    weir_job job;        /* stirs them */
    _Atomic bool posted; /* it is under way */
    _Atomic uint32_t followers;
    _Atomic uint64_t sent, missed, gaps; /* written by its own thread alone */
} topic_lane;

struct topic {
    char *path;
    uint64_t epoch; /* in ids, so that those of another process or topic are not taken for ours */
    uint32_t kept;
    _Atomic uint32_t followers; /* on all lanes: asked for at each lease that is granted */

    pthread_mutex_t lock; /* guards all below; never held across a call out */
    topic_message **ring; /* of `kept`; event n is at n % kept; NULL: it had no room in memory */
    uint64_t first, next; /* the number of the oldest event there is, and of the next to come */
    size_t bytes;         /* of all */
    bool live;

    uint32_t lane_count;
    topic_lane lanes[];
};

/* ---- Its life ---- */

static void stir_all(weir_job *job)
{
    topic_lane *lane = weir_container(job, topic_lane, job);

    atomic_store(&lane->posted, false);
    for (follower *f = lane->first; f; f = f->next)
        f->stir(f);
}

int topic_open(weir_runtime *runtime, const char *path, uint32_t kept, topic **made)
{
    uint32_t lanes = weir_runtime_lanes(runtime);
    topic *t = calloc(1, sizeof *t + lanes * sizeof *t->lanes);
    struct timespec now;

    if (!t)
        return WEIR_ENOMEM;
    clock_gettime(CLOCK_REALTIME, &now);
    t->epoch = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    t->kept = kept;
    t->first = t->next = 1;
    t->lane_count = lanes;
    pthread_mutex_init(&t->lock, NULL);
    for (uint32_t i = 0; i < lanes; i++) {
        t->lanes[i].topic = t;
        t->lanes[i].lane = weir_runtime_lane(runtime, i);
        t->lanes[i].job.run = stir_all;
    }
    t->path = strdup(path);
    t->ring = calloc(kept, sizeof(topic_message *));
    if (!t->path || !t->ring) {
        topic_close(t);
        return WEIR_ENOMEM;
    }
    *made = t;
    return 0;
}

void topic_close(topic *t)
{
    if (!t)
        return;
    assert(topic_followers(t) == 0);
    for (uint32_t i = 0; t->ring && i < t->kept; i++)
        topic_message_free(t->ring[i]);
    pthread_mutex_destroy(&t->lock);
    free(t->ring);
    free(t->path);
    free(t);
}

const char *topic_path(const topic *t)
{
    return t->path;
}

/* ---- Messages ---- */

void topic_message_free(topic_message *m)
{
    if (m && atomic_fetch_sub(&m->refs, 1) == 1)
        free(m);
}

/* A line of an event ends with CR, LF, or both. */
static size_t line_length(const char *at, const char *end)
{
    const char *from = at;
    while (at < end && *at != '\n' && *at != '\r')
        at++;
    return (size_t)(at - from);
}

static const char *next_line(const char *at, const char *end)
{
    at += line_length(at, end);
    if (at == end)
        return NULL;
    return at + (*at == '\r' && at + 1 < end && at[1] == '\n' ? 2 : 1);
}

static size_t room_for(const topic_event *e)
{
    const char *end = e->data + e->length;
    size_t room = e->length + (e->name ? strlen(e->name) + sizeof "event: \n" : 0);

    for (const char *at = e->data; at; at = next_line(at, end))
        room += sizeof "data: \n";
    return room + sizeof "id: \n\n" + TOPIC_ID_SIZE;
}

/* All but its id, which is written once its turn has come. */
static topic_message *message_new(const topic_event *e)
{
    topic_message *m = malloc(sizeof *m + room_for(e));
    const char *end = e->data + e->length;

    if (!m)
        return NULL;
    atomic_init(&m->refs, 1);
    m->gap = e->gap;
    m->level = e->level;
    snprintf(m->subject, sizeof m->subject, "%s", e->subject ? e->subject : "");
    char *to = m->text;
    if (e->name)
        to = stpcpy(stpcpy(stpcpy(to, "event: "), e->name), "\n");
    for (const char *at = e->data; at; at = next_line(at, end)) {
        size_t length = line_length(at, end);
        to = stpcpy(to, "data: ");
        memcpy(to, at, length);
        to[length] = '\n';
        to += length + 1;
    }
    m->length = (size_t)(to - m->text);
    return m;
}

static int write_id(const topic *t, uint64_t number, char *to)
{
    return snprintf(to, TOPIC_ID_SIZE, "%" PRIx64 "-%" PRIu64, t->epoch, number);
}

static void give_id(const topic *t, topic_message *m)
{
    char *to = stpcpy(m->text + m->length, "id: ");
    to += write_id(t, t->next, to);
    m->length = (size_t)(stpcpy(to, "\n\n") - m->text);
}

/* ---- News ---- */

static void tell(topic *t)
{
    for (uint32_t i = 0; i < t->lane_count; i++) {
        topic_lane *lane = &t->lanes[i];
        if (atomic_load(&lane->followers) > 0 && !atomic_exchange(&lane->posted, true))
            weir_lane_post(lane->lane, &lane->job);
    }
}

static size_t size_of(const topic_message *m)
{
    return m ? m->length : 0;
}

static void make_room(topic *t, size_t size)
{
    while (t->first < t->next &&
           (t->next - t->first == t->kept || t->bytes + size > TOPIC_BYTES_MAX)) {
        topic_message **oldest = &t->ring[t->first++ % t->kept];
        t->bytes -= size_of(*oldest);
        topic_message_free(*oldest);
        *oldest = NULL;
    }
}

void topic_publish(topic *t, const topic_event *e)
{
    topic_message *m = message_new(e);

    pthread_mutex_lock(&t->lock);
    if (m)
        give_id(t, m);
    make_room(t, size_of(m));
    t->ring[t->next++ % t->kept] = m;
    t->bytes += size_of(m);
    pthread_mutex_unlock(&t->lock);
    tell(t);
}

void topic_set_live(topic *t, bool live)
{
    pthread_mutex_lock(&t->lock);
    t->live = live;
    pthread_mutex_unlock(&t->lock);
    tell(t);
}

bool topic_is_live(topic *t)
{
    pthread_mutex_lock(&t->lock);
    bool live = t->live;
    pthread_mutex_unlock(&t->lock);
    return live;
}

/* ---- Followers ---- */

static topic_lane *lane_of(const follower *f)
{
    return &f->topic->lanes[weir_lane_index(weir_lane_self())];
}

void topic_follow(topic *t, follower *f, void (*stir)(follower *follower))
{
    *f = (follower){.topic = t, .stir = stir};
    topic_lane *lane = lane_of(f);
    f->next = lane->first;
    if (f->next)
        f->next->prev = f;
    lane->first = f;
    atomic_fetch_add(&lane->followers, 1);
    atomic_fetch_add(&t->followers, 1);
    pthread_mutex_lock(&t->lock);
    f->at = t->first;
    pthread_mutex_unlock(&t->lock);
}

void topic_leave(follower *f)
{
    topic_lane *lane = lane_of(f);

    *(f->prev ? &f->prev->next : &lane->first) = f->next;
    if (f->next)
        f->next->prev = f->prev;
    atomic_fetch_sub(&lane->followers, 1);
    atomic_fetch_sub(&f->topic->followers, 1);
    f->topic = NULL;
}

bool topic_join(follower *f)
{
    topic *t = f->topic;

    pthread_mutex_lock(&t->lock);
    bool live = t->live;
    if (live)
        f->at = t->next;
    pthread_mutex_unlock(&t->lock);
    return live;
}

bool topic_resume(follower *f, const char *id)
{
    topic *t = f->topic;
    char prefix[TOPIC_ID_SIZE], *end;
    int length = snprintf(prefix, sizeof prefix, "%" PRIx64 "-", t->epoch);
    const char *digits = id + length;

    if (strncmp(id, prefix, (size_t)length) != 0 || *digits < '0' || *digits > '9')
        return false;
    unsigned long long number = strtoull(digits, &end, 10);
    pthread_mutex_lock(&t->lock);
    bool known = !*end && number < t->next;
    if (known)
        f->at = number + 1;
    pthread_mutex_unlock(&t->lock);
    return known;
}

void topic_id(const follower *f, char id[TOPIC_ID_SIZE])
{
    write_id(f->topic, f->at - 1, id);
}

/* Under the lock: how many of those it was to get next are gone, or never were. */
static uint64_t pass_over(topic *t, follower *f)
{
    uint64_t from = f->at;

    if (f->at < t->first)
        f->at = t->first;
    while (f->at < t->next && !t->ring[f->at % t->kept])
        f->at++;
    return f->at - from;
}

topic_message *topic_next(follower *f, uint64_t *missed)
{
    topic *t = f->topic;
    topic_message *m = NULL;

    pthread_mutex_lock(&t->lock);
    *missed = pass_over(t, f);
    if (*missed == 0 && f->at < t->next) {
        m = t->ring[f->at++ % t->kept];
        atomic_fetch_add(&m->refs, 1);
    }
    pthread_mutex_unlock(&t->lock);
    return m;
}

/* ---- Figures ---- */

static void count_up(_Atomic uint64_t *counter, uint64_t by)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + by, memory_order_relaxed);
}

void topic_count_sent(follower *f, const topic_message *m)
{
    count_up(&lane_of(f)->sent, 1);
    if (m->gap)
        count_up(&lane_of(f)->gaps, 1);
}

void topic_count_gap(follower *f, uint64_t missed)
{
    count_up(&lane_of(f)->gaps, 1);
    count_up(&lane_of(f)->missed, missed);
}

uint32_t topic_followers(const topic *t)
{
    return atomic_load(&t->followers);
}

topic_figures topic_look(topic *t)
{
    topic_figures sum = {.followers = topic_followers(t)};

    for (uint32_t i = 0; i < t->lane_count; i++) {
        sum.sent += atomic_load_explicit(&t->lanes[i].sent, memory_order_relaxed);
        sum.missed += atomic_load_explicit(&t->lanes[i].missed, memory_order_relaxed);
        sum.gaps += atomic_load_explicit(&t->lanes[i].gaps, memory_order_relaxed);
    }
    pthread_mutex_lock(&t->lock);
    sum.published = t->next - 1;
    pthread_mutex_unlock(&t->lock);
    return sum;
}
