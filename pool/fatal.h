/* fatal.h: the way out when the library has been used against its contract. */
#ifndef WEIR_FATAL_H
#define WEIR_FATAL_H

#include <stdio.h>
#include <stdlib.h>

/* Prints one line that names the mistake, and aborts: going on would corrupt what others rely on.
 */
static inline _Noreturn void fatal(const char *mistake)
{
    fprintf(stderr, "weir: %s\n", mistake);
    abort();
}

#endif
