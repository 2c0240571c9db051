/* shed.c: whom to turn away, so that under overload those who are let through are in time. */
#include "shed.h"

void shed_init(shed *s, const core_options *options)
{
    *s = (shed){.target_ns = options->shed_target_ns, .interval_ns = options->shed_interval_ns};
}

void shed_granted(shed *s, uint64_t waited_ns, uint64_t now_ns)
{
    if (waited_ns > s->target_ns) {
        if (!s->above_since_ns)
            s->above_since_ns = now_ns;
        else if (now_ns - s->above_since_ns >= s->interval_ns)
            s->active = true;
    } else if (!s->active || waited_ns <= s->target_ns / 2) {
        shed_rest(s);
    }
}

void shed_rest(shed *s)
{
    s->above_since_ns = 0;
    s->active = false;
}

uint64_t shed_at(const shed *s, uint64_t since_ns)
{
    return s->active ? deadline_after(since_ns, s->target_ns) : WEIR_NEVER;
}
