/* core_enum.c: the core under every short sequence of events.
 *
 * Two connections, two lanes, three clients: from a fresh pool, each sequence of DEPTH events that
 * can happen (7; 6 under TEST_SLOWER) is played, every step judged by the books (core_books.h), and
 * afterwards the pool must come to rest. A failure prints the choices; CHOICES="1 0 4 …" replays
 * them with a trace. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/core_books.h"

#define DEPTH_MAX   32
#define CLIENTS     3
#define EVENTS_MAX  32
#define REST_STEPS  200
#define STEP_NS     WEIR_US(1)
#define PATIENCE_NS WEIR_MS(3)

typedef struct player {
    books books;
    uint64_t now_ns;
    uint32_t depth;
    uint32_t choice[DEPTH_MAX], width[DEPTH_MAX];
    event possible[EVENTS_MAX];
    uint32_t possible_count;
} player;

static player the_player;
static uint64_t passed;
static uint32_t current_case;

static core_options options_of(uint32_t which)
{
    return (core_options){
        .lanes = 2,
        .max = 2,
        .min = which == 1,
        .queue_max = 2,
        .connect_timeout_ns = WEIR_MS(2),
        .validate_after_ns = which == 2 ? 0 : WEIR_NEVER,
        .check_timeout_ns = WEIR_MS(1),
        .idle_timeout_ns = WEIR_MS(20),
        .max_lifetime_ns = WEIR_MS(50),
        .cancel_grace_ns = WEIR_MS(1),
        .backoff_base_ns = WEIR_MS(1),
        .backoff_max_ns = WEIR_MS(4),
        .affinity_ns = WEIR_MS(2),
        .seed = 1,
    };
}
#define CASES 3

static bool step(player *p, const event *e)
{
    p->now_ns += STEP_NS;
    if (e->kind == EVENT_TICK && p->books.wake_ns > p->now_ns)
        p->now_ns = p->books.wake_ns;
    if (e->kind == EVENT_TAKE)
        e->waiter->deadline_ns = p->now_ns + PATIENCE_NS;
    return books_step(&p->books, e, p->now_ns);
}

static void add(player *p, event e)
{
    p->possible[p->possible_count++] = e;
}

static void add_client_events(player *p, client *who)
{
    if (who->state == CLIENT_WAITING)
        add(p, (event){.kind = EVENT_CANCEL, .waiter = &who->waiter});
    if (who->state == CLIENT_HOLDING)
        for (int condition = RELEASE_CLEAN; condition <= RELEASE_BROKEN; condition++)
            add(p, (event){.kind = EVENT_RELEASE,
                           .waiter = &who->waiter,
                           .condition = (release_condition)condition});
}

static void add_session_events(player *p, uint32_t index)
{
    switch (p->books.sessions[index].state) {
    case CONNECTION_DIALING: add(p, (event){.kind = EVENT_UP, .connection = index}); break;
    case CONNECTION_CHECKING:
    case CONNECTION_RESETTING:
    case CONNECTION_CANCELLING: add(p, (event){.kind = EVENT_CHECKED, .connection = index}); break;
    case CONNECTION_CLOSING: add(p, (event){.kind = EVENT_CLOSED, .connection = index}); return;
    case CONNECTION_IDLE:
    case CONNECTION_LEASED: break;
    default: return;
    }
    add(p, (event){.kind = EVENT_DOWN, .connection = index});
}

static void list_possible(player *p)
{
    bool taking = false;

    p->possible_count = 0;
    for (uint32_t i = 0; i < p->books.options.max; i++)
        add_session_events(p, i);
    for (int i = 0; i < CLIENTS; i++)
        add_client_events(p, &p->books.clients[i]);
    if (p->books.wake_ns != WEIR_NEVER)
        add(p, (event){.kind = EVENT_TICK});
    for (int i = 0; i < CLIENTS && !taking; i++) {
        taking = p->books.clients[i].state == CLIENT_AWAY;
        if (taking)
            add(p, (event){.kind = EVENT_TAKE, .waiter = &p->books.clients[i].waiter});
    }
    if (!p->books.draining)
        add(p, (event){.kind = EVENT_DRAIN});
}

/* A take is two events in one: from lane 0 and from lane 1. */
static event choose(player *p, uint32_t which)
{
    event *last = &p->possible[p->possible_count - 1];
    event *take = last->kind == EVENT_DRAIN ? last - 1 : last;
    bool other_lane = which == p->possible_count;
    event e = other_lane ? *take : p->possible[which];

    if (e.kind == EVENT_TAKE)
        *e.waiter = (waiter){.lane = other_lane};
    return e;
}

static uint32_t choices(const player *p)
{
    for (uint32_t i = 0; i < p->possible_count; i++)
        if (p->possible[i].kind == EVENT_TAKE)
            return p->possible_count + 1;
    return p->possible_count;
}

/* Answers everything well, and lets time pass when there is nothing to answer. */
static bool come_to_rest(player *p)
{
    const books *b = &p->books;

    for (int steps = 0; steps < REST_STEPS; steps++) {
        if (b->draining ? b->drained : books_calm(b))
            return true;
        list_possible(p);
        event e = {.kind = EVENT_TICK};
        for (uint32_t i = 0; i < p->possible_count && e.kind == EVENT_TICK; i++) {
            event_kind kind = p->possible[i].kind;
            if (kind == EVENT_UP || kind == EVENT_CHECKED || kind == EVENT_CLOSED ||
                kind == EVENT_RELEASE)
                e = p->possible[i];
        }
        if (!step(p, &e))
            return false;
    }
    p->books.wrong = "the pool comes to rest";
    return false;
}

static bool play(player *p, bool trace)
{
    core_options options = options_of(current_case);

    books_open(&p->books, &options);
    p->books.trace = trace;
    p->now_ns = 0;
    bool good = step(p, &(event){.kind = EVENT_TICK});
    for (uint32_t i = 0; i < p->depth && good; i++) {
        list_possible(p);
        p->width[i] = choices(p);
        event e = choose(p, p->choice[i]);
        good = step(p, &e);
    }
    good = good && come_to_rest(p);
    books_close(&p->books);
    return good;
}

/* The next sequence, like an odometer whose wheels differ. False after the last. */
static bool turn(player *p)
{
    for (uint32_t i = p->depth; i-- > 0;) {
        if (++p->choice[i] < p->width[i])
            return true;
        p->choice[i] = 0;
    }
    return false;
}

static void report(const player *p, const char *wrong)
{
    fflush(stdout);
    fprintf(stderr, "\nbroken promise: %s\nreplay: CHOICES='%u", wrong, current_case);
    for (uint32_t i = 0; i < p->depth; i++)
        fprintf(stderr, " %u", p->choice[i]);
    fprintf(stderr, "' tests/sim/core_enum\n");
    printf("%u passed, 1 failed\n", current_case);
    fflush(stdout);
}

static void aborted(int signal)
{
    report(&the_player, "the core aborted");
    _exit(1);
}

static bool play_all(player *p)
{
    memset(p->choice, 0, sizeof p->choice);
    do {
        if (!play(p, false)) {
            report(p, p->books.wrong);
            return false;
        }
        passed++;
    } while (turn(p));
    return true;
}

static int replay(player *p, char *text)
{
    current_case = (uint32_t)strtoul(text, &text, 10) % CASES;
    for (p->depth = 0; *text && p->depth < DEPTH_MAX; p->depth++)
        p->choice[p->depth] = (uint32_t)strtoul(text, &text, 10);
    if (play(p, true)) {
        printf("1 passed, 0 failed\n");
        return 0;
    }
    report(p, p->books.wrong);
    return 1;
}

int main(void)
{
    player *p = &the_player;
    const char *depth = getenv("DEPTH"), *slower = getenv("TEST_SLOWER");
    char *chosen = getenv("CHOICES");

    signal(SIGABRT, aborted);
    signal(SIGSEGV, aborted);
    if (chosen)
        return replay(p, chosen);
    p->depth = depth ? (uint32_t)strtoul(depth, NULL, 10) % DEPTH_MAX : (slower ? 6 : 7);
    for (current_case = 0; current_case < CASES; current_case++)
        if (!play_all(p))
            return 1;
    printf("%llu sequences of %u events\n", (unsigned long long)passed, p->depth);
    printf("%d passed, 0 failed\n", CASES);
    return 0;
}
