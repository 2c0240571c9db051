/* channel_list.c: the channels that flags and variables name for /events. */
#include "channel_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../api/utf8.h"
#include "why.h"

#define BETWEEN ", \t\r\n"

static bool is_channel(const char *text, size_t length)
{
    if (length == 0 || length > WEIR_CHANNEL_MAX || utf8_valid(text, length) != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return true;
}

static bool add(channel_list *list, const char *text, size_t length, char *why, size_t why_size)
{
    channel_entry entry = {.pool = "default"};
    const char *at = memchr(text, '@', length);
    size_t named = at ? (size_t)(at - text) : length;
    int shown = length > 100 ? 100 : (int)length;
    if (!is_channel(text, named))
        return why_not(
            why, why_size,
            "\"%.*s\" is not CHANNEL or CHANNEL@POOL: a channel's name has up to %d bytes", shown,
            text, WEIR_CHANNEL_MAX);
    memcpy(entry.name, text, named);
    if (at) {
        size_t rest = length - named - 1;
        if (rest == 0 || rest > POOL_NAME_MAX)
            return why_not(why, why_size, "\"%.*s\" names no pool behind the @", shown, text);
        memcpy(entry.pool, at + 1, rest);
        entry.pool[rest] = '\0';
    }
    for (uint32_t i = 0; i < list->count; i++)
        if (strcmp(list->entries[i].name, entry.name) == 0)
            return why_not(why, why_size, "the channel \"%s\" is named twice", entry.name);
    if (list->count == CHANNEL_LIST_MAX)
        return why_not(why, why_size, "more than %d channels", CHANNEL_LIST_MAX);
    list->entries[list->count++] = entry;
    return true;
}

bool channel_list_add(channel_list *list, const char *text, char *why, size_t why_size)
{
    if (!text[strspn(text, BETWEEN)])
        return why_not(why, why_size, "\"%.40s\" names no channel", text);
    for (text += strspn(text, BETWEEN); *text; text += strspn(text, BETWEEN)) {
        size_t length = strcspn(text, BETWEEN);
        if (!add(list, text, length, why, why_size))
            return false;
        text += length;
    }
    return true;
}

static bool is_pool(const pool_list *pools, const char *name)
{
    for (uint32_t i = 0; i < pools->count; i++)
        if (strcmp(pools->entries[i].name, name) == 0)
            return true;
    return strcmp(name, "default") == 0;
}

bool channel_list_end(const channel_list *list, const pool_list *pools, char *why, size_t why_size)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (!is_pool(pools, list->entries[i].pool))
            return why_not(why, why_size, "--events %s@%s: there is no --pool of that name",
                           list->entries[i].name, list->entries[i].pool);
    return true;
}

bool channel_list_same(const channel_list *a, const channel_list *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++)
        same = strcmp(a->entries[i].name, b->entries[i].name) == 0 &&
               strcmp(a->entries[i].pool, b->entries[i].pool) == 0;
    return same;
}

uint32_t channel_list_of(const channel_list *list, const char *pool,
                         const char *names[CHANNEL_LIST_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < list->count; i++)
        if (strcmp(list->entries[i].pool, pool) == 0)
            names[count++] = list->entries[i].name;
    return count;
}

/* What a further parameter follows. A password may well have a question mark in it. */
static const char *before_parameter(const char *conninfo)
{
    size_t scheme = strncmp(conninfo, "postgresql://", 13) == 0 ? 13
                    : strncmp(conninfo, "postgres://", 11) == 0 ? 11
                                                                : 0;
    if (!scheme)
        return " ";
    const char *rest = conninfo + scheme, *mark = rest + strcspn(rest, "@/");
    return strchr(*mark == '@' ? mark : rest, '?') ? "&" : "?";
}

/* What is said last counts, in either form. */
char *conninfo_to_primary(const char *conninfo)
{
    char *made;
    int length =
        asprintf(&made, "%s%starget_session_attrs=primary", conninfo, before_parameter(conninfo));
    return length < 0 ? NULL : made;
}
