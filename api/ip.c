/* ip.c: the addresses of clients, of both families. */
#include "ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static void take_v4(const void *four, ip *address)
{
    memcpy(address->bytes, v4_prefix, sizeof v4_prefix);
    memcpy(address->bytes + sizeof v4_prefix, four, 4);
}

bool ip_parse(const char *text, size_t length, ip *address)
{
    char copy[IP_TEXT];
    uint8_t bytes[16];

    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (inet_pton(AF_INET, copy, bytes) == 1)
        take_v4(bytes, address);
    else if (inet_pton(AF_INET6, copy, bytes) == 1)
        memcpy(address->bytes, bytes, sizeof bytes);
    else
        return false;
    return true;
}

bool ip_of_socket(const struct sockaddr *from, ip *address)
{
    if (from && from->sa_family == AF_INET)
        take_v4(&((const struct sockaddr_in *)from)->sin_addr, address);
    else if (from && from->sa_family == AF_INET6)
        memcpy(address->bytes, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
    else
        return false;
    return true;
}

bool ip_is_v4(const ip *address)
{
    return memcmp(address->bytes, v4_prefix, sizeof v4_prefix) == 0;
}

bool ip_equal(const ip *a, const ip *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool ip_within(const ip *address, const ip *network, uint32_t bits)
{
    uint32_t whole = bits / 8, rest = bits % 8;

    if (memcmp(address->bytes, network->bytes, whole) != 0)
        return false;
    return rest == 0 || (address->bytes[whole] ^ network->bytes[whole]) >> (8 - rest) == 0;
}

ip ip_household(const ip *address)
{
    ip household = *address;

    if (!ip_is_v4(address))
        memset(household.bytes + 8, 0, 8);
    return household;
}

void ip_text(const ip *address, char text[IP_TEXT])
{
    bool v4 = ip_is_v4(address);

    inet_ntop(v4 ? AF_INET : AF_INET6, address->bytes + (v4 ? sizeof v4_prefix : 0), text, IP_TEXT);
}
