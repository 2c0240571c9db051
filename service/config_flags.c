/* config_flags.c: the table of flags. */
#include "config_flags.h"

#include <ctype.h>
#include <string.h>

#include "../api/api.h"
#include "../api/nearest.h"

static const char *const auth_choices[] = {"none", "token", "jwt", NULL}; /* as query_auth */
static const char *const format_choices[] = {"auto", "json", "text", NULL};
static const char *const onoff_choices[] = {"off", "on", NULL};
static const char *const order_choices[] = {"given", "random", NULL};
static const char *const level_choices[] = {"debug", "info", "warn", "error", NULL};

/* A field that only a start sets, one that a reload sets too, and one that no service looks at; and
 * where the value is secret. */
#define FIELD(name)       offsetof(config, name), 0
#define LIVE(name)        offsetof(config, name), MARK_LIVE
#define CHECK(name)       offsetof(config, name), MARK_CHECK
#define SECRET(name)      offsetof(config, name), MARK_SECRET
#define LIVE_SECRET(name) offsetof(config, name), MARK_LIVE | MARK_SECRET

#define KIB UINT64_C(1024)

/* clang-format off */
static const flag flags[] = {
    {"config", KIND_TEXT, FIELD(config), "FILE", NULL,
     "lines of NAME = VALUE, with the names of these flags; variables and flags outrank it", 0, 0,
     NULL},
    {"listen", KIND_TEXT, FIELD(listen), "HOST:PORT", "127.0.0.1:8080",
     "where to serve HTTP; port 0 takes a free one", 0, 0, NULL},
    {"admin-listen", KIND_TEXT, FIELD(admin_listen), "HOST:PORT", NULL,
     "moves what is for operators there: probes, metrics, /pool, /sql, /reload", 0, 0, NULL},
    {"database", KIND_TEXT, SECRET(database), "URL", "",
     "PostgreSQL, as a URL or key=value; else libpq's PG* variables", 0, 0, NULL},
    {"queries", KIND_TEXT, LIVE(queries), "DIR", "queries",
     "folder of the .sql files to serve", 0, 0, NULL},
    {"lanes", KIND_AUTO, FIELD(lanes), "N|auto", "auto",
     "event loops, each on a thread of its own; auto: half the CPUs", 1, 256, NULL},
    {"pool-max", KIND_COUNT, LIVE(pool_max), "N", "10",
     "connections to the database at most", 1, 10000, NULL},
    {"pool-min", KIND_COUNT, LIVE(pool_min), "N", "0",
     "connections kept open even when idle", 0, 10000, NULL},
    {"pool-limit", KIND_AUTO, FIELD(pool_limit), "N|auto", "auto",
     "the most that a resize may set; auto: 100, or --pool-max if that is more", 1, 10000, NULL},
    {"pool", KIND_POOL, SECRET(pools), "NAME=URL", NULL,
     "a further pool, for queries with @pool NAME; repeatable", 0, 0, NULL},
    {"pool-size", KIND_POOL_SIZE, LIVE(pools), "NAME=MAX[:MIN]", NULL,
     "connections of a further pool, if not as the default one's; repeatable", 0, 0, NULL},
    {"replica-lag", KIND_LIFETIME, FIELD(replica_lag_ns), "TIME|off", "off",
     "a standby further behind is not used, where target_session_attrs asks for one", 0, 0, NULL},
    {"queue-max", KIND_COUNT, FIELD(queue_max), "N", "1024",
     "requests that may wait for a connection", 1, 1000000, NULL},
    {"queue-reserve", KIND_AUTO, FIELD(queue_reserve), "N|auto", "auto",
     "of these, places that only reloads and the like may take; auto: a sixteenth", 1, 1000000,
     NULL},
    {"acquire-timeout", KIND_DURATION, LIVE(acquire_timeout_ns), "TIME", "1s",
     "how long a request waits for a connection", 0, 0, NULL},
    {"query-timeout", KIND_DURATION, LIVE(query_timeout_ns), "TIME", "5s",
     "how long a query may run, where its file says nothing", 0, 0, NULL},
    {"server-timeout", KIND_CHOICE, FIELD(server_timeout), "on|off", "on",
     "the server too is told how long a query may run; off behind a pooler that shares sessions", 0,
     0, onoff_choices},
    {"batch-max", KIND_COUNT, LIVE(batch_max), "N", "100",
     "queries that one request to /batch, /tx or /sql may ask for", 1, 10000, NULL},
    {"batch-concurrency", KIND_COUNT, LIVE(batch_concurrency), "N", "4",
     "of one /batch, queries that run at once", 1, 1000, NULL},
    {"batch-timeout", KIND_DURATION, LIVE(batch_timeout_ns), "TIME", "20s",
     "how long all of a /batch, /tx or /sql may take, waiting included", 0, 0, NULL},
    {"stream-timeout", KIND_DURATION, LIVE(stream_timeout_ns), "TIME", "30s",
     "how long a stream may stand still, for its reader or for the database; or any answer for its "
     "reader", 0, 0, NULL},
    {"events", KIND_CHANNEL, FIELD(channels), "CHANNEL[@POOL]", NULL,
     "sends what is NOTIFYed there to clients of /events/CHANNEL; repeatable", 0, 0, NULL},
    {"events-buffer", KIND_COUNT, FIELD(events_buffer), "N", "1024",
     "of each channel, the last events kept for clients that are behind", 1, 1000000, NULL},
    {"events-clients-max", KIND_COUNT, FIELD(events_clients_max), "N", "1000",
     "clients of /events at once; a quarter of --clients-max stays free of streams of events in any "
     "case", 1, 1000000, NULL},
    {"events-heartbeat", KIND_DURATION, FIELD(events_heartbeat_ns), "TIME", "15s",
     "a client that is sent nothing for so long is sent a comment", 0, 0, NULL},
    {"connect-timeout", KIND_DURATION, FIELD(connect_timeout_ns), "TIME", "5s",
     "how long opening a connection may take", 0, 0, NULL},
    {"idle-timeout", KIND_LIFETIME, FIELD(idle_timeout_ns), "TIME|off", "10m",
     "a connection idle for longer is closed", 0, 0, NULL},
    {"max-lifetime", KIND_LIFETIME, FIELD(max_lifetime_ns), "TIME|off", "30m",
     "a connection older than this is replaced", 0, 0, NULL},
    {"keepalive", KIND_LIFETIME, FIELD(keepalive_ns), "TIME|off", "2m",
     "a connection idle and silent for longer is checked", 0, 0, NULL},
    {"leak-after", KIND_LIFETIME, FIELD(leak_after_ns), "TIME|off", "30s",
     "a request that holds a connection for longer, or a stream that stands still for so long, is logged and counted as a leak", 0, 0, NULL},
    {"leak-reclaim", KIND_SWITCH, FIELD(leak_reclaim), NULL, "off",
     "takes the connection of a leak away: cancelled, closed, replaced", 0, 0, NULL},
    {"shed-target", KIND_LIFETIME, FIELD(shed_target_ns), "TIME|off", "200ms",
     "under lasting overload, who has waited for so long is refused", 0, 0, NULL},
    {"shed-interval", KIND_DURATION, FIELD(shed_interval_ns), "TIME", "1s",
     "overload is lasting after so long", 0, 0, NULL},
    {"on-connect", KIND_TEXT, SECRET(on_connect), "SQL", NULL,
     "run on each new connection; an error fails it", 0, 0, NULL},
    {"host-order", KIND_CHOICE, FIELD(host_order), "given|random", "given",
     "in which to try the hosts of a URL with several", 0, 0, order_choices},
    {"drain-delay", KIND_LIFETIME, LIVE(drain_delay_ns), "TIME|off", "off",
     "told to stop, go on for so long while /readyz says no, so that proxies look elsewhere", 0, 0,
     NULL},
    {"drain-timeout", KIND_DURATION, LIVE(drain_timeout_ns), "TIME", "10s",
     "how long running requests may take once told to stop", 0, 0, NULL},
    {"clients-max", KIND_COUNT, FIELD(clients_max), "N", "4096",
     "HTTP clients connected at once", 1, 1000000, NULL},
    {"clients-per-address", KIND_MOST, FIELD(clients_per_address), "N|off", "off",
     "HTTP clients connected at once from one address (IPv6: one /64) that is no trusted proxy", 1,
     1000000, NULL},
    {"client-timeout", KIND_DURATION, FIELD(client_timeout_ns), "TIME", "60s",
     "a client silent for longer is disconnected", 0, 0, NULL},
    {"header-timeout", KIND_DURATION, LIVE(header_timeout_ns), "TIME", "10s",
     "how long a request's header may take to come", 0, 0, NULL},
    {"body-timeout", KIND_DURATION, LIVE(body_timeout_ns), "TIME", "30s",
     "how long its body may, or 16 KiB more of it", 0, 0, NULL},
    {"url-max", KIND_SIZE, LIVE(url_max), "SIZE", "6k",
     "longest path and query string; --header-max has to leave room for it", 64, 1024 * KIB, NULL},
    {"params-max", KIND_COUNT, LIVE(params_max), "N", "256",
     "parameters in a query string", 1, API_PARAMS_MAX, NULL},
    {"body-max", KIND_SIZE, LIVE(body_max), "SIZE", "1m",
     "largest request body", 1, UINT64_C(1024) * 1024 * KIB, NULL},
    {"header-max", KIND_SIZE, FIELD(header_max), "SIZE", "8k",
     "memory for one client's request header", 4 * KIB, 1024 * KIB, NULL},
    {"rows-max", KIND_MOST, LIVE(rows_max), "N|off", "10000",
     "rows in an answer that is not a stream", 1, UINT32_MAX - 1, NULL},
    {"answer-max", KIND_LIMIT, LIVE(answer_max), "SIZE|off", "16m",
     "largest answer that is not a stream", 64 * KIB, UINT64_C(1024) * 1024 * KIB, NULL},
    {"cors-origin", KIND_TEXT, FIELD(cors_origin), "ORIGIN,…|*", NULL,
     "whose pages may read answers in a browser: https://shop.example, or * for all", 0, 0, NULL},
    {"rate-limit", KIND_TEXT, FIELD(rate_limit), "N/s[:BURST]", NULL,
     "requests of one address and of one token, each query of a /batch too; N/m, N/h", 0, 0,
     NULL},
    {"trusted-proxies", KIND_TEXT, FIELD(trusted_proxies), "CIDR,…", NULL,
     "whose X-Forwarded-For says where a request comes from", 0, 0, NULL},
    {"gzip-min", KIND_LIMIT, LIVE(gzip_min), "SIZE|off", "1k",
     "answers from this size on are sent as gzip to clients that accept it", 1,
     UINT64_C(1024) * 1024 * KIB, NULL},
    {"token", KIND_TEXT, LIVE_SECRET(token), "TEXT", NULL,
     "lets operators in (Authorization: Bearer TEXT); better from a file", 0, 0, NULL},
    {"token-file", KIND_TEXT, LIVE(token_file), "FILE", NULL,
     "operators' tokens, one a line; read at the start and at each reload", 0, 0, NULL},
    {"auth", KIND_CHOICE, FIELD(auth), "none|token|jwt", "none",
     "what a request must show, where its query's file does not say @auth", 0, 0, auth_choices},
    {"client-token", KIND_TEXT, LIVE_SECRET(client_token), "TEXT", NULL,
     "lets clients ask queries with @auth token; better from a file", 0, 0, NULL},
    {"client-token-file", KIND_TEXT, LIVE(client_token_file), "FILE", NULL,
     "clients' tokens, one a line; read at the start and at each reload", 0, 0, NULL},
    {"jwt-secret", KIND_TEXT, LIVE_SECRET(jwt_secret), "TEXT", NULL,
     "by which JWTs are signed (HS256), 32 bytes or more; better from a file", 0, 0, NULL},
    {"jwt-secret-file", KIND_TEXT, LIVE(jwt_secret_file), "FILE", NULL,
     "the secret of JWTs; read at the start and at each reload", 0, 0, NULL},
    {"jwt-keys", KIND_TEXT, LIVE(jwt_keys), "FILE", NULL,
     "a public key in PEM (RS256), or a JWKS; read at the start and at each reload", 0, 0, NULL},
    {"jwt-audience", KIND_TEXT, FIELD(jwt_audience), "TEXT", NULL,
     "must be in a JWT's aud", 0, 0, NULL},
    {"jwt-issuer", KIND_TEXT, FIELD(jwt_issuer), "TEXT", NULL,
     "must be a JWT's iss", 0, 0, NULL},
    {"jwt-role-claim", KIND_TEXT, FIELD(jwt_role_claim), "NAME|off", "role",
     "the claim that says which role to ask as, a path with dots if need be", 0, 0, NULL},
    {"jwt-role", KIND_TEXT, FIELD(jwt_role), "ROLE", NULL,
     "the role of JWTs that have no such claim; else they are refused", 0, 0, NULL},
    {"tls-cert", KIND_TEXT, LIVE(tls_cert), "FILE", NULL,
     "serves HTTPS with this certificate: PEM, its chain behind it", 0, 0, NULL},
    {"tls-key", KIND_TEXT, LIVE(tls_key), "FILE", NULL,
     "the certificate's private key: PEM", 0, 0, NULL},
    {"tls-priorities", KIND_TEXT, FIELD(tls_priorities), "TEXT", NULL,
     "protocols and ciphers, in GnuTLS's words; without: TLS 1.2 and 1.3, forward secrecy", 0, 0,
     NULL},
    {"admin-tls", KIND_CHOICE, FIELD(admin_tls), "on|off", "on",
     "with a certificate, the listener for operators is HTTPS, too", 0, 0, onoff_choices},
    {"expose-sql", KIND_SWITCH, LIVE(expose_sql), NULL, "off",
     "show SQL text and refused rows in error answers", 0, 0, NULL},
    {"log-format", KIND_CHOICE, FIELD(log_format), "auto|json|text", "auto",
     "auto: text on a terminal, else JSON", 0, 0, format_choices},
    {"log-level", KIND_CHOICE, LIVE(log_level), "debug|info|warn|error", "info",
     "the least important lines to write", 0, 0, level_choices},
    {"big-table", KIND_COUNT, CHECK(big_table), "N", "10000",
     "weir check: rows beyond which it warns of scans and of answers without a limit", 1, UINT32_MAX,
     NULL},
    {"strict", KIND_SWITCH, CHECK(strict), NULL, "off",
     "weir check: warnings too make it fail", 0, 0, NULL},
};
/* clang-format on */

enum { FLAG_COUNT = sizeof flags / sizeof *flags };
_Static_assert(FLAG_COUNT <= CONFIG_FLAGS_MAX, "each flag has its place in config.said");

const flag *config_flag_at(size_t index)
{
    return index < FLAG_COUNT ? &flags[index] : NULL;
}

size_t config_flag_index(const flag *f)
{
    return (size_t)(f - flags);
}

const flag *config_flag_named(const char *name, size_t length)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if (strlen(flags[i].name) == length && memcmp(flags[i].name, name, length) == 0)
            return &flags[i];
    }
    return NULL;
}

const char *config_flag_near(const char *name)
{
    nearest near = {.word = name};
    for (size_t i = 0; i < FLAG_COUNT; i++)
        nearest_offer(&near, flags[i].name);
    return near.best;
}

void config_variable(const flag *f, char variable[VARIABLE_MAX])
{
    size_t length = (size_t)snprintf(variable, VARIABLE_MAX, "WEIR_%s", f->name);
    for (size_t i = 0; i < length; i++)
        variable[i] = (char)(variable[i] == '-' ? '_' : toupper((unsigned char)variable[i]));
}

bool config_is_list(const flag *f)
{
    return f->kind == KIND_POOL || f->kind == KIND_POOL_SIZE || f->kind == KIND_CHANNEL;
}

void config_help(FILE *out)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        char variable[VARIABLE_MAX], synopsis[64];
        config_variable(&flags[i], variable);
        snprintf(synopsis, sizeof synopsis, "--%s %s", flags[i].name,
                 flags[i].unit ? flags[i].unit : "");
        fprintf(out, "  %-34s %-22s %c %s", synopsis, variable,
                flags[i].marks & MARK_LIVE ? '*' : ' ', flags[i].help);
        if (flags[i].fallback && *flags[i].fallback)
            fprintf(out, " (%s)", flags[i].fallback);
        fputc('\n', out);
    }
}
