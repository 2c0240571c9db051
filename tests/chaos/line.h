/* line.h: one connection through the proxy: what each side has said, and the other has not heard.
 */
#ifndef WEIR_CHAOS_LINE_H
#define WEIR_CHAOS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy.h"

enum { WEIR, SERVER, HELD_MAX = 32768 };

/* What has come from one side and not gone to the other. */
typedef struct stream {
    char bytes[HELD_MAX];
    size_t from, to;
    uint64_t due_ns;
    bool ended;
} stream;

typedef enum caller { CALLER_UNKNOWN, CALLER_SESSION, CALLER_CANCEL } caller;

typedef struct line {
    int fd[2];
    uint16_t port;  /* at the server's far end */
    stream said[2]; /* by each side */
    bool probe;
    bool up; /* the server's side is connected */
    caller who;
    int64_t fuse; /* bytes from the server until a reset; negative: none */
} line;

/* From a socket that was accepted, which it takes, to the server. NULL when that cannot be: then
 * the caller has been reset. */
line *line_new(int fd, bool probe, uint16_t server_port);
void line_free(line *l, bool reset);
/* Weir's side alone. */
void line_drop_weir(line *l);

/* Weir has not left. */
bool line_is_there(const line *l);

/* What to ask poll for. */
short line_events(const line *l, int side, weather w);
/* Reads what that side says, to be told `delay_ms` later. False: it has reset the line. */
bool line_hear(line *l, int side, uint32_t delay_ms);
/* Tells that side what is due. False: the line is to be reset. */
bool line_tell(line *l, int side, weather w, uint32_t strength);
/* Nothing is left to say for a side that has ended. */
bool line_is_over(const line *l);

#endif
