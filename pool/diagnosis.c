/* diagnosis.c: why a pool makes its takers wait, in one word and one sentence. */
#include "pool.h"
#include "saying.h"

/* Below that, what is usual is not known. One in twenty is then at least one. */
#define USUAL_LEASES 20u

/* Time usual leases do not need: most are far below, and bounds of buckets lie a factor of two to
 * five apart, so that twice the figure is beyond what its coarseness can explain. Leases that are
 * all alike at random (exponential) outlast it one time in four hundred. */
#define USUAL_SHARE  0.95
#define USUAL_FACTOR 2u

/* With a third of the connections gone the others carry half as much again as they should, which is
 * what a pool's ordinary reserve does not cover. */
#define LEAK_PART 3u

/* What a verdict rests on, all from one moment. */
typedef struct findings {
    int refusal;
    uint64_t now_ns;
    core_view view;
    weir_error connect_error;
    weir_histogram use;
    uint64_t slow_ns;    /* a lease as old as this is slow; WEIR_NEVER: not known */
    uint32_t leased;     /* of these … */
    uint32_t running;    /* run a query */
    uint32_t slow;       /* are older than slow_ns */
    uint32_t stuck;      /* have leaked and run nothing: a leaked one that runs is a slow query */
    uint64_t longest_ns; /* somebody has waited */
    weir_lease_info oldest; /* where anything is leased */
} findings;

/* Beyond the last bound durations are not told apart: where leases usually last that long, nothing
 * can be said to be slow. */
static uint64_t slow_from(const weir_histogram *use)
{
    uint64_t usual_ns = weir_histogram_quantile(use, USUAL_SHARE);
    bool known = weir_histogram_count(use) >= USUAL_LEASES &&
                 usual_ns < weir_histogram_bounds_ns[WEIR_HISTOGRAM_BOUNDS - 1];
    return known ? USUAL_FACTOR * usual_ns : WEIR_NEVER;
}

/* Under the lock. */
static void count_leases(const weir_pool *pool, findings *f)
{
    for (uint32_t i = 0; i < pool->slots; i++) {
        const weir_lease *lease = pool->connections[i].lease;
        if (!lease)
            continue;
        bool running = atomic_load_explicit(&lease->running, memory_order_relaxed);
        f->leased++;
        f->running += running;
        f->slow += f->now_ns - lease->granted_ns >= f->slow_ns;
        f->stuck += lease->leaked && !running;
    }
}

/* Under the lock. */
static void look(weir_pool *pool, findings *f, weir_diagnosis *d)
{
    f->now_ns = weir_now();
    core_look(pool->core, &f->view);
    f->connect_error = pool->connect_error;
    f->use = pool->stats.use;
    f->slow_ns = slow_from(&f->use);
    const waiter *first = core_first_waiter(pool->core);
    if (first)
        f->longest_ns = f->now_ns - first->since_ns;
    count_leases(pool, f);
    d->holder_count = oldest_leases(pool, f->now_ns, d->holders, WEIR_HOLDERS_MAX);
    if (d->holder_count > 0)
        f->oldest = d->holders[0];
}

/* ---- The verdict ---- */

/* A pool that is closing grants nothing more either. */
static bool is_paused(const findings *f)
{
    return f->view.paused || f->view.draining;
}

static bool has_free(const findings *f)
{
    return f->view.count[CONNECTION_IDLE] > 0;
}

static bool has_room(const findings *f)
{
    return f->view.size < f->view.ceiling;
}

static bool dials_fail(const findings *f)
{
    return f->view.failures > 0 &&
           (f->view.up == 0 || has_room(f) || f->view.count[CONNECTION_DIALING] > 0);
}

/* Somebody waits, and more connections are being made: there is room for still more, or half of all
 * there may be is not up yet. One of many that is just being replaced explains no wait. */
static bool is_growing(const findings *f)
{
    uint32_t dialing = f->view.count[CONNECTION_DIALING];
    return dialing > 0 && (f->view.waiting > 0 || f->refusal) &&
           (has_room(f) || 2 * dialing >= f->view.size);
}

static bool is_connecting(const findings *f)
{
    if (has_free(f))
        return false;
    return dials_fail(f) || is_growing(f) || (f->view.up == 0 && f->view.waiting > 0);
}

static bool is_leaking(const findings *f)
{
    return f->stuck > 0 && LEAK_PART * f->stuck >= f->view.up;
}

/* Most leases are slow. Or half of the connections are in quarantine, where a connection stays that
 * runs a query nobody waits for any more: a cancel takes a round trip, unless the query does not
 * let itself be stopped. */
static bool is_slow(const findings *f)
{
    uint32_t cancelling = f->view.count[CONNECTION_CANCELLING];
    return 2 * f->slow > f->leased || (cancelling > 0 && 2 * cancelling >= f->view.up);
}

/* Who was refused was not refused because connections are free. */
static weir_verdict verdict_of(const findings *f)
{
    if (f->refusal == WEIR_ESHED)
        return WEIR_VERDICT_SHED;
    if (f->refusal == WEIR_ECONNECT)
        return WEIR_VERDICT_CONNECTING;
    if (is_paused(f))
        return WEIR_VERDICT_PAUSED;
    if (is_connecting(f))
        return WEIR_VERDICT_CONNECTING;
    if (!f->refusal && (has_free(f) || has_room(f)))
        return WEIR_VERDICT_OK;
    if (is_leaking(f))
        return WEIR_VERDICT_LEAK;
    if (is_slow(f))
        return WEIR_VERDICT_SLOW_QUERIES;
    if (f->view.shedding)
        return WEIR_VERDICT_SHED;
    return WEIR_VERDICT_SATURATED;
}

/* ---- The reason ---- */

static const char *plural(uint32_t count)
{
    return count == 1 ? "" : "s";
}

static const char *is_are(uint32_t count)
{
    return count == 1 ? "is" : "are";
}

static void say_part(saying *s, uint32_t count, const char *what)
{
    if (count > 0)
        say(s, ", %u %s", count, what);
}

/* "all 10 connections are in use", or where they are instead. */
static void say_connections(saying *s, const findings *f)
{
    const uint32_t *count = f->view.count;
    uint32_t size = f->view.size;
    if (f->leased == size)
        say(s, size == 1 ? "the only connection is in use" : "all %u connections are in use", size);
    else if (f->leased == 0)
        say(s, "no connection is in use");
    else
        say(s, "%u of %u connections %s in use", f->leased, size, is_are(f->leased));
    say_part(s, count[CONNECTION_IDLE], "free");
    say_part(s, count[CONNECTION_DIALING], "being opened");
    say_part(s, count[CONNECTION_RESETTING] + count[CONNECTION_CHECKING], "being reset or checked");
    say_part(s, count[CONNECTION_CANCELLING], "being cancelled");
    say_part(s, count[CONNECTION_CLOSING], "closing");
    if (f->view.ceiling < f->view.max)
        say(s, " (the server has no room for more, max is %u)", f->view.max);
}

static void say_oldest(saying *s, const findings *f)
{
    if (f->leased == 0)
        return;
    say(s, f->leased > 1 ? ", the oldest for " : " for ");
    say_duration(s, f->oldest.age_ns);
    if (f->oldest.label[0])
        say(s, " by \"%s\"", f->oldest.label);
}

static void say_usual(saying *s, const findings *f)
{
    if (weir_histogram_count(&f->use) == 0)
        return;
    uint64_t usual_ns = weir_histogram_quantile(&f->use, 0.5);
    bool known = usual_ns < weir_histogram_bounds_ns[WEIR_HISTOGRAM_BOUNDS - 1];
    say(s, "; a lease usually lasts %s ", known ? "about" : "more than");
    say_duration(s, usual_ns);
}

static void say_waiting(saying *s, const findings *f)
{
    if (f->view.waiting == 0)
        return;
    say(s, "; %u wait%s, the longest for ", f->view.waiting, f->view.waiting == 1 ? "s" : "");
    say_duration(s, f->longest_ns);
}

static void say_paused(saying *s, const findings *f)
{
    say(s, "the pool is %s", f->view.draining ? "closing" : "paused");
    if (f->leased > 0)
        say(s, ": %u lease%s %s still out", f->leased, plural(f->leased), is_are(f->leased));
    if (f->leased > 0)
        say_oldest(s, f);
    say_waiting(s, f);
}

/* The server's own words may name its host and user; its code does not. */
static void say_failures(saying *s, const findings *f)
{
    const weir_error *e = &f->connect_error;
    if (f->view.failures == 1)
        say(s, "the last dial failed");
    else
        say(s, "the last %u dials failed", f->view.failures);
    if (e->code)
        say(s, " (%s)", e->sqlstate[0] ? e->sqlstate : weir_error_name(e->code));
    if (f->view.count[CONNECTION_DIALING] > 0)
        say(s, " and another is under way");
    else if (f->view.not_before_ns > f->now_ns) {
        say(s, ", and the next waits for ");
        say_duration(s, f->view.not_before_ns - f->now_ns);
    }
}

static void say_connecting(saying *s, const findings *f)
{
    uint32_t up = f->view.up, dialing = f->view.count[CONNECTION_DIALING];
    if (up == 0)
        say(s, "no connection is up: ");
    else
        say(s, "%u connection%s %s up, %u in use: ", up, plural(up), is_are(up), f->leased);
    if (f->view.failures > 0)
        say_failures(s, f);
    else if (f->refusal == WEIR_ECONNECT && dialing == 0)
        say(s, "none could be made when it was asked for");
    else
        say(s, "%u %s being opened", dialing, is_are(dialing));
    if (f->view.dial_ns > 0) {
        say(s, "; opening one lately took ");
        say_duration(s, f->view.dial_ns);
    }
    say_waiting(s, f);
}

static void say_ok(saying *s, const findings *f)
{
    if (f->view.size == 0)
        say(s, "no connection is open, as none was asked for lately");
    else
        say_connections(s, f);
    if (has_room(f))
        say(s, "; %u more can be opened", f->view.ceiling - f->view.size);
}

static void say_leak(saying *s, const findings *f)
{
    uint32_t up = f->view.up;
    say(s, "%u of %u connection%s %s held past the leak limit by leases that run nothing", f->stuck,
        up, plural(up), is_are(f->stuck));
    say_oldest(s, f);
    say_waiting(s, f);
}

static void say_slow(saying *s, const findings *f)
{
    say_connections(s, f);
    say_oldest(s, f);
    if (f->slow > 0) {
        say(s, "; %u for longer than ", f->slow);
        say_duration(s, f->slow_ns);
        say(s, ", twice what 19 of 20 leases last");
    }
    if (f->leased > 0)
        say(s, "; %u run%s a query", f->running, f->running == 1 ? "s" : "");
    say_waiting(s, f);
}

static void say_shed(saying *s, const findings *f)
{
    say(s, f->view.shedding ? "overload has lasted" : "the wait would have been too long");
    say(s, has_free(f) ? "; by now " : ": ");
    say_connections(s, f);
    if (f->view.use_ns > 0) {
        say(s, "; a lease lately lasts ");
        say_duration(s, f->view.use_ns);
    }
    say_waiting(s, f);
}

static void say_saturated(saying *s, const findings *f)
{
    if (f->refusal == WEIR_EDEADLK)
        say(s, "those who held all connections waited for this pool themselves: ");
    else if (f->refusal && has_free(f))
        say(s, "connections are free again by now: ");
    say_connections(s, f);
    say_oldest(s, f);
    say_usual(s, f);
    say_waiting(s, f);
}

static void say_reason(saying *s, weir_verdict verdict, const findings *f)
{
    switch (verdict) {
    case WEIR_VERDICT_PAUSED: say_paused(s, f); break;
    case WEIR_VERDICT_CONNECTING: say_connecting(s, f); break;
    case WEIR_VERDICT_OK: say_ok(s, f); break;
    case WEIR_VERDICT_LEAK: say_leak(s, f); break;
    case WEIR_VERDICT_SLOW_QUERIES: say_slow(s, f); break;
    case WEIR_VERDICT_SHED: say_shed(s, f); break;
    case WEIR_VERDICT_SATURATED:
    case WEIR_VERDICT_COUNT: say_saturated(s, f); break;
    }
}

void weir_pool_diagnose(weir_pool *pool, int refusal, weir_diagnosis *diagnosis)
{
    findings f = {.refusal = refusal};
    diagnosis->reason[0] = '\0';
    pthread_mutex_lock(&pool->lock);
    look(pool, &f, diagnosis);
    pthread_mutex_unlock(&pool->lock);
    diagnosis->verdict = verdict_of(&f);
    saying s = SAYING(diagnosis->reason);
    say_reason(&s, diagnosis->verdict, &f);
}

const char *weir_verdict_name(weir_verdict verdict)
{
    static const char *const names[] = {
#define X(name, word, text) [name] = word,
        WEIR_VERDICTS(X)
#undef X
    };
    return verdict < WEIR_VERDICT_COUNT ? names[verdict] : "unknown";
}
