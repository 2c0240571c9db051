/* config_conflicts.c: flags that do not go together. */
#include "config_conflicts.h"

#include <inttypes.h>
#include <string.h>

#include "config_flags.h"
#include "config_value.h"

static config_outcome check_sizes(config *c, char *why, size_t why_size)
{
    if (c->pool_min > c->pool_max)
        return config_wrong(why, why_size,
                            "--pool-min %" PRIu32 " is more than --pool-max %" PRIu32, c->pool_min,
                            c->pool_max);
    if (!pool_list_end(&c->pools, c->pool_max, c->pool_min, why, why_size) ||
        !channel_list_end(&c->channels, &c->pools, why, why_size))
        return CONFIG_BAD;
    if (c->pool_limit && c->pool_limit < c->pool_max)
        return config_wrong(why, why_size,
                            "--pool-limit %" PRIu32 " is less than --pool-max %" PRIu32,
                            c->pool_limit, c->pool_max);
    for (uint32_t i = 0; c->pool_limit && i < c->pools.count; i++)
        if (c->pool_limit < c->pools.entries[i].max)
            return config_wrong(why, why_size,
                                "--pool-limit %" PRIu32 " is less than the %" PRIu32
                                " of --pool-size %s",
                                c->pool_limit, c->pools.entries[i].max, c->pools.entries[i].name);
    if (c->queue_reserve >= c->queue_max)
        return config_wrong(why, why_size,
                            "--queue-reserve %" PRIu32 " leaves no place of --queue-max %" PRIu32,
                            c->queue_reserve, c->queue_max);
    return CONFIG_OK;
}

static config_outcome check_tls(const config *c, char *why, size_t why_size)
{
    if (!c->tls_cert == !c->tls_key)
        return CONFIG_OK;
    return config_wrong(why, why_size, "--tls-%s needs --tls-%s", c->tls_cert ? "cert" : "key",
                        c->tls_cert ? "key" : "cert");
}

/* Where the file says the first of the flags that do not go together. */
static void add_place(const config *c, char *why, size_t why_size)
{
    const flag *f;
    for (size_t i = 0; (f = config_flag_at(i)); i++) {
        char name[VARIABLE_MAX];
        snprintf(name, sizeof name, "--%s ", f->name);
        size_t length = strlen(why);
        if (c->said[i].line > 0 && strstr(why, name)) {
            snprintf(why + length, why_size - length, " (%s:%" PRIu32 ")", c->config,
                     c->said[i].line);
            return;
        }
    }
}

config_outcome config_check_conflicts(config *c, char *why, size_t why_size)
{
    config_outcome outcome = check_sizes(c, why, why_size);
    if (outcome == CONFIG_OK)
        outcome = check_tls(c, why, why_size);
    if (outcome != CONFIG_OK)
        add_place(c, why, why_size);
    return outcome;
}
