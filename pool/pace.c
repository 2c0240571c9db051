/* pace.c: how many dials may be under way at once, and when the next may start. */
#include "pace.h"

#include "random.h"

void pace_init(pace *p, const core_options *options)
{
    *p = (pace){
        .base_ns = options->backoff_base_ns,
        .max_ns = options->backoff_max_ns,
        .window = 1,
        .window_max = options->slots,
        .ceiling = UINT32_MAX,
        .lift_ns = WEIR_NEVER,
        .full_pause_ns = options->full_pause_ns,
    };
}

void pace_round(pace *p)
{
    p->window = p->failures == 0 && p->window_max > 1 ? 2 : 1;
}

static void raise_ceiling(pace *p, uint32_t to)
{
    if (p->ceiling < to)
        p->ceiling = to;
    if (p->ceiling >= p->window_max)
        p->ceiling = UINT32_MAX;
}

void pace_succeeded(pace *p, uint32_t open)
{
    p->failures = 0;
    p->doublings = 0;
    p->not_before_ns = 0;
    if (p->window < p->window_max)
        p->window++;
    raise_ceiling(p, p->lift_ns == WEIR_NEVER ? open + 1 : open);
}

void pace_full(pace *p, uint32_t open, uint64_t now_ns, uint64_t *random)
{
    uint64_t half_ns = p->full_pause_ns / 2;

    p->ceiling = open > 0 ? open : 1;
    p->lift_ns = deadline_after(now_ns, half_ns + random_up_to(random, half_ns));
}

void pace_lift(pace *p, uint64_t now_ns)
{
    if (now_ns < p->lift_ns)
        return;
    p->lift_ns = WEIR_NEVER;
    raise_ceiling(p, p->ceiling + 1);
}

static uint64_t pause_bound(const pace *p)
{
    if (p->doublings >= 63 || p->base_ns > p->max_ns >> p->doublings)
        return p->max_ns;
    return p->base_ns << p->doublings;
}

void pace_failed(pace *p, uint64_t begun_ns, uint64_t now_ns, uint64_t *random)
{
    p->failures++;
    p->window = 1;
    if (begun_ns < p->not_before_ns)
        return;
    p->not_before_ns = deadline_after(now_ns, random_up_to(random, pause_bound(p)));
    p->doublings++;
}
