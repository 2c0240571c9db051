/* event_stream.h: a client that is sent events as they happen (text/event-stream).
 *
 * It follows a topic, and takes from it what its connection has room for: nothing waits for it, and
 * it has no task. While there is nothing to send, it is sent a comment now and then, so that either
 * side notices when the other is gone. A client that does not read is cut off. */
#ifndef WEIR_EVENT_STREAM_H
#define WEIR_EVENT_STREAM_H

#include "pass.h"
#include "topic.h"

struct MHD_Response;
typedef struct weir_request weir_request;
typedef struct api_lane api_lane;
typedef struct event_stream event_stream;

/* How many streams of a kind there are, and may be. */
typedef struct event_limit {
    _Atomic uint32_t count;
    uint32_t max;
} event_limit;

typedef struct event_wish {
    topic *topic;
    event_limit *limit;
    bool only_new; /* begins with what happens from now on, and says when that is; else with all the
                      topic still has */
    weir_level least;
    const char *subject; /* only what is about that; NULL: all */
    uint64_t until_ns;   /* for so long the client may listen; 0: without end */
    pass_kind asked;     /* for this, to listen at all */
} event_wish;

/* Answers a request with a stream, or says why there is none. */
void event_stream_begin(weir_request *req, const event_wish *wish);

/* ---- For request.c and server.c, on the loop's own stack ---- */

/* NULL without memory. */
struct MHD_Response *event_stream_response(event_stream *s);
/* The client has gone. */
void event_stream_gone(event_stream *s);
/* Of the lane: all end, in order; or at once. */
void event_streams_end(api_lane *lane);
/* Of the lane: those end, in order, that the credentials of now would not let in. */
void event_streams_judge(api_lane *lane);
void event_streams_cut(api_lane *lane);
void event_stream_free(event_stream *s); /* takes NULL */

#endif
