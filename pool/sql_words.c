/* sql_words.c: what a statement begins with. */
#include "sql_words.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Behind a comment, which may have others in it. */
static const char *skip_comment(const char *sql)
{
    int depth = 0;
    do {
        bool opens = strncmp(sql, "/*", 2) == 0, closes = strncmp(sql, "*/", 2) == 0;
        depth += opens - closes;
        sql += opens || closes ? 2 : 1;
    } while (*sql && depth > 0);
    return sql;
}

static const char *first_word(const char *sql)
{
    for (;;) {
        if (strncmp(sql, "--", 2) == 0)
            sql += strcspn(sql, "\r\n");
        else if (strncmp(sql, "/*", 2) == 0)
            sql = skip_comment(sql);
        else if (*sql && strchr(" \t\r\n\f\v(;", *sql))
            sql++;
        else
            return sql;
    }
}

bool sql_begins_with(const char *sql, const char *const *words)
{
    const char *first = first_word(sql);
    size_t length = 0;
    while (isalnum((unsigned char)first[length]) || first[length] == '_')
        length++;
    for (; *words; words++)
        if (strlen(*words) == length && strncasecmp(first, *words, length) == 0)
            return true;
    return false;
}

bool sql_may_commit(const char *sql)
{
    static const char *const words[] = {"call", "do", NULL};
    return sql_begins_with(sql, words);
}
