/* tcp_bytes.h: how much has gone over a connection. */
#ifndef WEIR_TCP_BYTES_H
#define WEIR_TCP_BYTES_H

#include <stdbool.h>
#include <stdint.h>

/* How many bytes have come in since it was made, and how many that were sent the other side's
 * system has taken. False where this system does not say. */
bool tcp_bytes(int fd, uint64_t *received, uint64_t *taken);

#endif
