/* core_enum.c: the core under every short sequence of events.
 *
 * Two connections, two lanes, three clients: from a fresh pool, each sequence of DEPTH events that
 * can happen is played, every step judged by the books (core_books.h), and afterwards the pool must
 * come to rest. One case after the other turns on a few of the core's rules, and adds the events
 * that they are about; the more events, the shorter the sequences (one less under TEST_SLOWER). A
 * failure prints the choices; CHOICES="1 0 4 …" replays them with a trace. */
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

typedef struct rules {
    uint32_t depth;
    bool min, validate, resize, pause, evict, full, urgent, families, leaks, keepalive, shed;
} rules;

static const rules cases[] = {
    {.depth = 7},
    {.depth = 6, .min = true},
    {.depth = 6, .validate = true},
    {.depth = 6, .min = true, .resize = true},
    {.depth = 6, .pause = true},
    {.depth = 6, .pause = true, .validate = true, .keepalive = true},
    {.depth = 6, .evict = true, .validate = true},
    {.depth = 6, .full = true, .min = true},
    {.depth = 7, .families = true},
    {.depth = 7, .families = true, .leaks = true},
    {.depth = 6, .urgent = true, .shed = true},
    {.depth = 5, .resize = true, .pause = true, .evict = true, .full = true, .families = true},
};
#define CASES (sizeof cases / sizeof cases[0])

typedef struct player {
    books books;
    uint64_t now_ns;
    uint32_t depth;
    uint32_t choice[DEPTH_MAX], width[DEPTH_MAX];
    const rules *rules;
    kin families[2];
    event possible[EVENTS_MAX];
    waiter takes[EVENTS_MAX]; /* of the possible events that are takes */
    uint32_t possible_count;
} player;

static player the_player;
static uint64_t passed;
static uint32_t current_case;

static core_options options_of(const rules *r)
{
    return (core_options){
        .lanes = 2,
        .slots = 2,
        .max = 2,
        .min = r->min,
        .queue_max = 2,
        .queue_reserve = r->urgent,
        .connect_timeout_ns = WEIR_MS(2),
        .validate_after_ns = r->validate ? 0 : WEIR_NEVER,
        .check_timeout_ns = WEIR_MS(1),
        .idle_timeout_ns = WEIR_MS(20),
        .max_lifetime_ns = WEIR_MS(50),
        .keepalive_ns = r->keepalive ? WEIR_MS(4) : WEIR_NEVER,
        .leak_after_ns = r->leaks ? WEIR_US(2) : WEIR_NEVER,
        .reclaim_leaked = r->leaks,
        .cancel_grace_ns = WEIR_MS(1),
        .shed_target_ns = r->shed ? WEIR_US(1) : WEIR_NEVER,
        .shed_interval_ns = WEIR_US(1),
        .full_pause_ns = WEIR_MS(2),
        .backoff_base_ns = WEIR_MS(1),
        .backoff_max_ns = WEIR_MS(4),
        .affinity_ns = WEIR_MS(2),
        .seed = 1,
    };
}

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

static bool waits(const player *p, const claimant *who)
{
    for (uint32_t i = 0; i < p->books.waiting; i++)
        if (who && p->books.queue[i]->waiter.claimant == who)
            return true;
    return false;
}

/* Who waits for another connection gives none back meanwhile. */
static void add_client_events(player *p, client *who)
{
    if (who->state == CLIENT_WAITING)
        add(p, (event){.kind = EVENT_CANCEL, .waiter = &who->waiter});
    if (who->state == CLIENT_RECLAIMED)
        add(p, (event){.kind = EVENT_RELEASE, .waiter = &who->waiter});
    if (who->state == CLIENT_HOLDING && p->rules->leaks) {
        add(p, (event){.kind = EVENT_PROGRESS, .waiter = &who->waiter});
        add(p, (event){.kind = EVENT_REST, .waiter = &who->waiter});
    }
    if (who->state == CLIENT_HOLDING && !waits(p, who->waiter.claimant))
        for (int condition = RELEASE_CLEAN; condition <= RELEASE_BROKEN; condition++)
            add(p, (event){.kind = EVENT_RELEASE,
                           .waiter = &who->waiter,
                           .condition = (release_condition)condition});
}

static void add_session_events(player *p, uint32_t index)
{
    event down = {.kind = EVENT_DOWN, .connection = index};

    switch (p->books.sessions[index].state) {
    case CONNECTION_DIALING:
        add(p, (event){.kind = EVENT_UP, .connection = index});
        if (p->rules->full)
            down.reason = WEIR_RETIRE_SERVER_FULL;
        break;
    case CONNECTION_CHECKING:
    case CONNECTION_RESETTING:
    case CONNECTION_CANCELLING: add(p, (event){.kind = EVENT_CHECKED, .connection = index}); break;
    case CONNECTION_CLOSING: add(p, (event){.kind = EVENT_CLOSED, .connection = index}); return;
    case CONNECTION_IDLE:
    case CONNECTION_LEASED: break;
    default: return;
    }
    add(p, down);
}

/* From each lane, by the first client that is away; once more by each of the two families. */
static void add_takes(player *p)
{
    client *who = NULL;

    for (int i = 0; i < CLIENTS && !who; i++)
        if (p->books.clients[i].state == CLIENT_AWAY)
            who = &p->books.clients[i];
    if (!who)
        return;
    for (int lane = 0; lane < 2; lane++) {
        claimant *family = p->rules->families ? &p->families[lane].claimant : NULL;
        if (!waits(p, family)) {
            p->takes[p->possible_count] = (waiter){
                .lane = (uint32_t)lane, .claimant = family, .urgent = p->rules->urgent && lane};
            add(p, (event){.kind = EVENT_TAKE, .waiter = &who->waiter});
        }
    }
}

static void add_control_events(player *p)
{
    const books *b = &p->books;

    if (p->rules->resize)
        add(p,
            (event){.kind = EVENT_RESIZE, .max = 3 - b->options.max, .min = b->options.max == 1});
    if (p->rules->pause)
        add(p, (event){.kind = b->paused ? EVENT_RESUME : EVENT_PAUSE});
    if (p->rules->evict)
        add(p, (event){.kind = EVENT_EVICT, .spread_ns = WEIR_US(4)});
    if (!b->draining)
        add(p, (event){.kind = EVENT_DRAIN});
}

static void list_possible(player *p)
{
    p->possible_count = 0;
    for (uint32_t i = 0; i < p->books.options.slots; i++)
        add_session_events(p, i);
    for (int i = 0; i < CLIENTS; i++)
        add_client_events(p, &p->books.clients[i]);
    if (p->books.wake_ns != WEIR_NEVER)
        add(p, (event){.kind = EVENT_TICK});
    add_takes(p);
    add_control_events(p);
}

static event choose(player *p, uint32_t which)
{
    event e = p->possible[which];

    if (e.kind == EVENT_TAKE)
        *e.waiter = p->takes[which];
    return e;
}

/* Answers everything well, and lets time pass when there is nothing to answer. */
static bool come_to_rest(player *p)
{
    const books *b = &p->books;

    for (int steps = 0; steps < REST_STEPS; steps++) {
        if (b->draining ? b->drained : books_calm(b))
            return true;
        list_possible(p);
        event e = {.kind = b->paused ? EVENT_RESUME : EVENT_TICK};
        for (uint32_t i = 0; i < p->possible_count && e.kind >= EVENT_TICK; i++) {
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
    p->rules = &cases[current_case];
    core_options options = options_of(p->rules);

    p->families[0] = p->families[1] = (kin){.claimant.strands = 1};
    books_open(&p->books, &options);
    p->books.trace = trace;
    p->now_ns = 0;
    bool good = step(p, &(event){.kind = EVENT_TICK});
    for (uint32_t i = 0; i < p->depth && good; i++) {
        list_possible(p);
        p->width[i] = p->possible_count;
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
    for (current_case = 0; current_case < CASES; current_case++) {
        p->depth = cases[current_case].depth - (slower != NULL);
        if (depth)
            p->depth = (uint32_t)strtoul(depth, NULL, 10) % DEPTH_MAX;
        if (!play_all(p))
            return 1;
    }
    printf("%llu sequences\n", (unsigned long long)passed);
    printf("%zu passed, 0 failed\n", CASES);
    return 0;
}
