/* token_file.h: the tokens of a flag and of a file. */
#ifndef WEIR_TOKEN_FILE_H
#define WEIR_TOKEN_FILE_H

#include "../api/query.h"
#include "../api/tokens.h"

/* Puts the token of the flag `flag` and those of a file, either of which may be NULL, into `set`.
 * WEIR_EINVAL with `fault`, WEIR_ENOMEM. Blocking. */
int token_file_read(const char *flag, const char *token, const char *file, token_set *set,
                    query_fault *fault);

#endif
