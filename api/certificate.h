/* certificate.h: by what the service is known under TLS: a certificate, its chain and its key. */
#ifndef WEIR_CERTIFICATE_H
#define WEIR_CERTIFICATE_H

#include <pthread.h>

#include "api.h"

struct MHD_Connection;

/* The certificate that new connections are given. Any thread, but for opening and closing. */
typedef struct certificate_slot {
    pthread_mutex_t lock;
    weir_certificate *certificate; /* NULL: none, HTTP is spoken */
} certificate_slot;

void certificate_open(certificate_slot *slot,
                      weir_certificate *certificate); /* takes a reference of its own */
void certificate_close(certificate_slot *slot);
/* Takes it over. Whether it is another than before. */
bool certificate_put(certificate_slot *slot, weir_certificate *certificate);

/* Gives a connection of libmicrohttpd's, whose handshake has not begun, the certificate there is
 * now: unref it when the connection has been closed. NULL without memory: then no handshake
 * succeeds. */
weir_certificate *certificate_bind(certificate_slot *slot, struct MHD_Connection *connection);

/* Seconds since 1970; 0: there is no certificate. */
int64_t certificate_expires(certificate_slot *slot);

/* The protocols and ciphers that GnuTLS is to be told, for options->tls_priorities. WEIR_EINVAL
 * with why. */
int certificate_priorities(const char *wanted, const char **priorities, char *why, size_t why_size);

/* Ends what was sent by a sign of TLS's own that nothing is missing. */
void certificate_bye(struct MHD_Connection *connection);

#endif
