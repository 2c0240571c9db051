/* semaphore.c: at most so many tasks of a lane at once, first come, first served. */
#include "task.h"

typedef struct applicant {
    weir_wait wait;
    weir_semaphore *semaphore;
    bool granted;
} applicant;

static void queue(weir_wait *wait)
{
    weir_semaphore *semaphore = weir_container(wait, applicant, wait)->semaphore;
    wait->next = NULL;
    wait->prev = semaphore->last;
    if (wait->prev)
        wait->prev->next = wait;
    else
        semaphore->first = wait;
    semaphore->last = wait;
}

static void unqueue(weir_wait *wait)
{
    weir_semaphore *semaphore = weir_container(wait, applicant, wait)->semaphore;
    if (wait->next)
        wait->next->prev = wait->prev;
    else
        semaphore->last = wait->prev;
    if (wait->prev)
        wait->prev->next = wait->next;
    else
        semaphore->first = wait->next;
}

int weir_semaphore_acquire(weir_semaphore *semaphore)
{
    int r = task_check();
    if (r < 0)
        return r;
    if (semaphore->permits > 0) { /* then nobody waits: release hands permits on */
        semaphore->permits--;
        return 0;
    }
    applicant a = {.wait.abandon = unqueue, .semaphore = semaphore};
    r = task_wait(&a.wait, WEIR_NEVER, queue);
    if (r < 0 && a.granted) /* granted, and then cut short before this task could run */
        weir_semaphore_release(semaphore);
    return r;
}

void weir_semaphore_release(weir_semaphore *semaphore)
{
    weir_wait *wait = semaphore->first;
    if (!wait) {
        semaphore->permits++;
        return;
    }
    unqueue(wait);
    weir_container(wait, applicant, wait)->granted = true;
    wait_end(wait, 0);
}
