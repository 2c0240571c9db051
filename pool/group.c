/* group.c: several tasks that are waited for together. */
#include "fatal.h"
#include "task.h"

static void join_group(weir_group *group, weir_task *member)
{
    member->group = group;
    member->group_next = group->members;
    if (member->group_next)
        member->group_next->group_prev = member;
    group->members = member;
    group->running++;
}

static void quit_group(weir_group *group, weir_task *member)
{
    if (member->group_next)
        member->group_next->group_prev = member->group_prev;
    if (member->group_prev)
        member->group_prev->group_next = member->group_next;
    else
        group->members = member->group_next;
    group->running--;
}

int weir_group_spawn(weir_group *group, weir_task_fn fn, void *arg)
{
    weir_task *self = weir_task_self();
    if (!self)
        return WEIR_ENOTASK;
    if (group->cancelled)
        return WEIR_ECANCELED;
    weir_task *member;
    int r = task_spawn(fn, arg, &member);
    if (r < 0)
        return r;
    member->detached = true;
    family_bear(group->members ? group->members->family : family_of(self), member);
    join_group(group, member);
    return 0;
}

typedef struct gathering {
    weir_wait wait;
    weir_group *group;
    family *resting; /* the one who waits, where the members are of it too */
} gathering;

static void end_gathering(weir_group *group)
{
    gathering *g = weir_container(group->waiter->wait, gathering, wait);
    group->waiter = NULL;
    if (g->resting)
        family_rise(g->resting);
    wait_end(&g->wait, 0);
}

void group_member_ended(weir_task *member)
{
    weir_group *group = member->group;
    quit_group(group, member);
    if (member->result < 0 && group->first_error == 0) {
        group->first_error = member->result;
        if (group->policy == WEIR_GROUP_CANCEL_REST)
            weir_group_cancel(group);
    }
    if (group->running == 0 && group->waiter)
        end_gathering(group);
}

void weir_group_cancel(weir_group *group)
{
    group->cancelled = true;
    for (weir_task *member = group->members; member; member = member->group_next)
        weir_cancel(member);
}

/* ---- Waiting ---- */

static void await_members(weir_wait *wait)
{
    weir_group *group = weir_container(wait, gathering, wait)->group;
    if (group->waiter)
        fatal("weir_group_wait: another task already waits for this group");
    group->waiter = wait->task;
}

static void begin_gathering(weir_wait *wait)
{
    gathering *g = weir_container(wait, gathering, wait);
    family *own = wait->task->family;
    await_members(wait);
    if (own && own == g->group->members->family)
        family_rest(g->resting = own);
}

static void abandon_gathering(weir_wait *wait)
{
    gathering *g = weir_container(wait, gathering, wait);
    g->group->waiter = NULL;
    if (g->resting)
        family_rise(g->resting);
}

void weir_group_leave(weir_group *group)
{
    if (group->running == 0)
        return;
    weir_group_cancel(group);
    gathering g = {.wait.abandon = abandon_gathering, .group = group};
    /* Members that are cancelled wait for nothing: nobody is stuck here. */
    if (task_wait_firmly(&g.wait, await_members) < 0)
        fatal("weir_group_leave: members are running and this is no task that could wait for them");
}

int weir_group_wait(weir_group *group)
{
    gathering g = {.wait.abandon = abandon_gathering, .group = group};
    int r = group->running ? task_wait(&g.wait, WEIR_NEVER, begin_gathering) : task_check();
    if (r < 0) {
        weir_group_leave(group);
        return r;
    }
    return group->first_error;
}
