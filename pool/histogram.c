/* histogram.c: durations counted in buckets. */
#include <assert.h>

#include "pool.h"

/* The bounds that the OpenTelemetry conventions suggest for database durations, refined below 1 ms,
 * where a pool spends its ordinary life. */
const uint64_t weir_histogram_bounds_ns[WEIR_HISTOGRAM_BOUNDS] = {
    WEIR_US(50),  WEIR_US(100), WEIR_US(250), WEIR_US(500), WEIR_MS(1),   WEIR_US(2500),
    WEIR_MS(5),   WEIR_MS(10),  WEIR_MS(25),  WEIR_MS(50),  WEIR_MS(100), WEIR_MS(250),
    WEIR_MS(500), WEIR_S(1),    WEIR_S(5),    WEIR_S(10),
};

void histogram_add(weir_histogram *histogram, uint64_t duration_ns)
{
    uint32_t bucket = 0;
    while (bucket < WEIR_HISTOGRAM_BOUNDS && duration_ns > weir_histogram_bounds_ns[bucket])
        bucket++;
    histogram->counts[bucket]++;
    histogram->sum_ns += duration_ns;
}

uint64_t weir_histogram_count(const weir_histogram *histogram)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i <= WEIR_HISTOGRAM_BOUNDS; i++)
        count += histogram->counts[i];
    return count;
}

uint64_t weir_histogram_quantile(const weir_histogram *histogram, double share)
{
    assert(share >= 0 && share <= 1);
    uint64_t count = weir_histogram_count(histogram), below = 0;
    double wanted = share * (double)count;
    for (uint32_t i = 0; i < WEIR_HISTOGRAM_BOUNDS && count > 0; i++) {
        uint64_t here = histogram->counts[i];
        uint64_t low_ns = i ? weir_histogram_bounds_ns[i - 1] : 0;
        if (here > 0 && (double)(below + here) >= wanted)
            return low_ns + (uint64_t)((double)(weir_histogram_bounds_ns[i] - low_ns) *
                                       (wanted - (double)below) / (double)here);
        below += here;
    }
    return count > 0 ? weir_histogram_bounds_ns[WEIR_HISTOGRAM_BOUNDS - 1] : 0;
}
