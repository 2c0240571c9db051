/* api.h: HTTP in front of pools, as the service uses it. */
#ifndef WEIR_API_H
#define WEIR_API_H

#include "../pool/weir.h"
#include "credentials.h"
#include "ip.h"
#include "query_set.h"

typedef struct weir_api weir_api;

/* One finished request, for the log and for tests. Strings live only during the call. */
typedef struct weir_request_record {
    const char *method, *route; /* the route's pattern; "" when none matched */
    const ip *client;           /* behind a trusted proxy, whom that names; ::, not known */
    int status; /* 499: the client went away, or stopped reading; of a stream that broke off: what
                   the problem's would have been */
    uint64_t duration_ns, wait_ns, query_ns;
    uint64_t bytes;
    const char *request_id, *traceparent; /* traceparent may be NULL */
    const char *code;                     /* SQLSTATE or own code of a problem; NULL: none */
    const char *message;                  /* the problem's detail; NULL: none */
    const char *label;
} weir_request_record;

/* ---- Events ---- */

/* A channel's name at most, in bytes: what PostgreSQL keeps of it. */
#define WEIR_CHANNEL_MAX 63

/* Channels that clients may listen to, of one database. Copied. */
typedef struct weir_api_feed {
    weir_pool *pool;             /* of one connection to it, and for this alone; outlives the API */
    const char *const *channels; /* up to WEIR_CHANNEL_MAX bytes; of no two feeds the same */
    uint32_t channel_count;
} weir_api_feed;

/* A feed has begun to listen, or has stopped. Strings live only during the call. */
typedef struct weir_feed_event {
    const char *pool;
    bool listening;
    const char *reason;   /* connection_lost, idle (nobody was left to listen for), or refused: the
                             server would not listen; NULL while listening */
    const char *message;  /* the error's, or NULL */
    uint64_t duration_ns; /* for how long nothing was heard, now that it is; 0: it never was */
    uint32_t channels;
} weir_feed_event;

/* The latest events of pools, for GET /pool/events. Outlives the pools that it is told of, and the
 * API. */
typedef struct weir_pool_log weir_pool_log;
int weir_pool_log_open(weir_runtime *runtime, weir_pool_log **log); /* WEIR_ENOMEM */
void weir_pool_log_close(weir_pool_log *log); /* after the runtime's end; takes NULL */
/* Whether an event of that level would be kept: those for debugging only while somebody asks for
 * them. Any thread. */
bool weir_pool_log_wants(weir_pool_log *log, weir_level level);
/* `json`: an object in one line, as clients are to see it. Copied. Any thread. */
void weir_pool_log_add(weir_pool_log *log, weir_level level, const char *pool, const char *json,
                       size_t length);

/* What an operator's request asks of whoever runs the API. */
typedef struct weir_api_operator {
    void *arg;
    /* Reads queries and settings again, and returns once they are in force: what has changed, as a
     * JSON object for the caller to free(), or WEIR_EINVAL with `fault`, WEIR_ECANCELED, or what
     * kept it from a database with the reason as the fault's message. In the request's task, on its
     * lane. */
    weir_async int (*reload)(void *arg, char **report, query_fault *fault);
    /* Begins an orderly end of the service. On the request's lane. */
    void (*drain)(void *arg);
} weir_api_operator;

/* The most that params_max may be. */
#define API_PARAMS_MAX 256

/* By what the service is known under TLS: a certificate, its chain and its key. Counted; any
 * thread. */
typedef struct weir_certificate weir_certificate;

/* Seconds since 1970. */
typedef struct weir_certificate_info {
    int64_t begins;  /* the certificate */
    int64_t expires; /* the first of its chain to do so */
} weir_certificate_info;

/* From texts in PEM, the certificate in front of its chain. WEIR_EINVAL with why, `*in_key` telling
 * in which of the two; WEIR_ENOMEM. */
int weir_certificate_read(const char *chain, const char *key, weir_certificate **certificate,
                          bool *in_key, char *why, size_t why_size);
weir_certificate_info weir_certificate_look(const weir_certificate *certificate);
void weir_certificate_unref(weir_certificate *certificate); /* takes NULL */

/* Strings are copied. Sizes in bytes. Zero takes the default beside it. */
typedef struct weir_api_options {
    weir_runtime *runtime;
    weir_pool *const *pools; /* as query_set_read was told their names; copied */
    uint32_t pool_count;
    const char *listen;          /* host:port, [v6]:port; port 0: any free one; 127.0.0.1:8080 */
    const char *admin_listen;    /* NULL: what is for operators is on `listen` */
    uint64_t acquire_timeout_ns; /* 1 s */
    uint64_t query_timeout_ns;   /* 5 s */
    uint32_t batch_max;          /* queries in one request to /batch, /tx or /sql; 100 */
    uint32_t batch_concurrency;  /* of one batch, at once; 4 */
    uint64_t batch_timeout_ns;   /* all of them together; 20 s */
    uint64_t
        stream_timeout_ns;    /* how long a stream, or an answer's reader, may stand still; 30 s */
    size_t body_max;          /* 1 MiB; larger: 413 */
    size_t connection_memory; /* libmicrohttpd's, bounds the header: larger is 431; 8 KiB */
    size_t gzip_min;          /* answers from here on may be sent as gzip; SIZE_MAX: none; 1 KiB */
    uint32_t connections_max; /* clients at most, all lanes together; 4096 */
    uint64_t idle_timeout_ns; /* a client that sends nothing for so long is closed; 60 s */
    const weir_api_feed *feeds;
    uint32_t feed_count;
    uint32_t events_kept;         /* of each channel, for those that are behind; 1024 */
    uint32_t events_clients_max;  /* streams of events at once; 1000 */
    uint64_t events_heartbeat_ns; /* a stream that is silent for so long is sent a comment; 15 s */
    weir_pool_log *pool_log;      /* NULL: there is none, nor /pool/events */
    void (*on_feed)(void *arg, const weir_feed_event *event); /* on lane 0; must not block */
    const char *cors_origins;    /* whose pages may read what is served: origins with commas between
                                    them, or "*"; NULL: none's */
    const char *rate_limit;      /* requests of one client and of one token, each of several queries
                                    as one: N/s, N/m or N/h, :BURST behind it; NULL: any number */
    const char *trusted_proxies; /* addresses and networks with commas between them, whose
                                    X-Forwarded-For says who the client is; NULL: none */
    uint32_t clients_per_address; /* connections, all lanes together; 0: any number */
    size_t url_max;               /* 6 KiB; longer: 414 */
    uint32_t params_max;          /* in a query string; 256 */
    uint32_t rows_max;            /* of an answer that is not a stream; UINT32_MAX: any number;
                                     10000 */
    size_t answer_max;            /* its bytes; SIZE_MAX: any number; 16 MiB */
    uint64_t header_timeout_ns;   /* for a header to come whole; 10 s */
    uint64_t body_timeout_ns;     /* for a body to, or for 16 KiB more of it; 30 s */
    query_auth auth;              /* what /events asks for; as query_set_guard's `fallback` */
    weir_certificate
        *certificate; /* HTTPS is served; the caller's reference stays its own; NULL: HTTP */
    const char *tls_priorities; /* in GnuTLS's words; TLS 1.2 and 1.3 with forward secrecy */
    bool admin_plain;           /* on `admin_listen` it is HTTP all the same */
    bool expose_sql;            /* show SQL text and refused rows in problems */
    void (*on_request)(
        void *arg, const weir_request_record *record); /* on the request's lane; must not block */
    /* A connection has been cut off. On its lane; must not block. Strings live only during the
     * call. */
    void (*on_client_cut)(void *arg, const char *reason, const char *address);
    void *arg;
    weir_api_operator operator;
} weir_api_options;

/* Binds the sockets, so that a wrong address is known at once; serves as soon as the runtime runs.
 * Until a query set is installed, /readyz and queries answer 503. WEIR_EINVAL, WEIR_EIO,
 * WEIR_ENOMEM, with one line in `why`. */
int weir_api_open(const weir_api_options *options, weir_api **api, char *why, size_t why_size);

/* From now on requests have what `options` says of timeouts (but for idle_timeout_ns), of /batch,
 * of expose_sql, and of the sizes of bodies, URLs, parameters and answers. Any thread. */
void weir_api_adjust(weir_api *api, const weir_api_options *options);

/* The port in use, for `listen` with port 0. */
uint16_t weir_api_port(const weir_api *api);
uint16_t weir_api_admin_port(const weir_api *api);

/* From now on these say who is let in; before the first call nobody is. Streams of events that came
 * by a token which is none any more end. Takes the caller's reference, and hands over that to those
 * before. Any thread. */
credentials *weir_api_trust(weir_api *api, credentials *known);

/* Connections that are opened from now on are given this certificate; those there are keep theirs.
 * It is taken over. Whether it is another than before. For an API that was opened with one. Any
 * thread. */
bool weir_api_put_certificate(weir_api *api, weir_certificate *certificate);

/* Puts a described query set in place of the present one; requests under way keep theirs. Takes the
 * caller's reference. Any thread. */
void weir_api_install(weir_api *api, query_set *set);

/* From now on /readyz says no and connections are not kept, so that those who send requests look
 * elsewhere; all are still served. Any thread. */
void weir_api_leave(weir_api *api);
/* From now on new requests get 503 `draining` and /readyz says so; those under way go on. Any
 * thread. */
void weir_api_drain(weir_api *api);
/* Cancels the tasks of all requests still under way. Any thread. */
void weir_api_cancel(weir_api *api);
/* Requests that have come whole and are not yet answered in full. Any thread. */
uint32_t weir_api_requests(const weir_api *api);
/* Waits until the last request has been answered, or the task's deadline. */
weir_async int weir_api_drained(weir_api *api);

/* Stops listening, closes all clients and frees. After draining; suspends until every lane has let
 * go. */
weir_async void weir_api_close(weir_api *api);

#endif
