/* config.c: what the service was told, by flags and by the environment. */
#include "config_flags.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "../api/api.h"
#include "../api/duration.h"
#include "../api/nearest.h"
#include "../pool/weir.h"
#include "log.h"
#include "secret.h"

static const char *const auth_choices[] = {"none", "token", "jwt", NULL}; /* as query_auth */
static const char *const format_choices[] = {"auto", "json", "text", NULL};
static const char *const onoff_choices[] = {"off", "on", NULL};
static const char *const order_choices[] = {"given", "random", NULL};
static const char *const level_choices[] = {"debug", "info", "warn", "error", NULL};

/* A field that only a start sets, and one that a reload sets too; and where the value is secret. */
#define FIELD(name)       offsetof(config, name), 0
#define LIVE(name)        offsetof(config, name), MARK_LIVE
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
     "clients of /events at once", 1, 1000000, NULL},
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
     "and its connection is taken away: cancelled, closed, replaced", 0, 0, NULL},
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
     "of these, from one address (IPv6: one /64) that is no trusted proxy", 1, 1000000, NULL},
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
     "requests of one address and of one token; also N/m, N/h", 0, 0, NULL},
    {"trusted-proxies", KIND_TEXT, FIELD(trusted_proxies), "CIDR,…", NULL,
     "whose X-Forwarded-For says where a request comes from", 0, 0, NULL},
    {"gzip-min", KIND_LIMIT, LIVE(gzip_min), "SIZE|off", "1k",
     "answers from this size on are sent as gzip to clients that accept it", 1,
     UINT64_C(1024) * 1024 * KIB, NULL},
    {"token", KIND_TEXT, LIVE_SECRET(token), "TEXT", NULL,
     "lets operators in (Authorization: Bearer TEXT); better from a file", 0, 0, NULL},
    {"token-file", KIND_TEXT, LIVE(token_file), "FILE", NULL,
     "tokens, one a line; read at the start and at each reload", 0, 0, NULL},
    {"auth", KIND_CHOICE, FIELD(auth), "none|token|jwt", "none",
     "what a request must show, where its query's file does not say @auth", 0, 0, auth_choices},
    {"client-token", KIND_TEXT, LIVE_SECRET(client_token), "TEXT", NULL,
     "lets clients ask queries with @auth token; better from a file", 0, 0, NULL},
    {"client-token-file", KIND_TEXT, LIVE(client_token_file), "FILE", NULL,
     "such tokens, one a line; read at the start and at each reload", 0, 0, NULL},
    {"jwt-secret", KIND_TEXT, LIVE_SECRET(jwt_secret), "TEXT", NULL,
     "by which JWTs are signed (HS256), 32 bytes or more; better from a file", 0, 0, NULL},
    {"jwt-secret-file", KIND_TEXT, LIVE(jwt_secret_file), "FILE", NULL,
     "that secret; read at the start and at each reload", 0, 0, NULL},
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
     "and its private key: PEM", 0, 0, NULL},
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
    {"big-table", KIND_COUNT, LIVE(big_table), "N", "10000",
     "weir check: rows beyond which it warns of scans and of answers without a limit", 1, UINT32_MAX,
     NULL},
    {"strict", KIND_SWITCH, LIVE(strict), NULL, "off",
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

/* ---- Values ---- */

/* Digits only, with a unit of size behind them when `sized`. */
static bool whole_number(const char *text, bool sized, uint64_t *number)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    unsigned shift = 0;
    if (sized && *end) {
        const char *units = "kmg";
        const char *unit = strchr(units, tolower((unsigned char)*end));
        if (!unit)
            return false;
        shift = 10 * (unsigned)(unit - units + 1);
        end++;
    }
    if (errno || *end || value > UINT64_MAX >> shift)
        return false;
    *number = (uint64_t)value << shift;
    return true;
}

static bool switch_value(const char *text, bool *on)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i]) == 0) {
            *on = i % 2;
            return true;
        }
    }
    return false;
}

/* What a value of this flag has to look like, for the message when it does not. */
static void expectation(const flag *f, char *text, size_t size)
{
    switch (f->kind) {
    case KIND_COUNT:
    case KIND_AUTO:
    case KIND_MOST:
        snprintf(text, size, "%sa whole number from %" PRIu64 " to %" PRIu64,
                 f->kind == KIND_AUTO   ? "auto or "
                 : f->kind == KIND_MOST ? "off or "
                                        : "",
                 f->least, f->most);
        break;
    case KIND_DURATION:
    case KIND_LIFETIME:
        snprintf(text, size, "a time more than none, such as 250ms, 2s or 5m%s",
                 f->kind == KIND_LIFETIME ? ", or off" : "");
        break;
    case KIND_SIZE:
    case KIND_LIMIT:
        snprintf(text, size, "%sa size from %" PRIu64 "%s to %" PRIu64 "m, such as 64k or 1m",
                 f->kind == KIND_LIMIT ? "off or " : "", f->least < KIB ? f->least : f->least / KIB,
                 f->least < KIB ? "" : "k", f->most / KIB / KIB);
        break;
    case KIND_SWITCH: snprintf(text, size, "on or off"); break;
    case KIND_CHOICE: snprintf(text, size, "one of %s", f->unit); break;
    case KIND_POOL:
    case KIND_POOL_SIZE:
    case KIND_CHANNEL:
    case KIND_TEXT: snprintf(text, size, "a value that is not empty"); break;
    }
}

static bool choice_value(const flag *f, const char *text, uint32_t *chosen)
{
    for (uint32_t i = 0; f->choices[i]; i++) {
        if (strcmp(f->choices[i], text) == 0) {
            *chosen = i;
            return true;
        }
    }
    return false;
}

static bool store(const flag *f, const char *text, config *c)
{
    void *field = (char *)c + f->field;
    uint64_t number;
    switch (f->kind) {
    case KIND_TEXT: *(const char **)field = text; return true;
    case KIND_AUTO:
    case KIND_MOST:
        if (strcmp(text, f->kind == KIND_AUTO ? "auto" : "off") == 0) {
            *(uint32_t *)field = f->kind == KIND_AUTO ? 0 : UINT32_MAX;
            return true;
        }
        /* fall through */
    case KIND_COUNT:
        if (!whole_number(text, false, &number) || number < f->least || number > f->most)
            return false;
        *(uint32_t *)field = (uint32_t)number;
        return true;
    case KIND_LIFETIME:
        if (strcmp(text, "off") == 0) {
            *(uint64_t *)field = WEIR_NEVER;
            return true;
        }
        /* fall through */
    case KIND_DURATION:
        if (duration_parse(text, &number) != 0 || number == 0)
            return false;
        *(uint64_t *)field = number;
        return true;
    case KIND_LIMIT:
        if (strcmp(text, "off") == 0) {
            *(size_t *)field = SIZE_MAX;
            return true;
        }
        /* fall through */
    case KIND_SIZE:
        if (!whole_number(text, true, &number) || number < f->least || number > f->most)
            return false;
        *(size_t *)field = (size_t)number;
        return true;
    case KIND_SWITCH: return switch_value(text, field);
    case KIND_CHOICE: return choice_value(f, text, field);
    case KIND_POOL:
    case KIND_POOL_SIZE:
    case KIND_CHANNEL: break; /* see store_listed */
    }
    return false;
}

/* ---- Reading ---- */

config_outcome config_wrong(char *why, size_t why_size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, why_size, format, arguments);
    va_end(arguments);
    return CONFIG_BAD;
}
#define wrong config_wrong

static config_outcome wrong_value(const flag *f, const char *source, const char *value, char *why,
                                  size_t why_size)
{
    char expected[128];
    if (!*value)
        return wrong(why, why_size, "%s must not be empty", source);
    expectation(f, expected, sizeof expected);
    return wrong(why, why_size, "%s: \"%s\" is not %s", source, value, expected);
}

/* How many a list holds. */
static uint32_t *length_of(const flag *f, config *c)
{
    switch (f->kind) {
    case KIND_POOL: return &c->pools.count;
    case KIND_POOL_SIZE: return &c->pools.size_count;
    default: return &c->channels.count;
    }
}

static bool add_listed(const flag *f, const char *text, bool all, config *c, char *why,
                       size_t why_size)
{
    switch (f->kind) {
    case KIND_POOL:
        return (all ? pool_list_add_all : pool_list_add)(&c->pools, text, why, why_size);
    case KIND_POOL_SIZE:
        return (all ? pool_list_size_all : pool_list_size)(&c->pools, text, why, why_size);
    default: return channel_list_add(&c->channels, text, why, why_size);
    }
}

/* What is said replaces all that one of a lower rank has. A list's own words say what is wrong,
 * because its values may have a password in them. */
static config_outcome store_listed(const flag *f, config_word word, config *c, char *why,
                                   size_t why_size)
{
    char reason[256];
    config_rank *rank = &c->said[f - flags].rank;
    if (word.rank > *rank)
        *length_of(f, c) = 0;
    *rank = word.rank;
    if (add_listed(f, word.value, word.rank == RANK_VARIABLE, c, reason, sizeof reason))
        return CONFIG_OK;
    return wrong(why, why_size, "%s: %s", word.source, reason);
}

config_outcome config_take(const flag *f, config_word word, config *c, char *why, size_t why_size)
{
    if (*word.value && config_is_list(f))
        return store_listed(f, word, c, why, why_size);
    if (!*word.value || !store(f, word.value, c))
        return wrong_value(f, word.source, word.value, why, why_size);
    c->said[f - flags].text = word.value;
    c->said[f - flags].line = word.line;
    return CONFIG_OK;
}

static config_outcome unknown_flag(const char *name, size_t length, char *why, size_t why_size)
{
    char given[64];
    snprintf(given, sizeof given, "%.*s", (int)(length < 63 ? length : 63), name);
    const char *near = config_flag_near(given);
    if (near)
        return wrong(why, why_size, "unknown flag --%s: did you mean --%s?", given, near);
    return wrong(why, why_size, "unknown flag --%s: see weir serve --help", given);
}

/* Reads argv[*at], and the value behind it where it takes one. */
static config_outcome read_flag(char *const *argv, int argc, int *at, config *c, char *why,
                                size_t why_size)
{
    const char *name = argv[*at] + 2;
    size_t length = strcspn(name, "=");
    const flag *f = config_flag_named(name, length);
    if (!f)
        return unknown_flag(name, length, why, why_size);
    const char *value = name[length] ? name + length + 1 : NULL;
    if (!value && f->kind == KIND_SWITCH)
        value = "on";
    else if (!value && *at + 1 < argc)
        value = argv[++*at];
    char source[VARIABLE_MAX];
    snprintf(source, sizeof source, "--%s", f->name);
    if (!value)
        return wrong(why, why_size, "%s needs a value: %s", source, f->unit);
    const config_word word = {.source = source, .value = value, .rank = RANK_FLAG};
    return config_take(f, word, c, why, why_size);
}

/* It may well be the database's URL, and have a password in it. */
static config_outcome what_for(const char *text, char *why, size_t why_size)
{
    char shown[256];
    secret_hide(text, shown, sizeof shown);
    return wrong(why, why_size, "what is \"%s\" for? flags begin with --", shown);
}

static config_outcome read_arguments(int argc, char *const *argv, config *c, const char **operand,
                                     char *why, size_t why_size)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return CONFIG_HELP;
        if (strncmp(argv[i], "--", 2) == 0 && argv[i][2]) {
            config_outcome outcome = read_flag(argv, argc, &i, c, why, why_size);
            if (outcome != CONFIG_OK)
                return outcome;
        } else if (argv[i][0] == '-') {
            return wrong(why, why_size, "unknown flag %s: see weir serve --help", argv[i]);
        } else if (operand && !*operand) {
            *operand = argv[i];
        } else {
            return what_for(argv[i], why, why_size);
        }
    }
    return CONFIG_OK;
}

static config_outcome check_sizes(config *c, char *why, size_t why_size)
{
    if (c->pool_min > c->pool_max)
        return wrong(why, why_size, "--pool-min %" PRIu32 " is more than --pool-max %" PRIu32,
                     c->pool_min, c->pool_max);
    if (!pool_list_end(&c->pools, c->pool_max, c->pool_min, why, why_size) ||
        !channel_list_end(&c->channels, &c->pools, why, why_size))
        return CONFIG_BAD;
    if (c->pool_limit && c->pool_limit < c->pool_max)
        return wrong(why, why_size, "--pool-limit %" PRIu32 " is less than --pool-max %" PRIu32,
                     c->pool_limit, c->pool_max);
    for (uint32_t i = 0; c->pool_limit && i < c->pools.count; i++)
        if (c->pool_limit < c->pools.entries[i].max)
            return wrong(why, why_size,
                         "--pool-limit %" PRIu32 " is less than the %" PRIu32 " of --pool-size %s",
                         c->pool_limit, c->pools.entries[i].max, c->pools.entries[i].name);
    if (c->queue_reserve >= c->queue_max)
        return wrong(why, why_size,
                     "--queue-reserve %" PRIu32 " leaves no place of --queue-max %" PRIu32,
                     c->queue_reserve, c->queue_max);
    return CONFIG_OK;
}

static config_outcome check_tls(const config *c, char *why, size_t why_size)
{
    if (!c->tls_cert == !c->tls_key)
        return CONFIG_OK;
    return wrong(why, why_size, "--tls-%s needs --tls-%s", c->tls_cert ? "cert" : "key",
                 c->tls_cert ? "key" : "cert");
}

/* Where the file says the first of the flags that do not go together. */
static void add_place(const config *c, char *why, size_t why_size)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        char name[VARIABLE_MAX];
        snprintf(name, sizeof name, "--%s ", flags[i].name);
        size_t length = strlen(why);
        if (c->said[i].line > 0 && strstr(why, name)) {
            snprintf(why + length, why_size - length, " (%s:%" PRIu32 ")", c->config,
                     c->said[i].line);
            return;
        }
    }
}

static config_outcome check_together(config *c, char *why, size_t why_size)
{
    config_outcome outcome = check_sizes(c, why, why_size);
    if (outcome == CONFIG_OK)
        outcome = check_tls(c, why, why_size);
    if (outcome != CONFIG_OK)
        add_place(c, why, why_size);
    return outcome;
}

static config_outcome read_all(int argc, char *const *argv, config_env_fn env, config *c,
                               const char **operand, char *why, size_t why_size)
{
    const char *spare = NULL;
    const char *file = env("WEIR_CONFIG");
    c->config = file && *file ? file : NULL;
    /* Once for the file's name, which any of the flags may be, and again to outrank the file. */
    config_outcome outcome = read_arguments(argc, argv, c, operand ? &spare : NULL, why, why_size);
    file = c->config;
    *c = (config){0};
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if (flags[i].fallback)
            store(&flags[i], flags[i].fallback, c);
    }
    c->config = file;
    if (outcome == CONFIG_OK)
        outcome = config_read_file(c, why, why_size);
    if (outcome == CONFIG_OK)
        outcome = config_read_environment(env, c, why, why_size);
    if (outcome == CONFIG_OK)
        outcome = read_arguments(argc, argv, c, operand, why, why_size);
    if (outcome == CONFIG_OK)
        outcome = check_together(c, why, why_size);
    return outcome;
}

config_outcome config_read(int argc, char *const *argv, config_env_fn env, config *c,
                           const char **operand, char *why, size_t why_size)
{
    config read = {0};
    config_outcome outcome = read_all(argc, argv, env, &read, operand, why, why_size);
    if (outcome != CONFIG_OK) {
        config_free(&read);
        return outcome;
    }
    *c = read;
    c->argc = argc;
    c->argv = argv;
    c->env = env;
    return CONFIG_OK;
}

config_outcome config_read_again(const config *c, config *again, char *why, size_t why_size)
{
    const char *operand = NULL; /* which has been taken where it may stand */
    return config_read(c->argc, c->argv, c->env, again, &operand, why, why_size);
}

void config_pool_names(const config *c, const char *names[QUERY_POOLS_MAX + 1])
{
    names[0] = "default";
    for (uint32_t i = 0; i < c->pools.count; i++)
        names[i + 1] = c->pools.entries[i].name;
    names[c->pools.count + 1] = NULL;
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

uint32_t config_lanes(const config *c)
{
    unsigned cpus = uv_available_parallelism();
    if (c->lanes)
        return c->lanes;
    return cpus > 3 ? cpus / 2 : 1;
}
