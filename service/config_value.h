/* config_value.h: a flag's value, from its text into the configuration. */
#ifndef WEIR_CONFIG_VALUE_H
#define WEIR_CONFIG_VALUE_H

#include "config_flags.h"
#include "why.h"

/* A value, and who says it. */
typedef struct config_word {
    const char *source; /* as errors name it */
    const char *value;  /* must outlive the configuration */
    config_rank rank;
    uint32_t line; /* of the file; 0: elsewhere */
} config_word;

/* Stores it; a list's first value of a higher rank replaces what lower ones have said. CONFIG_BAD
 * with why. */
config_outcome config_take(const flag *f, config_word word, config *c, char *why, size_t why_size);

/* Stores what the flag is when nobody says it, where it has that. */
void config_take_default(const flag *f, config *c);

/* Writes why, and is CONFIG_BAD. */
#define config_wrong(why, why_size, ...) (why_not(why, why_size, __VA_ARGS__), CONFIG_BAD)

#endif
