/* serve.h: the service from its start to its end. */
#ifndef WEIR_SERVE_H
#define WEIR_SERVE_H

#include "config.h"

/* Serves until told to stop, and returns the exit code. What keeps it from starting goes to stderr
 * in one line. */
int serve(const config *c);

#endif
