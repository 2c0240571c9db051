/* disconnect.c: clients that go away while their request is under way.
 *
 * libmicrohttpd does not look at a suspended connection. A request that has run for a while has its
 * socket watched here; one that is answered sooner costs nothing. */
#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "request.h"

#define PATIENCE WEIR_MS(20)

struct disconnect_watch {
    uv_poll_t poll;
    api_lane *lane;
    weir_request *req; /* NULL once the request no longer cares */
    int fd;
};

static void freed(uv_handle_t *handle)
{
    disconnect_watch *watch = handle->data;

    server_lane_released(watch->lane);
    free(watch);
}

static void end_watch(disconnect_watch *watch)
{
    if (watch->req)
        watch->req->watch = NULL;
    watch->req = NULL;
    uv_close((uv_handle_t *)&watch->poll, freed);
}

/* The other side has closed, whatever else it has asked for before. */
static void changed(uv_poll_t *poll, int status, int events)
{
    disconnect_watch *watch = poll->data;
    weir_request *req = watch->req;

    end_watch(watch); /* it would tell the same again at once */
    req->client_gone = true;
    if (req->events)
        event_stream_gone(req->events);
    else
        weir_cancel(req->task);
}

/* Without memory or descriptors the request goes unwatched, and ends by its deadlines. */
void disconnect_watch_now(weir_request *req)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    disconnect_watch *watch = info ? calloc(1, sizeof *watch) : NULL;

    if (!watch)
        return;
    watch->fd = info->connect_fd;
    watch->poll.data = watch;
    if (uv_poll_init(weir_lane_loop(req->lane->lane), &watch->poll, watch->fd) < 0) {
        free(watch);
        return;
    }
    watch->lane = req->lane;
    watch->lane->handles++;
    watch->req = req;
    req->watch = watch;
    if (uv_poll_start(&watch->poll, UV_DISCONNECT, changed) < 0)
        end_watch(watch);
}

static void look(weir_timer *timer)
{
    api_lane *lane = weir_container(timer, api_lane, watch_timer);
    uint64_t now = weir_now();
    weir_request *req;

    while ((req = lane->fresh.first) && req->began_ns + PATIENCE <= now) {
        request_list_remove(&lane->fresh, req);
        request_list_append(&lane->watched, req);
        req->fresh = false;
        if (!req->connection)
            continue; /* gone already, its task is being cancelled */
        request_suspend(req);
        disconnect_watch_now(req);
    }
    if (req)
        weir_timer_start(timer, req->began_ns + PATIENCE, look);
}

void disconnect_expect(weir_request *req)
{
    api_lane *lane = req->lane;

    req->fresh = true;
    request_list_append(&lane->fresh, req);
    if (!lane->watch_timer.armed)
        weir_timer_start(&lane->watch_timer, weir_now() + PATIENCE, look);
}

void disconnect_cut(weir_request *req, bool now)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const struct linger none = {.l_onoff = 1};

    if (!info)
        return;
    setsockopt(info->connect_fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    if (now) /* libmicrohttpd will be told by the socket */
        shutdown(info->connect_fd, SHUT_RDWR);
}

void disconnect_unwatch(weir_request *req)
{
    if (req->watch)
        end_watch(req->watch);
}

void disconnect_forget(weir_request *req)
{
    request_list_remove(req->fresh ? &req->lane->fresh : &req->lane->watched, req);
    req->fresh = false;
    disconnect_unwatch(req);
}
