/* erlang.c: how likely a take has to wait, with so many connections: Erlang's formulas. */
#include "erlang.h"

#include <math.h>

double erlang_b_next(double blocked, double erlangs, uint32_t connections)
{
    return erlangs * blocked / (connections + erlangs * blocked);
}

double erlang_c_of_b(double blocked, double erlangs, uint32_t connections)
{
    double idle = 1 - erlangs / connections;
    return idle > 0 ? blocked / (idle + (1 - idle) * blocked) : 1;
}

double erlang_late(double c, double erlangs, uint32_t connections, double wait)
{
    return erlangs < connections ? c * exp(-(connections - erlangs) * wait) : 1;
}
