/* postgres_watch.c: a socket watched by a loop, in memory that outlives its session. */
#include <stdlib.h>

#include "postgres.h"

struct watch {
    uv_poll_t poll;
    watch_fn ready;
    void *arg;
    int events;
};

static void on_poll(uv_poll_t *poll, int status, int events)
{
    watch *w = poll->data;
    /* libuv stops watching a socket in error. Reading from it says what the error is. */
    if (status < 0)
        events = UV_READABLE | UV_WRITABLE;
    w->ready(w->arg, events);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

watch *watch_open(uv_loop_t *loop, int fd, int events, watch_fn ready, void *arg)
{
    watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    if (uv_poll_init(loop, &w->poll, fd) < 0) {
        free(w);
        return NULL;
    }
    w->poll.data = w;
    w->ready = ready;
    w->arg = arg;
    w->events = events;
    if (uv_poll_start(&w->poll, events, on_poll) < 0) {
        watch_close(w);
        return NULL;
    }
    return w;
}

void watch_events(watch *w, int events)
{
    if (w->events == events)
        return;
    w->events = events;
    uv_poll_start(&w->poll, events, on_poll);
}

void watch_close(watch *w)
{
    if (!w)
        return;
    uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, on_closed);
}
