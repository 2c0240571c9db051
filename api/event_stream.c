/* event_stream.c: a client that is sent events as they happen (text/event-stream). */
#include "event_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "reply.h"
#include "tokens.h"

/* Bytes that libmicrohttpd asks for at once, at most. */
#define BLOCK ((size_t)4 << 10)

/* What the kernel may hold for one client: beyond that it is behind, and that shows. */
#define SOCKET_BUFFER (32 << 10)

/* A client that has still not taken what it was sent does not hold up the service's end for longer.
 */
#define END_PATIENCE WEIR_S(1)

/* After so long a browser comes back. It does not after any other answer than a stream: so one that
 * comes while the service ends is given one, which ends at once. */
#define RETRY "retry: 2000\n\n"

struct event_stream {
    follower follower;
    weir_request *req;
    event_stream *next, *prev; /* among the lane's */
    event_limit *limit;
    weir_level least;
    char subject[WEIR_LABEL_MAX];

    topic_message *message; /* being sent; NULL: `own` is */
    buffer own;
    size_t sent; /* of either */

    weir_timer timer;   /* the next comment is due; or, unless stalled, a reader has stopped */
    bool stalled;       /* the connection is suspended until there is something to send */
    bool joined;        /* at its place in the topic */
    bool unknown;       /* what came before is not known: the id it came with is none of ours */
    bool beat;          /* a comment is due */
    uint64_t until_ns;  /* the client may listen no longer */
    pass pass;          /* by which it does */
    const char *ending; /* why; NULL: it goes on */
    bool ended;
    bool gone;
};

/* libmicrohttpd is to go on with the connection. */
static void stir(event_stream *s)
{
    weir_request *req = s->req;

    if (!s->stalled || !req->connection)
        return;
    s->stalled = false;
    MHD_resume_connection(req->connection);
    listener_want(req->listener, 2);
    req->lane->stirred = true;
}

static void news(follower *f)
{
    stir(weir_container(f, event_stream, follower));
}

/* ---- What it says of its own ---- */

static void say(event_stream *s, const char *name, bool with_id)
{
    char id[TOPIC_ID_SIZE];

    buffer_printf(&s->own, "event: %s\n", name);
    if (!with_id)
        return;
    topic_id(&s->follower, id);
    buffer_printf(&s->own, "id: %s\n", id);
}

static void say_listening(event_stream *s)
{
    say(s, "listening", true);
    buffer_text(&s->own, "data: {\"stream\":");
    buffer_json_text(&s->own, topic_path(s->follower.topic));
    buffer_text(&s->own, "}\n\n");
}

static void say_unknown(event_stream *s)
{
    say(s, "gap", true);
    buffer_text(&s->own, "data: {\"reason\":\"unknown_id\"}\n\n");
    topic_count_gap(&s->follower, 0);
}

static void say_behind(event_stream *s, uint64_t missed)
{
    say(s, "gap", true);
    buffer_printf(&s->own, "data: {\"reason\":\"behind\",\"missed\":%llu}\n\n",
                  (unsigned long long)missed);
    topic_count_gap(&s->follower, missed);
}

static void say_comment(event_stream *s)
{
    bool live = topic_is_live(s->follower.topic);
    buffer_text(&s->own, live ? ":\n\n" : ": not listening at present\n\n");
}

static void say_end(event_stream *s)
{
    say(s, "end", false);
    buffer_printf(&s->own, "data: {\"reason\":\"%s\"}\n\n", s->ending);
    s->ended = true;
}

/* ---- What is to be sent ---- */

static size_t left(const event_stream *s)
{
    return (s->message ? s->message->length : s->own.length) - s->sent;
}

static bool is_wanted(const event_stream *s, const topic_message *m)
{
    return m->level >= s->least && (!*s->subject || strcmp(s->subject, m->subject) == 0);
}

static void take_event(event_stream *s)
{
    for (;;) {
        uint64_t missed;
        topic_message *m = topic_next(&s->follower, &missed);
        if (missed)
            say_behind(s, missed);
        if (!m)
            return;
        if (is_wanted(s, m)) {
            s->message = m;
            topic_count_sent(&s->follower, m);
            return;
        }
        topic_message_free(m);
    }
}

static void join(event_stream *s)
{
    s->joined = topic_join(&s->follower);
    if (s->joined && s->unknown)
        say_unknown(s);
    else if (s->joined)
        say_listening(s);
}

/* Whether there is something. */
static bool take_next(event_stream *s)
{
    topic_message_free(s->message);
    s->message = NULL;
    s->sent = s->own.length = 0;
    if (s->ended)
        return false;
    if (!s->ending && s->until_ns != WEIR_NEVER && weir_now() >= s->until_ns)
        s->ending = "token_expired";
    if (s->ending)
        say_end(s);
    else if (!s->joined)
        join(s);
    else
        take_event(s);
    if (s->beat && left(s) == 0)
        say_comment(s);
    s->beat = false;
    return left(s) > 0;
}

/* ---- libmicrohttpd's side ---- */

static void tell_stopped_reader(event_stream *s)
{
    weir_request *req = s->req;

    snprintf(req->code, sizeof req->code, "stream_unread");
    free(req->message);
    req->message = strdup("the client had stopped reading"); /* for the log only */
    req->stream.unread = true;
    req->stream.failed = true;
    req->stream.status = 499;
}

static void due(weir_timer *timer)
{
    event_stream *s = weir_container(timer, event_stream, timer);

    if (s->stalled) {
        s->beat = true;
        stir(s);
    } else {
        tell_stopped_reader(s);
        event_stream_gone(s);
    }
}

static void expect_by(event_stream *s, uint64_t patience_ns)
{
    bool hurry = s->ending && patience_ns > END_PATIENCE;
    uint64_t at_ns = weir_after(hurry ? END_PATIENCE : patience_ns);
    bool early = s->stalled && s->until_ns < at_ns;
    weir_timer_start(&s->timer, early ? s->until_ns : at_ns, due);
}

static ssize_t read_events(void *arg, uint64_t at, char *to, size_t max)
{
    event_stream *s = arg;
    const weir_api *api = s->req->lane->api;
    size_t given = 0;

    if (s->gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    while (given < max && (left(s) > 0 || take_next(s))) {
        const char *from = s->message ? s->message->text : s->own.data;
        size_t length = left(s) < max - given ? left(s) : max - given;
        memcpy(to + given, from + s->sent, length);
        s->sent += length;
        given += length;
    }
    if (s->own.failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (given > 0) {
        s->req->bytes += given;
        expect_by(s, api->stream_timeout_ns);
        listener_want(s->req->listener, 2);
        return (ssize_t)given;
    }
    if (s->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    s->stalled = true;
    expect_by(s, api->events_heartbeat_ns);
    MHD_suspend_connection(s->req->connection);
    return 0;
}

struct MHD_Response *event_stream_response(event_stream *s)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_events, s, NULL);

    if (response) /* a proxy that gathers before it sends would keep events back */
        MHD_add_response_header(response, "X-Accel-Buffering", "no");
    return response;
}

/* ---- Its beginning ---- */

static event_stream *stream_new(weir_request *req, const event_wish *wish)
{
    event_stream *s = calloc(1, sizeof *s);
    const char *id = request_header(req, "Last-Event-ID");
    const char *token = tokens_bearer(request_header(req, MHD_HTTP_HEADER_AUTHORIZATION));

    if (!s)
        return NULL;
    s->req = req;
    s->limit = wish->limit;
    s->least = wish->least;
    if (wish->subject)
        snprintf(s->subject, sizeof s->subject, "%s", wish->subject);
    topic_follow(wish->topic, &s->follower, news);
    buffer_text(&s->own, RETRY);
    bool known = id && topic_resume(&s->follower, id);
    s->unknown = id && !known;
    s->joined = known || !wish->only_new;
    s->until_ns = wish->until_ns ? wish->until_ns : WEIR_NEVER;
    s->pass = pass_of(wish->asked, req->lane->api->pass_secret, token);
    s->ending = atomic_load(&req->lane->api->draining) ? "draining" : NULL;
    if (s->unknown && s->joined)
        say_unknown(s);
    return s;
}

static void bound_socket_buffer(const weir_request *req)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const int size = SOCKET_BUFFER;

    if (info)
        setsockopt(info->connect_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* A stream has no end: some places are left to requests that have, such as probes. */
static bool leaves_room(const listener *l)
{
    return l->event_streams < l->clients_max - l->clients_max / 4;
}

static bool refuse_place(weir_request *req, const char *detail)
{
    weir_reply_problem(
        req, (problem){.kind = PROBLEM_EVENT_CLIENTS, .detail = detail, .retryable = true});
    req->retry_after = 5;
    return false;
}

static bool take_place(weir_request *req, event_limit *limit)
{
    char detail[64];

    if (!leaves_room(req->listener))
        return refuse_place(req, "Of --clients-max, streams have all that they may have.");
    if (atomic_fetch_add(&limit->count, 1) < limit->max)
        return true;
    atomic_fetch_sub(&limit->count, 1);
    snprintf(detail, sizeof detail, "There are %u such streams already.", limit->max);
    return refuse_place(req, detail);
}

void event_stream_begin(weir_request *req, const event_wish *wish)
{
    api_lane *lane = req->lane;

    req->cache_control = "no-store";
    weir_reply_body(req, 200, "text/event-stream");
    if (strcmp(req->method_name, MHD_HTTP_METHOD_HEAD) == 0 || !take_place(req, wish->limit))
        return;
    event_stream *s = stream_new(req, wish);
    if (!s) {
        atomic_fetch_sub(&wish->limit->count, 1);
        weir_reply_error(req, PROBLEM_OVERLOADED, "There was no memory for the stream.");
        return;
    }
    s->next = lane->event_streams;
    if (s->next)
        s->next->prev = s;
    lane->event_streams = s;
    req->listener->event_streams++;
    req->events = s;
    bound_socket_buffer(req);
    disconnect_watch_now(req);
}

/* ---- Its end ---- */

void event_stream_gone(event_stream *s)
{
    s->gone = true;
    weir_timer_stop(&s->timer);
    disconnect_cut(s->req, true);
    stir(s);
}

static void end(event_stream *s, const char *reason)
{
    if (s->gone)
        return;
    s->ending = reason;
    expect_by(s, END_PATIENCE);
    stir(s);
}

void event_streams_end(api_lane *lane)
{
    for (event_stream *s = lane->event_streams; s; s = s->next)
        end(s, "draining");
}

void event_streams_judge(api_lane *lane)
{
    credentials *known = server_credentials(lane->api);

    for (event_stream *s = lane->event_streams; s; s = s->next)
        if (!pass_holds(&s->pass, lane->api->pass_secret, known))
            end(s, "token_revoked");
    credentials_unref(known);
}

void event_streams_cut(api_lane *lane)
{
    for (event_stream *s = lane->event_streams; s; s = s->next)
        event_stream_gone(s);
}

void event_stream_free(event_stream *s)
{
    if (!s)
        return;
    *(s->prev ? &s->prev->next : &s->req->lane->event_streams) = s->next;
    if (s->next)
        s->next->prev = s->prev;
    s->req->listener->event_streams--;
    weir_timer_stop(&s->timer);
    topic_leave(&s->follower);
    atomic_fetch_sub(&s->limit->count, 1);
    topic_message_free(s->message);
    buffer_free(&s->own);
    free(s);
}
