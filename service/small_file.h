/* small_file.h: a file that holds a secret, or little else. */
#ifndef WEIR_SMALL_FILE_H
#define WEIR_SMALL_FILE_H

#include "../api/query.h"

/* Larger ones are refused. */
#define SMALL_FILE_MAX ((size_t)64 * 1024)

/* Reads a file whole, with a NUL behind it: small_file_forget it. WEIR_EINVAL with `fault`, which
 * says that `what` cannot be read; WEIR_ENOMEM. Blocking. */
int small_file_read(const char *path, const char *what, char **text, size_t *length,
                    query_fault *fault);
/* Wipes it, and frees it; takes NULL. */
void small_file_forget(char *text, size_t length);

#endif
