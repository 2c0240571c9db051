/* clients.h: the connections of a listener, and what is done about those that are slow.
 *
 * libmicrohttpd knows one time limit, for silence: who sends or reads a byte now and then stays for
 * as long as it likes. So each connection is looked at from time to time; what it costs a request
 * is to note what its connection does. */
#ifndef WEIR_CLIENTS_H
#define WEIR_CLIENTS_H

#include <microhttpd.h>

#include "ip.h"
#include "server.h"

/* What a connection is doing. */
typedef enum client_phase {
    CLIENT_NEW,    /* no request line has come yet */
    CLIENT_IDLE,   /* nor has a further one, behind the last answer */
    CLIENT_HEADER, /* part of a request's header has come */
    CLIENT_BODY,   /* the header has, and the request is not yet whole */
    CLIENT_SERVED, /* by us: how long that takes has limits of its own; a stream, too */
    CLIENT_ANSWER, /* an answer is libmicrohttpd's to send */
    CLIENT_CUT,    /* it ends as soon as libmicrohttpd sees that */
} client_phase;

/* In memory of its own, until its connection is closed. On one lane. */
typedef struct client {
    listener *listener;
    struct MHD_Connection *connection;
    struct client *next, *prev; /* of the listener, those idle for longest before other idle ones */
    weir_request *request;      /* NULL: none has been announced */
    weir_certificate *certificate; /* under HTTPS: which must outlive the handshake */
    bool shaking_hands;            /* under HTTPS: no request line has come yet */
    int fd;
    client_phase phase;
    bool counted;      /* in the crowd of its address */
    uint64_t since_ns; /* since when it has been looked at in this phase; 0: not yet */
    uint64_t progress; /* bytes that had come or gone by then */
    ip address;
} client;

/* libmicrohttpd's call for a connection that it has accepted, or is about to close. */
void clients_changed(void *listener, struct MHD_Connection *connection, void **context,
                     enum MHD_ConnectionNotificationCode what);
/* That of a connection; NULL where there was no memory for it. */
client *client_of(struct MHD_Connection *connection);
/* What it does from now on. Takes NULL. */
void client_enter(client *c, client_phase phase);
/* All places are taken: see soon whether somebody waits for one. */
void clients_crowded(listener *l);
/* No more of them are looked at. */
void clients_stop(listener *l);

#endif
