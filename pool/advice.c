/* advice.c: how large a pool should be for the load it has. */
#include "erlang.h"
#include "pool.h"
#include "saying.h"

/* Less than this is chance. */
#define ENOUGH_LEASES    100u
#define ENOUGH_WINDOW_NS WEIR_S(10)

/* One wait in a hundred may be longer than the target. */
#define LATE_SHARE 0.01

/* No server takes more, and a load that would need more is a mistake somewhere else. */
#define ADVICE_MAX 10000u

/* The last minutes, span by span. The load is not taken as one mean over all of them: a burst of
 * half a minute is where the waits are, and over five minutes it would hardly show. */
typedef struct measured {
    uint32_t count;
    load_span span[LOAD_SPANS];
    double load[LOAD_SPANS];    /* asked of each span, in erlangs */
    double blocked[LOAD_SPANS]; /* Erlang's B there, for the connections tried so far */
    load_span all;
    double use_ns;
    uint32_t held; /* connections, by leases that have not ended */
    double peak;   /* the most of `load`, and those held */
} measured;

static void measure(measured *m)
{
    m->all = (load_span){0};
    for (uint32_t i = 0; i < m->count; i++)
        load_join(&m->all, &m->span[i]);
}

static bool knows_enough(const measured *m)
{
    return m->all.ended >= ENOUGH_LEASES && m->all.length_ns >= ENOUGH_WINDOW_NS;
}

/* How long a lease lasts is known of those that have ended. Connections that were out besides are
 * held by leases that have not, and are simply not there for the others. A refused take would have
 * needed as much as one that was granted, so it counts with them. */
static void find_load(measured *m)
{
    uint64_t held_ns = m->all.busy_ns > m->all.used_ns ? m->all.busy_ns - m->all.used_ns : 0;
    m->held = (uint32_t)((double)held_ns / (double)m->all.length_ns + 0.5);
    m->use_ns = (double)m->all.used_ns / (double)m->all.ended;
    m->peak = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        m->load[i] = (double)m->span[i].takes * m->use_ns / (double)m->span[i].length_ns;
        m->blocked[i] = 1;
        if (m->load[i] + m->held > m->peak)
            m->peak = m->load[i] + m->held;
    }
}

/* Which share of all takes would have waited for longer than `wait` (in means of a lease), with one
 * connection more than at the last call. */
static double late_with(measured *m, uint32_t connections, double wait)
{
    double late = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        m->blocked[i] = erlang_b_next(m->blocked[i], m->load[i], connections);
        double c = erlang_c_of_b(m->blocked[i], m->load[i], connections);
        late += (double)m->span[i].takes * erlang_late(c, m->load[i], connections, wait);
    }
    return m->all.takes ? late / (double)m->all.takes : 0;
}

static uint32_t size_for(measured *m, uint64_t wait_target_ns)
{
    double wait = m->use_ns > 0 ? (double)wait_target_ns / m->use_ns : 0;
    uint32_t connections = 1;
    while (late_with(m, connections, wait) > LATE_SHARE && connections < ADVICE_MAX)
        connections++;
    connections += m->held;
    return connections < ADVICE_MAX ? connections : ADVICE_MAX;
}

static void say_little(saying *s, const measured *m)
{
    say(s, "too little is known: %llu leases have ended in the last ",
        (unsigned long long)m->all.ended);
    say_duration(s, m->all.length_ns);
    say(s, ", and it takes %u in ", ENOUGH_LEASES);
    say_duration(s, ENOUGH_WINDOW_NS);
}

static void say_load(saying *s, const measured *m, const weir_advice *a)
{
    say(s, "over the last ");
    say_duration(s, a->window_ns);
    say(s, ", ");
    say_number(s, a->takes_per_s);
    if (m->all.refused)
        say(s, " takes/s (%.2g %% refused)", 100.0 * (double)m->all.refused / (double)m->all.takes);
    else
        say(s, " leases/s");
    say(s, " of ");
    say_duration(s, a->use_mean_ns);
    say(s, " each kept ");
    say_number(s, a->busy_mean);
    say(s, " connections busy");
    if (m->held > 0)
        say(s, " (%u by leases that have not ended)", m->held);
    say(s, ", and in the busiest 10 s asked for ");
    say_number(s, m->peak);
}

static void say_size(saying *s, const weir_advice *a, uint32_t has)
{
    if (a->max >= ADVICE_MAX)
        say(s, "; not even %u would keep", a->max);
    else
        say(s, "; %u %s", a->max, a->max <= has ? "keep" : "would keep");
    say(s, " 99 %% of the waits under ");
    say_duration(s, a->wait_target_ns);
    say(s, "; the pool has %u", has);
}

void weir_pool_advise(weir_pool *pool, weir_advice *advice)
{
    measured m;
    core_view view;
    pthread_mutex_lock(&pool->lock);
    core_look(pool->core, &view);
    m.count = load_read(&pool->load, weir_now(), m.span);
    pthread_mutex_unlock(&pool->lock);

    measure(&m);
    weir_advice a = {.window_ns = m.all.length_ns, .wait_target_ns = pool->wait_target_ns};
    if (m.all.length_ns > 0) {
        a.takes_per_s = (double)m.all.takes * 1e9 / (double)m.all.length_ns;
        a.busy_mean = (double)m.all.busy_ns / (double)m.all.length_ns;
    }
    if (m.all.ended > 0)
        a.use_mean_ns = m.all.used_ns / m.all.ended;
    saying s = SAYING(a.reason);
    if (!knows_enough(&m)) {
        say_little(&s, &m);
    } else {
        find_load(&m);
        a.max = size_for(&m, a.wait_target_ns);
        say_load(&s, &m, &a);
        say_size(&s, &a, view.max);
    }
    *advice = a;
}
