/* check.h: whether a folder of queries would be served. */
#ifndef WEIR_CHECK_H
#define WEIR_CHECK_H

#include "config.h"

/* Reads, describes and has planned the queries of `c->queries`; tells on stderr all that is wrong
 * or doubtful, on stdout the sum of it and, where nothing is wrong, what the queries are; returns
 * the exit code. */
int check(const config *c);

#endif
