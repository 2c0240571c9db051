/* core_books_trace.c: events and effects in words, for who replays a schedule. */
#include <stdio.h>

#include "core_books_parts.h"

static const char *const event_names[] = {
    [EVENT_TAKE] = "take",     [EVENT_CANCEL] = "cancel",     [EVENT_RELEASE] = "release",
    [EVENT_UP] = "up",         [EVENT_DOWN] = "down",         [EVENT_CHECKED] = "checked",
    [EVENT_CLOSED] = "closed", [EVENT_TICK] = "tick",         [EVENT_DRAIN] = "drain",
    [EVENT_RESIZE] = "resize", [EVENT_PAUSE] = "pause",       [EVENT_RESUME] = "resume",
    [EVENT_EVICT] = "evict",   [EVENT_PROGRESS] = "progress", [EVENT_REST] = "rest",
};
static const char *const effect_names[] = {
    [EFFECT_DIAL] = "dial",     [EFFECT_GRANT] = "grant",     [EFFECT_REFUSE] = "refuse",
    [EFFECT_CHECK] = "check",   [EFFECT_RESET] = "reset",     [EFFECT_CANCEL] = "cancel",
    [EFFECT_CLOSE] = "close",   [EFFECT_DRAINED] = "drained", [EFFECT_PAUSED] = "paused",
    [EFFECT_LEAKED] = "leaked",
};
static const char *const condition_names[] = {"clean", "dirty", "running", "broken"};
static uint32_t number(const books *b, const waiter *w)
{
    return (uint32_t)((const client *)w - b->clients);
}

static void trace_waiter(const books *b, const event *e)
{
    const waiter *w = e->waiter;

    printf(" client %u (lane %u%s)", number(b, w), w->lane, w->urgent ? ", urgent" : "");
    if (w->claimant)
        printf(" of claimant %p with %u strands", (void *)w->claimant, w->claimant->strands);
    if (e->kind == EVENT_TAKE && w->deadline_ns != WEIR_NEVER)
        printf(" until %.6f ms", (double)w->deadline_ns / 1e6);
    if (e->kind == EVENT_RELEASE)
        printf(" connection %u, %s", w->connection, condition_names[e->condition]);
}

void trace_event(const books *b, const event *e)
{
    printf("%14.6f ms  %s", (double)b->now_ns / 1e6, event_names[e->kind]);
    if (e->waiter)
        trace_waiter(b, e);
    if (e->kind == EVENT_UP || e->kind == EVENT_DOWN || e->kind == EVENT_CHECKED ||
        e->kind == EVENT_CLOSED)
        printf(" connection %u (%s)", e->connection,
               connection_state_name(b->sessions[e->connection].state));
    if (e->reason)
        printf(" %s", weir_retire_reason_name(e->reason));
    if (e->kind == EVENT_RESIZE)
        printf(" to max %u, min %u", e->max, e->min);
    if (e->kind == EVENT_EVICT)
        printf(" within %.6f ms", (double)e->spread_ns / 1e6);
    putchar('\n');
}

void trace_effects(const books *b)
{
    for (uint32_t i = 0; i < b->out.count; i++) {
        const effect *f = &b->out.item[i];
        printf("%20s→ %s", "", effect_names[f->kind]);
        if (f->kind != EFFECT_REFUSE && f->kind != EFFECT_DRAINED && f->kind != EFFECT_PAUSED)
            printf(" connection %u on lane %u", f->connection, f->lane);
        if (f->waiter)
            printf(" client %u", number(b, f->waiter));
        if (f->kind == EFFECT_REFUSE)
            printf(" %s", weir_error_name(f->error));
        if (f->kind == EFFECT_CLOSE)
            printf(" %s", weir_retire_reason_name(f->reason));
        putchar('\n');
    }
    if (b->out.wake_ns != WEIR_NEVER)
        printf("%20s  wake at %.6f ms\n", "", (double)b->out.wake_ns / 1e6);
}
