/* proxy.h: a TCP proxy before the server, for a network that misbehaves on command.
 *
 * It listens on two ports of 127.0.0.1: one for weir, one for the probe, who meets the same network
 * but is not counted. Its functions may be called from any thread. */
#ifndef WEIR_CHAOS_PROXY_H
#define WEIR_CHAOS_PROXY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct proxy proxy;

typedef enum weather {
    WEATHER_FAIR,
    WEATHER_SLOW,    /* each byte comes `strength` ms later */
    WEATHER_TRICKLE, /* at most `strength` bytes a ms and direction */
    WEATHER_STALL,   /* nothing goes through, nothing is lost */
    WEATHER_DOWN     /* nobody gets in; who was in has been reset */
} weather;

typedef enum cut {
    CUT_CLOSE, /* both sides see an orderly end */
    CUT_RESET,
    CUT_IN_ANSWER /* a reset in the middle of what the server says next */
} cut;

/* Ends the program when it cannot be started. */
proxy *proxy_start(uint16_t server_port);
void proxy_stop(proxy *p); /* takes NULL */

uint16_t proxy_port(const proxy *p);
uint16_t proxy_probe_port(const proxy *p);

void proxy_weather(proxy *p, weather w, uint32_t strength);
/* Cuts weir's connections, cancel requests among them: all, or each with a chance of one in
 * `one_in`. Has happened when it returns. */
void proxy_cut(proxy *p, cut how, uint32_t one_in);

/* While `ms` is not 0, who sends a cancel request is reset at once, and the request reaches the
 * server up to so many milliseconds later. */
void proxy_delay_cancels(proxy *p, uint32_t ms);

/* Sessions that weir has now, and had at most at once since proxy_forget. */
uint32_t proxy_sessions(const proxy *p);
uint32_t proxy_most_sessions(const proxy *p);
uint64_t proxy_cancels(const proxy *p); /* cancel requests so far */
uint64_t proxy_dials(const proxy *p);   /* sessions begun so far */
void proxy_forget(proxy *p);

/* Whether a session with that port at the server's far end is weir's doing: it has it, or has left
 * it by itself, and no cut has come before. */
bool proxy_is_wanted(const proxy *p, uint16_t port);

#endif
