/* nearest.h: which known word somebody probably meant. */
#ifndef WEIR_NEAREST_H
#define WEIR_NEAREST_H

#include <stddef.h>
#include <stdint.h>

/* Keeps the best of the words offered. Start with {.word = given}. */
typedef struct nearest {
    const char *word;
    const char *best; /* NULL: none is near enough to suggest */
    size_t distance;
} nearest;

/* Offers a candidate; it is not copied. Words longer than 63 bytes are not compared. */
void nearest_offer(nearest *n, const char *candidate);

#endif
