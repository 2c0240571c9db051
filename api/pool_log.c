/* pool_log.c: the latest events of pools, for GET /pool/events. */
#include "pool_log.h"

#include <stdlib.h>

/* Those for debugging are some for each request: they have a topic of their own, so that they do
 * not wash the others away, and none of them is made while nobody follows it. */
struct weir_pool_log {
    topic *news, *all;
};

#define NEWS_KEPT 256
#define ALL_KEPT  4096

int weir_pool_log_open(weir_runtime *runtime, weir_pool_log **made)
{
    weir_pool_log *log = calloc(1, sizeof *log);

    if (!log)
        return WEIR_ENOMEM;
    if (topic_open(runtime, "/pool/events", NEWS_KEPT, &log->news) < 0 ||
        topic_open(runtime, "/pool/events?level=debug", ALL_KEPT, &log->all) < 0) {
        weir_pool_log_close(log);
        return WEIR_ENOMEM;
    }
    topic_set_live(log->news, true);
    topic_set_live(log->all, true);
    *made = log;
    return 0;
}

void weir_pool_log_close(weir_pool_log *log)
{
    if (!log)
        return;
    topic_close(log->news);
    topic_close(log->all);
    free(log);
}

bool weir_pool_log_wants(weir_pool_log *log, weir_level level)
{
    return level > WEIR_DEBUG || topic_followers(log->all) > 0;
}

void weir_pool_log_add(weir_pool_log *log, weir_level level, const char *pool, const char *json,
                       size_t length)
{
    const topic_event e = {.data = json, .length = length, .level = level, .subject = pool};

    if (level > WEIR_DEBUG)
        topic_publish(log->news, &e);
    if (topic_followers(log->all) > 0)
        topic_publish(log->all, &e);
}

topic *pool_log_topic(weir_pool_log *log, bool all)
{
    return all ? log->all : log->news;
}
