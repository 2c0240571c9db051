/* config_sources.h: where a configuration's values come from. Each takes all that its source says;
 * the later ones outrank the earlier. CONFIG_BAD with why. */
#ifndef WEIR_CONFIG_SOURCES_H
#define WEIR_CONFIG_SOURCES_H

#include "config.h"

/* The file `c->config`, where there is one. Blocking; config_free has to follow. */
config_outcome config_read_file(config *c, char *why, size_t why_size);

/* The variables, and the files that WEIR_…_FILE name. Blocking; config_free has to follow. */
config_outcome config_read_environment(config_env_fn env, config *c, char *why, size_t why_size);

/* The flags of a command line (config_arguments.c); `operand` as for config_read. Also CONFIG_HELP.
 */
config_outcome config_read_arguments(int argc, char *const *argv, config *c, const char **operand,
                                     char *why, size_t why_size);

#endif
