/* serve_pools.h: the pools that a configuration asks for. */
#ifndef WEIR_SERVE_POOLS_H
#define WEIR_SERVE_POOLS_H

#include "config.h"

/* What a configuration asks for of a pool: 0 is the default one, then come the further ones.
 * `pool_log`: keeps its events. */
weir_pool_options serve_pool_options(const config *c, uint32_t index, void *pool_log);

/* Opens it. EXIT_FINE, or an exit code after one line on stderr. */
int serve_open_pool(weir_runtime *runtime, const weir_pool_options *options, uint32_t index,
                    weir_pool **pool);

#endif
