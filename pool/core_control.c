/* core_control.c: what is asked of the pool as a whole: resize, pause, evict, drain. */
#include <assert.h>

#include "core_state.h"

/* ---- Resize ---- */

void on_resize(core *c, uint32_t max, uint32_t min)
{
    assert(max >= 1 && max <= c->options.slots && min <= max);
    c->max = max;
    c->min = min;
}

static connection *coldest_idle(const core *c)
{
    connection *coldest = NULL;

    for (uint32_t lane = 0; lane < c->options.lanes; lane++) {
        connection *x = c->idle[lane] ? c->idle[lane]->prev : NULL;
        if (x && (!coldest || x->used_ns < coldest->used_ns))
            coldest = x;
    }
    return coldest;
}

/* Closes what is too many and in nobody's use; the rest goes as it comes back. */
void trim(core *c)
{
    while (open_count(c) > c->max) {
        connection *x = coldest_idle(c);
        if (!x)
            x = c->list[CONNECTION_DIALING];
        if (!x || !has_room(c))
            return;
        connection_retire(c, x, WEIR_RETIRE_SURPLUS);
    }
}

/* ---- Pause ---- */

void on_pause(core *c)
{
    if (c->paused || c->draining)
        return;
    c->paused = true;
    c->pause_told = false;
    shed_rest(&c->shed);
}

void tell_pause(core *c)
{
    uint32_t at_work = c->count[CONNECTION_LEASED] + c->count[CONNECTION_RESETTING] +
                       c->count[CONNECTION_CANCELLING];

    if (!c->paused || c->pause_told || at_work > 0 || !has_room(c))
        return;
    c->pause_told = true;
    emit(c, EFFECT_PAUSED);
}

/* ---- Evict ---- */

void on_evict(core *c, uint64_t spread_ns)
{
    for (uint32_t i = 0; i < c->options.slots; i++) {
        connection *x = &c->connections[i];
        uint64_t at_ns = deadline_after(c->now_ns, random_up_to(&c->random, spread_ns));
        if (x->state != CONNECTION_FREE && x->state != CONNECTION_CLOSING && at_ns < x->evict_ns)
            x->evict_ns = at_ns;
    }
}

/* ---- Drain ---- */

void on_drain(core *c)
{
    c->draining = true;
    c->paused = false;
}

static void retire_all(core *c, connection **list)
{
    while (*list && has_room(c))
        connection_retire(c, *list, WEIR_RETIRE_DRAINED);
}

/* Nobody will want what is idle, dialing or being checked. What is being reset or cancelled may
 * come to a clean end, within its limit. */
void drain(core *c)
{
    while (c->waiters.count > 0 && has_room(c))
        refuse_waiting(c, c->waiters.first, WEIR_ECLOSED);
    for (uint32_t lane = 0; lane < c->options.lanes; lane++)
        retire_all(c, &c->idle[lane]);
    retire_all(c, &c->list[CONNECTION_DIALING]);
    retire_all(c, &c->list[CONNECTION_CHECKING]);

    bool empty = c->waiters.count == 0 && c->count[CONNECTION_FREE] == c->options.slots;
    if (empty && !c->drained && has_room(c)) {
        c->drained = true;
        emit(c, EFFECT_DRAINED);
    }
}
