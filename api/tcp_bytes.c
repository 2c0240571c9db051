/* tcp_bytes.c: how much has gone over a connection.
 *
 * In a file of its own because the system's header that names these figures goes together with no
 * other of its kind. */
#include "tcp_bytes.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

bool tcp_bytes(int fd, uint64_t *received, uint64_t *taken)
{
    struct tcp_info info;
    socklen_t size = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
        size < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received)
        return false;
    *received = info.tcpi_bytes_received;
    *taken = info.tcpi_bytes_acked;
    return true;
}
