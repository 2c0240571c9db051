/* secret.c: the passwords in a connection string, kept out of sight. */
#include "secret.h"

#include <stdbool.h>
#include <string.h>

typedef struct span {
    size_t start, length;
} span;

/* The password of postgres://user:password@host: up to the last @, which also covers one with
 * reserved characters left unescaped. */
static bool span_in_url(const char *text, span *found)
{
    const char *scheme = strstr(text, "://");
    const char *at = scheme ? strrchr(scheme, '@') : NULL;
    const char *colon = at ? memchr(scheme + 3, ':', (size_t)(at - scheme - 3)) : NULL;
    if (!colon)
        return false;
    *found = (span){(size_t)(colon + 1 - text), (size_t)(at - colon - 1)};
    return true;
}

static size_t value_length(const char *value, bool url)
{
    if (url)
        return strcspn(value, "&");
    if (*value != '\'')
        return strcspn(value, " \t\n");
    size_t length = 1;
    while (value[length] && value[length] != '\'')
        length += value[length] == '\\' && value[length + 1] ? 2 : 1;
    return value[length] ? length + 1 : length;
}

/* The next value of a key that ends in "password", from `from` on. */
static bool span_by_key(const char *text, size_t from, span *found)
{
    static const char key[] = "password";
    bool url = strstr(text, "://") != NULL;
    for (const char *hit = text + from; (hit = strstr(hit, key)); hit++) {
        const char *value = hit + strlen(key);
        value += strspn(value, " \t\n");
        if (*value != '=')
            continue;
        value++;
        value += url ? 0 : strspn(value, " \t\n");
        *found = (span){(size_t)(value - text), value_length(value, url)};
        return true;
    }
    return false;
}

/* The first secret at or after `from`. */
static bool span_next(const char *text, size_t from, span *found)
{
    span url, key;
    bool in_url = span_in_url(text, &url) && url.start >= from;
    bool by_key = span_by_key(text, from, &key);
    if (!in_url && !by_key)
        return false;
    *found = !by_key || (in_url && url.start < key.start) ? url : key;
    return true;
}

static void append(char *to, size_t size, size_t *length, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count && *length + 1 < size; i++)
        to[(*length)++] = bytes[i];
    to[*length] = '\0';
}

void secret_hide(const char *conninfo, char *hidden, size_t size)
{
    size_t from = 0, length = 0;
    hidden[0] = '\0';
    for (span s; span_next(conninfo, from, &s); from = s.start + s.length) {
        append(hidden, size, &length, conninfo + from, s.start - from);
        append(hidden, size, &length, "***", 3);
    }
    append(hidden, size, &length, conninfo + from, strlen(conninfo + from));
}

void secret_blot(const char *conninfo, char *message)
{
    size_t from = 0;
    for (span s; span_next(conninfo, from, &s); from = s.start + s.length) {
        const char *secret = conninfo + s.start;
        if (s.length == 0)
            continue;
        for (char *hit = message; (hit = memmem(hit, strlen(hit), secret, s.length));)
            memset(hit, '*', s.length);
    }
}
