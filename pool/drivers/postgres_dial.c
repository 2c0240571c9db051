/* postgres_dial.c: how a session comes up: names looked up off the loop, then libpq's steps. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres.h"

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

/* The lists libpq takes, an address an entry. */
typedef struct host_lists {
    char *names, *addresses, *ports;
    size_t names_size, addresses_size, ports_size;
    FILE *to_names, *to_addresses, *to_ports;
    uint32_t count;
} host_lists;

static bool lists_open(host_lists *l)
{
    memset(l, 0, sizeof *l);
    l->to_names = open_memstream(&l->names, &l->names_size);
    l->to_addresses = open_memstream(&l->addresses, &l->addresses_size);
    l->to_ports = open_memstream(&l->ports, &l->ports_size);
    return l->to_names && l->to_addresses && l->to_ports;
}

static bool list_end(FILE **f)
{
    bool well = *f && fclose(*f) == 0;
    *f = NULL;
    return well;
}

/* The strings can be read once this has returned true. */
static bool lists_end(host_lists *l)
{
    bool names = list_end(&l->to_names), addresses = list_end(&l->to_addresses);
    return list_end(&l->to_ports) && names && addresses;
}

static void lists_free(host_lists *l)
{
    lists_end(l);
    free(l->names);
    free(l->addresses);
    free(l->ports);
}

static void lists_add(host_lists *l, const server_host *h, const char *address)
{
    const char *comma = l->count++ ? "," : "";
    fprintf(l->to_names, "%s%s", comma, h->name);
    fprintf(l->to_addresses, "%s%s", comma, address);
    fprintf(l->to_ports, "%s%s", comma, h->port);
}

static void lists_add_found(host_lists *l, const server_host *h, const struct addrinfo *found)
{
    char text[NI_MAXHOST];
    for (; found; found = found->ai_next)
        if (getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0,
                        NI_NUMERICHOST) == 0)
            lists_add(l, h, text);
}

/* ---- Steps ---- */

static void fail(session *s)
{
    if (s->pg)
        error_of_dial(&s->c->error, s->pg);
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
        s->c->error = e;
        s->c->error.code = WEIR_ELOST;
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
        error_set(&c->error, WEIR_ECONNECT, "out of memory or descriptors");
        connection_down(c, WEIR_RETIRE_CONNECT_FAILED);
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
    if (s->watch)
        return;
    error_set(&s->c->error, WEIR_ECONNECT, "out of memory or descriptors");
    connection_down(s->c, WEIR_RETIRE_CONNECT_FAILED);
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
        if (!s->pg)
            error_of_dial(&s->c->error, NULL);
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
    host_lists lists;
    bool well = lists_open(&lists);
    for (uint32_t i = 0; well && i < r->count; i++) {
        const server_host *h = &s->options->hosts[i];
        if (!needs_lookup(h))
            lists_add(&lists, h, h->address);
        else if (r->lookups[i].status == 0)
            lists_add_found(&lists, h, r->lookups[i].found);
    }
    well = lists_end(&lists) && well;
    if (well && lists.count > 0) {
        start(s, &lists);
    } else {
        if (well)
            explain_lookups(s, r);
        else
            error_set(&s->c->error, WEIR_ECONNECT, "out of memory");
        connection_down(s->c, WEIR_RETIRE_CONNECT_FAILED);
    }
    lists_free(&lists);
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
        error_set(&s->c->error, WEIR_ECONNECT, "out of memory");
        connection_down(s->c, WEIR_RETIRE_CONNECT_FAILED);
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

void dial_begin(session *s)
{
    s->activity = ACTIVITY_DIAL;
    for (uint32_t i = 0; i < s->options->host_count; i++)
        if (needs_lookup(&s->options->hosts[i])) {
            look_up(s);
            return;
        }
    start(s, NULL);
}

void dial_abandon(session *s)
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
