/* http_client.h: HTTP as a client sees it, through libcurl. Any thread, one client a thread. */
#ifndef WEIR_TESTS_HTTP_CLIENT_H
#define WEIR_TESTS_HTTP_CLIENT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* One connection, kept open between requests. */
typedef struct http_client http_client;

/* For a server on 127.0.0.1. */
http_client *http_open(uint16_t port);
/* The same over TLS, believing certificates of this file (copied). */
http_client *http_open_tls(uint16_t port, const char *authorities);
void http_close(http_client *client); /* takes NULL */

typedef struct http_reply {
    int status;    /* 0: none came, see error */
    char *headers; /* as they came */
    char *body;    /* with a NUL behind it */
    size_t length;
    json_t *json; /* of the body; NULL when that is no JSON */
    double seconds;
    char error[256];
} http_reply;

/* `body` NULL: none, else sent as application/json where `headers` name no other type. `headers`:
 * "Name: value" up to NULL; may be NULL. A reply that has not come within 30 seconds has status 0.
 */
http_reply http_send(http_client *client, const char *method, const char *path, const char *body,
                     const char *const *headers);
http_reply http_get(http_client *client, const char *path);
void http_reply_free(http_reply *reply);

/* GET on a connection of its own; only the status. 0: no answer. */
int http_status(uint16_t port, const char *path);
int http_status_tls(uint16_t port, const char *authorities, const char *path);

/* The value of a header in the reply, or NULL. Valid until the next call in this thread. */
const char *http_header(const http_reply *reply, const char *name);

#endif
