/* secret.h: the passwords in a connection string, kept out of sight. */
#ifndef WEIR_SECRET_H
#define WEIR_SECRET_H

#include <stddef.h>

/* Copies a connection string, key=value or URL, with *** in place of its passwords; cut to `size`.
 * Where it is not well-formed, too much is hidden rather than too little. */
void secret_hide(const char *conninfo, char *hidden, size_t size);

/* Overwrites with asterisks whatever passwords of `conninfo` occur in a message about it. */
void secret_blot(const char *conninfo, char *message);

#endif
