/* descriptors.h: how many clients the limit of open files leaves room for. */
#ifndef WEIR_DESCRIPTORS_H
#define WEIR_DESCRIPTORS_H

#include "config.h"

/* How many clients there are descriptors for, --clients-max at most, once the process's limit is
 * raised as far as it goes. 0: not even what the service itself needs. */
uint32_t descriptors_for_clients(const config *c);

#endif
