/* scope.c: deadlines that nest around a task's waits and only shrink. */
#include "fatal.h"
#include "task.h"

static uint64_t own_deadline(const weir_scope *scope)
{
    return scope->deadline_ns ? scope->deadline_ns : WEIR_NEVER;
}

void weir_scope_enter(weir_scope *scope)
{
    weir_task *task = weir_task_self();
    scope->outer = NULL;
    if (!task) /* nothing waits here that it could end */
        return;
    scope->outer = task->scope;
    task->scope = scope;
    if (own_deadline(scope) < task->deadline_ns)
        task->deadline_ns = own_deadline(scope);
}

void weir_scope_leave(weir_scope *scope)
{
    weir_task *task = weir_task_self();
    if (!task)
        return;
    if (task->scope != scope)
        fatal("weir_scope_leave: another scope is the innermost");
    task->scope = scope->outer;
    task->deadline_ns = WEIR_NEVER;
    for (const weir_scope *s = task->scope; s; s = s->outer)
        if (own_deadline(s) < task->deadline_ns)
            task->deadline_ns = own_deadline(s);
}

uint64_t weir_deadline(void)
{
    const weir_task *task = weir_task_self();
    return task ? task->deadline_ns : WEIR_NEVER;
}
