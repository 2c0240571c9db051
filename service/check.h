/* check.h: whether a folder of queries would be served. */
#ifndef WEIR_CHECK_H
#define WEIR_CHECK_H

#include "config.h"

/* Reads and describes the queries of `c->queries`, tells what they are on stdout or what is wrong
 * on stderr, and returns the exit code. */
int check(const config *c);

#endif
