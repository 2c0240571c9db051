/* serve.h: the service from its start to its end. */
#ifndef WEIR_SERVE_H
#define WEIR_SERVE_H

#include "../api/api.h"
#include "../pool/weir.h"
#include "config.h"

/* Serves until told to stop, and returns the exit code. What keeps it from starting goes to stderr
 * in one line. */
int serve(const config *c);

/* What a configuration asks for of the API, as far as it says it alone. */
void serve_api_options(const config *c, weir_api_options *options);

/* What a configuration asks for of a pool: 0 is the default one, then come the further ones.
 * `pool_log`: keeps its events. */
weir_pool_options serve_pool_options(const config *c, uint32_t index, void *pool_log);

/* Opens it. EXIT_FINE, or an exit code after one line on stderr. */
int serve_open_pool(weir_runtime *runtime, const weir_pool_options *options, uint32_t index,
                    weir_pool **pool);

#endif
