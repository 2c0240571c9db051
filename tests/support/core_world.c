/* core_world.c: the agenda of the simulated world, its server and its network. */
#include "core_world.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- Chance ---- */

uint64_t chance_bits(world *s)
{
    uint64_t z = s->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 (Steele, Lea, Flood) */

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t pick(world *s, uint64_t from, uint64_t to)
{
    return from + chance_bits(s) % (to - from + 1);
}

bool percent(world *s, uint32_t p)
{
    return chance_bits(s) % 100 < p;
}

/* ---- The agenda ---- */

void agenda_init(world *s)
{
    for (int i = 0; i < CHORES; i++) {
        s->chores[i].next_spare = s->spare;
        s->spare = &s->chores[i];
    }
}

void plan(world *s, uint64_t in_ns, chore what)
{
    chore *c = s->spare;

    if (!c) {
        fprintf(stderr, "the agenda is full\n");
        abort();
    }
    s->spare = c->next_spare;
    *c = what;
    c->at = (heap_node){0};
    heap_insert(&s->agenda, &c->at,
                (s->now_ns + in_ns) / INSTANT * INSTANT + chance_bits(s) % INSTANT);
}

uint64_t next_chore_ns(const world *s)
{
    const heap_node *first = heap_first(&s->agenda);

    return first ? first->key / INSTANT * INSTANT : WEIR_NEVER;
}

static chore next_chore(world *s)
{
    chore *c = (chore *)heap_first(&s->agenda), copy = *c;

    heap_remove(&s->agenda, &c->at);
    c->next_spare = s->spare;
    s->spare = c;
    return copy;
}

bool step(world *s, event e)
{
    return books_step(&s->books, &e, s->now_ns);
}

/* ---- What the server and the network do ---- */

/* Plans the answer to an order: in time, late, a failure, or none at all. */
static void plan_answer(world *s, uint32_t connection, connection_state work, uint64_t limit_ns)
{
    chore answer = {.kind = CHORE_ANSWER,
                    .subject = connection,
                    .life = s->books.sessions[connection].orders,
                    .well = true};
    bool dead = work == CONNECTION_DIALING ? !s->server_up : s->silently_dead[connection];
    uint64_t in_ns = percent(s, 30) ? 0 : pick(s, 0, limit_ns / 2);

    if (!s->faults && !dead) {
        plan(s, in_ns, answer);
        return;
    }
    if (dead || percent(s, s->fault_percent)) {
        if (percent(s, 25))
            return;
        answer.well = !dead && percent(s, 30);
        in_ns = percent(s, 30) ? pick(s, 0, 2 * limit_ns) : in_ns;
        in_ns = percent(s, 10) ? limit_ns : in_ns;
    }
    plan(s, in_ns, answer);
}

/* An idle connection may be lost, seen or unseen. */
void plan_loss(world *s, uint32_t connection)
{
    if (!s->faults || !percent(s, s->fault_percent / 2 + 1))
        return;
    if (percent(s, 30)) {
        s->silently_dead[connection] = true;
        return;
    }
    plan(s, percent(s, 20) ? 0 : pick(s, 0, WEIR_MS(20)),
         (chore){.kind = CHORE_LOSE,
                 .subject = connection,
                 .life = s->books.sessions[connection].orders});
}

static void carry_out_effects(world *s)
{
    const core_options *o = &s->books.options;

    for (uint32_t i = 0; i < s->books.out.count; i++) {
        const effect *f = &s->books.out.item[i];
        switch (f->kind) {
        case EFFECT_DIAL:
            s->silently_dead[f->connection] = false;
            plan_answer(s, f->connection, CONNECTION_DIALING, o->connect_timeout_ns);
            break;
        case EFFECT_CHECK:
        case EFFECT_RESET:
            plan_answer(s, f->connection, CONNECTION_CHECKING, o->check_timeout_ns);
            plan_loss(s, f->connection);
            break;
        case EFFECT_CANCEL:
            plan_answer(s, f->connection, CONNECTION_CANCELLING, o->cancel_grace_ns);
            plan_loss(s, f->connection);
            break;
        case EFFECT_CLOSE:
            plan(s, percent(s, 50) ? 0 : pick(s, 0, WEIR_MS(5)),
                 (chore){.kind = CHORE_CLOSED, .subject = f->connection});
            break;
        case EFFECT_GRANT: client_granted(s, (client *)f->waiter); break;
        case EFFECT_REFUSE: client_done(s, (client *)f->waiter); break;
        case EFFECT_PAUSED:
        case EFFECT_LEAKED:
        case EFFECT_DRAINED: break;
        }
    }
}

/* Fewer strands may mean that all that are left wait: the core is told. */
void carry_out(world *s)
{
    carry_out_effects(s);
    while (s->strands_fell && !s->books.wrong) {
        s->strands_fell = false;
        step(s, (event){.kind = EVENT_TICK});
        carry_out_effects(s);
    }
    s->books.out.count = 0;
}

/* ---- Chores ---- */

/* The server has room for one more session than those that are up. */
static bool has_room_for(const world *s, const session *dialing)
{
    uint32_t others = 0;

    for (uint32_t i = 0; i < s->books.options.slots; i++)
        others += s->books.sessions[i].born_ns > 0 && &s->books.sessions[i] != dialing &&
                  s->books.sessions[i].state != CONNECTION_FREE;
    return others < s->room;
}

/* An answer that crosses a close on its way still arrives; one of an earlier order does not. */
static bool do_answer(world *s, const chore *c)
{
    const session *x = &s->books.sessions[c->subject];
    bool crossing = x->state == CONNECTION_CLOSING && x->orders == c->life + 1;
    event e = {.kind = EVENT_DOWN, .connection = c->subject};

    if (x->orders != c->life && !crossing)
        return true;
    if (c->well)
        e.kind = x->born_ns == 0 || x->state == CONNECTION_DIALING ? EVENT_UP : EVENT_CHECKED;
    else
        e.reason = percent(s, 50) ? WEIR_RETIRE_CONNECT_FAILED : WEIR_RETIRE_NOT;
    if (e.kind == EVENT_UP && !has_room_for(s, x)) {
        e.kind = EVENT_DOWN;
        e.reason = WEIR_RETIRE_SERVER_FULL;
    }
    if (!step(s, e))
        return false;
    if (x->state == CONNECTION_IDLE)
        plan_loss(s, c->subject);
    return true;
}

static bool do_lose(world *s, const chore *c)
{
    const session *x = &s->books.sessions[c->subject];

    if (!s->faults || x->orders != c->life)
        return true;
    /* A loss that crosses a grant: its release will tell. */
    if (x->state == CONNECTION_LEASED)
        s->silently_dead[c->subject] = true;
    return step(s, (event){.kind = EVENT_DOWN,
                           .connection = c->subject,
                           .reason = percent(s, 50) ? WEIR_RETIRE_SERVER_SHUTDOWN : 0});
}

static bool do_resize(world *s)
{
    uint32_t max = (uint32_t)pick(s, 1, s->books.options.slots);

    return step(s, (event){.kind = EVENT_RESIZE,
                           .max = max,
                           .min = percent(s, 50) ? 0 : (uint32_t)pick(s, 0, max)});
}

/* Paused again, or resumed again, now and then. No pause outlasts the faults. */
static bool do_pause(world *s, const chore *c)
{
    chore next = {.kind = CHORE_PAUSE, .well = percent(s, 20) ? c->well : !c->well};

    if (!s->faults)
        return true;
    if (!next.well || !c->well || percent(s, 50))
        plan(s, percent(s, 20) ? 0 : pick(s, 0, WEIR_MS(40)), next);
    return step(s, (event){.kind = c->well ? EVENT_RESUME : EVENT_PAUSE});
}

static bool do_evict(world *s)
{
    uint64_t spread_ns = percent(s, 50) ? 0 : pick(s, 0, WEIR_MS(50));

    if (percent(s, 5))
        spread_ns = WEIR_NEVER;
    return step(s, (event){.kind = EVENT_EVICT, .spread_ns = spread_ns});
}

static void do_server(world *s, const chore *c)
{
    s->server_up = !s->server_up || !s->faults;
    if (s->faults)
        plan(s, pick(s, 0, WEIR_MS(60)), *c);
}

static void do_room(world *s, const chore *c)
{
    s->room =
        percent(s, 40) || !s->faults ? UINT32_MAX : (uint32_t)pick(s, 0, s->books.options.slots);
    if (s->faults)
        plan(s, pick(s, 0, WEIR_MS(100)), *c);
}

static bool do_chore(world *s, const chore *c)
{
    switch (c->kind) {
    case CHORE_TAKE: return do_take(s);
    case CHORE_CANCEL: return do_cancel(s, c);
    case CHORE_RELEASE: return do_release(s, c);
    case CHORE_PROGRESS: return do_progress(s, c);
    case CHORE_ANSWER: return do_answer(s, c);
    case CHORE_LOSE: return do_lose(s, c);
    case CHORE_CLOSED: return step(s, (event){.kind = EVENT_CLOSED, .connection = c->subject});
    case CHORE_DRAIN: return step(s, (event){.kind = EVENT_DRAIN});
    case CHORE_RESIZE: return do_resize(s);
    case CHORE_PAUSE: return do_pause(s, c);
    case CHORE_EVICT: return do_evict(s);
    case CHORE_SERVER: do_server(s, c); return true;
    case CHORE_ROOM: do_room(s, c); return true;
    case CHORE_ELSEWHERE: do_elsewhere(s, c); return true;
    case CHORE_TICK: return step(s, (event){.kind = EVENT_TICK});
    }
    return false;
}

/* Goes on to whatever comes next: a chore, or the tick the core asked for. In one instant, either
 * may come first. */
bool advance(world *s)
{
    uint64_t chore_ns = next_chore_ns(s), wake_ns = s->books.wake_ns;

    s->books.out.count = 0;
    if (wake_ns != WEIR_NEVER && s->lag_ns)
        wake_ns += pick(s, 0, s->lag_ns);
    if (s->faults && pick(s, 0, 999) < s->leap_permille)
        s->now_ns += percent(s, 50) ? pick(s, 0, WEIR_MS(100)) : pick(s, 0, WEIR_S(7200));
    if (chore_ns < wake_ns || (chore_ns == wake_ns && percent(s, 50))) {
        s->now_ns = chore_ns > s->now_ns ? chore_ns : s->now_ns;
        chore c = next_chore(s);
        if (!do_chore(s, &c))
            return false;
    } else {
        s->now_ns = wake_ns > s->now_ns ? wake_ns : s->now_ns;
        if (!step(s, (event){.kind = EVENT_TICK}))
            return false;
    }
    carry_out(s);
    return !s->books.wrong;
}
