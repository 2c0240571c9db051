/* signals.h: SIGTERM, SIGINT and SIGHUP as calls on a lane. */
#ifndef WEIR_SIGNALS_H
#define WEIR_SIGNALS_H

#include <uv.h>

#include "../pool/weir.h"

/* Caller's memory. */
typedef struct signals {
    uv_signal_t handles[3];
    void (*caught)(void *arg, int number);
    void *arg;
    uint32_t open;
    weir_semaphore closed;
} signals;

/* Calls `caught` on the current lane's own stack for each of the three. WEIR_EIO; then nothing is
 * left to close. */
int signals_open(signals *s, void (*caught)(void *arg, int number), void *arg);

/* Their default actions come back. */
weir_async void signals_close(signals *s);

#endif
