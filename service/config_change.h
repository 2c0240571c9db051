/* config_change.h: what a new reading of the configuration says otherwise than the one in force. */
#ifndef WEIR_CONFIG_CHANGE_H
#define WEIR_CONFIG_CHANGE_H

#include "config.h"

/* Strings are those of the two configurations; NULL where a value is secret or a list, or where the
 * flag had or has none. */
typedef struct config_change {
    const char *name; /* the flag's */
    const char *from, *to;
    bool live; /* takes effect without a restart */
} config_change;

/* Writes down each flag whose value differs: a live one from what is in force, another from what
 * was said at the start. Their number. */
uint32_t config_changes(const config *start, const config *now, const config *next,
                        config_change changes[CONFIG_FLAGS_MAX]);

/* Puts what only a start sets into `next` as the start has set it, and sizes of pools that exist:
 * so it is what can be put in force. `start` must outlive it. */
void config_settle(const config *start, const config *now, config *next);

#endif
