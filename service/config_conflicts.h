/* config_conflicts.h: flags that do not go together. */
#ifndef WEIR_CONFIG_CONFLICTS_H
#define WEIR_CONFIG_CONFLICTS_H

#include "config.h"

/* Looks at a configuration of which all has been read, and gives its pools their sizes. CONFIG_BAD
 * with why: the first conflict, and its place in the file where that says one of the flags. */
config_outcome config_check_conflicts(config *c, char *why, size_t why_size);

#endif
