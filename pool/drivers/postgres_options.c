/* postgres_options.c: what a pool's connection string says, once libpq has had its say on it. */
#include "postgres_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "postgres_error.h"

#define STATEMENTS_MAX 256

/* Timestamps are encoded from their ISO form, and RESET ALL goes back to what was said at start. */
#define OWN_SETTINGS "-c DateStyle=ISO"

/* No option that libpq looks at before it connects can have such a value. */
#define PROBE "weir-probe"

static bool may_hold_secret(const char *conninfo)
{
    return strstr(conninfo, "pass") || strchr(conninfo, '@');
}

/* libpq quotes the place it stumbled over, which may be part of a password. */
static void explain(weir_error *why, const char *conninfo, const char *text)
{
    char words[512];
    size_t n = 0;
    bool hide = may_hold_secret(conninfo), quoted = false;
    for (; *text && n < sizeof words - 4; text++) {
        if (*text == '"')
            quoted = !quoted;
        else if (quoted && hide) {
            if (words[n - 1] != '.')
                n += (size_t)snprintf(words + n, 4, "...");
            continue;
        }
        words[n++] = *text;
    }
    words[n] = '\0';
    error_set(why, WEIR_EINVAL, "connection string: %s", words);
}

static int check_syntax(const char *conninfo, weir_error *why)
{
    char *text = NULL;
    PQconninfoOption *parsed = PQconninfoParse(conninfo, &text);
    if (!parsed)
        explain(why, conninfo, text ? text : "out of memory");
    int r = parsed ? 0 : text ? WEIR_EINVAL : WEIR_ENOMEM;
    PQconninfoFree(parsed);
    PQfreemem(text);
    return r;
}

/* What libpq would connect with: from the string, the environment, the service file. It tells only
 * of a connection, so one is begun that stops before it goes anywhere, at `probed`, which is hidden
 * by that. */
static int ask_libpq(const char *conninfo, const char *probed, PQconninfoOption **answer,
                     weir_error *why)
{
    const char *keywords[] = {probed, "dbname", probed, NULL};
    const char *values[] = {PROBE, conninfo, PROBE, NULL};
    PGconn *pg = PQconnectStartParams(keywords, values, 1);
    if (!pg) {
        error_set(why, WEIR_ENOMEM, "out of memory");
        return WEIR_ENOMEM;
    }
    int r = 0;
    if (!strstr(PQerrorMessage(pg), PROBE)) {
        explain(why, conninfo, PQerrorMessage(pg));
        r = WEIR_EINVAL;
    } else {
        *answer = PQconninfo(pg);
        r = *answer ? 0 : WEIR_ENOMEM;
    }
    PQfinish(pg);
    return r;
}

static const char *value_of(const PQconninfoOption *all, const char *keyword)
{
    for (; all->keyword; all++)
        if (strcmp(all->keyword, keyword) == 0)
            return all->val ? all->val : "";
    return "";
}

static uint32_t count_parts(const char *list)
{
    uint32_t n = 1;
    for (; *list; list++)
        n += *list == ',';
    return n;
}

/* The part of a comma-separated list with that index; NULL when out of memory. */
static char *part_of(const char *list, uint32_t index)
{
    for (; index > 0; index--)
        list += strcspn(list, ",") + 1;
    return strndup(list, strcspn(list, ","));
}

static int read_hosts(server_options *o, const PQconninfoOption *all)
{
    const char *names = value_of(all, "host"), *addresses = value_of(all, "hostaddr");
    const char *ports = value_of(all, "port");
    o->host_count = count_parts(*addresses ? addresses : names);
    o->hosts = calloc(o->host_count, sizeof *o->hosts);
    if (!o->hosts)
        return WEIR_ENOMEM;
    /* libpq has made sure that the lists match. */
    bool one_port = count_parts(ports) == 1;
    for (uint32_t i = 0; i < o->host_count; i++) {
        server_host *h = &o->hosts[i];
        h->name = *names ? part_of(names, i) : strdup("");
        h->address = *addresses ? part_of(addresses, i) : strdup("");
        h->port = part_of(ports, one_port ? 0 : i);
        if (!h->name || !h->address || !h->port)
            return WEIR_ENOMEM;
    }
    return 0;
}

static int check_hosts(const server_options *o, weir_error *why)
{
    for (uint32_t i = 0; i < o->host_count; i++) {
        const char *at = strchr(o->hosts[i].name, '@');
        if (at && at != o->hosts[i].name && o->hosts[i].name[0] != '/') {
            error_set(why, WEIR_EINVAL,
                      "connection string: the host has an @ in it; in a password write %%40");
            return WEIR_EINVAL;
        }
    }
    return 0;
}

static int read_attributes(server_options *o, weir_error *why)
{
    PQconninfoOption *all = NULL;
    int r = ask_libpq(o->conninfo, "sslmode", &all, why);
    if (r < 0)
        return r;
    const char *attributes = value_of(all, "target_session_attrs");
    o->wants_writes = strcmp(attributes, "read-write") == 0;
    o->wants_primary = o->wants_writes || strcmp(attributes, "primary") == 0;
    PQconninfoFree(all);
    return 0;
}

/* All that DISCARD ALL does, but that prepared statements and their plans stay. */
#define CLEAN                                                                                      \
    "SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; "            \
    "SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES"

static int read_on_connect(server_options *o, const char *sql)
{
    if (sql && *sql && !(o->on_connect = strdup(sql)))
        return WEIR_ENOMEM;
    const char *again = o->on_connect ? o->on_connect : "";
    if (asprintf(&o->clean, ROLLBACK CLEAN "%s%s", *again ? "; " : "", again) < 0) {
        o->clean = NULL;
        return WEIR_ENOMEM;
    }
    if (asprintf(&o->clean_all, ROLLBACK "DEALLOCATE ALL; %s", o->clean + strlen(ROLLBACK)) < 0) {
        o->clean_all = NULL;
        return WEIR_ENOMEM;
    }
    return 0;
}

static int read_the_rest(server_options *o, const weir_pool_options *from)
{
    o->statements_max = from->statements_max ? from->statements_max : STATEMENTS_MAX;
    o->random_hosts = from->random_hosts;
    o->random = from->seed;
    while (o->random == 0)
        if (uv_random(NULL, NULL, &o->random, sizeof o->random, 0, NULL) != 0)
            o->random = weir_now();
    o->limits = !from->no_server_timeout;
    o->max_lag_ns = from->max_lag_ns ? from->max_lag_ns : WEIR_NEVER;
    return read_on_connect(o, from->on_connect);
}

static int fill(server_options *o, const weir_pool_options *from, weir_error *why)
{
    PQconninfoOption *all = NULL;
    int r = check_syntax(o->conninfo, why);
    if (r == 0)
        r = ask_libpq(o->conninfo, "target_session_attrs", &all, why); /* it looks there last */
    if (r == 0)
        r = read_hosts(o, all);
    if (r == 0)
        r = check_hosts(o, why);
    if (r == 0) {
        const char *settings = value_of(all, "options");
        if (asprintf(&o->settings, "%s%s%s", settings, *settings ? " " : "", OWN_SETTINGS) < 0) {
            o->settings = NULL;
            r = WEIR_ENOMEM;
        }
    }
    PQconninfoFree(all);
    if (r == 0)
        r = read_attributes(o, why);
    return r == 0 ? read_the_rest(o, from) : r;
}

int server_options_read(const weir_pool_options *from, server_options **made, weir_error *why)
{
    server_options *o = calloc(1, sizeof *o);
    if (!o)
        return WEIR_ENOMEM;
    pthread_mutex_init(&o->lock, NULL);
    o->conninfo = strdup(from->conninfo ? from->conninfo : "");
    int r = o->conninfo ? fill(o, from, why) : WEIR_ENOMEM;
    if (r < 0) {
        server_options_free(o);
        return r;
    }
    *made = o;
    return 0;
}

void server_options_free(server_options *o)
{
    if (!o)
        return;
    for (uint32_t i = 0; o->hosts && i < o->host_count; i++) {
        free(o->hosts[i].name);
        free(o->hosts[i].address);
        free(o->hosts[i].port);
    }
    free(o->hosts);
    free(o->clean_all);
    free(o->clean);
    free(o->on_connect);
    free(o->settings);
    free(o->conninfo);
    pthread_mutex_destroy(&o->lock);
    free(o);
}
