/* postgres_lookup.c: host names made addresses, off the loop: libpq would look them up on it. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
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

/* ---- Lists, as libpq takes them: an address an entry ---- */

typedef struct entry {
    const server_host *host;
    char address[NI_MAXHOST];
} entry;

typedef struct entries {
    entry *item;
    uint32_t count;
} entries;

static uint32_t most_entries(const resolution *r)
{
    uint32_t n = 1;
    for (uint32_t i = 0; i < r->count; i++) {
        n++;
        for (const struct addrinfo *a = r->lookups[i].found; a; a = a->ai_next)
            n++;
    }
    return n;
}

static void add_found(entries *all, const server_host *h, const struct addrinfo *a)
{
    for (; a; a = a->ai_next) {
        entry *e = &all->item[all->count];
        e->host = h;
        if (getnameinfo(a->ai_addr, a->ai_addrlen, e->address, sizeof e->address, NULL, 0,
                        NI_NUMERICHOST) == 0)
            all->count++;
    }
}

/* A host that could not be looked up is left out. */
static bool entries_make(entries *all, const server_options *o, const resolution *r)
{
    all->count = 0;
    all->item = calloc(most_entries(r), sizeof *all->item);
    for (uint32_t i = 0; all->item && i < r->count; i++) {
        const server_host *h = &o->hosts[i];
        if (needs_lookup(h)) {
            add_found(all, h, r->lookups[i].found);
            continue;
        }
        entry *e = &all->item[all->count++];
        e->host = h;
        snprintf(e->address, sizeof e->address, "%s", h->address);
    }
    return all->item;
}

static const char *name_of(const entry *e)
{
    return e->host->name;
}

static const char *address_of(const entry *e)
{
    return e->address;
}

static const char *port_of(const entry *e)
{
    return e->host->port;
}

/* One list of all entries, beginning with that of index `from`. NULL when out of memory. */
static char *join(const entries *all, uint32_t from, const char *(*part)(const entry *e))
{
    size_t size = all->count + 1;
    for (uint32_t i = 0; i < all->count; i++)
        size += strlen(part(&all->item[i]));
    char *list = calloc(1, size), *end = list;
    for (uint32_t i = 0; list && i < all->count; i++) {
        if (i > 0)
            *end++ = ',';
        end = stpcpy(end, part(&all->item[(from + i) % all->count]));
    }
    return list;
}

static bool lists_make(host_lists *l, const entries *all, uint32_t from)
{
    l->names = join(all, from, name_of);
    l->addresses = join(all, from, address_of);
    l->ports = join(all, from, port_of);
    return l->names && l->addresses && l->ports;
}

static void lists_free(host_lists *l)
{
    free(l->names);
    free(l->addresses);
    free(l->ports);
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
    host_lists lists = {NULL, NULL, NULL};
    const host_lists *well = NULL;
    entries all;
    if (!entries_make(&all, s->options, r))
        out_of_memory(s);
    else if (all.count == 0)
        explain_lookups(s, r);
    else if (!lists_make(&lists, &all, s->skipped % all.count))
        out_of_memory(s);
    else
        well = &lists;
    r->done(s, well);
    lists_free(&lists);
    free(all.item);
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

bool lookup_needed(const server_options *o)
{
    for (uint32_t i = 0; i < o->host_count; i++)
        if (needs_lookup(&o->hosts[i]))
            return true;
    return false;
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
