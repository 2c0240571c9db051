/* ip.h: the addresses of clients, of both families. */
#ifndef WEIR_IP_H
#define WEIR_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* IPv4 as ::ffff:a.b.c.d, so that one address has one form. */
typedef struct ip {
    uint8_t bytes[16];
} ip;

#define IP_TEXT 46

/* "10.1.2.3" or "2001:db8::1", of that length. */
bool ip_parse(const char *text, size_t length, ip *address);
bool ip_of_socket(const struct sockaddr *from, ip *address);
bool ip_is_v4(const ip *address);
bool ip_equal(const ip *a, const ip *b);
/* Whether the first `bits`, of 128, are those of `network`. */
bool ip_within(const ip *address, const ip *network, uint32_t bits);
/* What one client has to itself: an IPv4 address, or the /64 of an IPv6 one, in which it may take
 * any. */
ip ip_household(const ip *address);
void ip_text(const ip *address, char text[IP_TEXT]);

#endif
