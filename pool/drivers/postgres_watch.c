/* postgres_watch.c: a socket watched by a loop, in memory that outlives its session. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "postgres.h"

/* libpq closes its socket whenever it likes, and another thread may have the number at once: a
 * watch has a descriptor of its own. */
struct watch {
    uv_poll_t poll;
    int fd;
    watch_fn ready;
    void *arg;
    int events;
};

static void on_poll(uv_poll_t *poll, int status, int events)
{
    watch *w = poll->data;
    /* libuv stops watching a socket in error. Reading from it says what the error is, but only once
     * all that came in before it is read: so it is watched on, until its reader gives it up. */
    if (status < 0) {
        events = UV_READABLE | UV_WRITABLE;
        uv_poll_start(poll, w->events, on_poll);
    }
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
    w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (w->fd < 0 || uv_poll_init(loop, &w->poll, w->fd) < 0) {
        if (w->fd >= 0)
            close(w->fd);
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
    close(w->fd);
}
