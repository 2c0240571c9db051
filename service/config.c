/* config.c: what the service was told, by flags and by the environment. */
#include "config.h"

#include <uv.h>

#include "config_conflicts.h"
#include "config_flags.h"
#include "config_sources.h"
#include "config_value.h"

static void take_defaults(config *c)
{
    const flag *f;
    for (size_t i = 0; (f = config_flag_at(i)); i++)
        config_take_default(f, c);
}

static config_outcome read_all(int argc, char *const *argv, config_env_fn env, config *c,
                               const char **operand, char *why, size_t why_size)
{
    const char *spare = NULL;
    const char *file = env("WEIR_CONFIG");
    c->config = file && *file ? file : NULL;
    /* Once for the file's name, which any of the flags may be, and again to outrank the file. */
    config_outcome outcome =
        config_read_arguments(argc, argv, c, operand ? &spare : NULL, why, why_size);
    file = c->config;
    *c = (config){0};
    take_defaults(c);
    c->config = file;
    if (outcome == CONFIG_OK)
        outcome = config_read_file(c, why, why_size);
    if (outcome == CONFIG_OK)
        outcome = config_read_environment(env, c, why, why_size);
    if (outcome == CONFIG_OK)
        outcome = config_read_arguments(argc, argv, c, operand, why, why_size);
    if (outcome == CONFIG_OK)
        outcome = config_check_conflicts(c, why, why_size);
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

uint32_t config_lanes(const config *c)
{
    unsigned cpus = uv_available_parallelism();
    if (c->lanes)
        return c->lanes;
    return cpus > 3 ? cpus / 2 : 1;
}
