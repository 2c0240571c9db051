/* core_books_figures.c: what follows from the books, as the contracts define it. */
#include <stddef.h>

#include "core_books_parts.h"

bool want(books *b, bool kept, const char *promise)
{
    if (!kept && !b->wrong)
        b->wrong = promise;
    return kept;
}

void enter(books *b, session *s, connection_state state)
{
    if (s->state == CONNECTION_CANCELLING && state != s->state)
        b->unquarantined++;
    b->count[s->state]--;
    b->count[state]++;
    s->state = state;
    s->since_ns = s->alive_ns = b->now_ns;
}

uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void note_moment(const books *b, tally *t, uint64_t from_ns, uint64_t to_ns)
{
    if (b->now_ns > to_ns || to_ns - from_ns < 10)
        return;
    t->all++;
    t->early += b->now_ns - from_ns < (to_ns - from_ns) / 2;
}

/* ---- Connections ---- */

uint32_t size(const books *b)
{
    return b->options.slots - b->count[CONNECTION_FREE];
}

uint32_t open_sessions(const books *b)
{
    return size(b) - b->count[CONNECTION_CLOSING];
}

uint32_t supply(const books *b)
{
    return b->count[CONNECTION_DIALING] + b->count[CONNECTION_CHECKING] +
           b->count[CONNECTION_RESETTING];
}

bool stale(const books *b, const session *s)
{
    return b->now_ns - s->heard_ns > b->options.validate_after_ns;
}

static uint64_t limit_ns(const books *b, connection_state state)
{
    switch (state) {
    case CONNECTION_DIALING: return b->options.connect_timeout_ns;
    case CONNECTION_CHECKING:
    case CONNECTION_RESETTING: return b->options.check_timeout_ns;
    case CONNECTION_CANCELLING: return b->options.cancel_grace_ns;
    case CONNECTION_IDLE:
        return open_sessions(b) > b->options.min ? b->options.idle_timeout_ns : WEIR_NEVER;
    case CONNECTION_LEASED: return b->options.leak_after_ns;
    default: return WEIR_NEVER;
    }
}

static uint64_t limit_end_ns(const books *b, const session *s)
{
    bool idle = s->state == CONNECTION_IDLE;

    return deadline_after(idle ? s->used_ns : s->alive_ns, limit_ns(b, s->state));
}

bool overdue(const books *b, const session *s, connection_state state)
{
    return s->state == state && b->now_ns >= limit_end_ns(b, s);
}

uint64_t due_ns(const books *b, const session *s)
{
    uint64_t due = limit_end_ns(b, s);

    if (s->state == CONNECTION_LEASED && s->told_leaked)
        return WEIR_NEVER;
    if (s->state != CONNECTION_IDLE)
        return due;
    due = least(due, deadline_after(s->born_ns, b->options.max_lifetime_ns));
    if (s->evicted)
        due = least(due, s->evicted_by_ns);
    if (!b->paused && !b->draining)
        due = least(due, deadline_after(s->heard_ns, b->options.keepalive_ns));
    return due;
}

/* ---- Dials ---- */

uint32_t window_now(const books *b)
{
    if (b->count[CONNECTION_DIALING] > 0)
        return b->window;
    return b->failures > 0 || b->options.slots == 1 ? 1 : 2;
}

void note_failed_dial(books *b, const session *s)
{
    b->lone_failure = b->count[CONNECTION_DIALING] == 1 && s->since_ns > b->failed_ns;
    b->failures++;
    b->window = 1;
    b->failed_ns = b->now_ns;
}

void ceiling_fell(books *b)
{
    uint32_t up = open_sessions(b) - b->count[CONNECTION_DIALING];

    b->ceiling.low = b->ceiling.high = up > 1 ? up : 1;
    b->ceiling.rising = true;
    b->ceiling.full_ns = b->now_ns;
    b->full++;
}

void ceiling_passes_time(books *b)
{
    ceiling *c = &b->ceiling;
    uint64_t pause_ns = b->options.full_pause_ns;

    if (!c->rising)
        return;
    if (b->now_ns >= deadline_after(c->full_ns, pause_ns / 2) && c->low == c->high)
        c->high++;
    if (b->now_ns >= deadline_after(c->full_ns, pause_ns)) {
        c->low = c->high;
        c->rising = false;
    }
}

/* The core says that it has risen, and may by now. */
void ceiling_seen(books *b)
{
    if (room_at_least(b) == room_at_most(b) || b->view.ceiling != room_at_most(b))
        return;
    note_moment(b, &b->lifted, b->ceiling.full_ns + b->options.full_pause_ns / 2,
                b->ceiling.full_ns + b->options.full_pause_ns);
    b->ceiling.low = b->ceiling.high;
    b->ceiling.rising = false;
}

/* There was room for what is open now; and for one more, unless the server is still being left
 * alone. */
void ceiling_reached(books *b)
{
    ceiling *c = &b->ceiling;
    uint32_t open = open_sessions(b);
    bool lifted = c->rising && c->low != c->high;
    uint32_t low = open + !c->rising, high = open + (!c->rising || lifted);

    if (c->low < low)
        c->low = low;
    if (c->high < high)
        c->high = high;
}

uint32_t room_at_least(const books *b)
{
    return (uint32_t)least(b->options.max, b->ceiling.low);
}

uint32_t room_at_most(const books *b)
{
    return (uint32_t)least(b->options.max, b->ceiling.high);
}

/* ---- Waiters ---- */

bool hopeless(const books *b, const waiter *w)
{
    bool unreachable = b->failures > 0 && open_sessions(b) == 0 && !b->paused;

    return unreachable && b->now_ns < b->view.not_before_ns &&
           w->deadline_ns <= deadline_after(b->view.not_before_ns, b->view.dial_ns);
}

uint32_t waiting_of(const books *b, const claimant *who)
{
    uint32_t waiting = 0;

    for (uint32_t i = 0; i < b->waiting; i++)
        waiting += b->queue[i]->waiter.claimant == who;
    return waiting;
}

static bool stuck(const books *b, const client *holder)
{
    const claimant *who = holder->waiter.claimant;

    return who && who->strands > 0 && waiting_of(b, who) >= who->strands;
}

bool deadlocked(const books *b, uint32_t room)
{
    uint32_t leased = b->count[CONNECTION_LEASED];

    if (b->waiting == 0 || leased == 0 || leased != size(b) || leased < room)
        return false;
    for (uint32_t i = 0; i < b->options.slots; i++)
        if (b->sessions[i].holder && !stuck(b, b->sessions[i].holder))
            return false;
    return true;
}

static bool holds(const books *b, const claimant *who)
{
    for (uint32_t i = 0; i < b->options.slots; i++)
        if (b->sessions[i].holder && b->sessions[i].holder->waiter.claimant == who)
            return true;
    return false;
}

const client *deadlock_victim(const books *b)
{
    for (uint32_t i = b->waiting; i-- > 0;)
        if (b->queue[i]->waiter.claimant && holds(b, b->queue[i]->waiter.claimant))
            return b->queue[i];
    return NULL;
}

/* ---- Shedding ---- */

void shed_rests(books *b)
{
    b->above_since_ns = 0;
    b->shedding = false;
}

void shed_follows_grant(books *b, uint64_t waited_ns)
{
    uint64_t target_ns = b->options.shed_target_ns;

    if (waited_ns > target_ns && b->above_since_ns == 0)
        b->above_since_ns = b->now_ns;
    else if (waited_ns > target_ns)
        b->shedding |= b->now_ns - b->above_since_ns >= b->options.shed_interval_ns;
    else if (!b->shedding || waited_ns <= target_ns / 2)
        shed_rests(b);
}

uint64_t shed_due_ns(const books *b, const client *who)
{
    if (!b->shedding || b->paused || who->waiter.urgent)
        return WEIR_NEVER;
    return deadline_after(who->asked_ns, b->options.shed_target_ns);
}

static bool late_with(const books *b, const waiter *w, uint64_t connections, uint64_t begin_ns)
{
    return begin_ns + (b->waiting + 1) * b->use_ns / connections + b->use_ns >
           w->deadline_ns - b->now_ns;
}

/* Before the take is in the queue. */
bool late_at_arrival(const books *b, const waiter *w)
{
    uint64_t connections = open_sessions(b) > 0 ? open_sessions(b) : 1;
    bool grows = connections < b->view.ceiling && b->failures == 0;

    if (w->urgent || b->paused || b->options.shed_target_ns == WEIR_NEVER)
        return false;
    if (b->waiting == 0 || b->waiting < connections || w->deadline_ns <= b->now_ns)
        return false;
    return late_with(b, w, connections, 0) &&
           (!grows || late_with(b, w, b->view.ceiling, b->view.dial_ns));
}
