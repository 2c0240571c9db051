/* blackhole.h: a port of 127.0.0.1 that refuses, or, when told to, swallows whoever dials it. */
#ifndef WEIR_CHAOS_BLACKHOLE_H
#define WEIR_CHAOS_BLACKHOLE_H

#include <stdint.h>

enum { BLACKHOLE_FILL = 8 };

typedef struct blackhole {
    int fd;
    uint16_t port;
    int fill[BLACKHOLE_FILL]; /* who keeps its backlog full */
} blackhole;

/* Refuses at first. Ends the program when there is no port. */
void blackhole_start(blackhole *b);
void blackhole_stop(blackhole *b);

/* From now on a dial gets no answer at all: the kernel drops it, as the backlog is full. */
void blackhole_open(blackhole *b);
void blackhole_close(blackhole *b);

#endif
