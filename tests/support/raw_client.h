/* raw_client.h: a client that says to a server of 127.0.0.1 exactly what it is told to. */
#ifndef WEIR_TESTS_RAW_CLIENT_H
#define WEIR_TESTS_RAW_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

/* A connection; -1: it was not accepted. close() it, or raw_vanish. */
int raw_dial(uint16_t port);

/* Whether all of it was taken. */
bool raw_say(int fd, const char *text);

/* Reads until `needle` has come `times` times, the other side closes, or it is silent for 10 s
 * (times slower()). free() what it has read. */
char *raw_hear(int fd, const char *needle, int times);

/* How often `needle` is in `text`. */
int raw_count(const char *text, const char *needle);

/* Closes it, with a reset when `abruptly`. */
void raw_vanish(int fd, bool abruptly);

#endif
