/* saying.h: one sentence, put together piece by piece, for people. */
#ifndef WEIR_SAYING_H
#define WEIR_SAYING_H

#include <stddef.h>
#include <stdint.h>

/* What no longer fits is left out. */
typedef struct saying {
    char *text;
    size_t size, length;
} saying;

#define SAYING(array)                                                                              \
    {                                                                                              \
        .text = (array), .size = sizeof(array)                                                     \
    }

__attribute__((format(printf, 2, 3))) void say(saying *s, const char *format, ...);

/* With two or three figures, in the unit that suits: 250 us, 12.4 ms, 31.2 s, 4.8 min. */
void say_duration(saying *s, uint64_t ns);

/* To one place while that matters: 3.4, 240. */
void say_number(saying *s, double number);

#endif
