/* tls_client.h: a client that says to a server of 127.0.0.1 exactly what it is told to, under TLS.
 *
 * It believes any certificate: libcurl is there to doubt them. Any thread, one client a thread. */
#ifndef WEIR_TESTS_TLS_CLIENT_H
#define WEIR_TESTS_TLS_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tls_client tls_client;

/* Connects and shakes hands; `priorities` in GnuTLS's words, NULL: all that it can. NULL when that
 * fails, or has not ended within 10 s. */
tls_client *tls_dial(uint16_t port, const char *priorities);

bool tls_say(tls_client *client, const char *text);
/* As raw_hear. `*ended` (or NULL): whether the server has said that nothing more comes. */
char *tls_hear(tls_client *client, const char *needle, int times, bool *ended);

/* The name in the server's certificate, and the protocol agreed on ("" for none). */
const char *tls_name(const tls_client *client);
const char *tls_protocol(const tls_client *client);

/* Closes the connection, saying so first when `politely`; frees. Takes NULL. */
void tls_vanish(tls_client *client, bool politely);

#endif
