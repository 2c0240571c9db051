/* outcome.c: all that has been seen, judged and printed as a table. */
#include "outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/weir_process.h"

enum { RECOVERY_MS = 1000 };

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double quantile_ms(const uint64_t *sorted, uint32_t count, double q)
{
    return count ? (double)sorted[(uint32_t)(q * (count - 1) + 0.999)] / 1e6 : 0;
}

typedef struct recoveries {
    uint64_t ns[KINDS_MAX * FAULT_RECOVERIES_MAX];
    uint32_t count;
} recoveries;

static void add_recoveries(recoveries *all, const fault_record *f)
{
    memcpy(all->ns + all->count, f->recovery_ns, f->measured * sizeof *all->ns);
    all->count += f->measured;
}

static void sort_recoveries(recoveries *all)
{
    qsort(all->ns, all->count, sizeof *all->ns, by_size);
}

static uint32_t print_faults(outcome *o)
{
    static recoveries one;
    uint32_t injected = 0;
    printf("\n%-28s %8s   %s\n", "fault", "injected", "recovery in ms: median, most");
    for (uint32_t i = 0; i < fault_count; i++) {
        const fault_record *f = &o->records[i];
        const char *bound = fault_bound(i);
        if (fault_skipped(o->scene, i)) {
            printf("%-28s %8s   weir has no endpoint for it\n", fault_name(i), "skipped");
            continue;
        }
        one.count = 0;
        add_recoveries(&one, f);
        sort_recoveries(&one);
        printf("%-28s %8u   %6.0f %6.0f%s%s\n", fault_name(i), f->injected,
               quantile_ms(one.ns, one.count, 0.5), quantile_ms(one.ns, one.count, 1),
               bound ? "  bounded by the " : "", bound ? bound : "");
        injected += f->injected;
    }
    printf("%-28s %8u\n", "all", injected);
    return injected;
}

static void print_answers(outcome *o)
{
    const tally *t = load_tally(o->scene->load);
    const scene *s = o->scene;
    printf("\n%-28s %8lu\n", "requests", (unsigned long)t->asked);
    for (int i = 0; i < STATUS_MAX; i++)
        if (t->statuses[i])
            printf("  answered %-17d %8lu\n", i, (unsigned long)t->statuses[i]);
    printf("  %-26s %8lu\n", "client vanished", (unsigned long)t->vanished);
    printf("  %-26s %8.0f ms\n", "longest wait for an answer", (double)t->longest_ns / 1e6);
    printf("%-28s %8lu, of others %lu, of these carried out %lu\n", "writes acknowledged",
           (unsigned long)o->ledger.acknowledged, (unsigned long)o->ledger.unacknowledged,
           (unsigned long)o->ledger.present_unacknowledged);
    printf("%-28s %8lu, cancel requests %lu\n", "sessions opened",
           (unsigned long)proxy_dials(s->proxy), (unsigned long)proxy_cancels(s->proxy));
    printf("%-28s %8u of %u; looked %lu times\n", "sessions at the server", o->most_sessions,
           s->pool_max, (unsigned long)o->looks);
    printf("  %-26s %8u\n", "of lines that were not cut", o->most_wanted);
    printf("%-28s %8ld descriptors, %ld threads, %ld KiB\n", "weir at rest before",
           o->before.descriptors, o->before.threads, o->before.memory_kib);
    printf("%-28s %8ld descriptors, %ld threads, %ld KiB\n", "weir at rest after",
           o->after.descriptors, o->after.threads, o->after.memory_kib);
}

static void check(outcome *o, const char *name, uint64_t count, bool fine)
{
    printf("%-28s %8lu   %s\n", name, (unsigned long)count, fine ? "ok" : "FAILED");
    *(fine ? &o->passed : &o->failed) += 1;
}

static void check_zero(outcome *o, const char *name, uint64_t count)
{
    check(o, name, count, count == 0);
}

/* Connections that are neither idle nor gone, and what a leak of any other kind would leave. */
static uint64_t leaked(const outcome *o)
{
    const calm *a = &o->after, *b = &o->before;
    uint64_t leaks = 0;
    leaks += !a->reached;
    leaks += a->in_use != 0 || a->waiting != 0 || a->granted != a->released;
    leaks += a->size != a->idle || a->size > (long)o->scene->pool_max;
    leaks += a->descriptors - a->size > b->descriptors - b->size + 4;
    leaks += a->threads > b->threads;
    leaks += o->telling && a->memory_kib > b->memory_kib + b->memory_kib / 2 + 8 * 1024;
    return leaks;
}

static void check_recovery(outcome *o)
{
    static recoveries all;
    double limit = RECOVERY_MS * o->scene->slower;
    for (uint32_t i = 0; i < fault_count; i++)
        if (fault_class_of(i) == FAULT_OUTAGE)
            add_recoveries(&all, &o->records[i]);
    sort_recoveries(&all);
    double most = quantile_ms(all.ns, all.count, 1);
    printf("%-28s %8.0f ms median, %.0f ms p99, %.0f ms most, of %u   %s\n",
           "recovery from outages", quantile_ms(all.ns, all.count, 0.5),
           quantile_ms(all.ns, all.count, 0.99), most, all.count, most <= limit ? "ok" : "FAILED");
    *(most <= limit ? &o->passed : &o->failed) += 1;
}

static void print_verdict(outcome *o)
{
    const tally *t = load_tally(o->scene->load);
    const ledger_verdict *l = &o->ledger;
    putchar('\n');
    check_zero(o, "hung", t->hung);
    check_zero(o, "cut off without an answer", t->cut_off);
    check_zero(o, "crossed", t->crossed);
    check_zero(o, "lost: missing", l->missing);
    check_zero(o, "lost: doubled", l->doubled);
    check_zero(o, "written though refused", l->present_refused + l->strange);
    check_zero(o, "another's cancel (57014)", t->foreign);
    check_zero(o, "other answers", t->strange);
    check_zero(o, "control refused", o->scene->disobeyed);
    check_zero(o, "leaked", leaked(o));
    check(o, "sessions, in the network", o->most_proxied, o->most_proxied <= o->scene->pool_max);
    check(o, "sessions, no fault near", o->quiet_sessions, o->quiet_sessions <= o->scene->pool_max);
    check_recovery(o);
    check_zero(o, "weir ended by itself", o->ended);
    check(o, "weir's exit code", (uint64_t)o->exit_code, o->exit_code == 0);
}

/* What is to be looked into. */
static void show_first(const outcome *o)
{
    const calm *a = &o->after;
    const char *answered = load_tally(o->scene->load)->first;
    if (*answered)
        printf("\nfirst: %s\n", answered);
    if (o->ledger.first[0])
        printf("\nfirst: %s\n", o->ledger.first);
    if (leaked(o))
        printf("\nat rest: %s, size %ld, idle %ld, in use %ld, waiting %ld, granted %ld, released "
               "%ld, sessions %ld, proxied %ld\n",
               a->reached ? "reached" : "not reached", a->size, a->idle, a->in_use, a->waiting,
               a->granted, a->released, a->sessions, a->proxied);
}

void outcome_judge(outcome *o)
{
    uint32_t faults = print_faults(o);
    print_answers(o);
    print_verdict(o);
    if (o->enough_time)
        check(o, "faults", faults, faults >= 100);
    show_first(o);
}
