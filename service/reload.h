/* reload.h: requests to read everything again that wait to be told how it went. */
#ifndef WEIR_RELOAD_H
#define WEIR_RELOAD_H

#include "../api/query.h"
#include "../pool/weir.h"

typedef struct reload_ticket reload_ticket;

/* Those who have asked; on the lane that loads, but for reload_ask. */
typedef struct reload_desk {
    weir_lane *lane;
    void (*wanted)(struct reload_desk *desk); /* called there when somebody has asked */
    reload_ticket *asked;                     /* since the load under way has begun */
    reload_ticket *served;                    /* by the load under way */
    bool closed;                              /* whoever asks now is told WEIR_ECANCELED */
} reload_desk;

/* Asks for a load, and waits until one that began after this call has ended. In a task of any lane.
 * The load's result, with its report for the caller to free(); WEIR_ECANCELED, WEIR_ETIMEDOUT,
 * WEIR_ENOMEM. */
weir_async int reload_ask(reload_desk *desk, char **report, query_fault *fault);

/* A load begins; it has ended, with `report` (copied) or with `fault` where it has one; there will
 * be no more. */
void reload_begin(reload_desk *desk);
void reload_end(reload_desk *desk, int result, const char *report, const query_fault *fault);
void reload_close(reload_desk *desk);

#endif
