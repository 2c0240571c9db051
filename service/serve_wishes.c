/* serve_wishes.c: what signals and operators ask of the service. */
#include <signal.h>

#include "exits.h"
#include "serve_parts.h"

static void caught(void *arg, int number)
{
    service *s = arg;
    if (number == SIGINT && s->stop)
        service_leave(EXIT_INTERRUPTED);
    if (number == SIGHUP)
        s->reload = true;
    else
        s->stop = true;
    weir_semaphore_release(&s->wake);
}

static void drain_wanted(weir_job *job)
{
    service *s = weir_container(job, service, drain_job);
    s->stop = true;
    weir_semaphore_release(&s->wake);
}

static void ask_for_drain(void *arg)
{
    service *s = arg;
    if (!atomic_exchange(&s->drain_asked, true))
        weir_lane_post(weir_runtime_lane(s->runtime, 0), &s->drain_job);
}

static void reload_wanted(reload_desk *desk)
{
    service *s = weir_container(desk, service, desk);
    s->reload = true;
    weir_semaphore_release(&s->wake);
}

static int ask_for_reload(void *arg, char **report, query_fault *fault)
{
    service *s = arg;
    return reload_ask(&s->desk, report, fault);
}

void service_prepare_wishes(service *s)
{
    s->drain_job.run = drain_wanted;
    s->desk.wanted = reload_wanted;
    s->desk.lane = weir_runtime_lane(s->runtime, 0);
}

weir_api_operator service_operator(service *s)
{
    return (weir_api_operator){.arg = s, .reload = ask_for_reload, .drain = ask_for_drain};
}

int service_hear_signals(service *s)
{
    return signals_open(&s->signals, caught, s);
}
