/* reload.c: requests to read everything again that wait to be told how it went. */
#include "reload.h"

#include <stdlib.h>
#include <string.h>

/* Goes to the lane that loads, and comes back. Whoever gives up waiting leaves it behind. */
struct reload_ticket {
    weir_job job;
    reload_ticket *next;
    reload_desk *desk;
    weir_lane *home;
    weir_semaphore back; /* on `home`, as `left_behind` */
    bool left_behind;
    int result;
    char *report; /* NULL: none */
    query_fault fault;
};

static void ticket_free(reload_ticket *t)
{
    free(t->report);
    free(t);
}

static void come_back(weir_job *job)
{
    reload_ticket *t = weir_container(job, reload_ticket, job);
    if (t->left_behind)
        ticket_free(t);
    else
        weir_semaphore_release(&t->back);
}

static void send_back(reload_ticket *t, int result)
{
    t->result = result;
    t->job.run = come_back;
    weir_lane_post(t->home, &t->job);
}

static void arrive(weir_job *job)
{
    reload_ticket *t = weir_container(job, reload_ticket, job);
    reload_desk *desk = t->desk;
    if (desk->closed) {
        send_back(t, WEIR_ECANCELED);
        return;
    }
    t->next = desk->asked;
    desk->asked = t;
    desk->wanted(desk);
}

int reload_ask(reload_desk *desk, char **report, query_fault *fault)
{
    reload_ticket *t = calloc(1, sizeof *t);
    if (!t)
        return WEIR_ENOMEM;
    t->job.run = arrive;
    t->desk = desk;
    t->home = weir_lane_self();
    weir_lane_post(desk->lane, &t->job);
    int r = weir_semaphore_acquire(&t->back);
    if (r < 0) {
        t->left_behind = true;
        return r;
    }
    r = t->result;
    *report = t->report;
    *fault = t->fault;
    t->report = NULL;
    ticket_free(t);
    return r;
}

void reload_begin(reload_desk *desk)
{
    desk->served = desk->asked;
    desk->asked = NULL;
}

static void send_all_back(reload_ticket **list, int result, const char *report,
                          const query_fault *fault)
{
    while (*list) {
        reload_ticket *t = *list;
        *list = t->next;
        t->report = report ? strdup(report) : NULL;
        if (fault)
            t->fault = *fault;
        send_back(t, report && !t->report ? WEIR_ENOMEM : result);
    }
}

void reload_end(reload_desk *desk, int result, const char *report, const query_fault *fault)
{
    send_all_back(&desk->served, result, report, fault);
}

void reload_close(reload_desk *desk)
{
    desk->closed = true;
    send_all_back(&desk->served, WEIR_ECANCELED, NULL, NULL);
    send_all_back(&desk->asked, WEIR_ECANCELED, NULL, NULL);
}
