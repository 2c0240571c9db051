/* token_file.h: the tokens of --token and --token-file. */
#ifndef WEIR_TOKEN_FILE_H
#define WEIR_TOKEN_FILE_H

#include "../api/api.h"
#include "config.h"

/* Gives the API the tokens there are now. WEIR_EINVAL with `fault`, WEIR_ENOMEM; then those before
 * stay. Blocking. */
int token_file_read(const config *c, weir_api *api, query_fault *fault);

#endif
