/* request_id.h: how one request is called in answers, logs and traces. */
#ifndef WEIR_REQUEST_ID_H
#define WEIR_REQUEST_ID_H

#include <stdbool.h>
#include <stdint.h>

#define REQUEST_ID_MAX   128
#define TRACEPARENT_SIZE 55

/* A source of numbers nobody needs to guess, for names. Not for secrets. */
typedef struct id_source {
    uint64_t state[2];
} id_source;

/* Seeds it from the system. */
void id_source_open(id_source *source);
uint64_t id_source_next(id_source *source);

/* Takes over the id that a client sent when it is one to 128 letters, digits or "-_.:+/=@~", else
 * makes one: 32 hexadecimal digits. `given` may be NULL. */
void request_id_choose(const char *given, id_source *source, char id[REQUEST_ID_MAX + 1]);

/* Whether the text is a W3C traceparent that may be passed on. */
bool traceparent_valid(const char *text);

/* Takes over a valid traceparent, else makes one of version 00, not sampled. `given` may be NULL.
 */
void traceparent_choose(const char *given, id_source *source, char out[TRACEPARENT_SIZE + 1]);

#endif
