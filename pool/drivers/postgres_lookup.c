/* postgres_lookup.c: host names made addresses, off the loop: libpq would look them up on it. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "postgres.h"

typedef struct lookup {
    uv_getaddrinfo_t request;
    resolution *of; /* once begun */
    struct addrinfo *found;
    int status;
} lookup;

/* The look-ups of one dial. Not in the session: they may outlive it. */
struct resolution {
    session *session; /* NULL: nobody wants to know any more */
    lookup_fn done;
    uint32_t pending;
    uint32_t count;
    lookup lookups[]; /* one a host; those without need of one are not begun */
};

static bool is_literal(const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, address) == 1 || strchr(name, ':');
}

static bool needs_lookup(const server_host *h)
{
    bool socket = h->name[0] == '/' || h->name[0] == '@';
    return !h->address[0] && h->name[0] && !socket && !is_literal(h->name);
}

static void resolution_free(resolution *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        uv_freeaddrinfo(r->lookups[i].found);
    free(r);
}

/* ---- What was found ---- */

static uint32_t most_stops(const resolution *r)
{
    uint32_t n = r->count;
    for (uint32_t i = 0; i < r->count; i++)
        for (const struct addrinfo *a = r->lookups[i].found; a; a = a->ai_next)
            n++;
    return n;
}

static void add_found(route *to, const server_host *h, const struct addrinfo *a)
{
    for (; a; a = a->ai_next) {
        char address[sizeof((route_stop *)0)->address];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof address, NULL, 0,
                        NI_NUMERICHOST) == 0)
            strcpy(route_add(to, h)->address, address);
    }
}

/* A host that could not be looked up is left out. NULL when out of memory. */
static route *route_of(const server_options *o, const resolution *r)
{
    route *to = route_new(most_stops(r));
    for (uint32_t i = 0; to && i < r->count; i++) {
        const server_host *h = &o->hosts[i];
        if (needs_lookup(h))
            add_found(to, h, r->lookups[i].found);
        else
            text_copy(route_add(to, h)->address, sizeof((route_stop *)0)->address, h->address);
    }
    return to;
}

/* ---- Looking up ---- */

static void explain_lookups(session *s, const resolution *r)
{
    const char *first = NULL;
    int status = 0;
    uint32_t failed = 0;
    for (uint32_t i = 0; i < r->count; i++)
        if (r->lookups[i].status < 0 && failed++ == 0) {
            first = s->options->hosts[i].name;
            status = r->lookups[i].status;
        }
    weir_error *e = &s->c->error;
    if (failed > 1)
        error_set(e, WEIR_ECONNECT, "could not look up host \"%s\" and %u more: %s", first,
                  failed - 1, uv_strerror(status));
    else
        error_set(e, WEIR_ECONNECT, "could not look up host \"%s\": %s", first ? first : "",
                  uv_strerror(status));
    e->retryable = true;
}

static void out_of_memory(session *s)
{
    error_set(&s->c->error, WEIR_ECONNECT, "out of memory");
}

static void resolved(session *s, const resolution *r)
{
    route *found = route_of(s->options, r);
    if (!found) {
        out_of_memory(s);
    } else if (route_count(found) == 0) {
        explain_lookups(s, r);
        route_free(found);
        found = NULL;
    }
    r->done(s, found);
}

static void settle_lookup(resolution *r)
{
    if (--r->pending > 0)
        return;
    session *s = r->session;
    if (s) {
        s->resolution = NULL;
        resolved(s, r);
    }
    resolution_free(r);
}

static void on_lookup(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    lookup *l = request->data;
    l->status = status;
    l->found = found;
    settle_lookup(l->of);
}

void lookup_begin(session *s, lookup_fn done)
{
    const server_options *o = s->options;
    resolution *r = calloc(1, sizeof *r + o->host_count * sizeof r->lookups[0]);
    if (!r) {
        out_of_memory(s);
        done(s, NULL);
        return;
    }
    r->session = s;
    r->done = done;
    r->count = o->host_count;
    r->pending = 1; /* this function's own, so that it ends here should none begin */
    s->resolution = r;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    for (uint32_t i = 0; i < r->count; i++) {
        lookup *l = &r->lookups[i];
        if (!needs_lookup(&o->hosts[i]))
            continue;
        l->request.data = l;
        l->status = uv_getaddrinfo(s->c->lane->loop, &l->request, on_lookup, o->hosts[i].name, NULL,
                                   &hints);
        if (l->status == 0) {
            l->of = r;
            r->pending++;
        }
    }
    settle_lookup(r);
}

void lookup_abandon(session *s)
{
    resolution *r = s->resolution;
    if (!r)
        return;
    s->resolution = NULL;
    r->session = NULL;
    for (uint32_t i = 0; i < r->count; i++)
        if (r->lookups[i].of)
            uv_cancel((uv_req_t *)&r->lookups[i].request);
}
