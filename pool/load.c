/* load.c: what was asked of a pool in the last minutes, in spans of ten seconds. */
#include "load.h"

void load_begin(load *l, uint64_t now_ns)
{
    *l = (load){.began_ns = now_ns, .count = 1};
}

void load_turn(load *l, uint64_t now_ns)
{
    /* Of a long rest only the last spans are worth filling in. */
    uint64_t rest_ns = LOAD_KEPT_NS + LOAD_SPAN_NS;
    if (now_ns - l->began_ns > rest_ns)
        l->began_ns = now_ns - rest_ns;
    while (now_ns - l->began_ns >= LOAD_SPAN_NS) {
        load_span *over = &l->spans[l->present];
        uint64_t end_ns = l->began_ns + LOAD_SPAN_NS;
        over->length_ns = LOAD_SPAN_NS;
        over->busy_ns += l->out * end_ns;
        l->began_ns = end_ns;
        l->present = (l->present + 1) % LOAD_SPANS;
        l->count += l->count < LOAD_SPANS;
        l->spans[l->present] = (load_span){.busy_ns = 0 - l->out * end_ns};
    }
}

void load_join(load_span *into, const load_span *from)
{
    into->length_ns += from->length_ns;
    into->takes += from->takes;
    into->refused += from->refused;
    into->ended += from->ended;
    into->used_ns += from->used_ns;
    into->busy_ns += from->busy_ns;
}

uint32_t load_read(const load *l, uint64_t now_ns, load_span *spans)
{
    load now = *l;
    load_span *present = load_present(&now, now_ns);
    present->length_ns = now_ns - now.began_ns;
    present->busy_ns += now.out * now_ns;
    uint32_t first = now.present + LOAD_SPANS + 1 - now.count;
    for (uint32_t i = 0; i < now.count; i++)
        spans[i] = now.spans[(first + i) % LOAD_SPANS];
    if (now.count == 1)
        return 1;
    load_join(&spans[now.count - 2], &spans[now.count - 1]);
    return now.count - 1;
}
