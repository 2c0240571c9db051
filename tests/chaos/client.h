/* client.h: an HTTP client that hides nothing: it never asks twice, and tells how each ask ended.
 *
 * One thread at a time. */
#ifndef WEIR_CHAOS_CLIENT_H
#define WEIR_CHAOS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct client {
    uint16_t port;
    int fd; /* -1: not connected */
    size_t length;
    char heard[16384]; /* of the answer, as it came */
} client;

typedef enum client_end {
    CLIENT_ANSWERED,
    CLIENT_HUNG,   /* nothing, or no whole answer, until the deadline */
    CLIENT_CUT_OFF /* the connection ended before the answer did */
} client_end;

typedef struct answer {
    int status;
    const char *head, *body; /* in the client, until it asks again; each with a NUL behind it */
} answer;

void client_init(client *c, uint16_t port);
void client_close(client *c);
/* Ends the connection by a reset instead of a close. */
void client_reset(client *c);

/* Sends a request, on a new connection where there is none. `body` NULL: none, else JSON. False
 * when it could not be sent. */
bool client_send(client *c, const char *method, const char *path, const char *token,
                 const char *body);

/* Waits for the answer to what was sent. The connection stays open only after CLIENT_ANSWERED. */
client_end client_await(client *c, uint64_t deadline_ns, answer *a);

/* Copies the value of a header, or of a text member of a JSON body. False when there is none. */
bool answer_header(const answer *a, const char *name, char *value, size_t size);
bool answer_member(const answer *a, const char *name, char *value, size_t size);

#endif
