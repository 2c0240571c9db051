/* family.c: tasks that wait for each other, counted so that a pool can see when all are stuck. */
#include "family.h"

#include <utlist.h>

#include "task.h"

/* Others only read it. */
static void add_strand(family *f, int32_t one)
{
    uint32_t strands = atomic_load_explicit(&f->claimant.strands, memory_order_relaxed);
    atomic_store_explicit(&f->claimant.strands, strands + (uint32_t)one, memory_order_relaxed);
}

static void lose_strand(family *f)
{
    family_asker *asker;
    add_strand(f, -1);
    if (!f->askers || atomic_load_explicit(&f->claimant.waiting, memory_order_relaxed) <
                          atomic_load_explicit(&f->claimant.strands, memory_order_relaxed))
        return;
    DL_FOREACH (f->askers, asker)
        asker->stuck(asker);
}

static family *family_new(void)
{
    family *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->holders = 1;
    add_strand(f, 1);
    return f;
}

family *family_of(weir_task *task)
{
    if (!task->family)
        task->family = family_new();
    return task->family;
}

void family_bear(family *f, weir_task *task)
{
    task->family = family_hold(f);
    if (f)
        add_strand(f, 1);
}

void family_bury(weir_task *task)
{
    family *f = task->family;
    task->family = NULL;
    if (!f)
        return;
    lose_strand(f);
    family_drop(f);
}

void family_rest(family *f)
{
    lose_strand(f);
}

void family_rise(family *f)
{
    add_strand(f, 1);
}

void family_ask(family *f, family_asker *asker)
{
    if (f)
        DL_APPEND(f->askers, asker);
}

void family_asked(family *f, family_asker *asker)
{
    if (f)
        DL_DELETE(f->askers, asker);
}
