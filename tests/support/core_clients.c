/* core_clients.c: clients of the simulated core, alone and in families. */
#include <stddef.h>

#include "core_world.h"

#define DEPTH_MAX 3 /* leases that one strand holds at once */

static uint32_t number(const world *s, const client *who)
{
    return (uint32_t)(who - s->books.clients);
}

static role *role_of(world *s, const client *who)
{
    return &s->roles[number(s, who)];
}

client *client_away(world *s)
{
    uint32_t from = (uint32_t)pick(s, 0, s->clients - 1);

    for (uint32_t i = 0; i < s->clients; i++) {
        client *who = &s->books.clients[(from + i) % s->clients];
        if (who->state == CLIENT_AWAY && !role_of(s, who)->family)
            return who;
    }
    return NULL;
}

static uint64_t some_deadline(world *s)
{
    if (percent(s, 5))
        return s->now_ns - pick(s, 0, 1);
    if (percent(s, s->patient ? 100 : 15))
        return WEIR_NEVER;
    if (percent(s, 30))
        return s->now_ns + pick(s, 1, WEIR_MS(1));
    return (s->now_ns + pick(s, 1, s->patience_ns)) / INSTANT * INSTANT + INSTANT;
}

bool client_take(world *s, client *who, uint64_t deadline_ns, bool urgent)
{
    uint32_t lane = (uint32_t)pick(s, 0, s->books.options.lanes - 1);
    kin *f = role_of(s, who)->family;

    who->waiter = (waiter){.lane = lane,
                           .deadline_ns = deadline_ns,
                           .claimant = f ? &f->claimant : NULL,
                           .urgent = urgent};
    return step(s, (event){.kind = EVENT_TAKE, .waiter = &who->waiter});
}

static void plan_cancel(world *s, const client *who)
{
    chore cancel = {.kind = CHORE_CANCEL, .subject = number(s, who), .life = who->takes};
    uint64_t left_ns = who->waiter.deadline_ns - s->now_ns;

    if (percent(s, 25) && left_ns < WEIR_S(10))
        plan(s, left_ns, cancel);
    else
        plan(s, percent(s, 30) ? 0 : pick(s, 0, s->patience_ns), cancel);
}

static void plan_release(world *s, uint32_t who, bool for_good)
{
    uint64_t hold_ns = percent(s, 30) ? 0 : pick(s, 0, s->hold_ns);

    if (s->faults && percent(s, s->long_percent))
        hold_ns = pick(s, 0, WEIR_MS(300));
    plan(s, hold_ns, (chore){.kind = CHORE_RELEASE, .subject = who, .well = for_good});
}

static void plan_progress(world *s, const client *who)
{
    plan(s, percent(s, 20) ? 0 : pick(s, 0, s->stream_gap_ns),
         (chore){.kind = CHORE_PROGRESS, .subject = number(s, who), .life = who->takes});
}

void client_granted(world *s, client *who)
{
    if (percent(s, s->stream_percent))
        plan_progress(s, who);
    plan_release(s, number(s, who), false);
}

/* A strand of a family has come to its end. */
static void strand_ends(world *s, kin *f)
{
    f->claimant.strands--;
    s->strands_fell = true;
}

void client_done(world *s, const client *who)
{
    role *r = role_of(s, who);

    if (!r->family)
        return;
    if (r->outer)
        plan_release(s, r->outer - 1, true);
    else
        strand_ends(s, r->family);
    *r = (role){0};
}

/* The families of which nothing is left can be had anew. */
static kin *new_family(world *s)
{
    for (uint32_t i = 0; i < s->clients; i++)
        if (s->families[i].claimant.strands == 0) {
            s->families[i] = (kin){.claimant.strands = 1};
            return &s->families[i];
        }
    return NULL;
}

static bool ask(world *s, client *who)
{
    bool urgent = percent(s, s->urgent_percent);

    if (!client_take(s, who, some_deadline(s), urgent))
        return false;
    if (who->state != CLIENT_AWAY && percent(s, 20))
        plan_cancel(s, who);
    carry_out(s);
    return !s->books.wrong;
}

static void waits_elsewhere(world *s, kin *f)
{
    f->claimant.strands++;
    f->claimant.waiting++;
    f->elsewhere++;
    plan(s, pick(s, 0, s->patience_ns),
         (chore){.kind = CHORE_ELSEWHERE, .subject = (uint32_t)(f - s->families)});
}

void do_elsewhere(world *s, const chore *c)
{
    kin *f = &s->families[c->subject];

    f->elsewhere--;
    f->claimant.waiting--;
    strand_ends(s, f);
}

/* One or two tasks that wait for each other's end. */
static bool family_takes(world *s)
{
    client *first = client_away(s), *second = NULL;
    kin *f = first ? new_family(s) : NULL;

    if (!f)
        return true;
    role_of(s, first)->family = f;
    if (percent(s, 40) && (second = client_away(s))) {
        f->claimant.strands++;
        role_of(s, second)->family = f;
    } else if (percent(s, 30)) {
        waits_elsewhere(s, f);
    }
    return ask(s, first) && (!second || ask(s, second));
}

bool do_take(world *s)
{
    if (s->takes_left == 0)
        return true;
    s->takes_left--;
    plan(s, percent(s, 40) ? 0 : pick(s, 0, s->gap_ns), (chore){.kind = CHORE_TAKE});
    if (percent(s, s->family_percent))
        return family_takes(s);
    client *who = client_away(s);
    return !who || ask(s, who);
}

bool do_cancel(world *s, const chore *c)
{
    client *who = &s->books.clients[c->subject];

    if (who->takes != c->life || who->state == CLIENT_AWAY)
        return true;
    return step(s, (event){.kind = EVENT_CANCEL, .waiter = &who->waiter});
}

/* And so on, while it has its lease, or still believes so. */
bool do_progress(world *s, const chore *c)
{
    client *who = &s->books.clients[c->subject];

    if (who->takes != c->life || (who->state != CLIENT_HOLDING && who->state != CLIENT_RECLAIMED))
        return true;
    plan_progress(s, who);
    event_kind kind = percent(s, 30) ? EVENT_REST : EVENT_PROGRESS;
    return step(s, (event){.kind = kind, .waiter = &who->waiter});
}

/* Who is to take a further lease for the strand of `who`, if it wants one. */
static client *one_more(world *s, const client *who)
{
    role *r = role_of(s, who);
    client *inner = client_away(s);

    if (!r->family || !inner || r->depth + 1 >= DEPTH_MAX || !s->faults)
        return NULL;
    *role_of(s, inner) =
        (role){.family = r->family, .outer = number(s, who) + 1, .depth = r->depth + 1};
    return inner;
}

static event some_release(world *s, client *who)
{
    event e = {.kind = EVENT_RELEASE, .waiter = &who->waiter, .condition = RELEASE_CLEAN};

    if (percent(s, 25))
        e.condition = percent(s, 50) ? RELEASE_DIRTY : RELEASE_RUNNING;
    if (s->silently_dead[who->waiter.connection] || (s->faults && percent(s, s->fault_percent))) {
        e.condition = RELEASE_BROKEN;
        e.reason = percent(s, 50) ? WEIR_RETIRE_SERVER_SHUTDOWN : WEIR_RETIRE_NOT;
    }
    return e;
}

bool do_release(world *s, const chore *c)
{
    client *who = &s->books.clients[c->subject], *inner = NULL;
    uint32_t connection = who->waiter.connection;

    if (!c->well && percent(s, 50) && (inner = one_more(s, who)))
        return ask(s, inner);
    if (!step(s, some_release(s, who)))
        return false;
    if (s->books.sessions[connection].state == CONNECTION_IDLE)
        plan_loss(s, connection);
    client_done(s, who);
    return true;
}
