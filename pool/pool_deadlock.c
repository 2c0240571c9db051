/* pool_deadlock.c: a deadlock in words: who holds what, and waits. */
#include <stdio.h>

#include "pool.h"

static const char *name_of(const weir_lease *lease)
{
    return lease->label[0] ? lease->label : lease->where;
}

/* The take that keeps a holder from going on. */
static const weir_lease *wait_of(const weir_pool *pool, const weir_lease *holder,
                                 const weir_lease *victim)
{
    const claimant *who = holder->waiter.claimant;
    if (who == victim->waiter.claimant)
        return victim;
    const waiter *w = core_first_waiter(pool->core);
    while (w && w->claimant != who)
        w = w->next;
    return w ? weir_container(w, weir_lease, waiter) : NULL;
}

char *describe_deadlock(const weir_pool *pool, const weir_lease *victim, uint64_t now_ns)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    fprintf(out, "%s was refused: every connection is held by those who wait for one",
            name_of(victim));
    for (uint32_t i = 0; i < pool->slots; i++) {
        const weir_connection *c = &pool->connections[i];
        const weir_lease *waits = c->lease ? wait_of(pool, c->lease, victim) : NULL;
        if (waits)
            fprintf(out, "; %s holds connection %llu for %.1f s, and waits as %s",
                    name_of(c->lease), (unsigned long long)c->serial,
                    (double)(now_ns - c->lease->granted_ns) / 1e9, name_of(waits));
    }
    fclose(out);
    return text;
}
