/* topic.h: the latest events of one kind, and who follows them.
 *
 * Whoever has news publishes them once, on any thread. Nobody is kept waiting for a follower: the
 * last so many events stay, each follower has its own place among them and takes what comes next
 * when it can, and one that falls too far behind is told how many it has missed. So a follower
 * costs no buffer of its own, and an event is in memory once however many follow. */
#ifndef WEIR_TOPIC_H
#define WEIR_TOPIC_H

#include <stdatomic.h>

#include "../pool/weir.h"

typedef struct topic topic;

/* An event as it is sent: text/event-stream, with its id. Does not change any more. */
typedef struct topic_message {
    _Atomic uint32_t refs;
    bool gap; /* tells that some are missing */
    weir_level level;
    char subject[WEIR_LABEL_MAX]; /* what it is about, for those who want not all; "": nothing */
    size_t length;
    char text[];
} topic_message;

/* What is published. Strings are copied. */
typedef struct topic_event {
    const char *name; /* NULL: an ordinary message */
    const char *data; /* each of its lines becomes one of the event's */
    size_t length;
    bool gap; /* it tells that some are missing */
    weir_level level;
    const char *subject; /* NULL: none */
} topic_event;

/* One who follows. Its owner's memory, used on one lane. */
typedef struct follower {
    struct follower *next, *prev;
    topic *topic;
    uint64_t at; /* the number of the event it gets next */
    void (*stir)(struct follower *follower);
} follower;

typedef struct topic_figures {
    uint64_t followers, published, sent, missed, gaps;
} topic_figures;

#define TOPIC_ID_SIZE 40

/* `path` is what followers know it by, copied; `kept`: so many of the last events stay, or as many
 * as have TOPIC_BYTES_MAX together. WEIR_ENOMEM. */
#define TOPIC_BYTES_MAX ((size_t)4 << 20)
int topic_open(weir_runtime *runtime, const char *path, uint32_t kept, topic **made);
/* Without followers; nobody publishes any more, and since then each lane has had a turn, or is
 * closed. Takes NULL. */
void topic_close(topic *t);
const char *topic_path(const topic *t);

/* The followers learn of it on their own lanes. Where there is no memory for it, they have missed
 * one. Any thread. */
void topic_publish(topic *t, const topic_event *e);

/* Whether what happens is published: a topic may be deaf for a time, as it is at first. Any thread.
 */
void topic_set_live(topic *t, bool live);
bool topic_is_live(topic *t);

/* Any thread. */
uint32_t topic_followers(const topic *t);
topic_figures topic_look(topic *t);

/* ---- Followers: on the follower's lane ---- */

/* From now on `stir(follower)` is called when there is something new, on the loop's own stack. It
 * begins at the oldest event there is. */
void topic_follow(topic *t, follower *f, void (*stir)(follower *follower));
void topic_leave(follower *f);

/* Goes on behind the newest event, and sees all from here on. False: the topic is deaf now. */
bool topic_join(follower *f);
/* Goes on behind the event of that id. False: it is none of this topic's. */
bool topic_resume(follower *f, const char *id);
/* The id of the event that it got or missed last; one before all, if none. */
void topic_id(const follower *f, char id[TOPIC_ID_SIZE]);

/* The next event, which topic_message_free is due; NULL: there is none, or *missed are gone before
 * it could be taken. */
topic_message *topic_next(follower *f, uint64_t *missed);
void topic_message_free(topic_message *m); /* takes NULL */

/* For the figures: it was handed a message; it was told in another way that it has missed some (0:
 * nobody knows how many). */
void topic_count_sent(follower *f, const topic_message *m);
void topic_count_gap(follower *f, uint64_t missed);

#endif
