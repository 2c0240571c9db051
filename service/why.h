/* why.h: why what somebody has said is refused, in one line. */
#ifndef WEIR_WHY_H
#define WEIR_WHY_H

#include <stdbool.h>
#include <stddef.h>

/* Writes as much of it as fits, and is false. */
bool why_not(char *why, size_t why_size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
