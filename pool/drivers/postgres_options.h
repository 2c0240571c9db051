/* postgres_options.h: what a pool's connection string says, once libpq has had its say on it.
 *
 * One for all sessions of a pool: on any lane.
 */
#ifndef WEIR_POSTGRES_OPTIONS_H
#define WEIR_POSTGRES_OPTIONS_H

#include <pthread.h>

#include "weir.h"

typedef struct server_host {
    char *name, *address, *port; /* as in libpq's host, hostaddr and port; "" when not given */
} server_host;

/* An address that swallows a dial until the pool's timeout would swallow the next one too. */
typedef struct silent_address {
    uint64_t id;
    uint64_t until_ns; /* tried last until then */
} silent_address;
#define SILENT_MAX 16

/* What `clean` and `clean_all` begin with: to be skipped outside a transaction, where it would make
 * the server warn. */
#define ROLLBACK "ROLLBACK; "

typedef struct server_options {
    char *conninfo;      /* as given, "" for libpq's environment; holds the password */
    char *settings;      /* libpq's `options`: the user's own, then ours */
    server_host *hosts;  /* in the order given */
    uint32_t host_count; /* at least 1 */
    uint32_t statements_max;
    bool random_hosts;
    bool wants_primary;  /* target_session_attrs asks for a server that is no standby */
    bool wants_writes;   /* and whose sessions may write */
    char *on_connect;    /* NULL: none */
    char *clean;         /* ROLLBACK, all that undoes what a lease has changed, and on_connect */
    char *clean_all;     /* the same, and no prepared statement stays */
    uint64_t max_lag_ns; /* WEIR_NEVER: not asked */
    bool limits;         /* the server is told how long a query may run */

    pthread_mutex_t lock; /* guards all below */
    silent_address silent[SILENT_MAX];
    uint64_t random; /* never 0 */
} server_options;

/* Reads a pool's options. WEIR_EINVAL with `why` filled in, never with a password in it;
 * WEIR_ENOMEM. */
int server_options_read(const weir_pool_options *from, server_options **made, weir_error *why);
/* Takes NULL. */
void server_options_free(server_options *o);

#endif
