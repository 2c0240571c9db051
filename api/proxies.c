/* proxies.c: whose word is taken for where a request comes from. */
#include "proxies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../pool/weir.h"

#define BLANKS " \t"

typedef struct network {
    ip address;
    uint32_t bits; /* of 128 */
} network;

struct proxies {
    uint32_t count;
    network networks[];
};

/* ---- What was configured ---- */

static bool take_bits(const char *text, size_t length, uint32_t most, uint32_t *bits)
{
    uint32_t number = 0;

    if (length == 0 || length > 3)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (uint32_t)(text[i] - '0');
    }
    *bits = number;
    return number <= most;
}

static bool take_network(const char *text, size_t length, network *n)
{
    const char *slash = memchr(text, '/', length);
    size_t address = slash ? (size_t)(slash - text) : length;

    if (!ip_parse(text, address, &n->address))
        return false;
    uint32_t own = memchr(text, ':', address) ? 128 : 32; /* as it was written */
    uint32_t bits = own;
    if (slash && !take_bits(slash + 1, length - address - 1, own, &bits))
        return false;
    n->bits = bits + 128 - own;
    return true;
}

static size_t without_blanks(const char **text, size_t length)
{
    size_t indent = strspn(*text, BLANKS);

    indent = indent < length ? indent : length;
    *text += indent;
    length -= indent;
    while (length > 0 && strchr(BLANKS, (*text)[length - 1]))
        length--;
    return length;
}

int proxies_open(const char *text, proxies **made, char *why, size_t why_size)
{
    size_t most = 1;

    if (!text) {
        *made = NULL;
        return 0;
    }
    for (const char *at = text; (at = strchr(at, ',')); at++)
        most++;
    proxies *p = calloc(1, sizeof *p + most * sizeof *p->networks);
    if (!p)
        return WEIR_ENOMEM;
    for (const char *at = text; p->count < most; p->count++) {
        size_t whole = strcspn(at, ",");
        const char *one = at;
        size_t length = without_blanks(&one, whole);
        if (!take_network(one, length, &p->networks[p->count])) {
            snprintf(why, why_size,
                     "--trusted-proxies: \"%.*s\" is no address or network: write 192.0.2.7, "
                     "10.0.0.0/8 or fd00::/8",
                     (int)(length < 60 ? length : 60), one);
            free(p);
            return WEIR_EINVAL;
        }
        at += whole + 1;
    }
    *made = p;
    return 0;
}

void proxies_close(proxies *p)
{
    free(p);
}

/* ---- Who asks ---- */

bool proxies_trust(const proxies *p, const ip *address)
{
    for (uint32_t i = 0; p && i < p->count; i++)
        if (ip_within(address, &p->networks[i].address, p->networks[i].bits))
            return true;
    return false;
}

/* Proxies write 192.0.2.7, 192.0.2.7:1234, 2001:db8::1, [2001:db8::1] and [2001:db8::1]:1234. */
static bool take_forwarded(const char *text, size_t length, ip *address)
{
    const char *colon = memchr(text, ':', length);
    bool v4_with_port = colon && !memchr(colon + 1, ':', length - (size_t)(colon + 1 - text));

    if (length > 0 && *text == '[') {
        const char *end = memchr(text, ']', length);
        return end && ip_parse(text + 1, (size_t)(end - text - 1), address);
    }
    return ip_parse(text, v4_with_port ? (size_t)(colon - text) : length, address);
}

/* From the right. True: `*client` is who asks; false: go on to the left of this header. */
static bool search(const proxies *p, const char *header, ip *client)
{
    size_t left = strlen(header);

    for (;;) {
        size_t from = left;
        ip found;
        while (from > 0 && header[from - 1] != ',')
            from--;
        const char *one = header + from;
        size_t length = without_blanks(&one, left - from);
        if (!take_forwarded(one, length, &found))
            return true; /* what a proxy has not written: the one before it is all that is known */
        *client = found;
        if (!proxies_trust(p, &found))
            return true;
        if (from == 0)
            return false;
        left = from - 1;
    }
}

ip proxies_client(const proxies *p, const ip *peer, const char *const *forwarded, uint32_t count)
{
    ip client = *peer;

    if (!proxies_trust(p, peer))
        return client;
    while (count > 0 && !search(p, forwarded[count - 1], &client))
        count--;
    return client;
}
