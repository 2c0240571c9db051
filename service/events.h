/* events.h: what the pool and the API tell, as lines of the log. */
#ifndef WEIR_SERVICE_EVENTS_H
#define WEIR_SERVICE_EVENTS_H

#include "../api/api.h"
#include "../pool/weir.h"

/* For weir_pool_options.on_event, and for what /pool/events tells; `arg`: the weir_pool_log. What
 * an outage repeats is written five times a second at most, the first always, with the number left
 * out. */
void events_log_pool(void *arg, const weir_event *event);

/* For weir_api_options.on_feed; `arg` as above. */
void events_log_feed(void *arg, const weir_feed_event *event);

/* For weir_api_options.on_client_cut: for debugging. */
void events_log_client(void *arg, const char *reason, const char *address);

/* For weir_api_options.on_request: 5xx and 401 are warnings (503, 507 and 401 as above), clients
 * that went away worth a line, the rest for debugging. */
void events_log_request(void *arg, const weir_request_record *record);

#endif
