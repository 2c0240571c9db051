/* health.h: asking a running weir whether it is ready. */
#ifndef WEIR_HEALTH_H
#define WEIR_HEALTH_H

#include "config.h"

/* Asks the one that runs with this configuration on this machine for /readyz, and prints what it
 * says. EXIT_FINE: it is ready; EXIT_NOT_READY: it is not, or does not answer within 3 s;
 * EXIT_USAGE: where it listens cannot be told. */
int health(const config *c);

#endif
