/* channel_list.h: the channels that flags and variables name for /events. */
#ifndef WEIR_CHANNEL_LIST_H
#define WEIR_CHANNEL_LIST_H

#include "pool_list.h"

#include "../api/api.h"

#define CHANNEL_LIST_MAX 64

typedef struct channel_entry {
    char name[WEIR_CHANNEL_MAX + 1];
    char pool[POOL_NAME_MAX + 1]; /* "default" where none is said */
} channel_entry;

typedef struct channel_list {
    channel_entry entries[CHANNEL_LIST_MAX];
    uint32_t count;
} channel_list;

/* Takes CHANNEL or CHANNEL@POOL, or several between commas or blanks. False, and why, without its
 * source. */
bool channel_list_add(channel_list *list, const char *text, char *why, size_t why_size);

/* Whether each is of a pool that there is. False, and why. */
bool channel_list_end(const channel_list *list, const pool_list *pools, char *why, size_t why_size);

/* Whether two lists have the same channels, in the same order. */
bool channel_list_same(const channel_list *a, const channel_list *b);

/* The names of those of a pool; returns how many. */
uint32_t channel_list_of(const channel_list *list, const char *pool,
                         const char *names[CHANNEL_LIST_MAX]);

/* The same connection string, asking for the primary: nothing can be listened to on a standby.
 * free() it; NULL without memory. */
char *conninfo_to_primary(const char *conninfo);

#endif
