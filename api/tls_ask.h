/* tls_ask.h: asking a server something under TLS, as a client. */
#ifndef WEIR_TLS_ASK_H
#define WEIR_TLS_ASK_H

#include <stdbool.h>
#include <stddef.h>

/* Shakes hands on a connected socket, sends the request, and reads what fits of the answer, which a
 * NUL ends; each step takes `patience_ms` at most. Whatever certificate there is is believed: for
 * asking this machine only. False with why. Blocking. */
bool tls_ask(int fd, const char *request, char *answer, size_t size, unsigned patience_ms,
             const char **why);

#endif
