/* serve_api.h: the HTTP side that a configuration asks for. */
#ifndef WEIR_SERVE_API_H
#define WEIR_SERVE_API_H

#include "../api/api.h"
#include "config.h"

/* What a configuration asks for of the API, as far as it says it alone. */
void serve_api_options(const config *c, weir_api_options *options);

#endif
