/* loopback.h: sockets of 127.0.0.1 whose ports stay theirs while they do not listen. */
#ifndef WEIR_CHAOS_LOOPBACK_H
#define WEIR_CHAOS_LOOPBACK_H

#include <stdint.h>

#include <netinet/in.h>

struct sockaddr_in loopback(uint16_t port);

/* A non-blocking socket bound to a free port. Ends the program when there is none. */
int loopback_bound(uint16_t *port);

#endif
