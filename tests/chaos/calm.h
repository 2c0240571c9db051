/* calm.h: what weir holds on to once nobody asks it for anything. */
#ifndef WEIR_CHAOS_CALM_H
#define WEIR_CHAOS_CALM_H

#include <stdbool.h>
#include <stdint.h>

#include "../support/postgres.h"
#include "../support/weir_process.h"
#include "proxy.h"

typedef struct calm {
    bool reached; /* nothing leased, waited for or under way, within the time given */
    long size, idle, in_use, waiting, max;
    long granted, released;
    long sessions, proxied; /* as the server counts them, and the proxy */
    long descriptors, threads, memory_kib;
} calm;

/* Waits until the pool rests, up to `deadline_ns`, and looks. */
calm calm_await(const weir_process *weir, uint16_t port, postgres_server *server,
                const proxy *network, uint64_t deadline_ns);

/* Instrumented builds keep freed memory. */
bool memory_is_telling(const weir_process *weir);

#endif
