/* crowd.h: how many connections each address has, on all lanes together. */
#ifndef WEIR_CROWD_H
#define WEIR_CROWD_H

#include "ip.h"

/* Used from any thread. Its memory is a bounded number of bytes a connection. */
typedef struct crowd crowd;

int crowd_open(uint32_t most, crowd **made); /* WEIR_ENOMEM */
void crowd_close(crowd *c);                  /* takes NULL */

/* One more from this address; false: it has as many as it may, or there is no memory. What was let
 * in has to leave. */
bool crowd_enter(crowd *c, const ip *address);
void crowd_leave(crowd *c, const ip *address);

#endif
