/* clock.c: what time it is: the machine's, or the virtual one of a lane in a test. */
#include <time.h>

#include "lane.h"

uint64_t weir_now(void)
{
    const weir_lane *lane = lane_here;
    if (lane && lane->virtual_time)
        return lane->virtual_now_ns;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return WEIR_S(now.tv_sec) + (uint64_t)now.tv_nsec;
}

uint64_t weir_after(uint64_t duration_ns)
{
    uint64_t now_ns = weir_now();
    return duration_ns < WEIR_NEVER - now_ns ? now_ns + duration_ns : WEIR_NEVER;
}
