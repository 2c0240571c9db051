/* config.h: what the service was told, by flags and by the environment. */
#ifndef WEIR_CONFIG_H
#define WEIR_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "channel_list.h"
#include "pool_list.h"

#define CONFIG_FLAGS_MAX 96

/* Looks a variable of the environment up; getenv, or a test's own. */
typedef const char *(*config_env_fn)(const char *name);

/* Who says a value; the later ones outrank the earlier. */
typedef enum config_rank { RANK_DEFAULT, RANK_FILE, RANK_VARIABLE, RANK_FLAG } config_rank;

/* Strings point into argv, the environment or `texts`. Times in ns (WEIR_NEVER: off), sizes in
 * bytes. */
typedef struct config {
    const char *config;                /* the file that much of it was read from; NULL: none */
    const char *listen, *admin_listen; /* admin_listen: NULL when not given */
    const char *database;
    const char *queries;
    uint32_t lanes;  /* 0: chosen by the number of CPUs */
    pool_list pools; /* those beside the default one */
    channel_list channels;
    uint32_t events_buffer, events_clients_max;
    uint64_t events_heartbeat_ns;
    uint32_t pool_max, pool_min, queue_max;
    uint32_t pool_limit, queue_reserve;                     /* 0: the library's own choice */
    const char *on_connect;                                 /* NULL when not given */
    uint32_t host_order;                                    /* a host_order */
    const char *token, *token_file;                         /* NULL when not given */
    uint32_t auth;                                          /* a query_auth */
    const char *client_token, *client_token_file;           /* NULL when not given, as are these */
    const char *jwt_secret, *jwt_secret_file, *jwt_keys;    /* of these at most one is */
    const char *jwt_audience, *jwt_issuer, *jwt_role_claim; /* role_claim: never NULL, may be off */
    const char *jwt_role;
    const char *tls_cert, *tls_key; /* both, or NULL */
    const char *tls_priorities;
    uint32_t admin_tls; /* 0: off */
    uint32_t batch_max, batch_concurrency;
    uint64_t batch_timeout_ns;
    bool leak_reclaim;
    uint32_t server_timeout; /* 0: off */
    uint64_t keepalive_ns, leak_after_ns, shed_target_ns, shed_interval_ns, replica_lag_ns;
    uint64_t acquire_timeout_ns, query_timeout_ns, connect_timeout_ns;
    uint64_t idle_timeout_ns, max_lifetime_ns, drain_delay_ns, drain_timeout_ns;
    uint64_t stream_timeout_ns;
    uint64_t client_timeout_ns;
    uint32_t clients_max, clients_per_address; /* UINT32_MAX: off */
    uint64_t header_timeout_ns, body_timeout_ns;
    size_t url_max, answer_max;                             /* SIZE_MAX: off */
    uint32_t params_max, rows_max;                          /* UINT32_MAX: off */
    const char *cors_origin, *rate_limit, *trusted_proxies; /* NULL when not given */
    size_t body_max, header_max;
    size_t gzip_min; /* SIZE_MAX: off */
    bool expose_sql;
    uint32_t log_format; /* a log_format */
    uint32_t log_level;  /* a weir_level */
    uint32_t big_table;  /* rows; for check, as is `strict` */
    bool strict;

    /* For each flag, in the order of the table: what it was last told; NULL: its default, or a
     * list. Of the file's, also the line. */
    struct {
        const char *text;
        uint32_t line;
        config_rank rank;
    } said[CONFIG_FLAGS_MAX];
    struct config_text *texts; /* what files held */

    /* Where it was read from, and is read from again. */
    int argc;
    char *const *argv;
    config_env_fn env;
} config;

typedef enum host_order { HOSTS_GIVEN, HOSTS_RANDOM } host_order;

typedef enum config_outcome {
    CONFIG_OK,
    CONFIG_HELP, /* --help was among the flags */
    CONFIG_BAD,  /* `why` says what is wrong */
} config_outcome;

/* Defaults, then the file of --config, then WEIR_… variables or the files that WEIR_…_FILE name,
 * then flags: `--name value` and `--name=value`. A word that is no flag is put into `*operand` when
 * that is not NULL and still free, and is wrong otherwise. Writes one line without its end into
 * `why`. Blocking; config_free it where it was read from files. */
config_outcome config_read(int argc, char *const *argv, config_env_fn env, config *c,
                           const char **operand, char *why, size_t why_size);

void config_free(config *c);

/* Reads it again from where `c` was read, as config_read. */
config_outcome config_read_again(const config *c, config *again, char *why, size_t why_size);

/* The table of flags: name, variable, unit, default, meaning; a * for those that a reload changes.
 */
void config_help(FILE *out);

/* The names of all pools, the default one first, with NULL behind the last. */
void config_pool_names(const config *c, const char *names[QUERY_POOLS_MAX + 1]);

/* Lanes to run when the configuration leaves it open. */
uint32_t config_lanes(const config *c);

#endif
