/* postgres_dial.c: how a session comes up: names looked up off the loop, then libpq's steps. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres.h"

/* For how long an address that did not answer in time is tried last. */
#define SKIP_NS WEIR_S(60)

/* ---- Names: libpq would look them up on the loop, so it is handed addresses ---- */

typedef struct lookup {
    uv_getaddrinfo_t request;
    resolution *of; /* once begun */
    struct addrinfo *found;
    int status;
} lookup;

/* The look-ups of one dial. Not in the session: they may outlive it. */
struct resolution {
    session *session; /* NULL: nobody wants to know any more */
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

static uint32_t count_addresses(const resolution *r)
{
    uint32_t n = 0;
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
    all->item = calloc(count_addresses(r), sizeof *all->item);
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

typedef struct host_lists {
    char *names, *addresses, *ports;
} host_lists;

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

/* ---- Steps ---- */

static void give_up(session *s, const char *why)
{
    error_set(&s->c->error, WEIR_ECONNECT, "%s", why);
    connection_down(s->c, WEIR_RETIRE_CONNECT_FAILED);
}

static void fail(session *s)
{
    error_of_dial(&s->c->error, s->pg ? PQerrorMessage(s->pg) : "out of memory");
    connection_down(s->c, WEIR_RETIRE_CONNECT_FAILED);
}

static void on_notice(void *arg, const PGresult *result)
{
    session *s = arg;
    weir_error e;
    error_of_result(&e, result);
    /* On an idle session libpq gives the server's last words as a notice. */
    weir_retire_reason fate = error_fate(e.sqlstate);
    if (fate != WEIR_RETIRE_NOT) {
        s->fate = fate;
        s->flight.error = e;
    }
    connection_notice(s->c, e.sqlstate, e.message);
}

static void come_up(session *s)
{
    weir_connection *c = s->c;
    PQsetErrorVerbosity(s->pg, PQERRORS_DEFAULT);
    s->canceller = canceller_new(s);
    if (s->canceller && PQsetnonblocking(s->pg, 1) == 0)
        s->watch = watch_open(c->lane->loop, PQsocket(s->pg), UV_READABLE, session_ready, s);
    if (!s->watch) {
        give_up(s, "out of memory or descriptors");
        return;
    }
    s->activity = ACTIVITY_NONE;
    c->backend_pid = PQbackendPID(s->pg);
    connection_up(c);
}

static void go_on(void *arg, int events);

/* libpq may have closed its socket and opened another, even of the same number, in each step: so
 * each step is watched by a watch of its own. */
static void await(session *s, int events)
{
    s->watch = watch_open(s->c->lane->loop, PQsocket(s->pg), events, go_on, s);
    if (!s->watch)
        give_up(s, "out of memory or descriptors");
}

static void go_on(void *arg, int events)
{
    session *s = arg;
    (void)events;
    watch_close(s->watch);
    s->watch = NULL;
    switch (PQconnectPoll(s->pg)) {
    case PGRES_POLLING_READING: await(s, UV_READABLE); return;
    case PGRES_POLLING_WRITING: await(s, UV_WRITABLE); return;
    case PGRES_POLLING_OK: come_up(s); return;
    default: fail(s); return;
    }
}

/* `lists` NULL: hosts as given. */
static void start(session *s, const host_lists *lists)
{
    const server_options *o = s->options;
    const char *keywords[] = {
        "fallback_application_name", /* before the string, which may say otherwise */
        "dbname",
        "client_encoding",
        "connect_timeout",
        "options",
        "host",
        "hostaddr",
        "port",
        NULL,
    };
    const char *values[] = {
        "weir",
        o->conninfo,
        "UTF8",
        "0",
        o->settings,
        lists ? lists->names : NULL,
        lists ? lists->addresses : NULL,
        lists ? lists->ports : NULL,
        NULL,
    };
    s->pg = PQconnectStartParams(keywords, values, 1);
    if (!s->pg || PQstatus(s->pg) == CONNECTION_BAD) {
        fail(s);
        return;
    }
    PQsetErrorVerbosity(s->pg, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(s->pg, on_notice, s);
    await(s, UV_WRITABLE);
}

/* ---- From names to steps ---- */

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

static void resolved(session *s, resolution *r)
{
    host_lists lists = {NULL, NULL, NULL};
    entries all;
    if (!entries_make(&all, s->options, r)) {
        give_up(s, "out of memory");
    } else if (all.count == 0) {
        explain_lookups(s, r);
        connection_down(s->c, WEIR_RETIRE_CONNECT_FAILED);
    } else if (!lists_make(&lists, &all, s->skipped % all.count)) {
        give_up(s, "out of memory");
    } else {
        start(s, &lists);
    }
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

static void look_up(session *s)
{
    const server_options *o = s->options;
    resolution *r = calloc(1, sizeof *r + o->host_count * sizeof r->lookups[0]);
    if (!r) {
        give_up(s, "out of memory");
        return;
    }
    r->session = s;
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

/* Which address to begin with, after the last ones that did not answer. */
static uint32_t addresses_to_skip(server_options *o)
{
    if (weir_now() >= atomic_load(&o->skip_until_ns))
        atomic_store(&o->skip, 0);
    return atomic_load(&o->skip);
}

/* Of all the dials that hang on the same address only one moves on from it. */
static void skip_address(session *s)
{
    unsigned skipped = s->skipped;
    if (atomic_compare_exchange_strong(&s->options->skip, &skipped, skipped + 1))
        atomic_store(&s->options->skip_until_ns, weir_after(SKIP_NS));
}

void dial_begin(session *s)
{
    s->activity = ACTIVITY_DIAL;
    s->skipped = addresses_to_skip(s->options);
    bool lookups = s->skipped > 0;
    for (uint32_t i = 0; !lookups && i < s->options->host_count; i++)
        lookups = needs_lookup(&s->options->hosts[i]);
    if (lookups)
        look_up(s);
    else
        start(s, NULL);
}

void dial_abandon(session *s)
{
    if (s->activity == ACTIVITY_DIAL && s->watch)
        skip_address(s);
    resolution *r = s->resolution;
    if (!r)
        return;
    s->resolution = NULL;
    r->session = NULL;
    for (uint32_t i = 0; i < r->count; i++)
        if (r->lookups[i].of)
            uv_cancel((uv_req_t *)&r->lookups[i].request);
}
