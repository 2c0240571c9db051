/* erlang.h: how likely a take has to wait, with so many connections: Erlang's formulas.
 *
 * Takes come at random (Poisson), each needs one connection for a random (exponential) time, and
 * who finds none free waits his turn: the M/M/c queue. `erlangs` is the load: takes a second times
 * seconds a lease, which is how many connections would be at work if nobody ever waited.
 *
 * A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in
 * automatic telephone exchanges", 1917; the recursion as in R. B. Cooper, "Introduction to Queueing
 * Theory", 2nd edition, 1981. */
#ifndef WEIR_ERLANG_H
#define WEIR_ERLANG_H

#include <stdint.h>

/* B, the share of takes that would be lost if nobody could wait, with one connection more than
 * those for which it is `blocked`; it is 1 with none. All terms are positive and none grows, so
 * that nothing cancels or overflows, however many connections there are. */
double erlang_b_next(double blocked, double erlangs, uint32_t connections);

/* C, the share of takes that have to wait, from B; 1 when the connections do not suffice. */
double erlang_c_of_b(double blocked, double erlangs, uint32_t connections);

/* The share of takes that wait for longer than `wait`, in units of one lease's mean, where `c` is
 * the share that waits at all. */
double erlang_late(double c, double erlangs, uint32_t connections, double wait);

#endif
