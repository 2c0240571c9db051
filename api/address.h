/* address.h: where to listen, as host:port. */
#ifndef WEIR_ADDRESS_H
#define WEIR_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parts `host:port`, `[v6]:port` or `:port`, whose host is "". WEIR_EINVAL. */
int address_split(const char *address, char *host, size_t host_size, uint16_t *port);

/* Makes a listening socket for `host:port`; with *port not 0 that port takes the address's place.
 * `shared`: further sockets may be bound to it. The port in use goes to *port. WEIR_EINVAL,
 * WEIR_EIO, with one line in `why`. */
int address_listen(const char *address, bool shared, uint16_t *port, int *fd, char *why,
                   size_t why_size);

#endif
