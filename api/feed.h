/* feed.h: one database's NOTIFYs, as topics that clients follow.
 *
 * A task on lane 0 that takes the one connection of a pool of its own, listens there to all of the
 * feed's channels for as long as anybody follows one of them, and publishes what it hears. When the
 * connection is lost it takes another, and tells all followers for how long it has heard nothing.
 */
#ifndef WEIR_FEED_H
#define WEIR_FEED_H

#include "api.h"
#include "topic.h"

typedef struct feed feed;

typedef struct feed_options {
    weir_runtime *runtime;
    const weir_api_feed *from;
    uint32_t kept;         /* of each channel */
    uint64_t heartbeat_ns; /* the connection is checked as often as that, or every 15 s */
    void (*on_feed)(void *arg, const weir_feed_event *event);
    void *arg;
} feed_options;

/* WEIR_ENOMEM. */
int feed_open(const feed_options *options, feed **made);
/* It publishes nothing any more, and has given its connection back. On lane 0. */
weir_async void feed_stop(feed *f);
/* Once nobody follows its topics. Takes NULL. */
void feed_free(feed *f);

weir_pool *feed_pool(const feed *f);
bool feed_is_listening(const feed *f);

uint32_t feed_channels(const feed *f);
const char *feed_channel(const feed *f, uint32_t channel);
topic *feed_topic(const feed *f, uint32_t channel);
/* Its topic, or NULL. */
topic *feed_find(const feed *f, const char *channel);

/* Somebody has begun to follow. Any thread. */
void feed_wake(feed *f);

#endif
