/* asker.c: from which address a request comes. */
#include <string.h>
#include <strings.h>

#include "clients.h"
#include "request.h"

/* Headers X-Forwarded-For of one request; proxies add to the last, or one behind it. */
#define FORWARDED_MAX 16

typedef struct forwarded {
    const char *values[FORWARDED_MAX]; /* the last ones */
    uint32_t count;
} forwarded;

static enum MHD_Result collect(void *arg, enum MHD_ValueKind kind, const char *name,
                               const char *value)
{
    forwarded *f = arg;

    if (!value || strcasecmp(name, "X-Forwarded-For") != 0)
        return MHD_YES;
    if (f->count == FORWARDED_MAX)
        memmove(f->values, f->values + 1, --f->count * sizeof *f->values);
    f->values[f->count++] = value;
    return MHD_YES;
}

ip asker_address(const weir_request *req)
{
    const proxies *p = req->lane->api->guards.proxies;
    ip peer = req->client ? req->client->address : (ip){0};
    forwarded f = {0};

    if (!proxies_trust(p, &peer))
        return peer;
    MHD_get_connection_values(req->connection, MHD_HEADER_KIND, collect, &f);
    return proxies_client(p, &peer, f.values, f.count);
}
