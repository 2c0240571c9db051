/* sharing.h: identical GETs that are under way together, answered by one run of their query.
 *
 * The run is in a task of its own and belongs to no client: it goes on while anyone waits for it.
 * Whoever waits does so in its own task, until its own deadline, and leaves without the others
 * noticing; when the last has left the run is cancelled. Each lane shares by itself, without a
 * lock: of identical requests at most one a lane has its query run. */
#ifndef WEIR_SHARING_H
#define WEIR_SHARING_H

#include "request.h"

/* Whether the request may be answered by what another one has asked for: by GET, for rows that
 * @cache lets clients keep and no JWT is asked for, unless its header Cache-Control says no-cache
 * or it asks for a trace. On the loop's own stack. */
bool sharing_fits(const weir_request *req);

/* Joins the run that answers requests like this one, or begins it, and waits for it. What it finds
 * is no older than @cache says. A handler, called as a task. */
weir_async void serve_shared(weir_request *req);

/* The request has been answered; takes NULL. */
void shared_run_unref(shared_run *run);

#endif
