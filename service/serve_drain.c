/* serve_drain.c: how requests under way come to their end before the service does. */
#include "log.h"
#include "serve_parts.h"

/* How long clients that keep their connections are still told that they come too late: a request
 * on its way when its connection is closed would be lost. */
#define LINGER_NS WEIR_MS(100)

static bool drained_within(service *s, uint64_t limit_ns)
{
    weir_scoped_timeout(limit, limit_ns);
    return weir_api_drained(s->api) == 0;
}

void service_give_notice(service *s)
{
    uint64_t delay_ns = s->config->drain_delay_ns;
    if (delay_ns == WEIR_NEVER || !s->ready)
        return;
    weir_api_leave(s->api);
    log_say(WEIR_INFO, "service.leaving", "not ready any more; serving on for --drain-delay",
            field_ms("delay_ms", delay_ns));
    weir_sleep(delay_ns);
}

void service_drain(service *s)
{
    weir_api_drain(s->api);
    reload_close(&s->desk);
    log_say(WEIR_INFO, "service.draining", "no new requests; waiting for those under way",
            field_uint("requests", weir_api_requests(s->api)));
    if (drained_within(s, s->config->drain_timeout_ns)) {
        weir_sleep(LINGER_NS);
        drained_within(s, LINGER_NS); /* the last ones to be refused */
        return;
    }
    log_say(WEIR_WARN, "service.cancelling", "the drain timeout passed: cancelling what still runs",
            field_uint("requests", weir_api_requests(s->api)));
    weir_api_cancel(s->api);
    if (!drained_within(s, LAST_WAIT_NS)) {
        log_say(WEIR_WARN, "service.stopped", "left clients that do not take their answer",
                field_uint("requests", weir_api_requests(s->api)));
        service_leave(s->exit_code);
    }
}
