/* pool_list.c: the further pools that flags and variables name. */
#include "pool_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "why.h"

#define BLANKS    " \t\r\n"
#define COUNT_MAX 10000

/* Copies the name before the equals sign; what stands behind it, or NULL and why. */
static const char *cut_name(const char *text, const char *form, char name[POOL_NAME_MAX + 1],
                            char *why, size_t why_size)
{
    size_t length = strcspn(text, "=");
    if (!text[length] || memchr(text, ':', length)) { /* a URL, which may have a password in it */
        why_not(why, why_size, "must be %s", form);
        return NULL;
    }
    if (length == 0 || length > POOL_NAME_MAX || text[0] < 'a' || text[0] > 'z' ||
        strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") < length) {
        why_not(why, why_size,
                "\"%.*s\" is no name for a pool: it has up to %d of a-z, 0-9, _ and -, and begins "
                "with a letter",
                (int)(length > 40 ? 40 : length), text, POOL_NAME_MAX);
        return NULL;
    }
    memcpy(name, text, length);
    name[length] = '\0';
    return text + length + 1;
}

bool pool_list_add(pool_list *list, const char *text, char *why, size_t why_size)
{
    pool_entry entry = {0};
    const char *conninfo = cut_name(text, "NAME=URL", entry.name, why, why_size);
    if (!conninfo)
        return false;
    if (strcmp(entry.name, "default") == 0)
        return why_not(why, why_size, "the default pool is the one of --database");
    for (uint32_t i = 0; i < list->count; i++)
        if (strcmp(list->entries[i].name, entry.name) == 0)
            return why_not(why, why_size, "two pools are called \"%s\"", entry.name);
    if (list->count == POOL_LIST_MAX)
        return why_not(why, why_size, "more than %d pools", POOL_LIST_MAX);
    if (!*conninfo)
        return why_not(why, why_size, "%s= must be followed by a URL or key=value", entry.name);
    if (strlen(conninfo) > CONNINFO_MAX)
        return why_not(why, why_size, "what follows %s= is longer than %d bytes", entry.name,
                       CONNINFO_MAX);
    strcpy(entry.conninfo, conninfo);
    list->entries[list->count++] = entry;
    return true;
}

/* Digits only, with `end` behind them. */
static bool count_value(const char *text, char end, uint32_t *count)
{
    char *rest;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long value = strtoul(text, &rest, 10);
    if (*rest != end || value > COUNT_MAX)
        return false;
    *count = (uint32_t)value;
    return true;
}

bool pool_list_size(pool_list *list, const char *text, char *why, size_t why_size)
{
    pool_size size = {0};
    const char *form = "NAME=MAX or NAME=MAX:MIN";
    const char *max = cut_name(text, form, size.name, why, why_size);
    if (!max)
        return false;
    const char *colon = strchr(max, ':');
    if (!count_value(max, colon ? ':' : '\0', &size.max) || size.max == 0 ||
        (colon && !count_value(colon + 1, '\0', &size.min)) || size.min > size.max)
        return why_not(why, why_size,
                       "\"%.60s\" is not %s: MAX from 1 to %d connections, and MIN of them kept",
                       text, form, COUNT_MAX);
    if (list->size_count == POOL_LIST_MAX)
        return why_not(why, why_size, "more than %d sizes", POOL_LIST_MAX);
    list->sizes[list->size_count++] = size;
    return true;
}

/* ---- Several in one text ---- */

typedef bool take_fn(pool_list *list, const char *text, char *why, size_t why_size);

static bool take_url(pool_list *list, const char *text, char *why, size_t why_size)
{
    size_t length = strcspn(text, "=");
    const char *url = text[length] && !memchr(text, ':', length) ? text + length : NULL;
    if (url && strncmp(url + 1, "postgres://", 11) != 0 &&
        strncmp(url + 1, "postgresql://", 13) != 0)
        return why_not(why, why_size, "%.*s= must be followed by a URL, postgresql://…",
                       (int)(url - text > 40 ? 40 : url - text), text);
    return pool_list_add(list, text, why, why_size);
}

static bool take_all(pool_list *list, const char *text, take_fn *take, char *why, size_t why_size)
{
    for (text += strspn(text, BLANKS); *text; text += strspn(text, BLANKS)) {
        size_t length = strcspn(text, BLANKS);
        char *one = strndup(text, length);
        bool good = one ? take(list, one, why, why_size) : why_not(why, why_size, "out of memory");
        free(one);
        if (!good)
            return false;
        text += length;
    }
    return true;
}

bool pool_list_add_all(pool_list *list, const char *text, char *why, size_t why_size)
{
    return take_all(list, text, take_url, why, why_size);
}

bool pool_list_size_all(pool_list *list, const char *text, char *why, size_t why_size)
{
    return take_all(list, text, pool_list_size, why, why_size);
}

/* ---- Together ---- */

static const pool_entry *find(const pool_list *list, const char *name)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (strcmp(list->entries[i].name, name) == 0)
            return &list->entries[i];
    return NULL;
}

bool pool_list_end(pool_list *list, uint32_t max, uint32_t min, char *why, size_t why_size)
{
    for (uint32_t i = 0; i < list->count; i++) {
        list->entries[i].max = max;
        list->entries[i].min = min;
    }
    for (uint32_t i = 0; i < list->size_count; i++) {
        pool_entry *entry = (pool_entry *)find(list, list->sizes[i].name);
        if (!entry)
            return why_not(why, why_size, "--pool-size %s: there is no --pool of that name%s",
                           list->sizes[i].name,
                           strcmp(list->sizes[i].name, "default") == 0
                               ? "; the default one has --pool-max and --pool-min"
                               : "");
        entry->max = list->sizes[i].max;
        entry->min = list->sizes[i].min;
    }
    return true;
}

/* ---- Two lists ---- */

bool pool_list_same_pools(const pool_list *a, const pool_list *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++) {
        const pool_entry *other = find(b, a->entries[i].name);
        same = other && strcmp(a->entries[i].conninfo, other->conninfo) == 0;
    }
    return same;
}

bool pool_list_same_sizes(const pool_list *a, const pool_list *b)
{
    bool same = true;
    for (uint32_t i = 0; same && i < a->count; i++) {
        const pool_entry *mine = &a->entries[i], *other = find(b, mine->name);
        same = !other || (mine->max == other->max && mine->min == other->min);
    }
    return same;
}

void pool_list_settle(const pool_list *now, pool_list *next)
{
    pool_list settled = *now;
    for (uint32_t i = 0; i < settled.count; i++) {
        const pool_entry *other = find(next, settled.entries[i].name);
        if (other) {
            settled.entries[i].max = other->max;
            settled.entries[i].min = other->min;
        }
    }
    *next = settled;
}

bool conninfo_wants_standby(const char *conninfo)
{
    static const char key[] = "target_session_attrs";
    const char *value = strstr(conninfo, key);
    if (!value)
        return false;
    value += strlen(key);
    value += strspn(value, " =\t'");
    return strncmp(value, "standby", 7) == 0 || strncmp(value, "prefer-standby", 14) == 0;
}
