/* event_client.h: a client of server-sent events, which reads them as a browser does. */
#ifndef WEIR_TESTS_EVENT_CLIENT_H
#define WEIR_TESTS_EVENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long what happens at once may take to be seen, in seconds. */
#define SOON 10

typedef struct event_client event_client;

/* Asks a server of 127.0.0.1 for the stream; `last_id` NULL: it has heard nothing yet. */
event_client *events_open(uint16_t port, const char *path, const char *last_id);
/* The same with this token (NULL: none), as one that has heard nothing. */
event_client *events_open_as(uint16_t port, const char *path, const char *token);
void events_close(event_client *c);  /* takes NULL */
void events_vanish(event_client *c); /* the same, with a reset */

/* The status of the answer; 0: none came within 10 s. */
int events_status(event_client *c);

/* One event. Strings live until the next call for this client. */
typedef struct heard_event {
    const char *name; /* "message" where the event has none */
    const char *id;   /* "" when it has none */
    const char *data; /* its lines with \n between them */
} heard_event;

/* The next event. False: none came within `seconds` (times slower()), or the stream has ended. */
bool events_next(event_client *c, double seconds, heard_event *e);

/* The other side has ended it. */
bool events_ended(const event_client *c);
/* Comments so far. */
int events_comments(const event_client *c);

#endif
