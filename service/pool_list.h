/* pool_list.h: the further pools that flags and variables name. */
#ifndef WEIR_POOL_LIST_H
#define WEIR_POOL_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../api/query_set.h"

#define POOL_LIST_MAX (QUERY_POOLS_MAX - 1) /* beside the default one */
#define POOL_NAME_MAX 31
#define CONNINFO_MAX  2047

typedef struct pool_entry {
    char name[POOL_NAME_MAX + 1];
    char conninfo[CONNINFO_MAX + 1];
    uint32_t max, min;
} pool_entry;

typedef struct pool_size {
    char name[POOL_NAME_MAX + 1];
    uint32_t max, min;
} pool_size;

typedef struct pool_list {
    pool_entry entries[POOL_LIST_MAX];
    pool_size sizes[POOL_LIST_MAX];
    uint32_t count, size_count;
} pool_list;

/* Takes NAME=URL, or NAME=MAX or NAME=MAX:MIN. False, and why, without its source and without what
 * may be secret. */
bool pool_list_add(pool_list *list, const char *text, char *why, size_t why_size);
bool pool_list_size(pool_list *list, const char *text, char *why, size_t why_size);

/* The same for several, between blanks or line ends; there a pool must be a URL, because the other
 * form of a connection string has blanks itself. */
bool pool_list_add_all(pool_list *list, const char *text, char *why, size_t why_size);
bool pool_list_size_all(pool_list *list, const char *text, char *why, size_t why_size);

/* Gives each pool its size, `max` and `min` where none was said. False, and why. */
bool pool_list_end(pool_list *list, uint32_t max, uint32_t min, char *why, size_t why_size);

/* Whether two lists name the same pools, with the same connection strings; whether those that both
 * name have the same sizes. */
bool pool_list_same_pools(const pool_list *a, const pool_list *b);
bool pool_list_same_sizes(const pool_list *a, const pool_list *b);

/* Makes `next` a list of the pools of `now`, with the sizes that `next` says for them, or else
 * those of `now`. */
void pool_list_settle(const pool_list *now, pool_list *next);

/* Whether a connection string asks for a standby (target_session_attrs). */
bool conninfo_wants_standby(const char *conninfo);

#endif
